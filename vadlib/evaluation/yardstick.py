"""A yardstick that learns nothing: motion energy around what moves. A model that does not beat it has learned nothing.

Recipe: background subtraction finds things; the squared difference of consecutive frames is averaged over a 48 x 48 window
centred on each thing and over 16 frames; a frame scores the log of the largest such energy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import uniform_filter

from vadlib.data.motion import background, foreground_components, grey
from vadlib.data.store import store_frames
from vadlib.data.video import Video

WINDOW, SPAN = 48, 16  # pixels, frames


def yardstick_scores(train: Sequence[Video], test: Sequence[Video], every: int = 2) -> dict[str, np.ndarray]:
    """Motion-energy score of every frame of the test videos, float64 (T,), by video name.

    Args:
        train: videos of the same scenes; the background is the median of every tenth of their frames.
        test: the videos to score.
        every: look at each `every`-th frame, and interpolate between them.
    """
    empty = {
        scene: background(np.concatenate([grey(f[::10]) for f in _frames(train, scene)]), every=1) for scene in {v.scene for v in test}
    }
    return {v.name: _scores(grey(store_frames([v])[0]), empty[v.scene], every) for v in test}


def _frames(videos: Sequence[Video], scene: str) -> list[np.ndarray]:
    return store_frames([v for v in videos if v.scene == scene] or list(videos))


def _scores(frames: np.ndarray, empty: np.ndarray, every: int) -> np.ndarray:
    signed = frames.astype(np.float32) / 127.5 - 1
    change = np.square(np.diff(signed, axis=0, prepend=signed[:1]))
    energy = uniform_filter(change, (SPAN, WINDOW, WINDOW), mode="nearest")
    looked_at = np.unique([*range(0, len(frames), every), len(frames) - 1])
    scores = [_largest_energy(energy[t], frames[t], empty) for t in looked_at]
    return np.interp(np.arange(len(frames)), looked_at, np.log(np.array(scores) + 1e-8))


def _largest_energy(energy: np.ndarray, frame: np.ndarray, empty: np.ndarray) -> float:
    boxes, centroids = foreground_components(frame, empty)
    centres = [tuple(c) for c in centroids]
    for x0, y0, x1, y1 in boxes:  # things larger than a window are covered by several
        centres += [(x, y) for x in np.arange(x0, x1, WINDOW / 2) for y in np.arange(y0, y1, WINDOW / 2) if max(x1 - x0, y1 - y0) > WINDOW]
    half, (height, width) = WINDOW // 2, energy.shape
    inside = [(int(np.clip(y, half, height - half - 1)), int(np.clip(x, half, width - half - 1))) for x, y in centres]
    return max((float(energy[y, x]) for y, x in inside), default=0.0)
