"""CUHK Avenue (Lu et al., ICCV 2013): people before a building; running, throwing and walking the
wrong way are abnormal.

Official layout::

    ROOT/avenue/Avenue Dataset/training_videos/01.avi ...                 16 videos, 15,328 frames, 25 a second
                              /testing_videos/01.avi ...                  21 videos, 15,324 frames
               /ground_truth_demo/testing_label_mask/1_label.mat ...      `volLabel`: a cell of T masks; 3,712 abnormal frames

Community layout: `ROOT/avenue/{training,testing}/frames/01/0000.jpg`, with `avenue.mat` (`gt`: 21
cells of 2 x k interval ends, 1-based, inclusive) or `frame_labels_avenue.npy` (1, 15324): 3,867
abnormal frames. The two ground truths differ on 441 frames, so AUCs measured on one cannot be
compared with those on the other.
"""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from vadlib.data import labels
from vadlib.data.layout import (
    Copy,
    Source,
    below,
    find_copy,
    list_clips,
    numbered,
    open_clip,
    require_same_length,
    split_folder,
)
from vadlib.data.store import file_key, keep_arrays
from vadlib.data.video import LazyStack, is_junk
from vadlib.errors import InputError, require

FPS = 25.0
TEST_LENGTHS = (
    1439,
    1211,
    923,
    947,
    1007,
    1283,
    605,
    36,
    1175,
    841,
    472,
    1271,
    549,
    507,
    1001,
    740,
    426,
    294,
    248,
    273,
    76,
)
GROUND_TRUTHS = ("vol", "community")


def find_avenue(root: Path, ground_truth: str | None = None) -> Copy:
    """Look for a copy of Avenue below `root`; RGB (C = 3).

    Args:
        root: the folder that holds `avenue/`.
        ground_truth: "vol", the authors' masks; "community", the frame labels in circulation; None
            takes "vol" where it is there.

    Raises:
        InputError: there is no copy, or not with that ground truth.
    """
    expected = "avenue/Avenue Dataset/training_videos/01.avi and testing_videos/01.avi, or avenue/training/frames/01/*.jpg,"
    names = ("Avenue Dataset", "Avenue_Dataset", "Avenue_Dataset/Avenue Dataset")
    places = (*(f"avenue/{name}" for name in names), *names, "avenue")
    children = ("training_videos", "testing_videos", "training", "testing")
    folder = find_copy(root, "Avenue", places, children, expected)
    is_official = any(below(folder, child) for child in ("training_videos", "testing_videos"))
    around = [folder, folder.parent, root, root / "avenue"]
    # twice, as some programs unpack it
    nested = [("ground_truth_demo",) * times + ("testing_label_mask",) for times in (1, 0, 2)]
    masks = [
        found
        for place in around
        for parts in nested
        if (found := below(place, *parts)) is not None and _mat_files(found)
    ]
    frames = [
        below(place, name)
        for place in around[:2]
        for name in ("avenue.mat", "frame_labels_avenue.npy")
    ]
    found = {"vol": next(iter(masks), None), "community": next(filter(None, frames), None)}
    truths = {kind: path for kind, path in found.items() if path is not None}
    if ground_truth is not None and ground_truth not in truths:
        raise InputError(
            f"{folder}: no ground truth {ground_truth!r}; expected {_wanted(ground_truth)}; this copy has: {', '.join(truths) or 'none'}",
            "missing-labels",
            file=folder,
            field="ground_truth",
        )
    chosen = ground_truth or next(iter(truths), None)
    listing = partial(_list, folder, is_official, chosen, truths.get(chosen))
    return Copy(
        "official" if is_official else "community", folder, listing, truths, tuple(truths.values())
    )


def _wanted(kind: str) -> str:
    vol = "ground_truth_demo/testing_label_mask/1_label.mat ... beside it"
    return vol if kind == "vol" else "avenue.mat or frame_labels_avenue.npy in it or beside it"


