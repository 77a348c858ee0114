"""Calibration: the component values of held-out normal videos, place by place, so that each frame
is compared with what is usual there.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from vadlib.config import ScoreConfig, from_dict
from vadlib.errors import InputError, require
from vadlib.evaluation.scores import COMPONENTS, ErrorMaps, component_values, smooth
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

    def picture_wide(self) -> "Moments":
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
            of_window = replace(score_config, window=window)
            score += share * self.score_map(maps, scene, of_window).max((1, 2))
        return smooth(score, score_config.smoothing, score_config.causal)

    def score_map(self, maps: ErrorMaps, scene: str, config: ScoreConfig) -> np.ndarray:
        """Score each place, float64 (T, H', W'): the weighted mean of its components, standardised,
        in the config's window.

        A whole-frame component such as the contrast has one value per frame, which says that the
        frame is abnormal, but not where. Added everywhere, a positive value would light up the
        whole map. So it counts in full at the place of the largest local error, and elsewhere by
        the fourth power of the nearness, the local error scaled to [0, 1] within the frame: half
        as near counts 1/16. The frame's largest value, its score, stays the same. A negative value
        counts everywhere, because the whole frame looks normal.
        """
        score_map = local = np.zeros((1, 1, 1))
        for name in sorted(config.shares, key=lambda name: COMPONENTS[name].whole_frame):
            component = COMPONENTS[name]
            values = component_values(name, maps, config.window, config.frames, config.causal)
            moments = self._moments(scene, (name, config.window, config.frames))
            if moments.mean.shape != values.shape[1:]:
                moments = moments.picture_wide()  # another camera or another frame size
            values = component.standardise(values, *moments).astype(np.float64)
            values = config.shares[name] * values
            if component.whole_frame:
                lowest = local.min((1, 2), keepdims=True)
                spread = local.max((1, 2), keepdims=True) - lowest
                nearness = np.ones_like(local)  # where all places are alike
                np.divide(local - lowest, spread, out=nearness, where=spread > 0)
                values = np.where(values > 0, values * nearness**4, values)
            else:
                local = local + values
            score_map = score_map + values
        return score_map

    def _moments(self, scene: str, key: Key) -> Moments:
        """Return the moments of a scene; of an unknown one the mean of all picture-wide moments."""
        scenes = [self.scenes[scene]] if scene in self.scenes else list(self.scenes.values())
        field = "frames" if (*key[:2], 1) in scenes[0] else "window"
        message = f"{key[0]!r} is not calibrated for (window, frames) = {key[1:]}"
        require(key in scenes[0], message, "out-of-range", field=f"ScoreConfig.{field}")
        if scene in self.scenes:
            return scenes[0][key]
        averages = [moments[key].picture_wide() for moments in scenes]
        means, deviations = zip(*averages, strict=True)
        return Moments(np.mean(means, axis=0), np.mean(deviations, axis=0))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays, by name."""
        config = json.dumps(asdict(self.score_config))
        arrays = {"threshold": np.array(self.threshold), "score_config": np.array(config)}
        arrays["quantile"] = np.array(THRESHOLD_QUANTILE)
        for scene, scene_moments in self.scenes.items():
            for key, moments in scene_moments.items():
                name = f"{key[0]}/{key[1] or 'all'}/{key[2]}/{scene}"
                arrays[f"mean/{name}"], arrays[f"deviation/{name}"] = moments
        return arrays

    @classmethod
    def from_arrays(cls, stored: Mapping[str, np.ndarray]) -> Self:
        """Invert `arrays`.

        Raises:
            ValueError, KeyError: something is missing, or the arrays are of an earlier version.
        """
        config = from_dict(ScoreConfig, json.loads(str(stored["score_config"])), "score_config")
        parts = split_names(stored)
        scenes: dict[str, dict[Key, Moments]] = {}
        for name, mean in parts["mean"].items():
            *key, scene = name.split("/", 3)
            window = None if key[1] == "all" else int(key[1])
            moments = Moments(mean, parts["deviation"][name])
            scenes.setdefault(scene, {})[key[0], window, int(key[2])] = moments
        return cls(scenes, float(stored["threshold"]), config)

    def save(self, path: Path) -> None:
        """Write `calibration.npz`, atomically."""
        with atomic(path) as temporary:
            np.savez_compressed(temporary, **self.arrays())  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read `calibration.npz`.

        Raises:
            InputError: it is missing, damaged, or of an earlier version.
        """
        advice = continue_training(path.parent)
        if path.is_file():
            advice = f"remove it and {advice}"
        stored = read_arrays(path, advice)
        with readable(path, advice):
            return cls.from_arrays(stored)


def split_names(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Group arrays whose names are "PART/NAME": part -> name -> values."""
    parts: dict[str, dict[str, np.ndarray]] = {}
    for key, values in arrays.items():
        words = key.partition("/")
        parts.setdefault(words[0], {})[words[2]] = values
    return parts


