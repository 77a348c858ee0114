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
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import cv2
import numpy as np
import platformdirs
from tqdm.auto import tqdm

from vadlib.data.video import Frames, Video, header_shape
from vadlib.errors import InputError, require
from vadlib.files import atomic, folder_variable, is_disk_full, read_arrays, refuse_broken_link

STORE_VERSION = 2
Shape = tuple[int, ...]  # (T, H, W, C)


def cache_dir() -> Path:
    """Return the folder for everything that can be made again: `VADLIB_CACHE`, else the user's.

    Raises:
        InputError: `VADLIB_CACHE` is a link whose target is missing.
    """
    return folder_variable("VADLIB_CACHE") or Path(platformdirs.user_cache_dir("vadlib"))


def store_frames(
    videos: Sequence[Video],
    size: tuple[int, int] | None = None,
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
    paths = []
    missing: dict[Path, tuple[Video, Shape]] = {}
    for video in videos:
        shape = target_shape(header_shape(video.frames), size, shorter_side, channels)
        path = folder / f"{digest([STORE_VERSION, shape[1:], video.frames.identity()])}.npy"
        paths.append(path)
        if not path.exists():
            missing[path] = video, shape
    if missing:
        _decode_missing(missing, folder, progress)
    return [open_frames(path) for path in paths]


def target_shape(
    shape: Shape,
    size: tuple[int, int] | None,
    shorter_side: int | None = None,
    channels: int | None = None,
) -> Shape:
    """Return (T, H, W, C) in the store of frames that have the shape (T, H, W, C)."""
    length, native = shape[0], shape[3]
    height, width = shape[1:3]
    if size is not None:
        height, width = size
    elif shorter_side is not None and min(height, width) > shorter_side:
        scale = shorter_side / min(height, width)
        height, width = max(1, round(height * scale)), max(1, round(width * scale))
    return length, height, width, channels or native


def stored_shape(
    video: Video,
    size: tuple[int, int] | None,
    shorter_side: int | None = None,
    channels: int | None = None,
) -> Shape:
    """Return (T, H, W, C) of a video's frames in the store."""
    return target_shape(video.frames.shape, size, shorter_side, channels)


def _decode_missing(missing: dict[Path, tuple[Video, Shape]], folder: Path, progress: bool) -> None:
    """Decode videos into the files of the store."""
    lengths = [shape[0] for _, shape in missing.values()]
    _make_room(folder, sum(math.prod(shape) for _, shape in missing.values()))
    off = not progress
    with tqdm(total=sum(lengths), desc="decoding once", unit="frame", disable=off) as bar:
        for path, (video, shape) in missing.items():
            # Of two processes that decode the same video, the second replaces the first one's equal
            # file.
            with atomic(path) as temporary, temporary.open("wb") as file:
                _write_frames(file, video.frames, shape, bar)


def _write_frames(file: BinaryIO, frames: Frames, shape: Shape, bar: tqdm[NoReturn]) -> None:
    """Write all frames as an .npy file; its header again at the end, when their number is known.

    The file is not mapped: where a disk is full, writing to mapped memory kills the process.
    """
    length = 0
    _write_header(file, (length, *shape[1:]))
    for frame in frames:
        file.write(prepare_frame(frame, shape).tobytes())
        length += 1
        bar.update()
    file.seek(0)
    _write_header(file, (length, *shape[1:]))


def _write_header(file: BinaryIO, shape: Shape) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def open_frames(path: Path) -> np.ndarray:
    """Return memory-mapped frames of the store, uint8 (T, H, W, C)."""
    try:
        # copy on write: torch warns of read-only arrays
        frames: np.ndarray = np.load(path, mmap_mode="c", allow_pickle=False)
        return frames
    except (OSError, ValueError, EOFError) as error:
        message = f"{path}: damaged ({error}); remove it, and its video is decoded again"
        raise InputError(message, "damaged-file", file=path) from error


def prepare_frame(frame: np.ndarray, shape: Shape) -> np.ndarray:
    """Resize a frame and convert its channels as for a video of that `stored_shape`.

    Returns:
        uint8 (H, W, C).
    """
    frame = resize_frame(frame, shape[1:3])
    if frame.shape[2] == shape[3]:
        return frame
    if shape[3] == 1:
        return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None]
    return np.repeat(frame, shape[3], axis=2)


def resize_frame(frame: np.ndarray, size: tuple[int, ...] | None) -> np.ndarray:
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
    identity: list[Any] = [kind]
    for path in paths:
        refuse_broken_link(path)
        stat = path.stat()
        identity.append([str(path.resolve()), stat.st_size, stat.st_mtime_ns])
    return digest(identity)


def keep_arrays(
    kind: str, key: str, make: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Return arrays that are made once and then read from the cache's folder `kind`."""
    if saved_arrays(kind, key) is None:
        save_arrays(kind, key, make())
    arrays = saved_arrays(kind, key)
    assert arrays is not None
    return arrays


def saved_arrays(kind: str, key: str) -> dict[str, np.ndarray] | None:
    """Return arrays from the cache's folder `kind`; None if they are not there."""
    path = cache_dir() / kind / f"{key}.npz"
    return read_arrays(path, "remove it, and it is made again") if path.exists() else None


def save_arrays(kind: str, key: str, arrays: dict[str, Any]) -> None:
    """Write arrays into the cache's folder `kind`."""
    with atomic(cache_dir() / kind / f"{key}.npz") as temporary:
        np.savez_compressed(temporary, **arrays)


def _make_room(folder: Path, needed: int) -> None:
    """Make the folder, and raise an `InputError` if its disk has not so many bytes left."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"{folder}: cannot be made ({error.strerror}); set VADLIB_CACHE to another folder"
        raise InputError(
            message,
            "disk-full" if is_disk_full(error) else "not-writable",
            file=folder,
            field="VADLIB_CACHE",
        ) from error
    # A decoding that was killed leaves its file; a running one is younger.
    for remnant in folder.glob(".*.npy"):
        if time.time() - remnant.stat().st_mtime > 24 * 3600:
            remnant.unlink(missing_ok=True)
    free = shutil.disk_usage(folder).free
    message = (
        f"{folder}: the decoded frames need {needed / 1e9:.2f} GB, but only {free / 1e9:.2f} GB "
        "are free. Make room, set VADLIB_CACHE to a folder on another disk, or store less "
        "(shorter_side or channels in the data config)"
    )
    enough = needed <= 0.95 * free
    require(enough, message, "disk-full", file=folder, field="VADLIB_CACHE")
