"""A video: frames that are read only when asked for, with labels, masks and boxes where they are
known.
"""

from __future__ import annotations

import os
import re
import struct
import warnings
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from natsort import natsort_keygen, ns
from PIL import Image, ImageOps, UnidentifiedImageError

from vadlib.data.pictures import picture_count, what_is_missing
from vadlib.errors import InputError
from vadlib.files import is_broken_link, refuse_broken_link

_NATURAL = natsort_keygen(alg=ns.IGNORECASE)
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"}
# Of operating systems and desktops, at the top of a disk or beside the files; in lower case.
_JUNK = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "icon\r"}
_JUNK |= {"$recycle.bin", "system volume information", "lost+found"}
# What vadlib writes into one folder: two of these names together are results.
_RESULTS = (
    {"annotated.mp4", "curve.png", "scores.csv"},  # vadlib score
    {"config.json", "model.safetensors", "state.pt", "history.csv", "calibration.npz"}  # train
    | {"scores.npz", "metrics.json", "roc.png", "curves"},  # run and evaluate
)
# Names that tell by themselves. The film is one of them because a model must not learn from it.
_RESULTS_ALONE = {"annotated.mp4", "ablation.csv"}


# Of damaged files. Pillow raises SyntaxError for broken chunks of a PNG, TypeError and IndexError
# for tags that are not there.
_PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    RuntimeError,
    ArithmeticError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


class Frames(Protocol):
    """What a `Video` needs of its frames: a length, a shape, random access, and an identity for the
    frame store.
    """

    shape: tuple[int, int, int, int]  # (T, H, W, C)

    def __len__(self) -> int: ...

    def __getitem__(self, index) -> np.ndarray:
        """uint8 (H, W, C) for a number, (T', H, W, C) for a slice."""

    def identity(self) -> list:
        """JSON-able description of the source; two sources with the same identity hold the same
        pixels.
        """


@dataclass(frozen=True)
class Video:
    """One recording of one fixed camera.

    Attributes:
        name: unique within its dataset and split, such as "04".
        frames: uint8 (T, H, W, C), RGB, or grey with C = 1; `video.frames[i]` reads one frame.
        fps: frames a second.
        scene: videos with the same scene show the same place from the same camera; calibration is
            kept per scene.
        labels: uint8 (T,), 0 normal, 1 abnormal; None where the dataset has no labels.
        masks: bool (T, H, W), True = abnormal, read lazily like `frames`; None where there are no
            masks.
        boxes: the dataset's own object boxes: T arrays (N, 4) float32, x0, y0, x1, y1 in pixels,
            ends exclusive; or None.
        kinds: the kind of anomaly of each frame ("" = normal), T strings; None where the dataset
            does not say.
        times: seconds of each frame since the first, float64 (T,), for a video whose rate varies;
            None means frame / fps.
        ground_truth: the origin of `labels` ("mat", "vol", "scripted", ...), so that results can
            say which was used.
    """

    name: str
    frames: Frames
    fps: float
    scene: str = "one"
    labels: np.ndarray | None = None
    masks: Frames | None = None
    boxes: Sequence[np.ndarray] | None = None
    kinds: Sequence[str] | None = None
    ground_truth: str = field(default="", compare=False)
    times: np.ndarray | None = None

    def __post_init__(self):
        for what in ("labels", "masks", "boxes", "kinds", "times"):
            value = getattr(self, what)
            if value is not None and len(value) != len(self.frames):
                raise InputError(
                    f"video {self.name}: {len(self.frames)} frames but {len(value)} {what}; expected one for each frame: "
                    f"the copy is incomplete, or the {what} belong to another video",
                    "label-length",
                    field=what,
                )
        if self.masks is not None and tuple(self.masks.shape[1:3]) != tuple(self.frames.shape[1:3]):
            mask, frame = (
                "x".join(map(str, stack.shape[1:3])) for stack in (self.masks, self.frames)
            )
            message = f"video {self.name}: masks of {mask} for frames of {frame}; expected one size: get the masks again"
            raise InputError(message, "mixed-sizes", field="masks")

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def seconds(self) -> np.ndarray:
        """When each frame was taken, float64 (T,), since the first one."""
        return np.arange(len(self)) / self.fps if self.times is None else self.times

    def __repr__(self) -> str:
        abnormal = "unlabelled" if self.labels is None else f"{int(self.labels.sum())} abnormal"
        return f"Video({self.name!r}, {'x'.join(map(str, self.frames.shape))}, {self.fps:g} fps, {abnormal})"


