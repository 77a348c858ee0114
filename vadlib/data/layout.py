"""How a dataset lies on a disk: where its folders are, which clips they hold, and what else is
beside them.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vadlib.data.decode import VIDEO_SUFFIXES, VideoFrames
from vadlib.data.store import cache_dir
from vadlib.data.video import (
    Frames,
    ImageFrames,
    MaskImages,
    Video,
    is_junk,
    list_files,
    list_images,
    natural_key,
    result_names,
)
from vadlib.errors import InputError, require
from vadlib.files import is_broken_link, refuse_broken_link

# Endings of arrays, labels and features in copies of known datasets, whose counts are known.
DATA_SUFFIXES = {".npy", ".npz", ".mat", ".m", ".json", ".csv", ".pkl", ".pickle", ".h5", ".pt"}
# Endings of what people and cameras put beside videos, and what is neither film, frame nor label.
_HARMLESS_SUFFIX = re.compile(
    r"\.(txt|md|rst|rtf|pdf|docx?|odt|html?|url|webloc|log|ini|cfg|toml|ya?ml|bib|py|ipynb|r|sh|"
    r"bat|ps1|md5|sha1|sha256|sha512|sfv|srt|vtt|thm|xmp|aae)"
)
_HARMLESS_NAMES = re.compile(
    r"(readme|licen[cs]e|copying|notice|authors|changelog|citation|makefile|checksums?|"
    r"md5sums?|sha[0-9]+sums?)([\W_]|$)"
)
# A text of such a name may be labels in a form that is not read.
_LABELS_NAME = re.compile(r"label|annot|truth|anomal|abnormal|interval|(^|[\W_])gt([\W_]|$)")


def name_key(name: str) -> str:
    """Return a name by which spellings of it are found that differ in case or in Unicode form.

    macOS writes an accent as a character of its own (NFD), other systems with its letter (NFC).
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).lower())


def below(folder: Path, *names: str) -> Path | None:
    """Find the file or folder of that path below a folder; None where there is none.

    Letter case and the Unicode form of accents are ignored; a name that is equal wins.

    Raises:
        InputError: one of the folders is a link whose target is missing.
    """
    for name in names:
        if not folder.is_dir():
            refuse_broken_link(folder)
            return None
        matches = sorted(p for p in folder.iterdir() if name_key(p.name) == name_key(name))
        if not matches:
            return None
        folder = folder / name if folder / name in matches else matches[0]
    return folder


class Listing(NamedTuple):
    """One folder of a tree: names of its subfolders and files, and of what vadlib wrote there."""

    path: Path
    folders: list[str]
    files: list[str]
    results: list[str]


def walk(base: Path) -> Iterator[Listing]:
    """Yield a folder and all below it, in natural order, without junk; results are not entered.

    Links are followed, each folder is entered once, and the cache is left out. Names that are
    removed from `folders` are not entered.

    Raises:
        InputError: a folder that cannot be read, or a base that is a link without a target.
    """

    def refuse(error: OSError) -> None:
        message = f"{error.filename}: cannot be read ({error.strerror}); allow it, or move it away"
        raise InputError(message, "not-readable", file=error.filename)

    refuse_broken_link(base)
    seen = {cache_dir().resolve()} - {base.resolve()}
    for folder, folders, files in os.walk(base, followlinks=True, onerror=refuse):
        path = Path(folder)
        if path.resolve() in seen:
            folders.clear()
            continue
        seen.add(path.resolve())
        results = result_names([*folders, *files])
        data = {n for n in [*folders, *files] if n not in results and not is_junk(path / n)}
        folders[:] = sorted(data.intersection(folders), key=natural_key)
        files = sorted(data.intersection(files), key=natural_key)
        yield Listing(path, folders, files, sorted(results, key=natural_key))


def list_tree(base: Path) -> list[Path]:
    """List all files below a folder, without junk and results of vadlib; see `walk`."""
    paths = []
    for listing in walk(base):
        paths += [listing.path / name for name in listing.files]
    return paths