def _list(
    folder: Path, is_official: bool, kind: str | None, truth: Path | None, split: str
) -> list[Source]:
    choices = ("training_videos",) if is_official else ("training/frames", "training")
    if split == "train":
        clips = numbered(list_clips(split_folder(folder, *choices)))
        return [
            Source(f"{n:02d}", clip, partial(open_clip, clip, f"{n:02d}", 3, FPS, "avenue"))
            for n, clip in clips.items()
        ]
    choices = ("testing_videos",) if is_official else ("testing/frames", "testing")
    clips = numbered(list_clips(split_folder(folder, *choices)), len(TEST_LENGTHS))
    wanted = f"{_wanted('vol')}, or {_wanted('community')}"
    require(
        kind is not None,
        f"{folder}: no labels for the test clips; expected {wanted}",
        "missing-labels",
        file=folder,
    )
    if kind == "vol":
        files = _vol_files(truth)
        return [
            Source(f"{n:02d}", clip, partial(_open_with_vol, clip, n, files.get(n), truth))
            for n, clip in clips.items()
        ]
    known = _read_community(truth)
    return [
        Source(
            f"{n:02d}",
            c,
            partial(open_clip, c, f"{n:02d}", 3, FPS, "avenue", known[n - 1], "community"),
        )
        for n, c in clips.items()
    ]


def _open_with_vol(clip: Path, number: int, file: Path | None, folder: Path):
    if file is None:
        missing = folder / f"{number}_label.mat"
        message = f"{missing}: missing, but {clip.name} is there; get it, or take --ground-truth community if you have those labels"
        raise InputError(message, "missing-labels", file=missing)
    masks = VolMasks(file)
    return open_clip(
        clip, f"{number:02d}", 3, FPS, "avenue", masks.labels, "vol", lambda length: masks
    )


class VolMasks(LazyStack):
    """Pixel masks of one Avenue clip, bool (T, H, W), from its `volLabel`.

    `labels` (a frame is abnormal when any of its pixels is) is kept in the cache, so that listing
    the dataset reads no masks twice.
    """

    dtype = bool

    def __init__(self, path: Path):
        self.path = path
        stored = keep_arrays("labels", file_key("vol", path), lambda: _describe(_read_vol(path)))
        self.labels, self.shape = stored["labels"], tuple(stored["shape"].tolist())

    def _read(self, i: int) -> np.ndarray:
        packed = _packed_vol(self.path, self.path.stat().st_mtime_ns)[i]
        return np.unpackbits(packed, axis=1, count=self.shape[2]).astype(bool)


def _describe(masks: np.ndarray) -> dict[str, np.ndarray]:
    return {"labels": masks.any((1, 2)).astype(np.uint8), "shape": np.array(masks.shape)}


@lru_cache(maxsize=1)  # videos are looked at one after the other; a clip's masks take up to 41 MB
def _packed_vol(path: Path, changed: int) -> np.ndarray:
    return np.packbits(_read_vol(path), axis=2)


def _read_vol(path: Path) -> np.ndarray:
    cells = labels.read_mat(path, "volLabel").ravel()
    require(
        len(cells) > 0,
        f"{path}: 'volLabel' holds no masks; get it again",
        "label-length",
        file=path,
        field="volLabel",
    )
    shapes = {getattr(cell, "shape", None) for cell in cells}
    kinds = {getattr(cell, "dtype", np.dtype(object)).kind for cell in cells}
    if len(shapes) != 1 or len(next(iter(shapes)) or ()) != 2 or kinds - set("bui"):
        raise InputError(
            f"{path}: 'volLabel' holds masks of shapes {sorted(map(str, shapes))[:3]}; expected one size (height, width): get it again",
            "mixed-sizes" if len(shapes) > 1 else "wrong-shape",
            file=path,
            field="volLabel",
        )
    return np.stack(cells) > 0


def both_truths(root: Path) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Clip number -> its labels by "vol" and by "community", uint8 (T,) each, for the test clips
    whose masks are there; no frames needed.

    Raises:
        InputError: a copy without one of the two.
    """
    truths = find_avenue(root).ground_truths
    for kind in GROUND_TRUTHS:
        message = f"{root}: no ground truth {kind!r} of Avenue; expected {_wanted(kind)}"
        require(kind in truths, message, "missing-labels", file=root, field="ground_truth")
    community, both = _read_community(truths["community"]), {}
    for number, path in _vol_files(truths["vol"]).items():
        both[number] = VolMasks(path).labels, community[number - 1]
        require_same_length(path, len(community[number - 1]), both[number][0])
    return both


def _read_community(path: Path) -> list[np.ndarray]:
    return (labels.from_mat if path.suffix.lower() == ".mat" else labels.from_whole_npy)(
        path, TEST_LENGTHS
    )


def _vol_files(folder: Path) -> dict[int, Path]:
    return numbered(_mat_files(folder), len(TEST_LENGTHS))


def _mat_files(folder: Path) -> list[Path]:
    return (
        [p for p in folder.iterdir() if p.suffix.lower() == ".mat" and not is_junk(p)]
        if folder.is_dir()
        else []
    )