class LazyStack(ABC):
    """Random access over T items of one shape: subclasses give `shape`, `_read(i)` and, if it is
    not uint8, `dtype`.
    """

    shape: tuple[int, ...]
    dtype: type = np.uint8

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index):
        if isinstance(index, slice):
            rows = [self._read(i) for i in range(*index.indices(len(self)))]
            return np.stack(rows) if rows else np.zeros((0, *self.shape[1:]), self.dtype)
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        return self._read(int(index) % len(self))

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self[:], dtype)

    @abstractmethod
    def _read(self, i: int) -> np.ndarray:
        """Item i, 0 <= i < len(self)."""


class ImageFrames(LazyStack):
    """Frames kept as one image file each, in the order given.

    Args:
        paths: the image files; at least one.
        channels: 1 reads grey, 3 reads RGB.

    Raises:
        InputError: when the first file, or later a file that is read, is no whole image or has
            another size.
    """

    def __init__(self, paths: Sequence[Path], channels: int):
        self.paths = list(paths)
        self.channels = channels
        first = read_image(self.paths[0], channels)
        self.shape = (len(self.paths), *first.shape)

    def _read(self, i: int) -> np.ndarray:
        frame = read_image(self.paths[i], self.channels)
        if frame.shape != self.shape[1:]:
            expected, found = self.shape[1:3], frame.shape[:2]
            raise InputError(
                f"{self.paths[i]}: {found[1]}x{found[0]} pixels, but {self.paths[0].name} has {expected[1]}x{expected[0]}; "
                "all frames of a video must have one size: extract them again, or move the odd file away",
                "mixed-sizes",
                file=self.paths[i],
            )
        return frame

    def identity(self) -> list:
        stats = [(path, path.stat()) for path in self.paths]
        return [
            ["images", self.channels],
            *([str(p.resolve()), s.st_size, s.st_mtime_ns] for p, s in stats),
        ]


class MaskImages(ImageFrames):
    """Pixel masks kept as one image file each; any value above 0 is abnormal (of a JPEG, which
    blurs, above 127). Items are bool (H, W).
    """

    dtype = bool

    def __init__(self, paths: Sequence[Path]):
        super().__init__(paths, channels=1)
        self.shape = self.shape[:3]

    def _read(self, i: int) -> np.ndarray:
        lowest = 127 if self.paths[i].suffix.lower() in {".jpg", ".jpeg"} else 0
        mask = read_image(self.paths[i], 1)[..., 0] > lowest
        if mask.shape != self.shape[1:]:
            message = f"{self.paths[i]}: a mask of {mask.shape}, but the first one is {self.shape[1:]}; get the masks again"
            raise InputError(message, "mixed-sizes", file=self.paths[i])
        return mask