def broken_links(folder: Path) -> list[Path]:
    """List the links below a folder whose target is missing, junk left out."""
    return [path for path in list_tree(folder) if is_broken_link(path)]


def is_harmless(path: Path) -> bool:
    """Tell a text, program or checksum beside the data, by its name, from what may be labels."""
    name = path.stem.lower()
    is_harmless_type = _HARMLESS_SUFFIX.fullmatch(path.suffix.lower()) is not None
    if _HARMLESS_NAMES.match(name):
        return is_harmless_type or not path.suffix
    may_be_labels = _LABELS_NAME.search(name) or path.parent.name.lower() in {"labels", "masks"}
    return is_harmless_type and not may_be_labels


def is_truth(path: Path) -> bool:
    """Tell a folder of ground truth beside the clips: UCSD's `Test001_gt`, `masks`, `labels`."""
    name = path.name.lower()
    return path.is_dir() and (name.endswith("_gt") or name in {"masks", "labels"})


def first_of(paths: Sequence[Path], limit: int = 1) -> str:
    """ "a.mp4 and 3 more", or "a.mp4, b.mp4 and 2 more" with a limit of 2, for a message."""
    names = ", ".join(map(str, paths[:limit]))
    return f"{names} and {len(paths) - limit} more" if len(paths) > limit else names


def require_root(root: Path, advice: str) -> None:
    """Refuse a root folder that is missing or is a file.

    Args:
        root: the folder that --root names.
        advice: what it should name, for the message.

    Raises:
        InputError: the root is missing or is a file.
    """
    refuse_broken_link(root)
    message = f"{root}: no such folder; {advice}"
    require(root.exists(), message, "missing-file", file=root, field="--root")
    message = f"{root}: a file, not a folder; {advice}"
    require(root.is_dir(), message, "wrong-kind-of-file", file=root, field="--root")


def find_folder(
    root: Path, title: str, places: Sequence[str], children: Sequence[str], expected: str
) -> Path:
    """Find the folder of a dataset: the first of `places` that holds one of `children`.

    Args:
        root: the folder to look in, and one level deeper: unpacking by hand often leaves an archive
            in a folder of its own name.
        title: how messages call the dataset.
        places: where the folder may be (paths with /), best first.
        children: folders of which it holds at least one.
        expected: an example of such a tree, for messages.

    Raises:
        InputError: there is none; the message says what was looked for, and where.
    """
    name = places[0].split("/")[0]
    require_root(root, f"--root (or VADLIB_DATA) must name the folder that holds {name}/")
    inside = [path for path in root.iterdir() if path.is_dir() and not is_junk(path)]
    labels: list[Path] = []
    for base in (root, *sorted(inside, key=lambda path: natural_key(path.name))):
        for place in places:
            folder = below(base, *place.split("/"))
            if folder is not None and _is_folder(folder):
                if any(below(folder, child) for child in children):
                    return folder
                labels += list_files(folder, {".npy", ".mat", ".m"})
    is_own = any(below(root, child) for child in children)
    message = f"{root}: the dataset's own folder; name the one above it, and call this one {name!r}"
    require(not is_own, message, "missing-file", file=root, field="--root")
    if labels:
        message = f"{labels[0]}: labels without frames; expected {expected} below {root}"
        raise InputError(message, "labels-without-frames", file=labels[0])
    message = f"{root}: no {title} here; expected {expected} below it"
    raise InputError(message, "missing-file", file=root, field="--root")


def list_clips(folder: Path, choices: Sequence[str]) -> list[Path]:
    """List the clips of a split: folders of images and video files, in natural order.

    Junk, results of vadlib and ground truth (`Test001_gt`) are left out. A link whose target is
    missing is listed: opening it is an error.

    Args:
        folder: of the dataset.
        choices: folders in it that may hold the clips (paths with /); the first one with clips is
            taken.

    Raises:
        InputError: there are none.
    """
    first = below(folder, *choices[0].split("/"))
    for choice in choices:
        place = below(folder, *choice.split("/"))
        clips = _clips(place) if place is not None and _is_folder(place) else []
        if clips:
            return sorted(clips, key=lambda path: natural_key(path.name))
    expected = "expected a folder of images, or a video file, per clip"
    missing = folder / choices[0]
    require(
        first is not None, f"{missing}: no such folder; {expected}", "missing-file", file=missing
    )
    raise InputError(f"{first}: empty; {expected}", "too-few", file=first)


