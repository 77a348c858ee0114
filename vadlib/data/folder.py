"""Your own videos: any tree of video files, or of folders of images, with labels or without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from vadlib.data import layout
from vadlib.data.copies import DatasetCopy
from vadlib.data.decode import VIDEO_SUFFIXES, VideoFrames, is_grey, read_comment
from vadlib.data.encode import ANNOTATED
from vadlib.data.labels import ClipLabels, GroundTruth, Interval, mark, read_intervals
from vadlib.data.video import IMAGE_SUFFIXES, MaskImages, Video, header_shape, list_images
from vadlib.errors import InputError, require
from vadlib.files import expand_home, is_broken_link, refuse_broken_link

FPS = 25.0  # assumed for folders of images, which do not say
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
        InputError: the folder is missing.
    """

    def __init__(self, root: Path):
        layout.require_root(root, "for 'folder', --root names the folder with your videos")
        self.folder: Path = root
        self.bases: dict[str, Path] = {}  # split -> the folder below which its clips are named
        for name in ("train", "training", "test", "testing"):
            folder = layout.below(root, name)
            if folder is not None and not folder.is_file():
                self.bases[name.removesuffix("ing")] = folder
        self.layout = "training and testing" if self.bases else "all for training"
        self.bases = self.bases or {"train": root}
        self.splits = tuple(self.bases)
        paths = {kind: layout.below(root, name) for kind, name in LABEL_FILES.items()}
        self.label_paths = {kind: path for kind, path in paths.items() if path is not None}

    def clips(self, split: str) -> dict[str, Path]:
        base = self.bases.get(split, self.folder / f"{split}ing")
        require(split in self.bases, f"{base}: no such folder", "missing-file", file=base)
        for path in self.label_paths.values():
            message = f"{path}: labels without test videos; put these into {self.folder}/testing"
            require("test" in self.bases, message, "labels-without-frames", file=path)
        clips: dict[str, Path] = {}
        for path in _walk(base):
            other = clips.setdefault(_name(path, base), path)
            require(other == path, f"{path}: named as {other}", "duplicate-name", file=base)
        message = f"{base}: no folders of images, and no files {', '.join(sorted(VIDEO_SUFFIXES))}"
        require(bool(clips), message, "too-few", file=base)
        return clips

    def open_clip(self, name: str, path: Path) -> Video:
        video = _open(path, name, self.channels)
        # A painted film may be looked at, but no model must learn from it.
        if isinstance(video.frames, VideoFrames) and read_comment(path) == ANNOTATED:
            message = f"{path}: painted by `vadlib score`; move it away"
            raise InputError(message, "unexpected-clip", file=path)
        return video

    @cached_property
    def channels(self) -> int:
        """1 if all videos are grey, else 3."""
        clips = (path for base in self.bases.values() for path in _walk(base))
        return 1 if all(map(_is_grey, clips)) else 3

    def ground_truths(self) -> list[GroundTruth]:
        readers = {"npy": ClipLabels, "masks": MaskLabels}
        truths: list[GroundTruth] = []
        for kind, path in self.label_paths.items():
            truths.append(readers.get(kind, TableLabels)(kind, path))
        tables = [str(truth.path) for truth in truths if truth.name != "masks"]
        message = f"{' and '.join(tables)}: labels twice; keep one of them"
        require(len(tables) < 2, message, "conflict", file="".join(tables[:1]))
        return truths[:1]

    def masks(self, video: Video, path: Path, truth: GroundTruth) -> MaskImages | None:
        folder = self.label_paths.get("masks")
        return _masks_of(folder, video) if folder is not None else None

    def unread(self, paths: Sequence[Path]) -> list[Path]:
        """Pick the files that are no frames, videos or labels of these videos."""
        read = {path for path in self.label_paths.values() if path.is_file()}
        for split, base in self.bases.items():
            for clip in _walk(base):
                read.add(clip)
                for file in (f"labels/{_name(clip, base)}.npy", f"masks/{_name(clip, base)}"):
                    path = layout.below(self.folder, file) if split == "test" else None
                    read |= {path} if path else set()
        images = {path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES}
        read |= {path for path in images if path.parent in read}
        return [path for path in paths if path not in read]


