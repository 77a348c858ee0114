"""The frame store: every video is decoded once, resized, and kept as a memory-mapped uint8 array.

A training clip then costs a few page reads instead of 16 JPEGs. Arrays live in the cache folder
(`VADLIB_CACHE`, else the user's), one .npy file a video, named by a hash of every source file's
path, size and time and of the size asked for: a changed source gets a new array, and the old one is
simply no longer used.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import platformdirs
from tqdm.auto import tqdm

from vadlib.data.video import Video
from vadlib.errors import InputError
from vadlib.files import atomic, folder_variable, is_disk_full, read_arrays, refuse_broken_link

STORE_VERSION = 1


def cache_dir() -> Path:
    """The folder for everything that can be made again: `VADLIB_CACHE`, else the user's cache
    folder.

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
    """Memory-mapped frames of each video, uint8 (T, H, W, C), decoding those that are not stored
    yet.

    Args:
        videos: what to read.
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
    shapes = [stored_shape(video, size, shorter_side, channels) for video in videos]
    paths = [
        folder / f"{_key(video, shape)}.npy" for video, shape in zip(videos, shapes, strict=True)
    ]
    missing = [
        (video, shape, path)
        for video, shape, path in zip(videos, shapes, paths, strict=True)
        if not path.exists()
    ]
    if missing:
        _make_room(folder, sum(math.prod(shape) for _, shape, _ in missing))
        with tqdm(
            total=sum(len(v) for v, _, _ in missing),
            desc="decoding once",
            unit="frame",
            disable=not progress,
        ) as bar:
            for video, shape, path in missing:
                _decode(video, shape, path, bar)
    return [open_frames(path) for path in paths]


def stored_shape(
    video: Video,
    size: tuple[int, int] | None,
    shorter_side: int | None = None,
    channels: int | None = None,
) -> tuple[int, int, int, int]:
    """(T, H, W, C) of a video's frames in the store."""
    frames, height, width, native = video.frames.shape
    if size is not None:
        height, width = size
    elif shorter_side is not None and min(height, width) > shorter_side:
        scale = shorter_side / min(height, width)
        height, width = max(1, round(height * scale)), max(1, round(width * scale))
    return frames, height, width, channels or native


def file_key(kind: str, *paths: Path) -> str:
    """A name for what was made of some files: another one when a path, size or time changes.

    Raises:
        InputError: one of them is a link whose target is missing.
    """
    for path in paths:
        refuse_broken_link(path)
    stats = [(path, path.stat()) for path in paths]
    return _digest([kind, *([str(p.resolve()), s.st_size, s.st_mtime_ns] for p, s in stats)])


def keep_arrays(
    kind: str, key: str, make: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Arrays that are made once and then read from the cache's folder `kind`."""
    path = cache_dir() / kind / f"{key}.npz"
    if not path.exists():
        arrays = make()
        with atomic(path) as temporary:
            np.savez_compressed(temporary, **arrays)
    return read_arrays(path, "remove it, and it is made again")


def open_frames(path: Path) -> np.ndarray:
    """Memory-mapped frames of the store, uint8 (T, H, W, C)."""
    try:
        # copy on write: torch warns of read-only arrays
        return np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        message = f"{path}: a damaged file of the frame store ({error}); remove it, and its video is decoded again"
        raise InputError(message, "damaged-file", file=path) from error


def _key(video: Video, shape: tuple[int, int, int, int]) -> str:
    return _digest([STORE_VERSION, shape, video.frames.identity()])


def _digest(identity: list) -> str:
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]


def _make_room(folder: Path, needed: int) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"{folder}: cannot make the cache folder ({error.strerror}); set VADLIB_CACHE to a writable folder"
        raise InputError(
            message,
            "disk-full" if is_disk_full(error) else "not-writable",
            file=folder,
            field="VADLIB_CACHE",
        ) from error
    # by a decoding that was killed; a running one is younger
    for left_behind in folder.glob(".*.npy"):
        if time.time() - left_behind.stat().st_mtime > 24 * 3600:
            left_behind.unlink(missing_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > 0.95 * free:
        raise InputError(
            f"{folder}: the decoded frames need {needed / 1e9:.2f} GB, but only {free / 1e9:.2f} GB are free; "
            "make room there, set VADLIB_CACHE to a folder on another disk, or store less (shorter_side or channels in the data config)",
            "disk-full",
            file=folder,
            field="VADLIB_CACHE",
        )


def _decode(video: Video, shape: tuple[int, int, int, int], path: Path, bar: tqdm) -> None:
    # Of two processes that decode the same video, the second simply replaces the first one's equal
    # file. The file is not mapped: where a disk is full, writing to mapped memory kills the
    # process.
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )
        for t in range(len(video)):
            file.write(np.ascontiguousarray(prepare_frame(video.frames[t], shape)))
            bar.update()


def prepare_frame(frame: np.ndarray, shape: tuple[int, int, int, int]) -> np.ndarray:
    """One frame, uint8 (H, W, C), as it is kept for a video of that `stored_shape`."""
    frame = resize_frame(frame, shape[1:3])
    if frame.shape[2] == shape[3]:
        return frame
    return (
        cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None]
        if shape[3] == 1
        else np.repeat(frame, shape[3], axis=2)
    )


def resize_frame(frame: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Resize uint8 (H, W, C) to (height, width), averaging areas when shrinking; None returns the
    frame as it is.
    """
    if size is None or frame.shape[:2] == tuple(size):
        return frame
    shrinking = size[0] < frame.shape[0] or size[1] < frame.shape[1]
    resized = cv2.resize(
        frame, (size[1], size[0]), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    )
    return resized.reshape(*size, frame.shape[2])
