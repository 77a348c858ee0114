"""Copies of datasets on a disk: their clips, how they are opened, and their ground truths."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import filterfalse, product
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from vadlib.data import layout
from vadlib.data.decode import VIDEO_SUFFIXES
from vadlib.data.labels import ClipLabels, GroundTruth, WholeSetLabels
from vadlib.data.video import IMAGE_SUFFIXES, Stack, Video, is_junk, natural_key
from vadlib.errors import InputError, require
from vadlib.files import is_broken_link

Errors = Callable[[], AbstractContextManager[None]]
# Endings of arrays, labels and features in copies of known datasets, whose counts are known.
_DATA = {".npy", ".npz", ".mat", ".m", ".json", ".csv", ".pkl", ".pickle", ".h5", ".pt"}
# Folders of a split that are no clips; some copies have the clips beside them.
_PARTS = {"frames", "videos", "test_frame_mask", "test_pixel_mask"}


class DatasetCopy(ABC):
    """A copy of a dataset.

    Attributes:
        folder: the dataset's own folder; None for the rendered scene, which has no files.
        layout: "official", "community", or what else describes the tree.
        splits: the splits that it should have; your own videos may lack "test".
        label_files: (file or folder of labels, what results call them); where there are some, a
            copy needs one of them.
    """

    folder: Path | None = None
    layout: str
    splits: tuple[str, ...] = ("train", "test")
    label_files: tuple[tuple[str, str], ...] = ()

    @abstractmethod
    def clips(self, split: str) -> dict[str, Path]:
        """List the clips of a split: name -> folder of frames, or video file.

        Raises:
            InputError: the split is missing or empty, or two clips have the same name.
        """

    @abstractmethod
    def open_clip(self, name: str, path: Path) -> Video:
        """Open one clip, without labels and masks. Only its first frame is read.

        Raises:
            InputError: it cannot be read, or a frame is missing.
        """

    def ground_truths(self) -> list[GroundTruth]:
        """List the ground truths of this copy; the first one is the default."""
        return []

    def masks(self, video: Video, path: Path, truth: GroundTruth) -> Stack | None:
        """Find the pixel masks of a test clip, bool (T, H, W); None if there are none."""
        return None

    def ground_truth(self, name: str | None, clips: dict[str, Path] | None) -> GroundTruth | None:
        """Return the ground truth of that name, by default the first; None if there is none.

        Args:
            name: one of `ground_truths`.
            clips: the test clips; what holds the labels of several of them is then read. None
                only looks whether it is there.

        Raises:
            InputError: this copy does not have that ground truth, or its files are damaged.
        """
        for truth in self.ground_truths():
            if not name or name == truth.name:
                if clips is not None:
                    truth.prepare(clips)
                return truth
        files = " or ".join(file for file, _ in self.label_files)
        message = f"{self.folder}: no labels for the test clips {name or ''}; expected {files}"
        field = "ground_truth" if name else ""
        is_unlabelled = not name and not self.label_files
        require(is_unlabelled, message, "missing-labels", file=self.folder, field=field)
        return None

    def open_each(
        self, split: str, ground_truth: str | None = None, errors: Errors = nullcontext
    ) -> Iterator[Video]:
        """Open the clips of a split one by one, those of "test" with labels and masks.

        Args:
            split: "train" or "test".
            ground_truth: see `ground_truth`.
            errors: makes a context in which each clip is opened; one that suppresses an
                `InputError` leaves the clip out.
        """
        clips = self.clips(split)
        truth = self.ground_truth(ground_truth, clips) if split == "test" else None
        for name, path in clips.items():
            with errors():
                video = self.open_clip(name, path)
                yield self._labelled(video, path, truth) if truth else video

    def _labelled(self, video: Video, path: Path, truth: GroundTruth) -> Video:
        masks = None
        try:
            video = replace(video, labels=truth.read(video, path), ground_truth=truth.name)
            masks = self.masks(video, path, truth)
            return replace(video, masks=masks)
        except InputError as error:  # of a length or size: the video does not know the file
            error.file = error.file or getattr(masks, "path", truth.file(video))
            raise

    def open(self, split: str, ground_truth: str | None = None) -> list[Video]:
        """Open all videos of a split; a bar shows when it takes long. See `open_each`."""
        videos = self.open_each(split, ground_truth)
        return list(tqdm(videos, f"opening {split}", unit="clip", delay=3, leave=False))

    def labels(self, ground_truth: str, videos: Sequence[Video]) -> dict[str, np.ndarray]:
        """Read a ground truth of open test videos: video name -> labels, uint8 (T,).

        Raises:
            InputError: this copy does not have it, or the labels do not fit one of the videos.
        """
        clips = self.clips("test")
        truth = self.ground_truth(ground_truth, clips)
        assert truth is not None
        labels = {}
        for video in videos:
            labels[video.name] = np.asarray(self._labelled(video, clips[video.name], truth).labels)
        return labels

    def all_labels(self) -> dict[str, dict[str, np.ndarray]]:
        """Read all ground truths of the test clips that each of them knows, without opening a
        video: ground truth -> clip -> labels, uint8 (T,).

        Raises:
            InputError: a label file is damaged.
        """
        every = {truth.name: truth.read_all() for truth in self.ground_truths()}
        common = sorted(set.intersection(*map(set, every.values())))
        for name, labels in every.items():
            every[name] = {clip: labels[clip] for clip in common}
        return every

    def unread(self, paths: Sequence[Path]) -> list[Path]:
        """Pick the files that nothing reads: here those that are no films, pictures or arrays."""
        read = IMAGE_SUFFIXES | VIDEO_SUFFIXES | _DATA
        return [path for path in paths if path.suffix.lower() not in read]

    def unread_files(self) -> list[Path]:
        """List the files below the folder that nothing reads, in natural order.

        Texts and the like, junk and results of vadlib are left out.

        Raises:
            InputError: a folder that cannot be read.
        """
        paths: list[Path] = []
        for here, _, files, _ in layout.walk(self.folder):
            paths += filterfalse(layout.is_harmless, map(here.joinpath, files))
        return sorted(self.unread(paths), key=lambda path: natural_key(str(path)))

    def result_files(self) -> list[Path]:
        """List what vadlib itself has written below the folder, which is left out."""
        tree = layout.walk(self.folder)
        return [here / name for here, _, _, results in tree for name in results]


class FrameFolderDataset(DatasetCopy):
    """A dataset that has one folder per split, and in it one folder of frames, or one video file,
    per clip. A subclass describes it by class attributes. Making one looks for a copy below `root`.

    Attributes:
        title: how messages call the dataset.
        places: where its folder may be below the root, or one level deeper (paths with /), best
            first.
        train, test: the folders in it that may hold the clips of a split, the official one first.
        expected: an example of such a tree, for messages.
        label_files: those of which the first one is read, in or beside the dataset's folder: a file
            for the whole test set, or a folder with an array for each clip.
        fps: frames a second of folders of frames; by default 25.
        channels: 1 reads grey, 3, the default, reads RGB.
        official: what tells the official layout from a community one; by default, the first folder
            of a split.
        test_lengths: test clip -> its frames, of a complete copy, in order; files with the labels
            of the whole set are cut by them.
        numbered_lengths: in its place, where clips are called by the number in their name ("01").

    Raises:
        InputError: there is no copy; the message says what was looked for, and where.
    """

    folder: Path
    title: str
    places: tuple[str, ...]
    train: tuple[str, ...]
    test: tuple[str, ...]
    expected: str
    fps: float = 25.0
    channels: int = 3
    official: tuple[str, ...] = ()
    test_lengths: Mapping[str, int] = {}
    numbered_lengths: tuple[int, ...] = ()

    def __init__(self, root: Path):
        self.folder = self._find_folder(root)
        official = self.official or (self.train[0], self.test[0])
        is_official = any(layout.below(self.folder, path) for path in official)
        self.layout = "official" if is_official else "community"
        for number, length in enumerate(self.numbered_lengths, start=1):
            self.test_lengths = {**self.test_lengths, f"{number:02d}": length}

    def _find_folder(self, root: Path) -> Path:
        advice = f"--root (or VADLIB_DATA) must name the folder that holds {self.places[0]}/"
        layout.require_root(root, advice)
        children = {choice.split("/")[0] for choice in (*self.train, *self.test)}
        inside = sorted(path for path in root.iterdir() if path.is_dir() and not is_junk(path))
        for base, place in product((root, *inside), self.places):
            folder = layout.below(base, place)
            if folder and any(layout.below(folder, child) for child in children):
                return folder
        message = f"{root}: no frames of {self.title} here; expected {self.expected}"
        raise InputError(message, "missing-file", file=root, field="--root")

    def clips(self, split: str) -> dict[str, Path]:
        choices = self.train if split == "train" else self.test
        folders = [layout.below(self.folder, choice) for choice in choices]
        clips = next(filter(None, [_clips_in(folder) for folder in folders if folder]), [])
        message = f"{self.folder}: no folders of images or videos in {' or '.join(choices)}"
        require(bool(clips), message, "too-few", file=self.folder)
        if self.numbered_lengths:
            return layout.numbered(clips, len(self.test_lengths) if split == "test" else None)
        return {layout.clip_name(path): path for path in clips}

    def open_clip(self, name: str, path: Path) -> Video:
        return layout.open_clip(path, name, self.channels, self.fps, self.scene(name))

    def scene(self, name: str) -> str:
        """Return the scene of a clip: clips of one camera share it."""
        return self.title.lower()

    def ground_truths(self) -> list[GroundTruth]:
        for file, name in self.label_files:
            path = layout.below(self.folder, file) or layout.below(self.folder.parent, file)
            if path is not None:  # the others would say the same
                reader = WholeSetLabels if path.suffix else ClipLabels
                return [reader(name, path, self.test_lengths)]
        return []


def _clips_in(folder: Path) -> list[Path]:
    """List folders, video files, and links without a target, which opening will refuse; not junk,
    results of vadlib and ground truth (`Test001_gt`).
    """
    folders, files = next(layout.walk(folder))[1:3]
    names = [name for name in folders if name.lower() not in _PARTS and not layout.is_truth(name)]
    for name in files:
        if Path(name).suffix.lower() in VIDEO_SUFFIXES or is_broken_link(folder / name):
            names.append(name)
    return [folder / name for name in sorted(names, key=natural_key)]