class TableLabels(GroundTruth):
    """Abnormal intervals of all test videos in labels.csv or labels.json."""

    def prepare(self, clips: Mapping[str, Path]) -> None:
        self.rows: dict[str, list[Interval]] = {name: [] for name in clips}
        for row in read_intervals(self.path):
            self.rows[self._find_video(row, clips)].append(row)

    def _find_video(self, row: Interval, clips: Mapping[str, Path]) -> str:
        """Find the video that a row names, with or without its ending, best in its own spelling."""
        for key in (layout.nfc, layout.name_key):
            names = []
            for name, clip in clips.items():
                if key(row.video) in (key(name), key(name + clip.suffix)):
                    names.append(name)
            if len(names) == 1:
                return names[0]
        message = f"{self.path}: {row.place} labels {row.video!r}, of {', '.join(clips)[:80]}"
        raise InputError(message, "unknown-name", file=self.path, field="video")

    def read(self, video: Video, clip: Path) -> np.ndarray:
        return mark(self.rows[video.name], video.seconds, video.fps, self.path)


class MaskLabels(GroundTruth):
    """A frame is abnormal when any pixel of its mask is."""

    def read(self, video: Video, clip: Path) -> np.ndarray:
        return np.array([mask.any() for mask in _masks_of(self.path, video)], np.uint8)


def open_video(path: Path) -> Video:
    """Open one video of your own, without labels: a video file, or a folder of frame images, which
    play at `FPS`. Read as in `load_videos`.

    Raises:
        InputError: it is neither, or cannot be read.
    """
    path = expand_home(path)
    refuse_broken_link(path)
    require(path.exists(), f"{path}: no such file or folder", "missing-file", file=path)
    name = layout.nfc(path.resolve().name if path.is_dir() else path.stem)
    return _open(path, name, 1 if _is_grey(path) else 3)


def _open(path: Path, name: str, channels: int) -> Video:
    video = layout.open_clip(path, name, channels, FPS, "")
    parent = name.rpartition("/")[0] or "folder"
    height, width = header_shape(video.frames)[1:3]
    return replace(video, scene=f"{parent} {width}x{height}")


def _walk(base: Path) -> Iterator[Path]:
    """Yield video files, and folders that hold images and no video (there they are thumbnails), in
    natural order.

    A link without a target that may have been one of them is listed: opening it is an error.
    """
    for here, folders, files, _ in layout.walk(base):
        folders[:] = [name for name in folders if not layout.is_truth(name)]
        paths = [here / name for name in files]
        suffixes = {path.suffix.lower() for path in paths}
        if suffixes & IMAGE_SUFFIXES and not suffixes & VIDEO_SUFFIXES:
            yield here
        for path in paths:
            is_video = path.suffix.lower() in VIDEO_SUFFIXES
            is_other = path.suffix.lower() in IMAGE_SUFFIXES or layout.is_harmless(path)
            if is_video or (is_broken_link(path) and not is_other):
                yield path


def _name(clip: Path, base: Path) -> str:
    path = clip.relative_to(base).parent / layout.clip_name(clip)
    return layout.nfc(path.as_posix())


def _is_grey(clip: Path) -> bool:
    try:
        if not clip.is_dir():
            return is_grey(clip)
        with Image.open(list_images(clip)[0]) as image:
            return image.mode in {"1", "L", "LA"}
    except (InputError, OSError, IndexError):
        # opening the clip will say what is wrong with it, and it must not hide the others
        return True


def _masks_of(root: Path, video: Video) -> MaskImages:
    return layout.read_masks(layout.below(root, video.name) or root / video.name, len(video))
