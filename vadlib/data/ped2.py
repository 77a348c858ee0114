"""UCSD Ped2 (Mahadevan et al., CVPR 2010): a pedestrian walkway; bicycles, skateboarders and carts are abnormal.

Community layout, 0- or 1-based, numbers padded or not::

    ROOT/ped2/training/frames/01/000.jpg ...          16 clips, 2,550 frames
             /testing/frames/01/000.jpg ...           12 clips, 2,010 frames, 1,648 of them abnormal
             /testing/masks/01/000.png ...            pixel ground truth, optional
             /ped2.mat                                `gt`: 12 cells of 2 x k interval ends, 1-based, inclusive
             /frame_labels_ped2.npy                   or, instead: (1, 2010) or (2010,)
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import scipy.io

from vadlib.data.video import ImageFrames, MaskImages, Video, is_junk, list_images, natural_key
from vadlib.errors import InputError

FPS = 10.0
TRAIN_LENGTHS = (120, 150, 150, 180, 180, 150, 150, 120, 180, 180, 180, 180, 180, 150, 150, 150)
TEST_LENGTHS = (180, 180, 150, 180, 150, 180, 180, 180, 120, 150, 180, 180)
ABNORMAL_TEST_FRAMES = 1648


def load_ped2(split: str, root: Path) -> list[Video]:
    """Load one split of Ped2, grey (C = 1), 240 x 360 pixels.

    Args:
        split: "train" or "test". A copy may hold only some clips: labels are matched by the number in a clip's name.
        root: the folder that holds `ped2/`.

    Raises:
        InputError: no such layout, no frames, no labels, or labels of another length than the frames.
    """
    folder = find_ped2(root)
    clips = list_clips(folder / ("training" if split == "train" else "testing") / "frames")
    if split == "train":
        for clip, files in clips:
            _require_no_gap(clip, files)
        return [Video(clip.name, ImageFrames(files, channels=1), FPS, scene="ped2") for clip, files in clips]
    labels, source = load_labels(folder)
    videos, clip_of = [], {}
    for clip, files in clips:
        number = _clip_number(clip, len(labels))
        if number in clip_of:
            raise InputError(f"{clip}: its name says clip {number}, and so does {clip_of[number]}; remove one of them")
        clip_of[number], expected = clip, labels[number - 1]
        if len(files) != len(expected):
            raise InputError(
                f"{clip}: {len(files)} frames, but the labels of clip {number} cover {len(expected)}; "
                "expected the same number: copy or extract the clip again"
            )
        _require_no_gap(clip, files)
        masks = _load_masks(folder / "testing" / "masks" / clip.name, len(files))
        videos.append(Video(clip.name, ImageFrames(files, 1), FPS, "ped2", expected, masks, ground_truth=source))
    return videos


def find_ped2(root: Path) -> Path:
    """The folder that holds Ped2's `training/frames` and `testing/frames`.

    Raises:
        InputError: it is not there, saying what was looked for, and where.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; --root (or VADLIB_DATA) must name the folder that holds ped2/")
    folder = root / "ped2"
    if (folder / "training" / "frames").is_dir() or (folder / "testing" / "frames").is_dir():
        return folder
    if (root / "training" / "frames").is_dir() or (root / "testing" / "frames").is_dir():
        raise InputError(f"{root}: this is the dataset's own folder; name the folder above it, and call this one 'ped2'")
    raise InputError(f"{root}: no Ped2 here; expected ped2/training/frames/01/*.jpg and ped2/testing/frames/01/*.jpg below it")


def list_clips(frames: Path) -> list[tuple[Path, list[Path]]]:
    """(clip folder, its image files) in natural order; junk and ground truth beside the clips (`01_gt`) are left out.

    Raises:
        InputError: the folder is missing or holds no clips, or a clip holds no images.
    """
    if not frames.is_dir():
        raise InputError(f"{frames}: no such folder; expected one folder of images a clip in it")
    folders = (p for p in frames.iterdir() if p.is_dir() and not is_junk(p) and not p.name.lower().endswith("_gt"))
    clips = sorted(folders, key=lambda p: natural_key(p.name))
    if not clips:
        raise InputError(f"{frames}: empty; expected one folder of images a clip in it, such as {frames / '01'}")
    listed = [(clip, list_images(clip)) for clip in clips]
    for clip, files in listed:
        if not files:
            raise InputError(f"{clip}: no images in it; expected frames such as 000.jpg: copy the clip again, or move the folder away")
    return listed


