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
    """uint8 (T, H, W, C) -> uint8 (T, H, W); RGB is weighted as ITU-R BT.601 does."""
    if frames.shape[-1] == 1:
        return frames[..., 0]
    return np.stack(
        [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in frames]
    )


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
        self.frames, self.kept = frames, {}

    def __getitem__(self, picked: slice) -> np.ndarray:
        numbers = range(picked.start, picked.stop, picked.step)
        new = [t for t in numbers if t not in self.kept]
        self.kept = {t: b for t, b in self.kept.items() if t >= picked.start}
        self.kept |= dict(zip(new, blur(grey(self.frames[new])), strict=True)) if new else {}
        return np.stack([self.kept[t] for t in numbers])


def moving_pixels(blurred: np.ndarray) -> np.ndarray:
    """Pixels that change within a clip: bool (H, W), from blurred grey frames uint8 (T, H, W).

    Needs no background, so it serves one's own videos and scoring while the video plays. A thing
    that stands still for the whole clip is not found; nor does it hold motion to be scored.
    """
    return np.ptp(blurred, axis=0) > FOREGROUND_LEVELS


def motion_windows(moving: np.ndarray, window: tuple[int, int]) -> np.ndarray:
    """Corners of the windows that hold what moves: int (N, 2), each (top, left), all inside the
    frame.

    The frame is cut into cells of half a window's size; each cell with enough moving pixels gets
    the window centred on it, moved inwards at the border. So neighbouring windows overlap by half,
    and whatever moves is near the centre of one.

    Args:
        moving: bool (H, W).
        window: (height, width) of a window, at most the frame's.
    """
    (height, width), (tall, wide) = moving.shape, window
    cell_y, cell_x = max(1, tall // 2), max(1, wide // 2)
    rows, columns = -(-height // cell_y), -(-width // cell_x)
    padded = np.zeros((rows * cell_y, columns * cell_x), np.uint8)
    padded[:height, :width] = moving
    counts = padded.reshape(rows, cell_y, columns, cell_x).sum((1, 3), dtype=np.int64)
    # A cell may be far smaller than 2 x MIN_PIXELS for tiny windows; a quarter of it must then
    # move.
    cells = np.argwhere(counts >= min(MIN_PIXELS, cell_y * cell_x // 4))
    corners = cells * (cell_y, cell_x) - ((tall - cell_y) // 2, (wide - cell_x) // 2)
    corners = np.clip(corners, 0, (height - tall, width - wide))
    return np.unique(corners, axis=0) if len(corners) else corners.astype(np.int64).reshape(0, 2)


def scene_background(videos: Sequence[np.ndarray], every: int = 10, most: int = 500) -> np.ndarray:
    """`background` of a scene from all its videos, uint8 (T, H, W, C) each: every tenth frame, or
    fewer, evenly, of a large set.
    """
    every = max(every, -(-sum(map(len, videos)) // most))
    return background(np.concatenate([grey(video[::every]) for video in videos]), every=1)


def background(frames: np.ndarray, every: int = 10) -> np.ndarray:
    """The empty scene of a fixed camera: the per-pixel median of every tenth frame.

    Args:
        frames: uint8 grey (T, H, W), from one video or several of the same scene, one after the
            other.
        every: take each `every`-th frame.

    Returns:
        uint8 (H, W).
    """
    return np.median(np.asarray(frames[::every]), axis=0).astype(np.uint8)


def foreground_components(frame: np.ndarray, empty: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Things that differ from the empty scene.

    Args:
        frame: uint8 grey (H, W).
        empty: its `background`, uint8 (H, W).

    Returns:
        boxes float32 (N, 4) as x0, y0, x1, y1 (ends exclusive), and centroids float32 (N, 2) as x,
        y; components of fewer than 40 pixels are left out.
    """
    difference = cv2.GaussianBlur(cv2.absdiff(frame, empty), (5, 5), 0)
    mask = (difference > FOREGROUND_LEVELS).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    _, _, stats, centroids = cv2.connectedComponentsWithStats(mask)
    keep = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] >= MIN_PIXELS)
    keep = keep[keep != 0]  # label 0 is the background
    x, y, w, h = stats[keep, :4].T
    return np.stack([x, y, x + w, y + h], axis=1).astype(np.float32), centroids[keep].astype(
        np.float32
    )
