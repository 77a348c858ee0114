"""From error maps to one score a frame, raw and calibrated. Higher = more abnormal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter1d

from vadlib.config import require
from vadlib.evaluation.errors import CELL, ErrorMaps
from vadlib.files import atomic, read_arrays

WINDOW = 32  # pixels: a frame is as abnormal as its worst square of this side, about as tall as a person of Ped2
PRIOR = 3000  # frames' worth of the whole picture's statistics that each location starts with
MOVED = 1e-5  # local error below which nothing moved there
THRESHOLD_QUANTILE = 0.99  # of the held-out normal frames: about one false alarm in a hundred frames


def local_errors(maps: ErrorMaps, frames: int) -> np.ndarray:
    """Errors pooled over a moving window of 32 x 32 pixels and `frames` centred frames: float32 (2, T, H', W').

    Row 0 is the plain, row 1 the temporal error.
    """
    pooled = np.stack([maps.plain, maps.temporal])
    for axis, size in ((1, frames), (2, WINDOW // CELL), (3, WINDOW // CELL)):
        pooled = uniform_filter1d(pooled, size, axis=axis, mode="nearest" if axis == 1 else "constant")
    return np.maximum(pooled, 0)  # the filter's running sums can end a little below 0


def raw_score(local: np.ndarray) -> np.ndarray:
    """(2, T, H', W') -> float64 (T,): the log of the frame's worst local error, plain and temporal multiplied.

    The product weighs both alike although their sizes differ, without statistics of other data.
    """
    worst = local.astype(np.float64).max((2, 3))
    return 0.5 * np.log(worst + 1e-8).sum(0)


@dataclass(frozen=True)
class SceneStatistics:
    """Mean and deviation of the local errors of normal frames at each location of one scene, each (2, H', W')."""

    mean: np.ndarray
    deviation: np.ndarray


@dataclass(frozen=True)
class Calibration:
    """What held-out normal videos look like to the model, by scene, and the threshold of alarm.

    Attributes:
        scenes: scene -> statistics.
        threshold: calibrated score above which a frame is called abnormal: the 0.99 quantile of the held-out frames.
    """

    scenes: dict[str, SceneStatistics]
    threshold: float

    def score(self, local: np.ndarray, scene: str) -> np.ndarray:
        """(2, T, H', W') -> float64 (T,): the frame's largest mean of the two standardised errors.

        A place where nothing moves counts as having no error at all.

        A scene without held-out videos is judged by the mean over the known scenes' statistics, and frames of another size by
        those of the whole picture.
        """
        known = self.scenes.get(scene) or _pooled(list(self.scenes.values()))
        if known.mean.shape != local[:, 0].shape:
            # Another camera, another size: only the picture-wide level can be used.
            known = SceneStatistics(*(s.mean((1, 2), keepdims=True) for s in (known.mean, known.deviation)))
        standardised = (local - known.mean[:, None]) / known.deviation[:, None]
        return standardised.astype(np.float64).mean(0).max((1, 2))

    def save(self, path: Path) -> None:
        """Write `calibration.npz`, atomically."""
        arrays = {f"{kind}/{scene}": getattr(s, kind) for scene, s in self.scenes.items() for kind in ("mean", "deviation")}
        with atomic(path) as temporary:
            np.savez_compressed(temporary, threshold=self.threshold, quantile=THRESHOLD_QUANTILE, **arrays)

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read `calibration.npz`.

        Raises:
            InputError: it is missing or damaged.
        """
        stored = read_arrays(path, f"go on with the training of {path.parent} (--resume), or train it again")
        require("threshold" in stored, f"{path}: not a calibration; train {path.parent} again")
        names = [name.removeprefix("mean/") for name in stored if name.startswith("mean/")]
        complete = len(names) > 0 and all(f"deviation/{name}" in stored for name in names)
        require(complete, f"{path}: statistics are missing; train {path.parent} again")
        scenes = {n: SceneStatistics(stored[f"mean/{n}"], stored[f"deviation/{n}"]) for n in names}
        return cls(scenes, float(stored["threshold"]))


def calibrate(held_out: dict[str, list[np.ndarray]]) -> Calibration:
    """Statistics of normal frames.

    Few people pass at each single place of a short held-out video, so every location starts with the statistics of the
    whole picture, worth `PRIOR` frames, and is moved by what was seen there.

    Args:
        held_out: scene -> the local errors (2, T, H', W') of its held-out normal videos; places without motion are 0.
    """
    scenes = {scene: _statistics(np.concatenate(local, axis=1)) for scene, local in held_out.items()}
    calibration = Calibration(scenes, 0.0)
    scores = np.concatenate([calibration.score(local, scene) for scene, videos in held_out.items() for local in videos])
    return Calibration(scenes, float(np.quantile(scores, THRESHOLD_QUANTILE)))


def _statistics(local: np.ndarray) -> SceneStatistics:
    seen = local > MOVED
    errors = np.where(seen, local, 0).astype(np.float64)
    count, total, squares = seen.sum(1), errors.sum(1), np.square(errors).sum(1)
    everywhere = np.maximum(count.sum((1, 2), keepdims=True), 1)
    mean_all, square_all = total.sum((1, 2), keepdims=True) / everywhere, squares.sum((1, 2), keepdims=True) / everywhere
    mean = (total + PRIOR * mean_all) / (count + PRIOR)
    variance = (squares + PRIOR * square_all) / (count + PRIOR) - np.square(mean)
    return SceneStatistics(mean.astype(np.float32), np.sqrt(np.maximum(variance, 1e-12)).astype(np.float32))


def _pooled(scenes: list[SceneStatistics]) -> SceneStatistics:
    """The mean over the scenes and their locations, (2, 1, 1): for a scene that was not held out."""
    mean = np.mean([s.mean.mean((1, 2), keepdims=True) for s in scenes], axis=0)
    return SceneStatistics(mean, np.mean([s.deviation.mean((1, 2), keepdims=True) for s in scenes], axis=0))
