"""The frame store: every video is decoded once, resized, and kept as a memory-mapped uint8 array.

A training clip then costs a few page reads instead of 16 JPEGs. Arrays live in the cache folder (`VADLIB_CACHE`, else the
user's), one .npy file a video, named by a hash of every source file's path, size and time and of the size asked for: a
changed source gets a new array, and the old one is simply no longer used.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import platformdirs
from tqdm.auto import tqdm

from vadlib.data.video import Video
from vadlib.errors import InputError
from vadlib.files import atomic

STORE_VERSION = 1


def cache_dir() -> Path:
    """The folder for everything that can be made again: `VADLIB_CACHE`, else the user's cache folder."""
    return Path(os.environ.get("VADLIB_CACHE") or platformdirs.user_cache_dir("vadlib"))


def store_frames(videos: Sequence[Video], size: tuple[int, int] | None = None, progress: bool = True) -> list[np.ndarray]:
    """Memory-mapped frames of each video, uint8 (T, H, W, C), decoding those that are not stored yet.

    Args:
        videos: what to read.
        size: (height, width) to resize to; None keeps the native size.
        progress: show a bar while decoding.

    Raises:
        InputError: the disk is too full, the cache folder cannot be written, or a frame cannot be read.
    """
    folder = cache_dir() / "frames"
    paths = [folder / f"{_key(video, size)}.npy" for video in videos]
    missing = [(video, path) for video, path in zip(videos, paths, strict=True) if not path.exists()]
    if missing:
        _make_room(folder, sum(len(v) * int(np.prod(_stored_shape(v, size)[1:])) for v, _ in missing))
        with tqdm(total=sum(len(v) for v, _ in missing), desc="decoding once", unit="frame", disable=not progress) as bar:
            for video, path in missing:
                _decode(video, size, path, bar)
    return [_open(path) for path in paths]


def _open(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="c", allow_pickle=False)  # copy on write: torch warns of read-only arrays
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: a damaged file of the frame store ({error}); remove it, and its video is decoded again") from error


def _stored_shape(video: Video, size: tuple[int, int] | None) -> tuple[int, int, int, int]:
    frames, height, width, channels = video.frames.shape
    return (frames, *(size or (height, width)), channels)


def _key(video: Video, size: tuple[int, int] | None) -> str:
    identity = [STORE_VERSION, _stored_shape(video, size), video.frames.identity()]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]


def _make_room(folder: Path, needed: int) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot make the cache folder ({error.strerror}); set VADLIB_CACHE to a writable folder") from error
    for left_behind in folder.glob(".*.npy"):  # by a decoding that was killed; a running one is younger
        if time.time() - left_behind.stat().st_mtime > 24 * 3600:
            left_behind.unlink(missing_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > 0.95 * free:
        raise InputError(
            f"{folder}: the decoded frames need {needed / 1e9:.2f} GB, but only {free / 1e9:.2f} GB are free; "
            "make room there, or set VADLIB_CACHE to a folder on another disk"
        )


def _decode(video: Video, size: tuple[int, int] | None, path: Path, bar: tqdm) -> None:
    # Of two processes that decode the same video, the second simply replaces the first one's equal file.
    with atomic(path) as temporary:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=_stored_shape(video, size))
        for t in range(len(video)):
            array[t] = resize_frame(video.frames[t], size)
            bar.update()
        array.flush()
        del array  # Windows does not rename a file that is mapped


def resize_frame(frame: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Resize uint8 (H, W, C) to (height, width), averaging areas when shrinking; None returns the frame as it is."""
    if size is None or frame.shape[:2] == tuple(size):
        return frame
    shrinking = size[0] < frame.shape[0] or size[1] < frame.shape[1]
    resized = cv2.resize(frame, (size[1], size[0]), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
    return resized.reshape(*size, frame.shape[2])
