"""Ground truths: where the frame labels of a dataset's test videos come from."""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vadlib.data import labels
from vadlib.data.layout import below
from vadlib.data.video import Video
from vadlib.errors import InputError, require
from vadlib.files import refuse_broken_link

WHOLE_SET_READERS = {".m": labels.from_m, ".mat": labels.from_mat, ".npy": labels.from_whole_npy}


class GroundTruth(ABC):
    """Frame labels of a copy's test videos.

    Attributes:
        name: what results call it, such as "mat" or "vol".
        path: the file or folder that holds the labels.
    """

    def __init__(self, name: str, path: Path):
        self.name = name
        self.path = path

    def prepare(self, clips: Mapping[str, Path]) -> None:
        """Read what holds the labels of several clips.

        Args:
            clips: the test clips that are here, name -> path.

        Raises:
            InputError: a file is missing or damaged, or it does not fit the clips.
        """
        return

    @abstractmethod
    def read(self, video: Video, clip: Path) -> np.ndarray:
        """Return the labels of one test video, uint8 (T,).

        Args:
            video: opened, without labels.
            clip: its folder or file, for messages.

        Raises:
            InputError: there are none, or they are damaged.
        """

    def read_all(self) -> dict[str, np.ndarray]:
        """Read the labels of all clips, also of those that are not here: name -> uint8 (T,).

        Datasets with several ground truths need it, so that these can be compared.
        """
        raise NotImplementedError(f"{type(self).__name__} needs videos")


class WholeSetLabels(GroundTruth):
    """One file with the labels of the whole test set: UCSD's .m, or a .mat or .npy in circulation.

    Args:
        name, path: see `GroundTruth`.
        lengths: test clip -> its frames, of a complete copy, in order.
    """

    def __init__(self, name: str, path: Path, lengths: Mapping[str, int]):
        super().__init__(name, path)
        self.lengths = lengths
        self.labels: dict[str, np.ndarray] = {}

    def prepare(self, clips: Mapping[str, Path]) -> None:
        self.labels = self.read_all()

    def read(self, video: Video, clip: Path) -> np.ndarray:
        message = f"{clip}: no test clip of this dataset is called so; rename or move it"
        require(video.name in self.labels, message, "unexpected-clip", file=clip)
        return self.labels[video.name]

    def read_all(self) -> dict[str, np.ndarray]:
        read = WHOLE_SET_READERS[self.path.suffix.lower()]
        clips = read(self.path, list(self.lengths.values()))
        return dict(zip(self.lengths, clips, strict=True))


class ClipLabels(GroundTruth):
    """A folder with one array of 0 and 1 per clip, `NAME.npy`."""

    def read(self, video: Video, clip: Path) -> np.ndarray:
        refuse_broken_link(self.path)
        expected = self.path / f"{video.name}.npy"
        path = below(self.path, *f"{video.name}.npy".split("/"))
        if path is None:
            message = f"{expected}: no labels of {clip}; expected 0 or 1 for each of its frames"
            raise InputError(message, "missing-labels", file=expected)
        require_one_form(path)
        return labels.from_npy(path)


def require_one_form(path: Path) -> None:
    """Refuse labels or masks that are there twice, their names in two Unicode forms."""
    name = unicodedata.normalize("NFC", path.name)
    same = [p for p in path.parent.iterdir() if unicodedata.normalize("NFC", p.name) == name]
    others = ", ".join(ascii(p.name) for p in same)
    message = f"{path}: there twice, in two Unicode forms ({others}); keep one of them"
    require(len(same) < 2, message, "conflict", file=path)


def require_same_length(path: Path, frames: int, values: np.ndarray) -> None:
    """Raise `InputError` when a clip has labels for another number of frames."""
    message = f"{path}: {frames} frames, but its labels cover {len(values)}; copy the clip again"
    require(len(values) == frames, message, "label-length", file=path)
