"""Where things move: activity inside a clip, windows around it, and background subtraction for a
fixed camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import cv2
import numpy as np

# Measured on Ped2: after the blur, JPEG and sensor noise stay below this many grey levels, a
# walking person does not.
FOREGROUND_LEVELS = 18
MIN_PIXELS = 40  # the smallest person of Ped2's far end covers about this many


def grey(frames: np.ndarray) -> np.ndarray:
    """Return grey frames, uint8 (T, H, W, C) -> uint8 (T, H, W), weighted as in ITU-R BT.601."""
    if frames.shape[-1] == 1:
        return frames[..., 0]
    return np.stack([cv2.cvtColor(np.ascontiguousarray(f), cv2.COLOR_RGB2GRAY) for f in frames])


def blur(frames: np.ndarray) -> np.ndarray:
    """Blur each frame of uint8 (T, H, W) with a 5 x 5 Gaussian, against sensor and compression
    noise.
    """
    return np.stack([cv2.GaussianBlur(frame, (5, 5), 0) for frame in frames])


class ClipFrames(Protocol):
    """Frames uint8 (T, H, W, C): an array, or something that gives the same for slices and lists of
    numbers.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, numbers: Any, /) -> np.ndarray: ...


class RollingBlur:
    """Blurred grey frames of a video, each blurred once though clips overlap; only those of one
    clip are held.

    Slices must not go back: `blurred[slice(start, stop, step)]` is uint8 (T, H, W).
    """

    def __init__(self, frames: ClipFrames):
        self.frames = frames
        self.cache: dict[int, np.ndarray] = {}

    def __getitem__(self, span: slice) -> np.ndarray:
        numbers = range(span.start, span.stop, span.step)
        self.cache = {t: frame for t, frame in self.cache.items() if t >= span.start}
        for t in [t for t in numbers if t not in self.cache]:
            self.cache[t] = blur(grey(self.frames[[t]]))[0]
        return np.stack([self.cache[t] for t in numbers])


def moving_pixels(blurred: np.ndarray) -> np.ndarray:
    """Return the pixels that change within a clip: blurred grey frames uint8 (T, H, W) -> bool
    (H, W).

    It needs no background, so it also works for your own videos and while a video plays. A thing
    that stands still for the whole clip is not found; there is no motion of it to score either.
    """
    return np.asarray(np.ptp(blurred, axis=0) > FOREGROUND_LEVELS)


def motion_windows(moving: np.ndarray, window: tuple[int, int]) -> np.ndarray:
    """Return the corners of the windows that hold what moves: int (N, 2), each (top, left).

    The frame is cut into cells of half a window's size; each cell with enough moving pixels gets
    the window centred on it, moved inwards at the border. So neighbouring windows overlap by half,
    and everything that moves is near the centre of one.

    Args:
        moving: bool (H, W).
        window: (height, width) of a window, at most the frame's.
    """
    (height, width), (tall, wide) = moving.shape, window
    cell_y, cell_x = max(1, tall // 2), max(1, wide // 2)
    rows, columns = np.arange(0, height, cell_y), np.arange(0, width, cell_x)
    counts = np.add.reduceat(np.add.reduceat(moving, rows, 0, np.int64), columns, 1)
    # Tiny windows have cells of few pixels: a quarter of a cell must then move.
    cells = np.argwhere(counts >= min(MIN_PIXELS, cell_y * cell_x // 4))
    corners = cells * (cell_y, cell_x) - ((tall - cell_y) // 2, (wide - cell_x) // 2)
    corners = np.clip(corners, 0, (height - tall, width - wide))
    return np.unique(corners.reshape(-1, 2), axis=0).astype(np.int64)


def scene_background(videos: Sequence[np.ndarray], most: int = 500) -> np.ndarray:
    """Return the empty scene of a fixed camera, uint8 grey (H, W): the per-pixel median.

    Args:
        videos: uint8 (T, H, W, C), all of one scene.
        most: the number of frames; of a large set, evenly spread ones, else every tenth frame.
    """
    every = max(10, -(-sum(map(len, videos)) // most))
    frames = np.concatenate([grey(video[::every]) for video in videos])
    return np.asarray(np.median(frames, axis=0), np.uint8)


def foreground_components(frame: np.ndarray, empty: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the things that differ from the empty scene.

    Args:
        frame: uint8 grey (H, W).
        empty: its `scene_background`, uint8 (H, W).

    Returns:
        boxes float32 (N, 4) as x0, y0, x1, y1 (ends exclusive), and centroids float32 (N, 2) as x,
        y; components of fewer than 40 pixels are left out.
    """
    difference = cv2.GaussianBlur(cv2.absdiff(frame, empty), (5, 5), 0)
    mask = (difference > FOREGROUND_LEVELS).astype(np.uint8)
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    stats, centroids = cv2.connectedComponentsWithStats(closed)[2:]
    keep = 1 + np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] >= MIN_PIXELS)  # 0 is the background
    corners, sizes = stats[keep, :2], stats[keep, 2:4]
    boxes = np.concatenate([corners, corners + sizes], axis=1)
    return boxes.astype(np.float32), centroids[keep].astype(np.float32)
