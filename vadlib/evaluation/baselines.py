"""Baselines that learn nothing. A model that does not beat the best of them has not shown that its
learning helps.

Each baseline gives a frame one number, and each is measured over 1 frame and over 16 frames:

- frame difference: the mean absolute difference to the frame before, in grey levels.
- moving area: the share of pixels that differ from the frame before by more than 10 grey levels,
after a blur.
- foreground area: the share of pixels that differ from the empty scene by more than 18 grey levels,
after a blur.
- motion energy: the squared difference to the frame before, averaged over a 48 x 48 window, in the
window with the most energy.
  Windows are centred on what differs from the empty scene. The score is the logarithm.

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
from vadlib.evaluation.metrics import Curves, macro_auc, micro_auc, per_video

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
) -> dict[str, Curves]:
    """Score every frame of the test videos with each baseline.

    Args:
        train: videos of the same scenes; the empty scene is the median of every tenth of their
            frames. A scene without training videos takes each test video's own median.
        test: the videos to score.
        every: compute the motion energy of each `every`-th frame, and interpolate between them.

    Returns:
        Name of the baseline, such as "moving area, 16 frames" -> video name -> float64 (T,).
    """
    empty_scenes = {}
    for scene in {video.scene for video in train} & {video.scene for video in test}:
        empty_scenes[scene] = scene_background(
            _stored([video for video in train if video.scene == scene])
        )
    scores: dict[str, Curves] = {}
    for video in test:
        [frames] = _stored([video])
        empty = (
            empty_scenes[video.scene] if video.scene in empty_scenes else scene_background([frames])
        )
        for name, curve in _curves(frames, empty, every).items():
            scores.setdefault(name, {})[video.name] = curve
    return scores


def measure_baselines(
    scores: Mapping[str, Curves], labels: Curves
) -> dict[str, dict[str, float | None]]:
    """Return `METRICS` of each baseline, by its name; the macro AUC is None where every video has
    frames of one kind only.

    Raises:
        InputError: all frames are of one kind.
    """
    measured = {}
    for name, curves in scores.items():
        areas = (
            micro_auc(labels, curves),
            micro_auc(labels, per_video(curves)),
            macro_auc(labels, curves)[0],
        )
        measured[name] = dict(zip(METRICS, areas, strict=True))
    return measured


def best_baseline(measured: Mapping[str, Mapping[str, float | None]], metric: str) -> str | None:
    """Return the name of the baseline with the largest value of one of `METRICS`; None where it
    could not be measured.

    Raises:
        InputError: another metric.
    """
    require_known(metric, METRICS, "metric")
    known = [name for name in measured if measured[name].get(metric) is not None]
    return max(known, key=lambda name: measured[name][metric], default=None)


def _stored(videos: Sequence[Video]) -> list[np.ndarray]:
    return store_frames(videos, shorter_side=WORKING_SIDE)


def _curves(frames: np.ndarray, empty: np.ndarray, every: int) -> dict[str, np.ndarray]:
    curves = {}
    for kind, values in _areas(frames, empty).items():
        for span in SPANS:
            curves[_name(kind, span)] = uniform_filter1d(values, span, mode="nearest")
    for span, values in zip(SPANS, _motion_energies(frames, empty, every), strict=True):
        curves[_name("motion energy", span)] = values
    return curves


def _name(kind: str, span: int) -> str:
    return f"{kind}, {span} frame{'s' if span > 1 else ''}"


def _areas(frames: np.ndarray, empty: np.ndarray) -> dict[str, np.ndarray]:
    """Frame difference, moving area and foreground area of each frame, float64 (T,); the first
    frame takes the second's changes.
    """
    difference, moving, foreground = np.zeros((3, len(frames)))
    before = before_blurred = None
    for t in range(len(frames)):
        picture = grey(frames[t : t + 1])[0]
        blurred = cv2.GaussianBlur(picture, (5, 5), 0)
        foreground[t] = (
            cv2.GaussianBlur(cv2.absdiff(picture, empty), (5, 5), 0) > FOREGROUND_LEVELS
        ).mean()
        if before is not None:
            difference[t] = cv2.absdiff(picture, before).mean()
            moving[t] = (cv2.absdiff(blurred, before_blurred) > CHANGED_LEVELS).mean()
        before, before_blurred = picture, blurred
    for changes in (difference, moving):
        changes[0] = changes[min(1, len(frames) - 1)]
    return {"frame difference": difference, "moving area": moving, "foreground area": foreground}


def _motion_energies(frames: np.ndarray, empty: np.ndarray, every: int) -> np.ndarray:
    """Motion energy of each frame over each of `SPANS`, float64 (spans, T)."""
    looked_at = np.unique([*range(0, len(frames), every), len(frames) - 1])
    energies = []
    # blocks, so that memory does not grow with the video
    for first in range(0, len(frames), BLOCK):
        start, stop = max(first - max(SPANS) - 1, 0), min(first + BLOCK + max(SPANS), len(frames))
        block = grey(frames[start:stop])
        signed = block.astype(np.float32) / 127.5 - 1
        changes = np.square(np.diff(signed, axis=0, prepend=signed[:1]))
        if start == 0:
            changes[0] = changes[min(1, len(changes) - 1)]
        of_windows = uniform_filter(changes, (1, WINDOW, WINDOW), mode="nearest")
        over_time = [uniform_filter1d(of_windows, span, axis=0, mode="nearest") for span in SPANS]
        for t in looked_at[(looked_at >= first) & (looked_at < first + BLOCK)] - start:
            rows, columns = _window_centres(block[t], empty)
            energies.append([energy[t][rows, columns].max(initial=0) for energy in over_time])
    logarithms = np.log(np.array(energies) + 1e-8)
    return np.stack(
        [np.interp(np.arange(len(frames)), looked_at, values) for values in logarithms.T]
    )


def _window_centres(frame: np.ndarray, empty: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the centres of windows on what differs from the empty scene, moved
    inwards at the border.
    """
    boxes, centroids = foreground_components(frame, empty)
    centres = [tuple(c) for c in centroids]
    for x0, y0, x1, y1 in boxes:  # things larger than a window are covered by several
        if max(x1 - x0, y1 - y0) > WINDOW:
            centres += [
                (x, y) for x in np.arange(x0, x1, WINDOW / 2) for y in np.arange(y0, y1, WINDOW / 2)
            ]
    x, y = np.array(centres).reshape(-1, 2).T.astype(int)
    height, width = frame.shape
    return _moved_inwards(y, height), _moved_inwards(x, width)


def _moved_inwards(centres: np.ndarray, side: int) -> np.ndarray:
    """Centres whose windows lie inside a side of that many pixels, or as far inside as they can."""
    half = min(WINDOW, side) // 2
    return np.clip(centres, half, max(half, side - half - 1))
