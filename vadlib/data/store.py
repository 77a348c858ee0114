"""The frame store: every video is decoded once, resized, and kept as a memory-mapped uint8
array.

A training clip then costs a few page reads instead of 16 JPEGs. Arrays live in the cache folder
(`VADLIB_CACHE`, else the user's), one .npy file a video, named by a hash of every source file's
path, size and time and of the size asked for: a changed source gets a new array, and the old one is
simply no longer used. The cache also keeps small arrays that took long to make (`keep_arrays`).
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import platformdirs
from tqdm.auto import tqdm

from vadlib.data.video import Shape, Video, file_stamp, header_shape
from vadlib.errors import InputError
from vadlib.files import atomic, folder_variable, not_written, read_arrays, require_room

Arrays = dict[str, np.ndarray]
Videos = Sequence[Video]
Size = tuple[int, ...] | None  # (H, W)


def cache_dir() -> Path:
    """Return the folder for everything that can be made again: `VADLIB_CACHE`, else the user's.

    Raises:
        InputError: `VADLIB_CACHE` is a link whose target is missing.
    """
    return folder_variable("VADLIB_CACHE") or Path(platformdirs.user_cache_dir("vadlib"))


def store_frames(
    videos: Videos,
    size: Size = None,
    progress: bool = True,
    shorter_side: int | None = None,
    channels: int | None = None,
) -> list[np.ndarray]:
    """Return memory-mapped frames of each video, uint8 (T, H, W, C); decode those not yet stored.

    Args:
        videos: the videos to read.
        size: (height, width) to resize to; None keeps the native size.
        progress: show a bar while decoding.
        shorter_side: without `size`, frames whose shorter side is longer are shrunk to it, their
            shape kept; None keeps the native size.
        channels: 1 turns colour into grey, 3 repeats grey; None keeps what the video has.

    Raises:
        InputError: the disk is too full, the cache folder cannot be written, or a frame cannot be
            read.
    """
    folder = cache_dir() / "frames"
    paths, missing = [], {}
    for video in videos:
        shape = target_shape(header_shape(video.frames), size, shorter_side, channels)
        name = digest(["version 2", shape[1:], video.frames.identity()])
        path = folder / f"{name}.npy"
        paths.append(path)
        if not path.exists():
            missing[path] = video, shape
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for temporary in folder.glob(".*.npy"):
            with suppress(OSError):  # another process may remove it first
                if time.time() - temporary.stat().st_mtime > 86400:  # of a killed process
                    temporary.unlink()
        require_room(folder, sum(math.prod(shape) for _, shape in missing.values()))
    except OSError as error:
        failure = not_written(folder, error)
        failure.field = "VADLIB_CACHE"
        raise failure from error
    for path, (video, shape) in missing.items():
        bar = tqdm(video.frames, f"decoding {video.name}", shape[0], disable=not progress)
        # Of two processes that decode the same video, the second replaces the first one's equal
        # file. It is not mapped: where a disk is full, writing to mapped memory kills the process.
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        with bar, atomic(path) as temporary, temporary.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for frame in bar:
                file.write(prepare_frame(frame, shape).tobytes())
            header["shape"] = (len(video.frames), *shape[1:])  # now that their number is known
            file.seek(0)
            np.lib.format.write_array_header_1_0(file, header)
    return [open_frames(path) for path in paths]


def target_shape(
    shape: Shape, size: Size, shorter_side: int | None = None, channels: int | None = None
) -> Shape:
    """Return (T, H, W, C) in the store of frames that have the shape (T, H, W, C)."""
    if size is None:
        shortest = min(shape[1:3])
        scale = min(shorter_side or shortest, shortest) / shortest
        size = max(1, round(shape[1] * scale)), max(1, round(shape[2] * scale))
    return shape[0], *size, channels or shape[3]


def open_frames(path: Path) -> np.ndarray:
    """Return memory-mapped frames of the store, uint8 (T, H, W, C)."""
    try:
        # copy on write: torch warns of read-only arrays
        return np.lib.format.open_memmap(path, mode="c")
    except (OSError, ValueError) as error:
        message = f"{path}: damaged ({error}); remove it, and its video is decoded again"
        raise InputError(message, "damaged-file", file=path) from error


def prepare_frame(frame: np.ndarray, shape: Shape) -> np.ndarray:
    """Resize a frame and convert its channels as for a video of that `target_shape`.

    Returns:
        uint8 (H, W, C).
    """
    frame = resize_frame(frame, shape[1:3])
    if frame.shape[2] > shape[3]:
        return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None]
    return np.repeat(frame, shape[3] // frame.shape[2], axis=2)


def resize_frame(frame: np.ndarray, size: Size) -> np.ndarray:
    """Resize uint8 (H, W, C) to (height, width); shrinking averages areas. None: no change."""
    if size is None or frame.shape[:2] == tuple(size):
        return frame
    height, width = size
    shrinks = height < frame.shape[0] or width < frame.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(frame, (width, height), interpolation=interpolation)
    return resized.reshape(height, width, frame.shape[2])


def digest(identity: list[Any]) -> str:
    """Return a name for what is made of JSON-able values: another one when one of them changes."""
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]


def file_key(kind: str, *paths: Path) -> str:
    """Return a name for what is made of files: another one when a path, size or time changes.

    Raises:
        InputError: one of them is a link whose target is missing.
    """
    return digest([kind, *map(file_stamp, paths)])


def keep_arrays(kind: str, key: str, make: Callable[[], Arrays]) -> Arrays:
    """Return arrays that are made once and then read from the cache's folder `kind`."""
    arrays = saved_arrays(kind, key)
    if arrays is None:
        arrays = make()
        save_arrays(kind, key, arrays)
    return arrays


def saved_arrays(kind: str, key: str) -> Arrays | None:
    """Return arrays from the cache's folder `kind`; None if they are not there."""
    path = cache_dir() / kind / f"{key}.npz"
    return read_arrays(path, "remove it, and it is made again") if path.exists() else None


def save_arrays(kind: str, key: str, arrays: dict[str, Any]) -> None:
    """Write arrays into the cache's folder `kind`."""
    with atomic(cache_dir() / kind / f"{key}.npz") as temporary:
        np.savez_compressed(temporary, **arrays)
