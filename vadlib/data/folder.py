"""Your own videos: any tree of video files, or of folders of images, with labels or without."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from vadlib.data import label_tables
from vadlib.data.copies import DatasetCopy
from vadlib.data.decode import VIDEO_SUFFIXES, VideoFrames, is_grey, list_videos, read_comment
from vadlib.data.encode import ANNOTATED
from vadlib.data.ground_truths import ClipLabels, GroundTruth, require_one_form
from vadlib.data.layout import (
    below,
    clip_name,
    is_harmless,
    is_truth,
    list_tree,
    name_key,
    open_clip,
    read_masks,
    require_root,
    walk,
)
from vadlib.data.store import file_key, keep_arrays
from vadlib.data.video import (
    IMAGE_SUFFIXES,
    MaskImages,
    Video,
    header_shape,
    list_files,
    list_images,
)
from vadlib.errors import InputError, require
from vadlib.files import expand_home, is_broken_link, refuse_broken_link

FPS = 25.0  # assumed for folders of images, which do not say
GREY_MODES = {"1", "L", "LA"}
LABEL_FILES = {"csv": "labels.csv", "json": "labels.json", "npy": "labels", "masks": "masks"}


class OwnVideos(DatasetCopy):
    """Your own videos, below `root`::

        ROOT/training/cam1/monday.mp4         normal videos, or folders of images; or train/
            /testing/cam1/tuesday.mp4         what to score; optional; or test/
            /labels.csv                       optional: lines video,start,end such as
                                              cam1/tuesday,120,180 (frames from 0, end exclusive)
            /labels.json                      or: [{"video": "cam1/tuesday", "start": 120, ...}]
            /labels/cam1/tuesday.npy          or: an array of 0 and 1, one for each frame
            /masks/cam1/tuesday/000.png ...   and, or instead: an image per frame, 0 normal

    With the tree above there are one training video and one test video of 60 abnormal frames.
    Without `training/` and `testing/` all videos are for training. The name of a video is its path
    without the ending, such as "cam1/tuesday". Videos in one folder and of one size count as one
    scene. Colour is read as RGB unless all of them are grey.

    Names are compared in Unicode's form NFC, and in labels without regard to case. What vadlib
    itself wrote below the folder is left out: see `result_names`. A link whose target is missing is
    an error.

    Raises:
        InputError: the folder is missing, or it has labels of one form in two places.
    """

    def __init__(self, root: Path):
        require_root(root, "for the dataset 'folder', --root names the folder with your videos")
        self.folder: Path = root
        self.layout = "training and testing"
        self.bases: dict[str, Path] = {}  # split -> the folder below which its clips are named
        for split in ("train", "test"):
            folder = _split_folder(root, split)
            if folder is not None:
                self.bases[split] = _base(folder)
        if not self.bases:
            self.layout = "all for training"
            self.bases = {"train": root}
        self.splits = tuple(self.bases)
        self.label_paths = _label_paths(root)

    def clips(self, split: str) -> dict[str, Path]:
        if split not in self.bases:
            missing = self.folder / ("training" if split == "train" else "testing")
            message = f"{missing}: no such folder; put the videos for {missing.name} into it"
            raise InputError(message, "missing-file", file=missing)
        if "test" not in self.bases and self.label_paths:
            path = next(iter(self.label_paths.values()))
            message = f"{path}: labels without test videos; put these into {self.folder}/testing"
            raise InputError(message, "labels-without-frames", file=path)
        base = self.bases[split]
        clips: dict[str, Path] = {}
        for path in _walk(base):
            other = clips.setdefault(_name(path, base), path)
            message = f"{base}: {other} and {path} have the same name; rename one of them"
            require(other == path, message, "duplicate-name", file=base)
        suffixes = ", ".join(sorted(VIDEO_SUFFIXES))
        message = f"{base}: no videos in it; expected folders of images, or files {suffixes}"
        require(bool(clips), message, "too-few", file=base)
        return clips

    def open_clip(self, name: str, path: Path) -> Video:
        video = _open(path, name, self.channels)
        # A painted film may be looked at, but no model must learn from it.
        if isinstance(video.frames, VideoFrames) and read_comment(path) == ANNOTATED:
            message = f"{path}: painted by `vadlib score`, not what the camera saw; move it away"
            raise InputError(message, "unexpected-clip", file=path)
        return video

    @cached_property
    def channels(self) -> int:
        """1 if all videos are grey, else 3."""
        for base in self.bases.values():
            for path in _walk(base):
                if not _is_grey(path):
                    return 3
        return 1

    def ground_truths(self) -> list[GroundTruth]:
        paths = dict(self.label_paths)
        masks = paths.pop("masks", None)
        names = list(paths)
        if not names:
            return [MaskLabels("masks", masks)] if masks is not None else []
        path = paths[names[0]]
        message = f"{path}: labels twice, there and in {paths[names[-1]]}; keep one of them"
        require(len(names) == 1, message, "conflict", file=path)
        reader = ClipLabels if names == ["npy"] else TableLabels
        return [reader(names[0], path)]

    def masks(self, video: Video, path: Path, ground_truth: str) -> MaskImages | None:
        folder = self.label_paths.get("masks")
        return _masks_of(folder, video) if folder is not None else None

    def unread(self, paths: Sequence[Path]) -> list[Path]:
        """Pick the files that are no frames, videos or labels of these videos."""
        resolve = cache(Path.resolve)  # links may lead into the same folder
        read = {(resolve(path.parent), path.name) for path in self._read_files()}
        return [path for path in paths if (resolve(path.parent), path.name) not in read]

    def _read_files(self) -> Iterator[Path]:
        for base in self.bases.values():
            for path in list_tree(base) if base.is_dir() else ():
                folders = {name.lower() for name in path.relative_to(base).parts[:-1]}
                # ground truth such as "a_gt" beside the videos has a note of its own
                is_truth_file = not folders.isdisjoint({"masks", "labels"})
                if path.suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES and not is_truth_file:
                    yield path
        base = self.bases.get("test", self.folder)
        tests = {name_key(_name(clip, base)) for clip in _walk(base)}
        for kind, folder in self.label_paths.items():
            if kind in {"csv", "json"}:
                yield folder
                continue
            suffixes = {".npy"} if kind == "npy" else IMAGE_SUFFIXES
            for path in list_tree(folder) if folder.is_dir() else ():
                inside = path.relative_to(folder)
                video = inside.with_suffix("") if kind == "npy" else inside.parent
                if path.suffix.lower() in suffixes and name_key(video.as_posix()) in tests:
                    yield path


class TableLabels(GroundTruth):
    """Abnormal intervals of all test videos in labels.csv or labels.json."""

    def prepare(self, clips: Mapping[str, Path]) -> None:
        self.rows: dict[str, list[label_tables.Interval]] = {name: [] for name in clips}
        spellings = _spellings(clips)
        for row in label_tables.read_intervals(self.path):
            name = _find_video(row.video, spellings)
            if name is None:
                names = ", ".join(clips)[:80]
                message = f"{self.path}: {row.place} labels {row.video!r}; there are: {names}"
                raise InputError(message, "unknown-name", file=self.path, field="video")
            self.rows[name].append(row)

    def read(self, video: Video, clip: Path) -> np.ndarray:
        return label_tables.mark(self.rows[video.name], video.seconds, video.fps, self.path)


class MaskLabels(GroundTruth):
    """A frame is abnormal when any pixel of its mask is."""

    def read(self, video: Video, clip: Path) -> np.ndarray:
        masks = _masks_of(self.path, video)

        def compute() -> dict[str, np.ndarray]:
            return {"labels": np.array([masks[t].any() for t in range(len(masks))], np.uint8)}

        return keep_arrays("labels", file_key("masks", *masks.paths), compute)["labels"]


def open_video(path: Path) -> Video:
    """Open one video of your own, without labels: a video file, or a folder of frame images, which
    play at `FPS`. Read as in `load_videos`.

    Raises:
        InputError: it is neither, or cannot be read.
    """
    path = expand_home(path)
    refuse_broken_link(path)
    expected = "expected one video file, or one folder of frame images"
    message = f"{path}: no such file or folder; {expected}"
    require(path.exists(), message, "missing-file", file=path)
    if path.is_dir() and not list_images(path):
        films = [f"one of its video files, such as {film}" for film in list_videos(path)]
        expected = [*films, "a folder of frame images, or a video file"][0]
        message = f"{path}: no images in this folder; expected {expected}"
        raise InputError(message, "too-few", file=path)
    name = unicodedata.normalize("NFC", path.resolve().name if path.is_dir() else path.stem)
    return _open(path, name, 1 if _is_grey(path) else 3)


def _open(path: Path, name: str, channels: int) -> Video:
    video = open_clip(path, name, channels, FPS, "")
    parent = name.rpartition("/")[0] or "folder"
    height, width = header_shape(video.frames)[1:3]
    return replace(video, scene=f"{parent} {width}x{height}")


def _split_folder(root: Path, split: str) -> Path | None:
    """`training/` or `train/`, `testing/` or `test/`; also where it is a link without a target."""
    for name in (f"{split}ing", split):
        folder = below(root, name)
        if folder is not None and (folder.is_dir() or is_broken_link(folder)):
            return folder
    return None


def _base(folder: Path) -> Path:
    """Return `frames/` or `videos/` where all clips of a split are in it, else its folder."""
    if not folder.is_dir():  # a link without a target, which listing it will name
        return folder
    clips = list(_walk(folder))
    for name in ("frames", "videos"):
        inside = below(folder, name)
        has_all = inside is not None and all(clip.is_relative_to(inside) for clip in clips)
        if inside is not None and inside.is_dir() and has_all:
            return inside
    return folder


def _label_paths(root: Path) -> dict[str, Path]:
    """Look for label files in ROOT and in ROOT/testing.

    Raises:
        InputError: one form of them is in both.
    """
    paths: dict[str, Path] = {}
    for place in (root, _split_folder(root, "test") or root / "testing"):
        for kind, name in LABEL_FILES.items():
            path = below(place, name)
            if path is None:
                continue
            message = f"{path}: labels twice, there and in {paths.get(kind)}; keep one of them"
            require(kind not in paths, message, "conflict", file=path)
            paths[kind] = path
    return {kind: paths[kind] for kind in LABEL_FILES if kind in paths}


def _walk(base: Path) -> Iterator[Path]:
    """Yield video files, and folders that hold images and no video (there they are thumbnails), in
    natural order.

    A link without a target that may have been one of them is listed: opening it is an error.
    """
    for listing in walk(base):
        here = listing.path
        listing.folders[:] = [name for name in listing.folders if not is_truth(here / name)]
        videos = list_videos(here)
        yield from videos
        if not videos and list_files(here, IMAGE_SUFFIXES):
            yield here
        for name in listing.files:
            path = here / name
            is_listed = path.suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES
            if is_broken_link(path) and not is_listed and not is_harmless(path):
                yield path


def _name(clip: Path, base: Path) -> str:
    inside = clip.relative_to(base)
    name = base.name if clip == base else inside.with_name(clip_name(clip)).as_posix()
    return unicodedata.normalize("NFC", name)


def _is_grey(clip: Path) -> bool:
    try:
        if not clip.is_dir():
            return is_grey(clip)
        with Image.open(list_images(clip)[0]) as image:
            return image.mode in GREY_MODES
    except (InputError, UnidentifiedImageError, OSError):
        # opening the clip will say what is wrong with it, and it must not hide the others
        return True


def _masks_of(root: Path, video: Video) -> MaskImages:
    refuse_broken_link(root)
    folder = below(root, *video.name.split("/")) or root / video.name
    refuse_broken_link(folder)
    if folder.exists():
        require_one_form(folder)
    return read_masks(folder, len(video))


def _spellings(clips: Mapping[str, Path]) -> dict[str, set[str]]:
    """Spelling of a name, with and without its ending -> the videos that are called so."""
    spellings: dict[str, set[str]] = {}
    for name, clip in clips.items():
        for spelling in (name, f"{name}{clip.suffix}"):
            spellings.setdefault(spelling, set()).add(name)
    return spellings


def _find_video(spelling: str, spellings: Mapping[str, set[str]]) -> str | None:
    """Find the video that a label file calls so; None if there is none, or if several may be meant.

    Windows writes a folder with a backslash, and spreadsheets make first letters capitals.
    """
    spelling = unicodedata.normalize("NFC", spelling)
    for text in (spelling, spelling.replace("\\", "/").removeprefix("./")):
        alike = [names for other, names in spellings.items() if name_key(other) == name_key(text)]
        for names in (spellings.get(text, set()), set().union(*alike)):
            if len(names) == 1:
                return next(iter(names))
    return None
