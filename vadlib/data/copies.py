"""Copies of datasets on a disk: their clips, how they are opened, and their ground truths."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from vadlib.data.decode import VIDEO_SUFFIXES
from vadlib.data.ground_truths import GroundTruth, require_same_length
from vadlib.data.layout import (
    DATA_SUFFIXES,
    below,
    clip_name,
    find_folder,
    is_harmless,
    list_clips,
    list_tree,
    numbered,
    open_clip,
    walk,
)
from vadlib.data.video import IMAGE_SUFFIXES, Stack, Video, natural_key
from vadlib.errors import InputError, require
from vadlib.files import is_broken_link


class DatasetCopy(ABC):
    """A copy of a dataset.

    Attributes:
        folder: the dataset's own folder; None for the rendered scene, which has no files.
        layout: "official", "community", or what else describes the tree.
        splits: the splits that it should have; your own videos may lack "test".
    """

    folder: Path | None = None
    layout: str
    splits: tuple[str, ...] = ("train", "test")

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

    def masks(self, video: Video, path: Path, ground_truth: str) -> Stack | None:
        """Find the pixel masks of a test clip, bool (T, H, W); None if there are none."""
        return None

    def ground_truth(self, name: str | None = None) -> GroundTruth | None:
        """Return the ground truth of that name, by default the first; None if there is none.

        Raises:
            InputError: this copy does not have that ground truth.
        """
        truths = {truth.name: truth for truth in self.ground_truths()}
        if name is None:
            return next(iter(truths.values()), None)
        message = f"{self.folder}: no ground truth {name!r}; it has: {', '.join(truths) or 'none'}"
        is_here = name in truths
        require(is_here, message, "missing-labels", file=self.folder, field="ground_truth")
        return truths[name]

    def open_each(
        self,
        split: str,
        ground_truth: str | None = None,
        on_error: Callable[[InputError], None] | None = None,
    ) -> Iterator[Video]:
        """Open the clips of a split one by one, those of "test" with labels and masks.

        Args:
            split: "train" or "test".
            ground_truth: see `ground_truth`.
            on_error: is told why a clip cannot be opened, which is then left out; by default the
                error is raised.
        """
        clips = self.clips(split)
        truth = self._prepared_truth(clips, ground_truth) if split == "test" else None
        for name, path in clips.items():
            try:
                video = self.open_clip(name, path)
                if truth is not None:
                    video = self._add_truth(video, path, truth)
            except InputError as error:
                if on_error is None:
                    raise
                on_error(error)
            else:
                yield video

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
        truth = self._prepared_truth(clips, ground_truth)
        assert truth is not None
        return {video.name: _read(truth, video, clips[video.name]) for video in videos}

    def all_labels(self) -> dict[str, dict[str, np.ndarray]]:
        """Read all ground truths of the test clips that each of them knows, without opening a
        video: ground truth -> clip -> labels, uint8 (T,).

        Raises:
            InputError: a label file is damaged.
        """
        truths = {truth.name: truth.read_all() for truth in self.ground_truths()}
        common = set.intersection(*(set(labels) for labels in truths.values()))
        every = {}
        for name, labels in truths.items():
            every[name] = {clip: labels[clip] for clip in sorted(common)}
        return every

    def require_test(self, ground_truth: str | None = None) -> None:
        """Raise `InputError` unless there are test clips that can be scored: see `open_each`."""
        self._prepared_truth(self.clips("test"), ground_truth)

    def unread(self, paths: Sequence[Path]) -> list[Path]:
        """Pick the files that nothing reads: here those that are no films, pictures or arrays."""
        read = IMAGE_SUFFIXES | VIDEO_SUFFIXES | DATA_SUFFIXES
        return [path for path in paths if path.suffix.lower() not in read]

    def unread_files(self) -> list[Path]:
        """List the files below the folder that nothing reads, in natural order.

        Texts and the like, junk and results of vadlib are left out.

        Raises:
            InputError: a folder that cannot be read.
        """
        paths = list_tree(self.folder) if self.folder is not None else []
        paths = [path for path in paths if not is_harmless(path) and not is_broken_link(path)]
        return sorted(self.unread(paths), key=lambda path: natural_key(str(path)))

    def result_files(self) -> list[Path]:
        """List what vadlib itself has written below the folder, which is left out."""
        if self.folder is None:
            return []
        return [listing.path / name for listing in walk(self.folder) for name in listing.results]

    def _prepared_truth(
        self, clips: Mapping[str, Path], ground_truth: str | None
    ) -> GroundTruth | None:
        truth = self.ground_truth(ground_truth)
        if truth is not None:
            truth.prepare(clips)
        return truth

    def _add_truth(self, video: Video, path: Path, truth: GroundTruth) -> Video:
        labels = _read(truth, video, path)
        masks = self.masks(video, path, truth.name)
        return replace(video, labels=labels, masks=masks, ground_truth=truth.name)


def _read(truth: GroundTruth, video: Video, path: Path) -> np.ndarray:
    labels = truth.read(video, path)
    require_same_length(path, len(video), labels)
    return labels


class Layout(NamedTuple):
    """One way in which a dataset lies on the disk.

    Attributes:
        name: "official", "community", or what else describes it.
        train: the folders that may hold the training clips (paths with /), best first.
        test: those of the test clips.
    """

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]

    def children(self) -> list[str]:
        """The folders of which a dataset in this layout has at least one."""
        return [choice.split("/")[0] for choice in (*self.train, *self.test)]


COMMUNITY = Layout(
    "community", train=("training/frames", "training"), test=("testing/frames", "testing")
)


class FrameFolderDataset(DatasetCopy):
    """A dataset that has one folder per split, and in it one folder of frames, or one video file,
    per clip.

    A subclass describes a dataset by class attributes, and defines `ground_truths` and, if there
    are any, `masks`. Making one looks for a copy below `root`.

    Attributes:
        title: how messages call the dataset.
        places: where its folder may be below the root (paths with /), best first.
        layouts: how it may lie in that folder, best first.
        expected: an example of such a tree, for messages.
        expected_labels: the label files, for messages.
        fps: frames a second of folders of frames.
        channels: 1 reads grey, 3 reads RGB.
        test_lengths: test clip -> its frames, of a complete copy, in order; files with the labels
            of the whole set are cut by them.
        numbered: clips are called by the number in their name ("01").

    Raises:
        InputError: there is no copy; the message says what was looked for, and where.
    """

    folder: Path
    title: str
    places: tuple[str, ...]
    layouts: tuple[Layout, ...]
    expected: str
    expected_labels: str = "labels"
    fps: float
    channels: int
    test_lengths: Mapping[str, int]
    numbered: bool = False

    def __init__(self, root: Path):
        children = [child for layout in self.layouts for child in layout.children()]
        self.folder = find_folder(root, self.title, self.places, children, self.expected)
        for layout in reversed(self.layouts):
            if any(below(self.folder, child) for child in layout.children()):
                self.layout = layout.name
                self.split_choices = {"train": layout.train, "test": layout.test}

    def clips(self, split: str) -> dict[str, Path]:
        clips = list_clips(self.folder, self.split_choices[split])
        if self.numbered:
            return numbered(clips, len(self.test_lengths) if split == "test" else None)
        return {clip_name(path): path for path in clips}

    def open_clip(self, name: str, path: Path) -> Video:
        return open_clip(path, name, self.channels, self.fps, self.scene(name))

    def scene(self, name: str) -> str:
        """Return the scene of a clip: clips of one camera share it."""
        return self.title.lower()

    def ground_truth(self, name: str | None = None) -> GroundTruth | None:
        truth = super().ground_truth(name)
        expected = self.expected_labels
        message = f"{self.folder}: no labels for the test clips; expected {expected} in it"
        require(truth is not None, message, "missing-labels", file=self.folder)
        return truth