def read_image(path: Path, channels: int) -> np.ndarray:
    """Read one image as uint8 (H, W, channels).

    Raises:
        InputError: the file is empty, truncated, not an image, a Git LFS pointer, has 16 bits a
            sample, or holds several pictures.
    """
    try:
        # Warnings are of damaged metadata; damaged pixels are errors.
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            if missing := what_is_missing(image, path):
                raise OSError(missing)
            # Pillow has no mode for 16-bit colour and would drop half of its bits: only the layout
            # of the file's data shows it.
            if image.mode.startswith(("I", "F")) or any(
                re.search(r"^(?!BGR).*;16", str(tile[3])) for tile in image.tile
            ):
                message = f"{path}: {image.mode} pixels of 16 bits or more; expected 8 bits a sample: convert the frames to 8 bits"
                raise InputError(message, "wrong-kind-of-file", file=path)
            if (count := picture_count(image)) > 1:
                message = f"{path}: {count} pictures in one file; expected one frame a file: split it, or make a video of it"
                raise InputError(message, "wrong-kind-of-file", file=path)
            image = ImageOps.exif_transpose(image)  # a phone notes down how it was held
            pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    except UnidentifiedImageError as error:
        raise _not_an_image(path) from error
    except FileNotFoundError as error:
        refuse_broken_link(path)
        raise InputError(
            f"{path}: no such file; it was there when the dataset was listed",
            "missing-file",
            file=path,
        ) from error
    except PermissionError as error:
        message = (
            f"{path}: cannot be read ({error.strerror}); expected an image: look at its permissions"
        )
        raise InputError(message, "not-readable", file=path) from error
    except InputError:
        raise
    except _PILLOW_ERRORS as error:
        message = (
            f"{path}: a damaged image ({error}); expected a whole one: copy or download it again"
        )
        raise InputError(message, "damaged-file", file=path) from error
    return pixels.reshape(*pixels.shape[:2], channels)


def lfs_pointer(path: Path) -> str:
    """What is wrong with a file that is a pointer of Git's large file storage; "" for any other
    file.
    """
    with path.open("rb") as file:
        pointer = file.read(64).startswith(b"version https://git-lfs")
    message = "a Git LFS pointer, not the data itself; run `git lfs pull` in the copy it came from, or download the dataset itself"
    return message if pointer else ""


def _not_an_image(path: Path) -> InputError:
    """Name a file that is no image for what it is: empty, a pointer of Git LFS, or of another type."""
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        return InputError(
            f"{path}: an empty file; expected an image: copy or download it again",
            "empty-file",
            file=path,
        )
    if pointer := lfs_pointer(path):
        return InputError(f"{path}: {pointer}", "git-lfs-pointer", file=path)
    message = f"{path}: not an image (it starts with {head[:8]!r}); expected one of {', '.join(sorted(IMAGE_SUFFIXES))}"
    return InputError(message, "wrong-kind-of-file", file=path)


def natural_key(name: str) -> tuple[object, str]:
    """Sort key that orders embedded numbers by value: "2" < "10", "frame001" < "frame2"; equal ones
    ("1", "01") by their spelling.
    """
    return _NATURAL(name), name


def is_junk(path: Path) -> bool:
    """True for what operating systems, archivers and editors leave among data: `.DS_Store`, `._x`,
    `Thumbs.db`, `@eaDir`, `x~`, `~$x`.
    """
    name = path.name
    return name.startswith((".", "@", "~$")) or name.endswith("~") or name.lower() in _JUNK


def result_names(names: Iterable[str]) -> set[str]:
    """Return those names of a folder's files and subfolders that vadlib itself has written there.

    Results may lie below the data: `vadlib score` leaves a film, a run has pictures of curves.
    """
    names = set(names)
    results = names & _RESULTS_ALONE
    for written in _RESULTS:
        if len(names & written) > 1:
            results |= names & written
    return results


def list_files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """List a folder's files with one of these endings (lower case) in natural order.

    Junk and results of vadlib are left out. A link whose target is missing is listed: opening it
    is an error.
    """
    names = os.listdir(folder)
    results = result_names(names)
    files = []
    for name in names:
        path = folder / name
        is_wanted = path.suffix.lower() in suffixes and name not in results and not is_junk(path)
        if is_wanted and (path.is_file() or is_broken_link(path)):
            files.append(path)
    return sorted(files, key=lambda p: natural_key(p.name))


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder in natural order, without junk and results of vadlib; empty if
    there is none.

    Raises:
        InputError: one of them is a link whose target is missing.
    """
    files = list_files(folder, IMAGE_SUFFIXES)
    for path in files:
        refuse_broken_link(path)
    return files
