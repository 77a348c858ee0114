"""Baselines that learn nothing. A model that does not beat the best of them has not shown that its
learning helps.

Each baseline gives a frame one number, and each is measured over 1 frame and over 16 frames:

- frame difference: the mean absolute difference to the frame before, in grey levels.
- moving area: the share of pixels that differ from the frame before by more than 10 grey levels,
  after a blur.
- foreground area: the share of pixels that differ from the empty scene by more than 18 grey levels,
  after a blur.
- motion energy: the squared difference to the frame before, averaged over a 48 x 48 window, in the
  window with the most energy. Windows are centred on what differs from the empty scene. The score
  is the logarithm.

Colour frames become grey, and frames whose shorter side exceeds 240 pixels are shrunk to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from scipy.ndimage import uniform_filter, uniform_filter1d

from vadlib.config import WORKING_SIDE
from vadlib.data.motion import FOREGROUND_LEVELS, foreground_components, grey, scene_background
from vadlib.data.store import store_frames
from vadlib.data.video import Video
from vadlib.errors import require_known
from vadlib.evaluation.curves import Curves
from vadlib.evaluation.metrics import macro_auc, micro_auc, per_video

BEST = "best baseline"  # its name in tables
METRICS = ("micro_auc_raw", "micro_auc_per_video", "macro_auc")
SPANS = (1, 16)  # frames
WINDOW = 48  # pixels
# Noise of two levels is far below this after the blur, and a walker's outline far above. Of 5, 10
# and 18 levels none makes the strongest baseline everywhere; 10 is the middle one.
CHANGED_LEVELS = 10
BLOCK = 256  # frames


def baseline_scores(
    train: Sequence[Video], test: Sequence[Video], every: int = 2
) -> dict[str, dict[str, np.ndarray]]:
    """Score every frame of the test videos with each baseline.

    Args:
        train: videos of the same scenes; the empty scene is the median of every tenth of their
            frames. A scene without training videos takes each test video's own median.
        test: the videos to score.
        every: compute the motion energy of each `every`-th frame, and interpolate between them.

    Returns:
        Name of the baseline, such as "moving area, 16 frames" -> video name -> float64 (T,).
    """
    empty_scenes: dict[str, np.ndarray] = {}
    scores: dict[str, dict[str, np.ndarray]] = {}
    for video in test:
        same_scene = [other for other in train if other.scene == video.scene]
        if same_scene and video.scene not in empty_scenes:
            empty_scenes[video.scene] = scene_background(_stored(same_scene))
        [frames] = _stored([video])
        empty = empty_scenes[video.scene] if same_scene else scene_background([frames])
        for name, curve in _curves(frames, empty, every).items():
            scores.setdefault(name, {})[video.name] = curve
    return scores


def measure_baselines(
    scores: Mapping[str, Curves], labels: Curves
) -> dict[str, dict[str, float | None]]:
    """Return `METRICS` of each baseline, by its name. The macro AUC is None if the frames of every
    video have one label.

    Raises:
        InputError: all frames have one label.
    """
    measured: dict[str, dict[str, float | None]] = {}
    for name, curves in scores.items():
        areas = (micro_auc(labels, curves), micro_auc(labels, per_video(curves)))
        measured[name] = dict(zip(METRICS, (*areas, macro_auc(labels, curves).mean), strict=True))
    return measured


def best_baseline(measured: Mapping[str, Mapping[str, float | None]], metric: str) -> str | None:
    """Return the name of the baseline with the largest value of one of `METRICS`; None if it could
    not be measured.

    Raises:
        InputError: another metric.
    """
    require_known(metric, METRICS, "metric")
    values = {name: metrics.get(metric) for name, metrics in measured.items()}
    numbers = {name: value for name, value in values.items() if value is not None}
    return max(numbers, key=lambda name: numbers[name], default=None)


def _stored(videos: Sequence[Video]) -> list[np.ndarray]:
    return store_frames(videos, shorter_side=WORKING_SIDE)


def _curves(frames: np.ndarray, empty: np.ndarray, every: int) -> dict[str, np.ndarray]:
    curves = {}
    for name, values in _areas(frames, empty).items():
        curves[f"{name}, 1 frame"] = values
        curves[f"{name}, 16 frames"] = uniform_filter1d(values, 16, mode="nearest")
    single, averaged = _motion_energies(frames, empty, every)
    return curves | {"motion energy, 1 frame": single, "motion energy, 16 frames": averaged}


def _areas(frames: np.ndarray, empty: np.ndarray) -> dict[str, np.ndarray]:
    """Return frame difference, moving area and foreground area of each frame, float64 (T,); the
    first frame takes the second's changes.
    """
    names = ("frame difference", "moving area", "foreground area")
    areas = np.zeros((len(names), len(frames)))
    before = grey(frames[:1])[0]
    for t in range(len(frames)):
        picture = grey(frames[t : t + 1])[0]
        areas[0, t] = cv2.absdiff(picture, before).mean()
        areas[1, t] = (cv2.absdiff(_blurred(picture), _blurred(before)) > CHANGED_LEVELS).mean()
        areas[2, t] = (_blurred(cv2.absdiff(picture, empty)) > FOREGROUND_LEVELS).mean()
        before = picture
    areas[:2, 0] = areas[:2, min(1, len(frames) - 1)]
    return dict(zip(names, areas, strict=True))


def _blurred(picture: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(picture, (5, 5), 0)


def _motion_energies(frames: np.ndarray, empty: np.ndarray, every: int) -> list[np.ndarray]:
    """Return the motion energy of each frame over each of `SPANS`, float64 (T,)."""
    sampled = np.unique([*range(0, len(frames), every), len(frames) - 1])
    energies: list[list[float]] = []
    # blocks, so that memory does not grow with the video
    for first in range(0, len(frames), BLOCK):
        start = max(first - max(SPANS) - 1, 0)
        block = grey(frames[start : first + BLOCK + max(SPANS)])
        signed = block.astype(np.float32) / 127.5 - 1
        changes = np.square(np.diff(signed, axis=0, prepend=signed[:1]))
        if start == 0:
            changes[0] = changes[min(1, len(changes) - 1)]
        local = uniform_filter(changes, (1, WINDOW, WINDOW), mode="nearest")
        averages = [uniform_filter1d(local, span, axis=0, mode="nearest") for span in SPANS]
        for t in sampled[(sampled >= first) & (sampled < first + BLOCK)] - start:
            rows, columns = _window_centres(block[t], empty)
            energies.append([part[t][rows, columns].max(initial=0) for part in averages])
    logarithms = np.log(np.array(energies) + 1e-8)
    return [np.interp(np.arange(len(frames)), sampled, values) for values in logarithms.T]


def _window_centres(frame: np.ndarray, empty: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the centres of windows on what differs from the empty scene, moved
    inwards at the border.
    """
    boxes, centroids = foreground_components(frame, empty)
    centres = [np.reshape(centroids, (-1, 2))]
    for x0, y0, x1, y1 in boxes:  # things larger than a window are covered by several
        if max(x1 - x0, y1 - y0) > WINDOW:
            x, y = np.meshgrid(np.arange(x0, x1, WINDOW / 2), np.arange(y0, y1, WINDOW / 2))
            centres.append(np.stack([x.ravel(), y.ravel()], axis=1))
    columns, rows = np.concatenate(centres).T.astype(int)
    return _moved_inwards(rows, frame.shape[0]), _moved_inwards(columns, frame.shape[1])


def _moved_inwards(centres: np.ndarray, side: int) -> np.ndarray:
    """Move centres so that their windows lie inside a side, or as far inside as they can."""
    half = min(WINDOW, side) // 2
    return centres.clip(half, max(half, side - half - 1))