@contextmanager
def readable(path: Path, advice: str) -> Iterator[None]:
    """Translate errors of reading what a file holds into an `InputError` about the file.

    Args:
        path: the file.
        advice: what to do when it is damaged, for the message.
    """
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        message = f"{path}: damaged, or of an earlier version ({error}); {advice}"
        raise InputError(message, "damaged-file", file=path) from error


def calibrate(held_out: Mapping[str, Sequence[ErrorMaps]], config: ScoreConfig) -> Calibration:
    """Compute the moments of normal frames, for all `COMPONENTS` and `WINDOWS`, over single frames
    and over those of the score, and the threshold.

    Few people pass at each single place of a short held-out video, so every location starts with
    the moments of the whole picture, worth `PRIOR` frames.

    For the threshold each video is scored with the moments of its scene's other videos. A single
    video is scored with its own, which makes the threshold too low.

    Args:
        held_out: scene -> the error maps of its held-out normal videos. Scenes in which nothing
            moves are left out, and judged as unknown ones.
        config: the score that the threshold is for; its windows are some of `WINDOWS`.

    Raises:
        InputError: nothing moves in any of the videos.
    """
    scenes: dict[str, dict[Key, Moments]] = {}
    scores = []
    for scene, videos in held_out.items():
        moving = [maps for maps in videos if maps["plain"].any()]
        sums = [_video_sums(maps, config.frames) for maps in moving]
        if sums:
            scenes[scene] = _scene_moments(sums)
        for i, maps in enumerate(moving):
            others = sums[:i] + sums[i + 1 :] or sums
            calibration = Calibration({scene: _scene_moments(others)}, 0.0, config)
            scores.append(calibration.score(maps, scene, config))
    require(bool(scenes), "no held-out video moves", "nothing-to-do", field="held_out")
    threshold = float(np.quantile(np.concatenate(scores), THRESHOLD_QUANTILE))
    return Calibration(scenes, threshold, config)


def _video_sums(maps: ErrorMaps, frames: int) -> dict[Key, np.ndarray]:
    """Return, for each component and setting, float64 (3, H', W'): the number of frames in which
    something moved at a place, and the sums of the values and of their squares.
    """
    sums = {}
    for name, window, span in product(COMPONENTS, WINDOWS, {1, frames}):
        values = component_values(name, maps, window, span).astype(np.float64)
        moved = values > COMPONENTS[name].floor
        values[~moved] = 0
        parts = [moved.sum(0), values.sum(0), np.square(values).sum(0)]
        sums[name, window, span] = np.stack(parts)
    return sums


def _scene_moments(sums: Sequence[Mapping[Key, np.ndarray]]) -> dict[Key, Moments]:
    """Combine the sums of a scene's videos."""
    moments = {}
    for key in sums[0]:
        totals = sum((video[key] for video in sums), np.zeros(()))
        count = totals[0]
        picture_wide = PRIOR * totals.sum((1, 2), keepdims=True) / max(count.sum(), 1)
        mean, square = ((totals + picture_wide) / (count + PRIOR))[1:]
        deviation = np.sqrt(np.maximum(square - np.square(mean), 1e-12))
        moments[key] = Moments(mean.astype(np.float32), deviation.astype(np.float32))
    return moments
