"""What errors on normal videos are like, place by place, so that a frame is compared with what is
usual there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vadlib.config import ScoreConfig, from_dict
from vadlib.errors import InputError, require
from vadlib.evaluation.error_maps import ErrorMaps
from vadlib.evaluation.scores import local_values, smooth
from vadlib.files import atomic, read_arrays
from vadlib.model.run import continue_training

# pixels; calibrated scores can be had for these, None being the whole frame
WINDOWS = (8, 16, 32, 64, None)
PRIOR = 3000  # frames' worth of the whole picture's statistics that each location starts with
MOVED = 1e-5  # local error below which nothing moved there
# of the held-out normal frames; test videos that differ from those have more of their normal frames
# above it
THRESHOLD_QUANTILE = 0.99


class Statistics(NamedTuple):
    """Mean and deviation of the local values of normal frames at each location of one scene, each
    (3, H', W'); see `local_values`.
    """

    mean: np.ndarray
    deviation: np.ndarray


@dataclass(frozen=True)
class Calibration:
    """What held-out normal videos look like to the model, by scene, and the threshold of alarm.

    Attributes:
        scenes: scene -> {(window, frames) -> statistics}; see `ScoreConfig` for the two.
        threshold: calibrated score above which a frame is called abnormal: the 0.99 quantile of the
            held-out frames.
        how: the score that the threshold is for.
    """

    scenes: dict[str, dict[tuple[int | None, int], Statistics]]
    threshold: float
    how: ScoreConfig

    def score(self, maps: ErrorMaps, scene: str, how: ScoreConfig) -> np.ndarray:
        """float64 (T,): the frame's largest mean of its standardised errors. A place where nothing
        moves counts as having none at all.

        A scene without held-out videos is judged by the mean over the known scenes' statistics, and
        frames of another size by those of the whole picture.

        Raises:
            InputError: nothing is known of that window, or of averages over so many frames.
        """
        parts = [
            share * self.score_map(maps, scene, how, window).max((1, 2))
            for window, share in how.windows.items()
        ]
        return smooth(sum(parts), how.smoothing, how.causal)

    def score_map(
        self, maps: ErrorMaps, scene: str, how: ScoreConfig, window: int | None
    ) -> np.ndarray:
        """float64 (T, H', W'): at each place the mean of its standardised values, averaged over a
        window around it; see `local_values`.

        The contrast is one of the whole frame. Where it speaks for an anomaly, it counts in full at
        the place of the largest error, and elsewhere by the fourth power of how near the error
        comes to that one: a map lights up where the frame is strange, not all over.
        """
        local = local_values(maps, window, how.frames, how.causal)
        known = self._statistics(scene, window, how.frames)
        if known.mean.shape != local[:, 0].shape:
            # Another camera, another size: only the picture-wide level can be used.
            known = Statistics(*(s.mean((1, 2), keepdims=True) for s in known))
        moved = local[2] > 0
        standardised = how.weights[:, None, None, None] * (
            (local - known.mean[:, None]) / known.deviation[:, None]
        )
        errors, contrast = standardised[:2].sum(0), np.where(moved, standardised[2], 0)
        least, most = (end((1, 2), keepdims=True) for end in (errors.min, errors.max))
        nearness = np.divide(
            errors - least, most - least, out=np.ones_like(errors), where=most > least
        )
        return errors + np.where(contrast > 0, contrast * nearness**4, contrast)

    def _statistics(self, scene: str, window: int | None, frames: int) -> Statistics:
        known = self.scenes.get(scene)
        every = [known] if known else list(self.scenes.values())
        known_pairs = ", ".join(f"{w} over {f}" for w, f in every[0])
        asked = f"the run has no calibration for a window of {window} over {frames} frames"
        window_is_known = any(w == window for w, _ in every[0])
        require(
            (window, frames) in every[0],
            f"{asked}; choose one of {known_pairs}, or raw scores",
            "out-of-range",
            field="ScoreConfig.frames" if window_is_known else "ScoreConfig.window",
        )
        found = [part[window, frames] for part in every]
        if known:
            return found[0]
        return Statistics(
            *(
                np.mean([s.mean((1, 2), keepdims=True) for s in kind], axis=0)
                for kind in zip(*found, strict=True)
            )
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it as arrays, by name."""
        arrays = {
            "threshold": np.array(self.threshold),
            "quantile": np.array(THRESHOLD_QUANTILE),
            "how": np.array(json.dumps(asdict(self.how))),
        }
        for scene, statistics in self.scenes.items():
            for (window, frames), found in statistics.items():
                for kind, values in zip(Statistics._fields, found, strict=True):
                    arrays[f"{kind}/{window or 'all'}/{frames}/{scene}"] = values
        return arrays

    @classmethod
    def from_arrays(cls, stored: Mapping[str, np.ndarray], path: Path, advice: str) -> Calibration:
        """The inverse of `arrays`.

        Raises:
            InputError: something is missing, or they are of an earlier version.
        """
        whole = {"threshold", "how"} <= stored.keys()
        require(
            whole,
            f"{path}: no calibration, or one of an earlier version; {advice}",
            "damaged-file",
            file=path,
        )
        scenes: dict[str, dict] = {}
        for name, mean in stored.items():
            if not name.startswith("mean/"):
                continue
            _, window, frames, scene = name.split("/", 3)
            deviation = stored.get(f"deviation/{window}/{frames}/{scene}")
            require(
                deviation is not None,
                f"{path}: statistics are missing; {advice}",
                "damaged-file",
                file=path,
            )
            key = (None if window == "all" else int(window), int(frames))
            scenes.setdefault(scene, {})[key] = Statistics(mean, deviation)
        require(
            len(scenes) > 0,
            f"{path}: statistics are missing; {advice}",
            "damaged-file",
            file=path,
        )
        try:
            how = from_dict(ScoreConfig, json.loads(str(stored["how"])), path)
        except (ValueError, AttributeError) as error:
            raise InputError(
                f"{path}: a damaged calibration (how = {stored['how']}); {advice}",
                "damaged-file",
                file=path,
            ) from error
        return cls(scenes, float(stored["threshold"]), how)

    def save(self, path: Path) -> None:
        """Write `calibration.npz`, atomically."""
        with atomic(path) as temporary:
            np.savez_compressed(temporary, **self.arrays())

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read `calibration.npz`.

        Raises:
            InputError: it is missing, damaged, or of an earlier version.
        """
        require(
            path.is_file(),
            f"{path}: no such file; the training is not complete, so {continue_training(path.parent)}",
            "missing-file",
            file=path,
        )
        advice = (
            f"remove it; then the training is not complete, so {continue_training(path.parent)}"
        )
        return cls.from_arrays(read_arrays(path, advice), path, advice)


def calibrate(held_out: Mapping[str, Sequence[ErrorMaps]], how: ScoreConfig) -> Calibration:
    """Statistics of normal frames, for every window of `WINDOWS`, over single frames and over those
    of the score; and the threshold.

    Few people pass at each single place of a short held-out video, so every location starts with
    the statistics of the whole picture, worth `PRIOR` frames, and is moved by what was seen there.

    For the threshold each video is scored with the statistics of its scene's other videos; where
    there are none, with its own, which makes the threshold too low.

    Args:
        held_out: scene -> the error maps of its held-out normal videos; places without motion are
            0. Scenes in which nothing moves are left out, and judged as unknown ones.
        how: the score that the threshold is for; its windows are some of `WINDOWS`.

    Raises:
        InputError: nothing moves in any of them.
    """
    moving = {
        scene: [maps for maps in videos if maps.plain.any()] for scene, videos in held_out.items()
    }
    moving = {scene: videos for scene, videos in moving.items() if videos}
    require(
        len(moving) > 0,
        "nothing moves in the held-out training videos, so scores cannot be calibrated; add videos with motion",
        "nothing-to-do",
        field="held_out",
    )
    scenes, scores = {}, []
    for scene, videos in moving.items():
        settings = [
            (window, frames) for window in WINDOWS for frames in dict.fromkeys((1, how.frames))
        ]
        sums = {key: [_sums(maps, *key) for maps in videos] for key in settings}
        scenes[scene] = {key: _statistics(parts) for key, parts in sums.items()}
        needed = [(window, how.frames) for window in how.windows]
        for i, maps in enumerate(videos):
            others = {
                key: _statistics(
                    [part for k, part in enumerate(sums[key]) if k != i or len(videos) == 1]
                )
                for key in needed
            }
            scores.append(Calibration({scene: others}, 0.0, how).score(maps, scene, how))
    return Calibration(scenes, float(np.quantile(np.concatenate(scores), THRESHOLD_QUANTILE)), how)


def _sums(maps: ErrorMaps, window: int | None, frames: int) -> np.ndarray:
    """(3, 3, H', W'): how often something moved at a place, and the sums of its values and of their
    squares, for each kind.
    """
    values = local_values(maps, window, frames).astype(np.float64)
    seen = values > np.array([MOVED, MOVED, 0])[:, None, None, None]
    values[~seen] = 0
    return np.stack([seen.sum(1), values.sum(1), np.square(values).sum(1)])


def _statistics(parts: Sequence[np.ndarray]) -> Statistics:
    count, total, squares = np.sum(parts, axis=0)
    everywhere = np.maximum(count.sum((1, 2), keepdims=True), 1)
    mean_all, square_all = (
        total.sum((1, 2), keepdims=True) / everywhere,
        squares.sum((1, 2), keepdims=True) / everywhere,
    )
    mean = (total + PRIOR * mean_all) / (count + PRIOR)
    variance = (squares + PRIOR * square_all) / (count + PRIOR) - np.square(mean)
    return Statistics(
        mean.astype(np.float32), np.sqrt(np.maximum(variance, 1e-12)).astype(np.float32)
    )
