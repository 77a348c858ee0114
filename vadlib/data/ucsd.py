"""UCSD Ped1 and Ped2 (Mahadevan et al., CVPR 2010): pedestrian walkways; bicycles, skateboarders
and carts are abnormal.

Official layout, of Ped1 with 1 for 2::

    ROOT/UCSD_Anomaly_Dataset.v1p2/UCSDped2/Train/Train001/001.tif ...
                                           /Test/Test001/001.tif ...
                                           /Test/Test001_gt/001.bmp ...       pixel ground truth; of Ped1 for ten clips only
                                           /Test/UCSDped2.m                   intervals, 1-based, inclusive

Community layout, 0- or 1-based, numbers padded or not::

    ROOT/ped2/training/frames/01/000.jpg ...          16 clips, 2,550 frames
             /testing/frames/01/000.jpg ...           12 clips, 2,010 frames, 1,648 of them abnormal
             /testing/masks/01/000.png ...            pixel ground truth, optional
             /ped2.mat                                `gt`: 12 cells of 2 x k interval ends, 1-based, inclusive
             /frame_labels_ped2.npy                   or, instead: (1, 2010) or (2010,)
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from vadlib.data import labels
from vadlib.data.layout import (
    Copy,
    Source,
    below,
    find_copy,
    list_clips,
    numbered,
    open_clip,
    split_folder,
)
from vadlib.data.video import MaskImages, list_images
from vadlib.errors import InputError

FPS = 10.0
TEST_LENGTHS = {
    "ped1": (200,) * 36,
    "ped2": (180, 180, 150, 180, 150, 180, 180, 180, 120, 150, 180, 180),
}
CHILDREN = ("Train", "Test", "training", "testing")


def find_ucsd(name: str, root: Path) -> Copy:
    """Look for a copy of "ped1" or "ped2" below `root`; grey (C = 1).

    A copy may hold only some clips: labels are matched by the number in a clip's name, and clips
    are called by it ("01").

    Raises:
        InputError: there is none; the message says what was looked for.
    """
    official = f"UCSD{name}"
    expected = f"{name}/training/frames/01/*.jpg and {name}/testing/frames/01/*.jpg, or UCSD_Anomaly_Dataset.v1p2/{official}/Train and Test,"
    places = (
        name,
        f"UCSD_Anomaly_Dataset.v1p2/{official}",
        official,
        f"{name}/{official}",
        f"{name}/UCSD_Anomaly_Dataset.v1p2/{official}",
    )
    folder = find_copy(root, name.capitalize(), places, CHILDREN, expected)
    is_official = any(below(folder, child) for child in ("Train", "Test"))
    truths = dict(_truths(folder, name, is_official))
    return Copy(
        "official" if is_official else "community",
        folder,
        partial(_list, name, folder, is_official, truths),
        truths,
    )


def _truths(folder: Path, name: str, is_official: bool) -> list[tuple[str, Path]]:
    community = [("mat", (f"{name}.mat",)), ("npy", (f"frame_labels_{name}.npy",))]
    places = [("m", ("Test", f"UCSD{name}.m"))] if is_official else community
    return [(kind, path) for kind, parts in places if (path := below(folder, *parts)) is not None]


def _list(
    name: str, folder: Path, is_official: bool, truths: dict[str, Path], split: str
) -> list[Source]:
    if split == "train":
        clips = numbered(
            list_clips(
                split_folder(folder, "Train")
                if is_official
                else split_folder(folder, "training/frames", "training")
            )
        )
        return [
            Source(f"{number:02d}", clip, partial(open_clip, clip, f"{number:02d}", 1, FPS, name))
            for number, clip in clips.items()
        ]
    lengths = TEST_LENGTHS[name]
    clips = numbered(
        list_clips(
            split_folder(folder, "Test")
            if is_official
            else split_folder(folder, "testing/frames", "testing")
        ),
        len(lengths),
    )
    if not truths:
        wanted = f"Test/UCSD{name}.m" if is_official else f"{name}.mat or frame_labels_{name}.npy"
        raise InputError(
            f"{folder}: no labels for the test clips; expected {wanted} in it",
            "missing-labels",
            file=folder,
        )
    kind, path = next(iter(truths.items()))
    truth = {"m": labels.from_m, "mat": labels.from_mat, "npy": labels.from_whole_npy}[kind](
        path, lengths
    )
    return [
        Source(
            f"{number:02d}",
            clip,
            partial(
                open_clip,
                clip,
                f"{number:02d}",
                1,
                FPS,
                name,
                truth[number - 1],
                kind,
                partial(_masks, _mask_folder(folder, clip, is_official)),
            ),
        )
        for number, clip in clips.items()
    ]


def _mask_folder(folder: Path, clip: Path, is_official: bool) -> Path | None:
    return (
        below(clip.parent, f"{clip.name}_gt")
        if is_official
        else below(folder, "testing", "masks", clip.name)
    )


def _masks(folder: Path | None, length: int) -> MaskImages | None:
    """Masks in natural order: those of Ped2's clips 6, 9 and 12 are called frame001.bmp and so on."""
    if folder is None or not folder.is_dir():
        return None
    files = list_images(folder)
    if len(files) != length:
        message = f"{folder}: {len(files)} masks for {length} frames; expected one for each frame: copy the masks again"
        raise InputError(message, "label-length", file=folder)
    return MaskImages(files)
