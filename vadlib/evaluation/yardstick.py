"""A yardstick that learns nothing: motion energy around what moves. A model that does not beat it has learned nothing.

Recipe: background subtraction finds things; the squared difference of consecutive frames is averaged over a 48 x 48 window
centred on each thing and over 16 frames; a frame scores the log of the largest such energy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import uniform_filter

from vadlib.data.motion import foreground_components, grey, scene_background
from vadlib.data.store import WORKING_SIDE, store_frames
from vadlib.data.video import Video

WINDOW, SPAN = 48, 16  # pixels, frames
BLOCK = 256  # frames


def yardstick_scores(train: Sequence[Video], test: Sequence[Video], every: int = 2) -> dict[str, np.ndarray]:
    """Motion-energy score of every frame of the test videos, float64 (T,), by video name.

    Args:
        train: videos of the same scenes; the background is the median of every tenth of their frames.
        test: the videos to score.
        every: look at each `every`-th frame, and interpolate between them.
    """
    scores, empty = {}, {}
    for video in test:
        if video.scene not in empty:
            # A scene that was not filmed for training is judged by the video itself.
            empty[video.scene] = scene_background(_stored([v for v in train if v.scene == video.scene] or [video]))
        scores[video.name] = _scores(_stored([video])[0], empty[video.scene], every)
    return scores


def _stored(videos: Sequence[Video]) -> list[np.ndarray]:
    return store_frames(videos, shorter_side=WORKING_SIDE)


def _scores(frames: np.ndarray, empty: np.ndarray, every: int) -> np.ndarray:
    looked_at = np.unique([*range(0, len(frames), every), len(frames) - 1])
    scores = []
    for first in range(0, len(frames), BLOCK):  # blocks, so that memory does not grow with the video
        start, stop = max(first - SPAN - 1, 0), min(first + BLOCK + SPAN, len(frames))
        block = grey(frames[start:stop])
        signed = block.astype(np.float32) / 127.5 - 1
        energy = uniform_filter(np.square(np.diff(signed, axis=0, prepend=signed[:1])), (SPAN, WINDOW, WINDOW), mode="nearest")
        own = looked_at[(looked_at >= first) & (looked_at < first + BLOCK)] - start
        scores += [_largest_energy(energy[t], block[t], empty) for t in own]
    return np.interp(np.arange(len(frames)), looked_at, np.log(np.array(scores) + 1e-8))


def _largest_energy(energy: np.ndarray, frame: np.ndarray, empty: np.ndarray) -> float:
    boxes, centroids = foreground_components(frame, empty)
    centres = [tuple(c) for c in centroids]
    for x0, y0, x1, y1 in boxes:  # things larger than a window are covered by several
        centres += [(x, y) for x in np.arange(x0, x1, WINDOW / 2) for y in np.arange(y0, y1, WINDOW / 2) if max(x1 - x0, y1 - y0) > WINDOW]
    half, (height, width) = WINDOW // 2, energy.shape
    inside = [(int(np.clip(y, half, height - half - 1)), int(np.clip(x, half, width - half - 1))) for x, y in centres]
    return max((float(energy[y, x]) for y, x in inside), default=0.0)
