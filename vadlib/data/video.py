"""A video: frames that are read only when asked for, with labels, masks and boxes where known.

Pictures that are not whole are refused. Pillow refuses most files that end too early, but decodes
on in silence where a JPEG keeps its size and the rest of it was never written, where it gets an end
marker behind a cut, and where the checksum of a PNG is wrong: there libav and the file itself tell.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from natsort import natsort_keygen, ns
from PIL import Image, ImageOps, UnidentifiedImageError

from vadlib.errors import InputError, require
from vadlib.files import is_broken_link, refuse_broken_link

if TYPE_CHECKING:
    from vadlib.data.decode import VideoFrames

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # no byte of coded pixels, nor a restart
_BEGIN, _END = 0xD8, 0xD9
_NATURAL = natsort_keygen(alg=ns.IGNORECASE)
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"}
# Of operating systems and desktops, at the top of a disk or beside the files; in lower case.
_JUNK = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "icon\r"}
_JUNK |= {"$recycle.bin", "system volume information", "lost+found"}
# What `vadlib score`, `train`, `run` and `evaluate` write: two of these names in one folder are
# results.
_RESULTS = {"curves", "curve.png", "scores.csv", "scores.npz", "metrics.json", "roc.png"}
_RESULTS |= {"config.json", "model.safetensors", "state.pt", "history.csv", "calibration.npz"}
# Names that tell by themselves. The film is one of them because a model must not learn from it.
_RESULTS_ALONE = {"annotated.mp4", "ablation.csv"}


Shape = tuple[int, ...]  # (T, H, W, C) of frames, (T, H, W) of masks


class LazyStack:
    """T arrays of one shape, read when asked for: the frames or the masks of a `Video`. A number
    gets one array, a slice a stack (T', ...). Subclasses may give `_read(i)` instead of `read`.

    Args:
        shape: (T, H, W, C) of frames, (T, H, W) of masks.
        read: returns array i, 0 <= i < T.
        source: JSON-able description of frames; those with the same one hold the same pixels.
    """

    dtype: type = np.uint8

    def __init__(self, shape: Shape, read: Callable[[int], np.ndarray], source: Sequence[Any] = ()):
        self.shape, self._read = shape, read
        self.source = source

    def identity(self) -> list[Any]:
        """Return the `source`: a JSON-able list, equal for stacks of the same pixels only."""
        return list(self.source)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        for i in range(len(self)):
            yield self._read(i)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Read array `index`, or a stack of those in a slice; negative ones count from the end."""
        numbers = range(len(self))[index]
        if isinstance(numbers, int):
            return self._read(numbers)
        rows = [self._read(i) for i in numbers]
        return np.stack(rows) if rows else np.zeros((0, *self.shape[1:]), self.dtype)


Stack = LazyStack  # of masks
Frames = LazyStack  # uint8 (T, H, W, C)


@dataclass(frozen=True)
class Video:
    """One recording of one fixed camera.

    Attributes:
        name: unique within its dataset and split, such as "04".
        frames: uint8 (T, H, W, C), RGB, or grey with C = 1; `video.frames[i]` reads one frame.
        clock: frames a second; for a video file its `VideoFrames`, which know the time of each
            frame. Read `fps` and `seconds`.
        scene: videos with the same scene show the same place from the same camera; calibration is
            kept per scene.
        labels: uint8 (T,), 0 normal, 1 abnormal; None where the dataset has no labels.
        masks: bool (T, H, W), True = abnormal, read lazily like `frames`; None where there are no
            masks.
        boxes: the dataset's own object boxes: T arrays (N, 4) float32, x0, y0, x1, y1 in pixels,
            ends exclusive; or None.
        kinds: the kind of anomaly of each frame ("" = normal), T strings; None where the dataset
            does not say.
        ground_truth: the origin of `labels` ("mat", "vol", "scripted", ...), so that results can
            say which was used.
    """

    name: str
    frames: Frames
    clock: float | VideoFrames
    scene: str = "one"
    labels: np.ndarray | None = None
    masks: Stack | None = None
    boxes: Sequence[np.ndarray] | LazyStack | None = None
    kinds: Sequence[str] | None = None
    ground_truth: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Refuse labels, masks, boxes or kinds of another number or size than the frames."""
        for name in ("labels", "masks", "boxes", "kinds"):
            value = getattr(self, name)
            if value is not None and len(value) != len(self):
                message = f"video {self.name}: {len(self)} frames but {len(value)} {name}"
                raise InputError(f"{message}; get its {name} again", "label-length", field=name)
        if self.masks is not None and self.masks.shape[1:3] != self.frames.shape[1:3]:
            message = f"video {self.name}: masks {self.masks.shape}, frames {self.frames.shape}"
            raise InputError(f"{message}; get the masks again", "mixed-sizes", field="masks")

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def fps(self) -> float:
        """Frames a second; the mean where the rate varies."""
        return self.clock if isinstance(self.clock, int | float) else self.clock.fps

    @property
    def seconds(self) -> np.ndarray:
        """When each frame was taken, float64 (T,), since the first one."""
        if isinstance(self.clock, int | float):
            return np.arange(len(self)) / self.clock
        return self.clock.times

    def __repr__(self) -> str:
        return f"Video({self.name!r}, {self.frames.shape}, {self.fps:g} fps, {self.ground_truth!r})"


def header_shape(frames: Frames) -> Shape:
    """Return (T, H, W, C) without decoding a whole video file; T is then what its header says."""
    return getattr(frames, "header_shape", None) or frames.shape


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
        self.paths, self.channels = list(paths), channels
        self.shape = (len(self.paths), *read_image(self.paths[0], channels).shape)

    def _read(self, i: int) -> np.ndarray:
        """Frame i, uint8 (H, W, C); refused if it has another size than the first."""
        frame, path = read_image(self.paths[i], self.channels), self.paths[i]
        size, first = frame.shape[:2], self.shape[1:3]
        message = f"{path}: (height, width) is {size}, but {first} in {self.paths[0].name}; move it"
        require(size == first, message, "mixed-sizes", file=path)
        return frame

    def identity(self) -> list[Any]:
        """Return how they are read, and the stamp of each file."""
        return [["images", self.channels], *map(file_stamp, self.paths)]


class MaskImages(ImageFrames):
    """Pixel masks kept as one image file each; any value above 0 is abnormal (of a JPEG, which
    blurs, above 127). Items are bool (H, W).
    """

    dtype = bool

    def __init__(self, paths: Sequence[Path]):
        super().__init__(paths, channels=1)
        self.shape = self.shape[:3]

    def _read(self, i: int) -> np.ndarray:
        """Mask i, bool (H, W)."""
        lowest = 127 if self.paths[i].suffix.lower() in {".jpg", ".jpeg"} else 0
        return super()._read(i)[..., 0] > lowest


def file_stamp(path: Path) -> list[Any]:
    """Return a file's path, size and time of change, which tell whether it is the same file.

    Raises:
        InputError: there is no such file, or it is a link whose target is missing.
    """
    refuse_broken_link(path)
    require(path.is_file(), f"{path}: no such file; get it again", "missing-file", file=path)
    stat = path.stat()
    return [str(path.resolve()), stat.st_size, stat.st_mtime_ns]


def read_image(path: Path, channels: int) -> np.ndarray:
    """Read one image as uint8 (H, W, channels).

    Raises:
        InputError: the file is empty, truncated, not an image, a Git LFS pointer, has 16 bits a
            sample, or holds several pictures.
    """
    file_stamp(path)
    try:
        # Warnings are of damaged metadata; damaged pixels are errors.
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            _require_whole(image, path)
            # Pillow has no mode for 16-bit colour and would drop half of its bits: only the layout
            # of the file's data shows it.
            layouts = " ".join(str(tile[3]) for tile in getattr(image, "tile", ()))
            is_deep = image.mode.startswith(("I", "F")) or re.search(r"(?<!BGR);16", layouts)
            # The further views of an MPO do not count.
            count = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
            message = f"{path}: {count} pictures ({image.mode}, {layouts}); expected one of 8 bits"
            require(count == 1 and not is_deep, message, "wrong-kind-of-file", file=path)
            upright = ImageOps.exif_transpose(image)  # a phone notes down how it was held
            pixels = np.asarray(upright.convert("L" if channels == 1 else "RGB"))
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise wrong_kind(path, path.read_bytes()[:64], "picture", IMAGE_SUFFIXES) from error
    except PermissionError as error:
        raise InputError(f"{path}: {error.strerror}", "not-readable", file=path) from error
    except Exception as error:  # Pillow raises errors of many kinds for damaged files
        message = f"{path}: cannot be read ({error}); copy or download it again"
        raise InputError(message, "damaged-file", file=path) from error
    return pixels.reshape(*pixels.shape[:2], channels)


def _require_whole(image: Image.Image, path: Path) -> None:
    """Raise an error of the kinds that Pillow raises where an opened picture is not whole."""
    if image.format == "PNG":
        with Image.open(path) as copy:
            copy.verify()
    if image.format in ("JPEG", "MPO"):  # the first picture of an MPO is the one that is shown
        picture = _first_jpeg(path.read_bytes())
        # What libav cannot decode at all, Pillow has to judge.
        is_cut = not _decodes(picture, {"err_detect": "explode"}) and _decodes(picture, {})
        if is_cut or not picture:
            raise OSError("its pixels end before the picture does")


def _first_jpeg(content: bytes) -> bytes:
    """The first picture of a file, without what follows it; empty if its end is missing."""
    position = 2
    while marker := _MARKER.search(content, position):
        kind, position = marker[0][1], marker.end()
        if kind in (_BEGIN, _END):
            return content[:position] if kind == _END else b""
        # such as a thumbnail with an end of its own
        position += int.from_bytes(content[position : position + 2], "big")
    return b""


def _decodes(content: bytes, options: dict[str, str]) -> bool:
    """True if libav decodes a JPEG with these options."""
    codec = av.VideoCodecContext.create("mjpeg", "r")
    codec.options = options
    try:
        return bool(codec.decode(av.Packet(content)) + codec.decode(None))
    except (av.FFmpegError, ValueError):
        return False


def lfs_pointer(path: Path) -> str:
    """Return what is wrong with a pointer of Git's large file storage; "" for any other file."""
    with path.open("rb") as file:
        is_pointer = file.read(64).startswith(b"version https://git-lfs")
    return "a Git LFS pointer, not the data itself; run `git lfs pull`" if is_pointer else ""


def wrong_kind(path: Path, head: bytes, kind: str, suffixes: Collection[str]) -> InputError:
    """Name a file that is no image or video for what it is.

    Args:
        path: the file.
        head: its first bytes.
        kind: the kind that was expected, for the message.
        suffixes: endings of that kind.
    """
    if not head:
        return InputError(f"{path}: an empty file; copy it again", "empty-file", file=path)
    if pointer := lfs_pointer(path):
        return InputError(f"{path}: {pointer}", "git-lfs-pointer", file=path)
    message = f"{path}: no {kind} (it starts with {head[:8]!r}); expected {sorted(suffixes)}"
    return InputError(message, "wrong-kind-of-file", file=path)


def natural_key(name: str) -> tuple[object, str]:
    """Sort key that orders embedded numbers by value: "2" < "10", "frame001" < "frame2"; equal ones
    ("1", "01") by their spelling.
    """
    return _NATURAL(name), name


def is_junk(path: Path) -> bool:
    """Return True for what operating systems, archivers and editors leave among data, such as
    `.DS_Store`, `._x`, `Thumbs.db`, `@eaDir`, `x~` and `~$x`.
    """
    name = path.name
    return name.startswith((".", "@", "~$")) or name.endswith("~") or name.lower() in _JUNK


def result_names(names: Iterable[str]) -> set[str]:
    """Return those names of a folder's files and subfolders that vadlib itself has written there.

    Results may lie below the data: `vadlib score` leaves a film, a run has pictures of curves.
    """
    names = set(names)
    alone = names & _RESULTS_ALONE
    results = alone | (names & _RESULTS)
    return results if len(results) > 1 else alone


def list_files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """List a folder's files with one of these endings (lower case) in natural order.

    Junk and results of vadlib are left out. A link whose target is missing is listed: opening it
    is an error.
    """
    names = os.listdir(folder)
    files = []
    for name in sorted(set(names) - result_names(names), key=natural_key):
        path = folder / name
        is_wanted = path.suffix.lower() in suffixes and not is_junk(path)
        if is_wanted and (path.is_file() or is_broken_link(path)):
            files.append(path)
    return files


def list_images(folder: Path) -> list[Path]:
    """List the image files of a folder; see `list_files`.

    Raises:
        InputError: one of them is a link whose target is missing.
    """
    files = list_files(folder, IMAGE_SUFFIXES)
    for path in files:
        refuse_broken_link(path)
    return files
