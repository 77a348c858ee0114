"""One's own videos: any tree of video files, or of folders of images, with labels or without.

::

    ROOT/training/cam1/monday.mp4                 normal videos only; folders of images do as well; or train/
        /testing/cam1/tuesday.mp4                 what is to be scored; optional; or test/
        /labels.csv                               optional: video,start,end (frames from 0, end exclusive), such as cam1/tuesday,120,180
        /labels.json                              or: [{"video": "cam1/tuesday", "start": 120, "end": 180}]
        /labels/cam1/tuesday.npy                  or: an array of 0 and 1, one for each frame
        /masks/cam1/tuesday/000.png ...           and, or instead: one image for each frame, any value above 0 is abnormal

Without `training/` and `testing/` all videos are for training. A video is called by its path without the ending. Videos in one folder
and of one size are taken to come from one fixed camera. Colour is read as RGB unless all of them are grey.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from vadlib.data import labels
from vadlib.data.decode import VIDEO_SUFFIXES, is_grey, list_videos
from vadlib.data.layout import Copy, Source, below, is_truth, open_clip, require_root
from vadlib.data.store import file_key, keep_arrays
from vadlib.data.video import MaskImages, Video, is_junk, list_images, natural_key
from vadlib.errors import InputError, require

FPS = 25.0  # assumed for folders of images, which do not say
GREY_MODES = {"1", "L", "LA"}


def find_folder(root: Path) -> Copy:
    """Look at a tree of one's own videos.

    Raises:
        InputError: the folder is missing, or holds no videos.
    """
    require_root(root, "for the dataset 'folder', --root names the folder with your videos")
    found = {split: _split(root, split) for split in ("train", "test")}
    parts = {split: _base(folder) for split, folder in found.items() if folder is not None}
    bases = parts or {"train": root}
    truths = _truths(root)
    layout = "training and testing" if parts else "all for training"
    return Copy(layout, root, partial(_list, root, bases, truths), truths, splits=tuple(bases))


def open_video(path: Path) -> Video:
    """One video of one's own, without labels: a video file, or a folder of frame images, which play at `FPS`. Read as in `load_videos`.

    Raises:
        InputError: it is neither, or cannot be read.
    """
    message = f"{path}: no such file or folder; expected one video file, or one folder of frame images"
    require(path.exists(), message, "missing-file", file=path)
    if path.is_dir():
        found = list_videos(path)
        expected = f"one of its video files, such as {found[0]}" if found else "a folder of frame images, or a video file"
        require(bool(list_images(path)), f"{path}: no images in this folder; expected {expected}", "too-few", file=path)
    return _open(path, path.resolve().name if path.is_dir() else path.stem, 1 if _is_grey(path) else 3, None, None)


def _split(root: Path, split: str) -> Path | None:
    """`training/` or `train/`, `testing/` or `test/`."""
    return next((found for name in (f"{split}ing", split) if (found := below(root, name)) and found.is_dir()), None)


def _base(folder: Path) -> Path:
    """The folder below which clips are named: `frames/` or `videos/` where there is nothing else in the folder."""
    inside = [p for p in folder.iterdir() if not is_junk(p) and not is_truth(p) and (p.is_dir() or p.suffix.lower() in VIDEO_SUFFIXES)]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() and inside[0].name.lower() in {"frames", "videos"} else folder


def _truths(root: Path) -> dict[str, Path]:
    """Label files, looked for in ROOT and in ROOT/testing.

    Raises:
        InputError: one kind of them is in both.
    """
    kinds = {"csv": "labels.csv", "json": "labels.json", "npy": "labels", "masks": "masks"}
    places = [root, _split(root, "test")]
    truths: dict[str, Path] = {}
    for kind, name in kinds.items():
        for path in (below(place, name) for place in places if place is not None):
            message = f"{path}: labels twice, there and in {truths.get(kind)}; keep one of them"
            require(path is None or kind not in truths, message, "conflict", file=path)
            if path is not None:
                truths[kind] = path
    return truths


def _list(root: Path, bases: dict[str, Path], truths: dict[str, Path], split: str) -> list[Source]:
    if split not in bases:
        name = "training" if split == "train" else "testing"
        message = f"{root}: there is no {name}/ in it; put the videos for {split}ing into {root / name}"
        raise InputError(message, "missing-file", file=root / name)
    if "test" not in bases and truths:
        path = next(iter(truths.values()))
        message = f"{path}: labels are for test videos, but there is no {root / 'testing'}; put the labelled videos there"
        raise InputError(message, "labels-without-frames", file=path)
    found = {base: list(_walk(base)) for base in bases.values()}
    names = [_name(clip, bases[split]) for clip in found[bases[split]]]
    clips = dict(zip(names, found[bases[split]], strict=True))
    require(
        len(clips) == len(names),
        f"{bases[split]}: two videos are called {max(names, key=names.count, default='')!r}, apart from their endings; rename one of them",
        "duplicate-name",
        file=bases[split],
    )
    suffixes = ", ".join(sorted(VIDEO_SUFFIXES))
    message = f"{bases[split]}: no videos in it; expected video files ({suffixes}) or folders of images; convert others"
    require(bool(clips), message, "too-few", file=bases[split])
    channels = 1 if all(_is_grey(clip) for clips_below in found.values() for clip in clips_below) else 3
    reader = _label_reader(truths, clips) if split == "test" else None
    return [
        Source(name, clip, partial(_open, clip, name, channels, reader, truths.get("masks") if split == "test" else None))
        for name, clip in clips.items()
    ]


def _walk(base: Path) -> Iterator[Path]:
    """Video files, and folders that hold images (and no video: there they are covers and thumbnails), in natural order.

    Links are followed, each folder is entered once.
    """

    def refuse(error: OSError) -> None:
        message = f"{error.filename}: cannot be read ({error.strerror}); allow it, or move it away"
        raise InputError(message, "not-readable", file=error.filename)

    seen = set()
    for folder, subfolders, _ in os.walk(base, followlinks=True, onerror=refuse):
        here = Path(folder)
        if here.resolve() in seen:
            subfolders.clear()
            continue
        seen.add(here.resolve())
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
    try:
        if not clip.is_dir():
            return is_grey(clip)
        with Image.open(list_images(clip)[0]) as image:
            return image.mode in GREY_MODES
    except (InputError, UnidentifiedImageError, OSError):
        return True  # opening the clip will say what is wrong with it, and it must not hide the others


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
    if not kinds:
        return None
    kind, path = kinds[0], truths[kinds[0]]
    require(len(kinds) == 1, f"{path}: labels twice, there and in {truths[kinds[-1]]}; keep one of them", "conflict", file=path)
    if kind == "npy":
        return lambda name, length: (_own_npy(path, name), kind)
    # A name may be given with its ending, and macOS writes an accent as a character of its own.
    names = {unicodedata.normalize("NFC", spelt): name for name, clip in clips.items() for spelt in (name, f"{name}{clip.suffix}")}
    rows: dict[str, list] = {name: [] for name in clips}
    for row in labels.read_intervals(path):
        name = names.get(unicodedata.normalize("NFC", row[0]))
        message = f"{path}: {row[3]} labels a video {row[0]!r}; there are: {', '.join(list(clips)[:5])}"
        require(name is not None, message, "unknown-name", file=path, field="video")
        rows[name].append(row)
    return lambda name, length: (labels.mark(rows[name], length, path), kind)


def _own_npy(folder: Path, name: str) -> np.ndarray:
    path = below(folder, *f"{name}.npy".split("/"))
    expected = folder / f"{name}.npy"
    message = f"{expected}: missing; expected labels for every test video, an array of 0 and 1"
    require(path is not None, message, "missing-labels", file=expected)
    return labels.from_npy(path)


def _masks(root: Path, name: str, length: int) -> MaskImages:
    folder = below(root, *name.split("/"))
    files = list_images(folder) if folder is not None and folder.is_dir() else []
    if len(files) != length:
        message = f"{root / name}: {len(files)} masks for {length} frames; expected one for each frame of {name}"
        raise InputError(message, "label-length", file=root / name)
    return MaskImages(files)


def _from_masks(masks: MaskImages) -> np.ndarray:
    key = file_key("masks", *masks.paths)
    return keep_arrays("labels", key, lambda: {"labels": np.array([masks[t].any() for t in range(len(masks))], np.uint8)})["labels"]
