"""One's own videos: any tree of video files, or of folders of images, with labels or without.

::

    ROOT/training/cam1/monday.mp4                 normal videos only; folders of images do as well
        /testing/cam1/tuesday.mp4                 what is to be scored; optional
        /labels.csv                               optional: video,start,end (frames from 0, end exclusive), such as cam1/tuesday,120,180
        /labels.json                              or: [{"video": "cam1/tuesday", "start": 120, "end": 180}]
        /labels/cam1/tuesday.npy                  or: an array of 0 and 1, one for each frame
        /masks/cam1/tuesday/000.png ...           and, or instead: one image for each frame, any value above 0 is abnormal

Without `training/` and `testing/` all videos are for training. A video is called by its path without the ending. Videos in one folder
and of one size are taken to come from one fixed camera. Colour is read as RGB unless all of them are grey.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from vadlib.config import require
from vadlib.data import labels
from vadlib.data.decode import VIDEO_SUFFIXES, is_grey, list_videos
from vadlib.data.layout import Copy, Source, below, is_truth, open_clip
from vadlib.data.store import file_key, keep_arrays
from vadlib.data.video import MaskImages, Video, is_junk, list_images, natural_key
from vadlib.errors import InputError

FPS = 25.0  # assumed for folders of images, which do not say
GREY_MODES = {"1", "L", "LA"}


def find_folder(root: Path) -> Copy:
    """Look at a tree of one's own videos.

    Raises:
        InputError: the folder is missing, or holds no videos.
    """
    require(root.is_dir(), f"{root}: no such folder; for the dataset 'folder', --root names the folder with your videos")
    parts = {
        split: _base(found)
        for split, name in (("train", "training"), ("test", "testing"))
        if (found := below(root, name)) and found.is_dir()
    }
    bases = parts or {"train": root}
    truths = _truths(root)
    layout = "training and testing" if parts else "all for training"
    return Copy(layout, root, partial(_list, root, bases, truths), truths, splits=tuple(bases))


def _base(folder: Path) -> Path:
    return next((found for name in ("frames", "videos") if (found := below(folder, name)) and found.is_dir()), folder)


def _truths(root: Path) -> dict[str, Path]:
    """Label files, looked for in ROOT and in ROOT/testing."""
    kinds = {"csv": "labels.csv", "json": "labels.json", "npy": "labels", "masks": "masks"}
    places = [root, below(root, "testing")]
    return {
        kind: path
        for kind, name in kinds.items()
        for place in reversed(places)
        if place is not None and (path := below(place, name)) is not None
    }


def _list(root: Path, bases: dict[str, Path], truths: dict[str, Path], split: str) -> list[Source]:
    if split not in bases:
        name = "training" if split == "train" else "testing"
        raise InputError(f"{root}: there is no {name}/ in it; put the videos for {split}ing into {root / name}")
    if "test" not in bases and truths:
        raise InputError(
            f"{next(iter(truths.values()))}: labels are for test videos, but there is no {root / 'testing'}; put the labelled videos there"
        )
    clips = {_name(clip, bases[split]): clip for clip in _walk(bases[split])}
    everywhere = [clip for base in bases.values() for clip in _walk(base)]
    if len(clips) < len(list(_walk(bases[split]))):
        names = [_name(clip, bases[split]) for clip in _walk(bases[split])]
        raise InputError(f"{bases[split]}: two videos are called {max(names, key=names.count)!r}; rename one of them")
    suffixes = ", ".join(sorted(VIDEO_SUFFIXES))
    require(bool(clips), f"{bases[split]}: no videos in it; expected video files ({suffixes}) or folders of images")
    channels = 1 if all(map(_is_grey, everywhere)) else 3
    reader = _label_reader(truths, clips) if split == "test" else None
    return [
        Source(name, clip, partial(_open, clip, name, channels, reader, truths.get("masks") if split == "test" else None))
        for name, clip in clips.items()
    ]


def _walk(base: Path) -> Iterator[Path]:
    """Video files, and folders that hold images (and no video: there they are covers and thumbnails), in natural order."""
    for folder, subfolders, _ in os.walk(base):
        here = Path(folder)
        subfolders[:] = sorted((n for n in subfolders if not is_junk(here / n) and not is_truth(here / n)), key=natural_key)
        videos = list_videos(here)
        yield from videos
        if not videos and list_images(here):
            yield here


def _name(clip: Path, base: Path) -> str:
    if clip == base:
        return base.name
    inside = clip.relative_to(base)
    return (inside if clip.is_dir() else inside.with_suffix("")).as_posix()


def _is_grey(clip: Path) -> bool:
    if not clip.is_dir():
        return is_grey(clip)
    try:
        with Image.open(list_images(clip)[0]) as image:
            return image.mode in GREY_MODES
    except (UnidentifiedImageError, OSError):
        return True  # opening the clip will say what is wrong with it


def _open(
    clip: Path, name: str, channels: int, reader: Callable[[str, int], tuple[np.ndarray, str]] | None, mask_root: Path | None
) -> Video:
    video = open_clip(clip, name, channels, FPS, "")
    parent, (height, width) = name.rpartition("/")[0] or "folder", video.frames.shape[1:3]
    video = replace(video, scene=f"{parent} {width}x{height}")
    if mask_root is not None:
        video = replace(video, masks=_masks(mask_root, name, len(video)))
    if reader is not None:
        truth, kind = reader(name, len(video))
        video = replace(video, labels=truth, ground_truth=kind)
    elif video.masks is not None:
        video = replace(video, labels=_from_masks(video.masks), ground_truth="masks")
    return video


def _label_reader(truths: dict[str, Path], clips: dict[str, Path]) -> Callable[[str, int], tuple[np.ndarray, str]] | None:
    """(name, number of frames) -> labels and where they are from; None without frame labels."""
    kinds = [kind for kind in ("csv", "json", "npy") if kind in truths]
    require(
        len(kinds) < 2,
        f"{truths[kinds[0]] if kinds else ''}: labels twice, there and in {truths[kinds[-1]] if kinds else ''}; keep one of them",
    )
    if not kinds:
        return None
    [kind], path = kinds, truths[kinds[0]]
    if kind == "npy":
        return lambda name, length: (_own_npy(path, name), kind)
    rows = labels.read_intervals(path)
    known = clips | {f"{name}{clip.suffix}": clip for name, clip in clips.items() if not clip.is_dir()}
    for video, _, _, where in rows:
        require(video in known, f"{path}: {where} labels a video {video!r}; there are: {', '.join(list(clips)[:5])}")
    return lambda name, length: (labels.mark([row for row in rows if row[0] in (name, f"{name}{clips[name].suffix}")], length, path), kind)


def _own_npy(folder: Path, name: str) -> np.ndarray:
    path = below(folder, *f"{name}.npy".split("/"))
    require(path is not None, f"{folder / f'{name}.npy'}: missing; expected labels for every test video, an array of 0 and 1")
    return labels.from_npy(path)


def _masks(root: Path, name: str, length: int) -> MaskImages:
    folder = below(root, *name.split("/"))
    files = list_images(folder) if folder is not None and folder.is_dir() else []
    if len(files) != length:
        raise InputError(
            f"{root / name}: {len(files)} masks for {length} frames; expected one for each frame of {name}", trap="label-length"
        )
    return MaskImages(files)


def _from_masks(masks: MaskImages) -> np.ndarray:
    key = file_key("masks", *masks.paths)
    return keep_arrays("labels", key, lambda: {"labels": np.array([masks[t].any() for t in range(len(masks))], np.uint8)})["labels"]