def _clips(folder: Path) -> list[Path]:
    paths = [path for path in folder.iterdir() if not is_junk(path) and not is_truth(path)]
    others = result_names(path.name for path in paths) | {"frames", "videos"}
    clips = []
    for path in paths:
        is_clip = path.is_dir() or path.suffix.lower() in VIDEO_SUFFIXES or is_broken_link(path)
        if is_clip and path.name not in others and path.name.lower() not in others:
            clips.append(path)
    return clips


def _is_folder(path: Path) -> bool:
    refuse_broken_link(path)
    return path.is_dir()


def open_clip(path: Path, name: str, channels: int, fps: float, scene: str) -> Video:
    """Open a clip without labels. A video file's own times win over `fps`.

    Raises:
        InputError: no images, a gap in their numbers, or an unreadable first frame or file.
    """
    if not path.is_dir():
        film = VideoFrames(path, channels)
        return Video(name, film, film, scene)
    return Video(name, _open_images(path, channels), fps, scene)


def _open_images(folder: Path, channels: int) -> Frames:
    files = list_images(folder)
    message = f"{folder}: no images in it; expected frames such as 000.jpg"
    require(bool(files), message, "too-few", file=folder)
    steps = np.diff(frame_numbers(files))
    # every fifth frame is a rate of its own, one frame less is a gap
    usual = max(1, np.median(steps)) if len(steps) else 1
    for i, step in enumerate(steps):
        message = (
            f"{folder}: {files[i].name} is followed by {files[i + 1].name}; expected consecutive "
            "numbers: copy the clip again, or number its frames without gaps"
        )
        require(step == usual, message, "missing-frame", file=folder)
    return ImageFrames(files, channels)


def frame_numbers(files: Sequence[Path]) -> list[int]:
    """Return the number of each file in its name: the one that varies ("frame7_cam2"), else the
    last one. Empty where a name has none.
    """
    numbers = [list(map(int, re.findall(r"\d+", file.stem))) for file in files]
    if not all(numbers):
        return []
    position = -1
    if len({len(row) for row in numbers}) == 1:
        columns = [set(column) for column in zip(*numbers, strict=True)]
        varying = [i for i, column in enumerate(columns) if len(column) > 1]
        position = varying[0] if len(varying) == 1 else -1
    return [row[position] for row in numbers]


def read_masks(folder: Path, length: int) -> MaskImages:
    """Open pixel masks kept as one image per frame, in natural order of their names.

    Raises:
        InputError: their number is not `length`.
    """
    files = list_images(folder) if folder.is_dir() else []
    message = f"{folder}: {len(files)} masks for {length} frames; expected one for each frame"
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
    clips: dict[int, Path] = {}
    for path in paths:
        digits = re.findall(r"\d+", path.stem if path.suffix else path.name)
        is_sound = len(digits) == 1 and (count is None or 1 <= int(digits[0]) <= count)
        expected = f"one clip number from 1 to {count}" if count else "one clip number"
        message = f"{path}: expected {expected} in the name: rename or move it"
        require(is_sound, message, "unexpected-clip", file=path)
        other = clips.setdefault(int(digits[0]), path)
        message = f"{path}: has the clip number of {other}; remove one of them"
        require(other == path, message, "duplicate-name", file=path)
    return {f"{number:02d}": clips[number] for number in sorted(clips)}


def numbered_lengths(lengths: Sequence[int]) -> dict[str, int]:
    """Name the lengths of a numbered test set's clips: "01" -> frames."""
    return {f"{number:02d}": length for number, length in enumerate(lengths, start=1)}
