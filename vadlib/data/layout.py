"""How a dataset lies on a disk: where its folders and clips are, and what else is beside them."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from vadlib.data import video
from vadlib.data.decode import VIDEO_SUFFIXES, VideoFrames
from vadlib.data.store import cache_dir
from vadlib.data.video import ImageFrames, MaskImages, Video, list_images, natural_key
from vadlib.errors import InputError, require
from vadlib.files import refuse_broken_link

# What people and cameras put beside videos, and what is neither film, frame nor label.
_TEXT = re.compile(
    r".*\.(txt|md|rst|rtf|pdf|docx?|odt|html?|url|log|ini|ya?ml|py|ipynb|sh|md5|sha\d+|srt|thm|xmp)"
    r"|readme|licen[cs]e|copying|notice|authors|makefile|(md5|sha\d+)sums?"
)
# A text of such a name may be labels in a form that is not read.
_LABELS_NAME = re.compile(r"label|annot|truth|anomal|abnormal|interval|(^|[\W_])gt([\W_]|$)")


def nfc(name: str) -> str:
    """Return a name in Unicode's form NFC; macOS writes an accent as a character of its own."""
    return unicodedata.normalize("NFC", name)


def name_key(name: str) -> str:
    """Return what spellings of a name share that differ in case or in Unicode form."""
    return nfc(nfc(name).lower())


def below(folder: Path, path: str) -> Path | None:
    """Find the file or folder of that path (with /) below a folder; None where there is none.

    Letter case and the Unicode form of accents are ignored; a name that is equal wins.

    Raises:
        InputError: a folder is a link whose target is missing, or a name is there in two forms.
    """
    for name in path.split("/"):
        if not folder.is_dir():
            refuse_broken_link(folder)
            return None
        alike = [path for path in folder.iterdir() if name_key(path.name) == name_key(name)]
        equal = [path for path in alike if nfc(path.name) == nfc(name)]
        place = folder / name
        require(len(equal) < 2, f"{place}: in two Unicode forms", "conflict", file=place)
        if not alike:
            return None
        folder = min(equal or alike)
    return folder


def walk(base: Path | None) -> Iterator[tuple[Path, list[str], list[str], list[str]]]:
    """Yield a folder and all below it: its path, and the names of its subfolders, of its files and
    of what vadlib wrote there, in natural order, without junk. Results are not entered.

    Links are followed, each folder is entered once, and the cache is left out. Names that are
    removed from the subfolders are not entered.

    Raises:
        InputError: a folder that cannot be read, or a base that is a link without a target.
    """

    def refuse(error: OSError) -> None:
        message = f"{error.filename}: cannot be read ({error.strerror}); move it away"
        raise InputError(message, "not-readable", file=error.filename)

    if base is None:
        return
    refuse_broken_link(base)
    seen = {cache_dir().resolve()} - {base.resolve()}
    for folder, folders, files in os.walk(base, followlinks=True, onerror=refuse):
        path = Path(folder)
        if path.resolve() in seen:
            folders.clear()
            continue
        seen.add(path.resolve())
        results = video.result_names([*folders, *files])
        others = results.union(name for name in [*folders, *files] if video.is_junk(path / name))
        folders[:] = sorted(set(folders) - others, key=natural_key)
        files = sorted(set(files) - others, key=natural_key)
        yield path, folders, files, sorted(results, key=natural_key)


def is_harmless(path: Path) -> bool:
    """Tell a text, program or checksum beside the data, by its name, from what may be labels."""
    is_beside_labels = path.parent.name.lower() in {"labels", "masks"}
    may_be_labels = is_beside_labels or _LABELS_NAME.search(path.stem.lower())
    return not may_be_labels and _TEXT.fullmatch(path.name.lower()) is not None


def is_truth(name: str) -> bool:
    """Tell the name of a folder of ground truth beside the clips: UCSD's `Test001_gt`, `masks`."""
    return name.lower().endswith("_gt") or name.lower() in {"masks", "labels"}


def first_of(items: Sequence[object], limit: int = 1) -> str:
    """ "a.mp4 and 3 more", or "a.mp4, b.mp4 and 2 more" with a limit of 2, for a message."""
    names = ", ".join(map(str, items[:limit]))
    return f"{names} and {len(items) - limit} more" if len(items) > limit else names


def require_root(root: Path, advice: str) -> None:
    """Refuse a root that is no folder.

    Args:
        root: the folder that --root names.
        advice: what it should name, for the message.

    Raises:
        InputError: the root is missing or is a file.
    """
    refuse_broken_link(root)
    message = f"{root}: no such folder; {advice}"
    require(root.exists(), message, "missing-file", file=root, field="--root")
    require(root.is_dir(), message, "wrong-kind-of-file", file=root, field="--root")


def open_clip(path: Path, name: str, channels: int, fps: float, scene: str) -> Video:
    """Open a clip without labels. A video file's own times win over `fps`.

    Raises:
        InputError: no images, a gap in their numbers, or an unreadable first frame or file.
    """
    if not path.is_dir():
        film = VideoFrames(path, channels)
        return Video(name, film, film, scene)
    files = list_images(path)
    require(bool(files), f"{path}: no images in it, such as 000.jpg", "too-few", file=path)
    rows = [re.findall(r"\d+", file.stem)[::-1] for file in files]
    columns = list(zip(*rows, strict=False))
    varying = [column for column in columns if len(set(column)) > 1]
    # the number that alone varies ("frame7_cam2"), else the last one; there may be none
    numbers = next(iter(varying if len(varying) == 1 else columns), ())
    steps = np.diff(list(map(int, numbers)))
    # every fifth frame is a rate of its own, one frame less is a gap
    usual = max(1, np.median(steps)) if len(steps) else 1
    for i in np.flatnonzero(steps != usual):
        message = f"{path}: {files[i].name} is followed by {files[i + 1].name}; copy it again"
        raise InputError(message, "missing-frame", file=path)
    return Video(name, ImageFrames(files, channels), fps, scene)


def read_masks(folder: Path, length: int) -> MaskImages:
    """Open pixel masks kept as one image per frame, in natural order of their names.

    Raises:
        InputError: their number is not `length`.
    """
    refuse_broken_link(folder)
    files = list_images(folder) if folder.is_dir() else []
    message = f"{folder}: {len(files)} masks for {length} frames"
    require(len(files) == length, message, "label-length", file=folder)
    return MaskImages(files)


def clip_name(path: Path) -> str:
    """Return the name of a clip: that of its folder, or that of its video file without ending."""
    is_video = path.suffix.lower() in VIDEO_SUFFIXES and not path.is_dir()
    return path.stem if is_video else path.name


def numbered(paths: Iterable[Path], count: int | None = None) -> dict[str, Path]:
    """Name clips, or their label files, by the number in their names: "01" -> path.

    Raises:
        InputError: a name without a number in 1..count or with several, as in the duplicate
            "04 (1)", or two of the same number.
    """
    clips: dict[str, Path] = {}
    for path in paths:
        digits = re.findall(r"\d+", clip_name(path))
        is_sound = len(digits) == 1 and (count is None or 1 <= int(digits[0]) <= count)
        message = f"{path}: expected one number in its name (of {count or 'any'} clips); rename it"
        require(is_sound, message, "unexpected-clip", file=path)
        other = clips.setdefault(f"{int(digits[0]):02d}", path)
        require(other == path, f"{path}: numbered as {other}", "duplicate-name", file=path)
    return {name: clips[name] for name in sorted(clips, key=int)}
