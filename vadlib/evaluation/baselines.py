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

from collections.abc import Mapping, Sequence
from itertools import product

import cv2
import numpy as np
from scipy.ndimage import uniform_filter, uniform_filter1d

from vadlib.config import WORKING_SIDE
from vadlib.data import motion
from vadlib.data.store import store_frames
from vadlib.data.video import Video
from vadlib.errors import require_known
from vadlib.evaluation.metrics import Curves, macro_auc, micro_auc, per_video

BEST = "best baseline"  # its name in tables
METRICS = ("micro_auc_raw", "micro_auc_per_video", "macro_auc")
KINDS = ("frame difference", "moving area", "foreground area", "motion energy")
SPANS = (1, 16)  # frames
WINDOW = 48  # pixels
# Noise of two levels is far below this after the blur, and a walker's outline far above. Of 5, 10
# and 18 levels none makes the strongest baseline everywhere; 10 is the middle one.
CHANGED_LEVELS = 10
BLOCK = 256  # frames

Measures = dict[str, dict[str, float | None]]  # baseline -> metric -> value


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
            stored = store_frames(same_scene, shorter_side=WORKING_SIDE)
            empty_scenes[video.scene] = motion.scene_background(stored)
        [frames] = store_frames([video], shorter_side=WORKING_SIDE)
        empty = empty_scenes[video.scene] if same_scene else motion.scene_background([frames])
        areas = _areas(frames, empty)
        averaged = uniform_filter1d(areas, SPANS[1], axis=1, mode="nearest")
        energies = _motion_energies(frames, empty, every)
        curves = zip(KINDS, [*areas, energies[0]], [*averaged, energies[1]], strict=True)
        for kind, single, average in curves:
            scores.setdefault(f"{kind}, 1 frame", {})[video.name] = single
            scores.setdefault(f"{kind}, 16 frames", {})[video.name] = average
    return scores


def measure_baselines(scores: Mapping[str, Curves], labels: Curves) -> Measures:
    """Return `METRICS` of each baseline, by its name. The macro AUC is None if the frames of every
    video have one label.

    Raises:
        InputError: all frames have one label.
    """
    measured: Measures = {}
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
    names = [name for name, values in measured.items() if values.get(metric) is not None]
    return max(names, key=lambda name: measured[name][metric] or 0.0, default=None)


def _areas(frames: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """Return frame difference, moving area and foreground area of each frame, float64 (3, T); the
    first frame takes the second's changes.
    """
    areas = np.zeros((3, len(frames)))
    for t in range(len(frames)):
        pair = motion.grey(frames[[max(t - 1, 0), t]])
        areas[0, t] = cv2.absdiff(*pair).mean()
        areas[1, t] = (cv2.absdiff(*motion.blur(pair)) > CHANGED_LEVELS).mean()
        difference = motion.blur(cv2.absdiff(pair[1:], empty[None]))
        areas[2, t] = (difference > motion.FOREGROUND_LEVELS).mean()
    areas[:2, 0] = areas[:2, min(1, len(frames) - 1)]
    return areas


def _motion_energies(frames: np.ndarray, empty: np.ndarray, every: int) -> list[np.ndarray]:
    """Return the motion energy of each frame over each of `SPANS`, float64 (T,)."""
    sampled = np.unique([*range(0, len(frames), every), len(frames) - 1])
    energies: list[list[float]] = []
    # blocks, so that memory does not grow with the video
    for first in range(0, len(frames), BLOCK):
        start = max(first - max(SPANS) - 1, 0)
        block = motion.grey(frames[start : first + BLOCK + max(SPANS)])
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


def _window_centres(frame: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """Return rows and columns (2, N) of the centres of windows on what differs from the empty
    scene. Windows lie inside the frame, or as far inside as they can.
    """
    boxes, centroids = motion.foreground_components(frame, empty)
    centres = [*centroids]
    for x0, y0, x1, y1 in boxes:  # things larger than a window are covered by several
        if max(x1 - x0, y1 - y0) > WINDOW:
            centres += product(np.arange(x0, x1, WINDOW / 2), np.arange(y0, y1, WINDOW / 2))
    sides = np.array(frame.shape[::-1])
    half = np.minimum(WINDOW, sides) // 2
    places = np.array(centres).reshape(-1, 2).astype(int)
    return places.clip(half, np.maximum(half, sides - half - 1)).T[::-1]
