"""Calibration: the component values of held-out normal videos, place by place, so that each frame
is compared with what is usual there.
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
from vadlib.evaluation.components import ErrorMaps
from vadlib.evaluation.scores import COMPONENTS, component_values, smooth
from vadlib.files import atomic, read_arrays
from vadlib.model.run import continue_training

WINDOWS = (8, 16, 32, 64, None)  # pixels; None is the whole frame. Others cannot be calibrated
PRIOR = 3000  # frames of picture-wide values that the moments of each location start with
# Of the held-out normal frames. Test videos that differ from those have more normal frames above.
THRESHOLD_QUANTILE = 0.99

Key = tuple[str, int | None, int]  # component, window, frames


class Moments(NamedTuple):
    """Mean and standard deviation of a component in normal frames at each location of a scene, each
    float32 (H', W').
    """

    mean: np.ndarray
    deviation: np.ndarray

    def picture_wide(self) -> Moments:
        """Return the averages over all locations, each (1, 1)."""
        return Moments(self.mean.mean(keepdims=True), self.deviation.mean(keepdims=True))


@dataclass(frozen=True)
class Calibration:
    """The moments of held-out normal videos, by scene, and the alarm threshold.

    Attributes:
        scenes: scene -> {(component, window, frames) -> moments}; see `ScoreConfig`.
        threshold: calibrated score above which a frame is called abnormal: the 0.99 quantile of the
            held-out frames.
        score_config: the score that the threshold is for.
    """

    scenes: dict[str, dict[Key, Moments]]
    threshold: float
    score_config: ScoreConfig

    def score(self, maps: ErrorMaps, scene: str, score_config: ScoreConfig) -> np.ndarray:
        """Score each frame, float64 (T,): the largest value of its score map.

        An unknown scene is judged by the mean over the known ones, and frames of another size by
        picture-wide moments.

        Raises:
            InputError: the calibration does not know that component, window or number of frames.
        """
        score = np.zeros(len(maps["plain"]))
        for window, share in score_config.windows.items():
            score += share * self.score_map(maps, scene, score_config, window).max((1, 2))
        return smooth(score, score_config.smoothing, score_config.causal)

    def score_map(
        self, maps: ErrorMaps, scene: str, score_config: ScoreConfig, window: int | None
    ) -> np.ndarray:
        """Score each place, float64 (T, H', W'): the weighted mean of its standardised components.

        A whole-frame component such as the contrast has one value per frame, which says that the
        frame is abnormal, but not where. Added everywhere, a positive value would light up the
        whole map. So it counts in full at the place of the largest local error, and elsewhere by
        the fourth power of the nearness, the local error scaled to [0, 1] within the frame: half
        as near counts 1/16. The frame's largest value, its score, stays the same. A negative value
        counts everywhere, because the whole frame looks normal.
        """
        frames, causal = score_config.frames, score_config.causal
        local = np.zeros((1, 1, 1))
        whole_frame = []
        for name, share in score_config.shares.items():
            values = component_values(name, maps, window, frames, causal)
            moments = self._moments(scene, (name, window, frames))
            if moments.mean.shape != values.shape[1:]:
                moments = moments.picture_wide()  # another camera or another frame size
            weighted = share * COMPONENTS[name].standardise(values, *moments).astype(np.float64)
            if COMPONENTS[name].whole_frame:
                whole_frame.append(weighted)
            else:
                local = local + weighted
        score_map = local
        for values in whole_frame:
            score_map = score_map + np.where(values > 0, values * _nearness(local) ** 4, values)
        return score_map

    def _moments(self, scene: str, key: Key) -> Moments:
        """Return the moments of a scene; of an unknown one the mean of all picture-wide moments."""
        scenes = [self.scenes[scene]] if scene in self.scenes else list(self.scenes.values())
        _require_key(scenes[0], key)
        if scene in self.scenes:
            return scenes[0][key]
        averages = [moments[key].picture_wide() for moments in scenes]
        means, deviations = zip(*averages, strict=True)
        return Moments(np.mean(means, axis=0), np.mean(deviations, axis=0))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays, by name."""
        arrays = {
            "threshold": np.array(self.threshold),
            "quantile": np.array(THRESHOLD_QUANTILE),
            "score_config": np.array(json.dumps(asdict(self.score_config))),
        }
        for scene, scene_moments in self.scenes.items():
            for (component, window, frames), moments in scene_moments.items():
                name = f"{component}/{window or 'all'}/{frames}/{scene}"
                arrays[f"mean/{name}"] = moments.mean
                arrays[f"deviation/{name}"] = moments.deviation
        return arrays

    @classmethod
    def from_arrays(cls, stored: Mapping[str, np.ndarray], path: Path, advice: str) -> Calibration:
        """Invert `arrays`.

        Raises:
            InputError: something is missing, or the arrays are of an earlier version.
        """
        scenes: dict[str, dict[Key, Moments]] = {}
        try:
            score_config = from_dict(ScoreConfig, json.loads(str(stored["score_config"])), path)
            threshold = float(stored["threshold"])
            for name, mean in stored.items():
                if name.startswith("mean/"):
                    moments = Moments(mean, stored[name.replace("mean/", "deviation/", 1)])
                    parts = name.split("/", 4)
                    window = None if parts[2] == "all" else int(parts[2])
                    scenes.setdefault(parts[4], {})[parts[1], window, int(parts[3])] = moments
            require(len(scenes) > 0, "no scenes", "damaged-file")
        except (ValueError, KeyError, AttributeError) as error:
            message = f"{path}: damaged, or of an earlier version ({error}); {advice}"
            raise InputError(message, "damaged-file", file=path) from error
        return cls(scenes, threshold, score_config)

    def save(self, path: Path) -> None:
        """Write `calibration.npz`, atomically."""
        with atomic(path) as temporary:
            np.savez_compressed(temporary, **self.arrays())  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read `calibration.npz`.

        Raises:
            InputError: it is missing, damaged, or of an earlier version.
        """
        advice = f"{continue_training(path.parent)}, because the training is not complete"
        require(path.is_file(), f"{path}: no such file; {advice}", "missing-file", file=path)
        advice = f"remove it and {continue_training(path.parent)}"
        return cls.from_arrays(read_arrays(path, advice), path, advice)


def calibrate(
    held_out: Mapping[str, Sequence[ErrorMaps]], score_config: ScoreConfig
) -> Calibration:
    """Compute the moments of normal frames, for all `COMPONENTS` and `WINDOWS`, over single frames
    and over those of the score, and the threshold.

    Few people pass at each single place of a short held-out video, so every location starts with
    the moments of the whole picture, worth `PRIOR` frames.

    For the threshold each video is scored with the moments of its scene's other videos. A single
    video is scored with its own, which makes the threshold too low.

    Args:
        held_out: scene -> the error maps of its held-out normal videos. Scenes in which nothing
            moves are left out, and judged as unknown ones.
        score_config: the score that the threshold is for; its windows are some of `WINDOWS`.

    Raises:
        InputError: nothing moves in any of the videos.
    """
    scenes: dict[str, dict[Key, Moments]] = {}
    scores = []
    for scene, videos in held_out.items():
        moving = [maps for maps in videos if maps["plain"].any()]
        if not moving:
            continue
        sums = [_video_sums(maps, score_config.frames) for maps in moving]
        scenes[scene] = _scene_moments(sums)
        for i, maps in enumerate(moving):
            others = sums[:i] + sums[i + 1 :] if len(sums) > 1 else sums
            calibration = Calibration({scene: _scene_moments(others)}, 0.0, score_config)
            scores.append(calibration.score(maps, scene, score_config))
    message = "nothing moves in the held-out training videos; add videos with motion"
    require(len(scenes) > 0, message, "nothing-to-do", field="held_out")
    threshold = float(np.quantile(np.concatenate(scores), THRESHOLD_QUANTILE))
    return Calibration(scenes, threshold, score_config)


def _require_key(moments: Mapping[Key, Moments], key: Key) -> None:
    """Refuse a component, window or number of frames that was not calibrated."""
    settings = [(window, frames) for component, window, frames in moments if component == key[0]]
    field = "weights"
    if settings:
        field = "frames" if (key[1], 1) in settings else "window"
    message = f"{key[0]!r} is not calibrated for a window of {key[1]} over {key[2]} frames; choose "
    message += f"one of (window, frames) = {settings}, or raw scores"
    require(key in moments, message, "out-of-range", field=f"ScoreConfig.{field}")


def _video_sums(maps: ErrorMaps, frames: int) -> dict[Key, np.ndarray]:
    """Return, for each component and setting, float64 (3, H', W'): the number of frames in which
    something moved at a place, and the sums of the values and of their squares.
    """
    sums = {}
    for name, component in COMPONENTS.items():
        for window in WINDOWS:
            for span in {1, frames}:
                values = component_values(name, maps, window, span).astype(np.float64)
                moved = values > component.floor
                values[~moved] = 0
                parts = [moved.sum(0), values.sum(0), np.square(values).sum(0)]
                sums[name, window, span] = np.stack(parts)
    return sums


def _scene_moments(sums: Sequence[Mapping[Key, np.ndarray]]) -> dict[Key, Moments]:
    """Combine the sums of a scene's videos."""
    moments = {}
    for key in sums[0]:
        pooled = sum((video[key] for video in sums), np.zeros(()))
        count = pooled[0]
        mean, square = [
            (part + PRIOR * part.sum() / max(count.sum(), 1)) / (count + PRIOR)
            for part in pooled[1:]
        ]
        deviation = np.sqrt(np.maximum(square - np.square(mean), 1e-12))
        moments[key] = Moments(mean.astype(np.float32), deviation.astype(np.float32))
    return moments


def _nearness(local: np.ndarray) -> np.ndarray:
    """Scale local errors (T, H', W') to [0, 1] within each frame; constant ones become 1."""
    lowest = local.min((1, 2), keepdims=True)
    highest = local.max((1, 2), keepdims=True)
    scaled = np.ones_like(local)
    np.divide(local - lowest, highest - lowest, out=scaled, where=highest > lowest)
    return scaled
