"""CUHK Avenue (Lu et al., ICCV 2013): people before a building; running, throwing and walking the
wrong way are abnormal.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np

from vadlib.data.copies import FrameFolderDataset
from vadlib.data.labels import GroundTruth, read_mat
from vadlib.data.layout import below, numbered
from vadlib.data.store import file_key, keep_arrays
from vadlib.data.video import LazyStack, Stack, Video, list_files
from vadlib.errors import require

# fmt: off
TEST_LENGTHS = (
    1439, 1211, 923, 947, 1007, 1283, 605, 36, 1175, 841, 472,
    1271, 549, 507, 1001, 740, 426, 294, 248, 273, 76,
)
# fmt: on
_FOLDERS = ("Avenue Dataset", "Avenue_Dataset", "Avenue_Dataset/Avenue Dataset")


class Avenue(FrameFolderDataset):
    """A copy of Avenue; RGB (C = 3), 25 frames a second.

    Official layout::

        ROOT/avenue/Avenue Dataset/training_videos/01.avi ...   16 videos, 15,328 frames
                                  /testing_videos/01.avi ...    21 videos, 15,324 frames
                   /ground_truth_demo/testing_label_mask/1_label.mat ...
                                                                `volLabel`: a cell of T masks

    Community layout: `ROOT/avenue/{training,testing}/frames/01/0000.jpg`, with `avenue.mat` (`gt`:
    21 cells of 2 x k interval ends, 1-based, inclusive) or `frame_labels_avenue.npy` (1, 15324).

    Two ground truths circulate: "vol", the authors' masks (3,712 abnormal frames; the default where
    they are there), and "community" (3,867). They differ on 441 frames, so AUCs measured on one
    cannot be compared with those on the other.
    """

    title = "Avenue"
    places = (*(f"avenue/{name}" for name in _FOLDERS), *_FOLDERS, "avenue")
    train = ("training_videos", "training/frames", "training")
    test = ("testing_videos", "testing/frames", "testing")
    expected = "avenue/Avenue Dataset/training_videos/01.avi, or avenue/training/frames/01/*.jpg,"
    label_files = (("avenue.mat", "community"), ("frame_labels_avenue.npy", "community"))
    numbered_lengths = TEST_LENGTHS

    def ground_truths(self) -> list[GroundTruth]:
        truths = super().ground_truths()
        archive = "ground_truth_demo/"  # some programs unpack it into a folder of its name
        places = product((self.folder, *self.folder.parents[:2]), (archive, "", archive * 2))
        for place, parent in places:
            folder = below(place, f"{parent}testing_label_mask")
            if folder is not None and _mat_files(folder):
                return [VolLabels("vol", folder), *truths]
        return truths

    def masks(self, video: Video, path: Path, truth: GroundTruth) -> Stack | None:
        return VolMasks(truth.file(video)) if truth.name == "vol" else None


class VolLabels(GroundTruth):
    """The authors' labels: a frame is abnormal when any pixel of its mask is."""

    def file(self, video: Video) -> Path:
        missing = self.path / f"{int(video.name)}_label.mat"
        return _mat_files(self.path).get(video.name, missing)

    def read(self, video: Video, clip: Path) -> np.ndarray:
        path = self.file(video)
        message = f"{path}: missing, but {clip.name} is there; get it, or the community labels"
        require(path.exists() or path.is_symlink(), message, "missing-labels", file=path)
        return VolMasks(path).labels

    def read_all(self) -> dict[str, np.ndarray]:
        return {name: VolMasks(path).labels for name, path in _mat_files(self.path).items()}


class VolMasks(LazyStack):
    """Pixel masks of one Avenue clip, bool (T, H, W), from its `volLabel`.

    `labels`, uint8 (T,), is kept in the cache, so that opening the dataset again reads no masks.
    """

    dtype = bool

    def __init__(self, path: Path):
        self.path = path
        stored = keep_arrays("labels", file_key("vol", path), lambda: _describe(path))
        self.labels = stored["labels"]
        self.shape = tuple(stored["shape"].tolist())

    def _read(self, i: int) -> np.ndarray:
        packed = _packed_vol(self.path, self.path.stat().st_mtime_ns)[i]
        return np.unpackbits(packed, axis=1, count=self.shape[2]).astype(bool)


def _describe(path: Path) -> dict[str, np.ndarray]:
    masks = _read_vol(path)
    labels = np.asarray(masks.any((1, 2)), np.uint8)
    return {"labels": labels, "shape": np.array(masks.shape)}


@lru_cache(maxsize=1)  # videos are read one after the other; a clip's masks take up to 41 MB
def _packed_vol(path: Path, changed: int) -> np.ndarray:
    return np.packbits(_read_vol(path), axis=2)


def _read_vol(path: Path) -> np.ndarray:
    masks = [np.asarray(cell) for cell in read_mat(path, "volLabel").ravel()]
    shapes = {mask.shape for mask in masks}
    are_masks = len(shapes) == 1 and {mask.dtype.kind for mask in masks} <= set("bui")
    message = f"{path}: 'volLabel' holds {list(shapes)[:3]}; expected masks of one size"
    is_sound = are_masks and masks[0].ndim == 2
    require(is_sound, message, "wrong-shape", file=path, field="volLabel")
    return np.stack(masks) > 0


def _mat_files(folder: Path) -> dict[str, Path]:
    """Clip name -> its file of masks."""
    return numbered(list_files(folder, {".mat"}), len(TEST_LENGTHS)) if folder.is_dir() else {}