def load_labels(folder: Path) -> tuple[list[np.ndarray], str]:
    """Frame labels of all twelve test clips, uint8 (T,) each, and where they come from ("mat" or "npy")."""
    mat, npy = folder / "ped2.mat", folder / "frame_labels_ped2.npy"
    if mat.is_file():
        return labels_from_mat(mat), "mat"
    if npy.is_file():
        return labels_from_npy(npy), "npy"
    raise InputError(f"{folder}: no labels for the test clips; expected ped2.mat or frame_labels_ped2.npy in it")


def labels_from_mat(path: Path) -> list[np.ndarray]:
    """Labels from the intervals in `gt`: 2 x k starts and ends a clip, 1-based and inclusive."""
    try:
        cells = scipy.io.loadmat(path)["gt"].ravel()
    except Exception as error:  # scipy raises a dozen kinds for damaged files; all mean the same to the user
        raise InputError(f"{path}: not a MATLAB file with a cell array 'gt' ({error}); get it again") from error
    if len(cells) != len(TEST_LENGTHS):
        raise InputError(f"{path}: intervals for {len(cells)} clips; expected {len(TEST_LENGTHS)}")
    labels = []
    for number, (cell, length) in enumerate(zip(cells, TEST_LENGTHS, strict=True), start=1):
        cell = np.asarray(cell)
        if cell.ndim != 2 or cell.shape[0] != 2 or cell.dtype.kind not in "uif":
            raise InputError(f"{path}: clip {number} has a {cell.dtype} array of shape {cell.shape}; expected 2 x k starts and ends")
        intervals = cell.astype(np.int64)  # stored as uint8, which would wrap around in sums
        clip = np.zeros(length, np.uint8)
        for start, end in intervals.T:
            if not 1 <= start <= end <= length:
                raise InputError(f"{path}: clip {number} has the interval {start} to {end}; expected 1 <= start <= end <= {length}")
            clip[start - 1 : end] = 1
        labels.append(clip)
    return labels


def labels_from_npy(path: Path) -> list[np.ndarray]:
    """Labels from one array over all test clips in order, (1, 2010) or (2010,), cut by the clips' known lengths."""
    try:
        with path.open("rb") as file:  # some label files in circulation are pickles: never unpickle data
            values = np.lib.format.read_array(file, allow_pickle=False).ravel()
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path}: not a plain NumPy array ({error}); expected {sum(TEST_LENGTHS)} numbers 0 or 1") from error
    if len(values) != sum(TEST_LENGTHS):
        raise InputError(f"{path}: {len(values)} labels; expected {sum(TEST_LENGTHS)}, one for each frame of the twelve test clips")
    if not np.isin(values, (0, 1)).all():
        raise InputError(f"{path}: values other than 0 (normal) and 1 (abnormal), such as {values[~np.isin(values, (0, 1))][0]}")
    return np.split(values.astype(np.uint8), np.cumsum(TEST_LENGTHS)[:-1])


def _clip_number(clip: Path, count: int) -> int:
    digits = re.findall(r"\d+", clip.name)
    if not digits or not 1 <= int(digits[-1]) <= count:
        raise InputError(f"{clip}: the name holds no clip number from 1 to {count}, so its labels cannot be found; rename or move it")
    return int(digits[-1])


def _require_no_gap(clip: Path, files: list[Path]) -> None:
    numbers = [re.findall(r"\d+", path.stem)[-1:] for path in files]
    for i, (before, after) in enumerate(pairwise(numbers)):
        if before and after and int(after[0]) != int(before[0]) + 1:
            raise InputError(
                f"{clip}: {files[i].name} is followed by {files[i + 1].name}; expected consecutive numbers: "
                "a frame is missing or there twice; copy the clip again"
            )


def _load_masks(folder: Path, length: int) -> MaskImages | None:
    if not folder.is_dir():
        return None
    files = list_images(folder)
    if len(files) != length:
        raise InputError(f"{folder}: {len(files)} masks for {length} frames; expected one for each frame: copy the masks again")
    return MaskImages(files)
