"""How a dataset lies on a disk: where its folders are, which clips they hold, and what stands
beside them that is no clip.
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
    r"\.(txt|md|rst|rtf|pdf|docx?|odt|html?|url|webloc|log|ini|cfg|toml|ya?ml|bib|py|ipynb|r|sh|bat|"
    r"ps1|md5|sha1|sha256|sha512|sfv|srt|vtt|thm|xmp|aae)"
)
_HARMLESS_NAMES = re.compile(
    r"(readme|licen[cs]e|copying|notice|authors|changelog|citation|makefile|checksums?|"
    r"md5sums?|sha[0-9]+sums?)([\W_]|$)"
)
# A text of such a name may be labels in a form that is not read.
_LABELS_NAME = re.compile(r"label|annot|truth|anomal|abnormal|interval|(^|[\W_])gt([\W_]|$)")


def below(folder: Path, *names: str) -> Path | None:
    """The file or folder of that path below a folder; None where there is none.

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
        folder = next((p for p in matches if p.name == name), matches[0])
    return folder


def name_key(name: str) -> str:
    """Return a name by which spellings of it are found that differ in case or in Unicode form.

    macOS writes an accent as a character of its own (NFD), other systems with its letter (NFC).
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).lower())


class Listing(NamedTuple):
    """One folder of a tree: names of its subfolders and files, and of what vadlib wrote there."""

    path: Path
    folders: list[str]
    files: list[str]
    results: list[str]


def walk(base: Path) -> Iterator[Listing]:
    """Yield a folder and all below it, in natural order, without junk; results are not entered.

    Links are followed, and each folder is entered once; the cache is none of the data. Names
    that are removed from `folders` are not entered.

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


def require_root(root: Path, advice: str) -> None:
    """Refuse a root folder that is missing or is a file.

    Args:
        root: the folder that --root names.
        advice: what it should name, for the message.

    Raises:
        InputError: the root is missing or is a file.
    """
    refuse_broken_link(root)
    require(
        root.exists(),
        f"{root}: no such folder; {advice}",
        "missing-file",
        file=root,
        field="--root",
    )
    require(
        root.is_dir(),
        f"{root}: a file, not a folder; {advice}",
        "wrong-kind-of-file",
        file=root,
        field="--root",
    )


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
    inside = sorted(
        (path for path in root.iterdir() if path.is_dir() and not is_junk(path)),
        key=lambda path: natural_key(path.name),
    )
    label_files = []
    for base in (root, *inside):
        for place in places:
            folder = below(base, *place.split("/"))
            if folder is None or not _is_folder(folder):
                continue
            if any(below(folder, child) for child in children):
                return folder
            label_files += list_files(folder, {".npy", ".mat", ".m"})
    if any(below(root, child) for child in children):
        message = (
            f"{root}: this is the dataset's own folder; name the folder above it, "
            f"and call this one {name!r}"
        )
        raise InputError(message, "missing-file", file=root, field="--root")
    if label_files:
        message = (
            f"{label_files[0]}: labels without frames are no dataset; expected {expected} below "
            f"{root}: get the frames"
        )
        raise InputError(message, "labels-without-frames", file=label_files[0])
    message = f"{root}: no {title} here; expected {expected} below it"
    raise InputError(message, "missing-file", file=root, field="--root")


def split_folder(folder: Path, choices: Sequence[str]) -> Path:
    """Return the first of the choices (paths with /) below `folder` that holds clips.

    Raises:
        InputError: there is none.
    """
    for choice in choices:
        place = below(folder, *choice.split("/"))
        if place is not None and _is_folder(place) and _clips(place):
            return place
    place = below(folder, *choices[0].split("/"))
    if place is not None and place.is_dir():
        return place  # empty, which listing its clips will say
    missing = folder / choices[0]
    message = f"{missing}: no such folder; expected a folder of images, or a video file, per clip"
    raise InputError(message, "missing-file", file=missing)


def list_clips(folder: Path) -> list[Path]:
    """Folders of images and video files in natural order, without junk, results of vadlib and
    ground truth (`Test001_gt`).

    A link whose target is missing is listed: opening it is an error.

    Raises:
        InputError: there are none.
    """
    clips = _clips(folder)
    message = f"{folder}: empty; expected one folder of images, or one video file, a clip in it, such as {folder / '01'}"
    require(bool(clips), message, "too-few", file=folder)
    return sorted(clips, key=lambda p: natural_key(p.name))


def _clips(folder: Path) -> list[Path]:
    listed = [p for p in folder.iterdir() if not is_junk(p) and not is_truth(p)]
    results = result_names(p.name for p in listed)
    clips = []
    for path in listed:
        is_clip = path.is_dir() or path.suffix.lower() in VIDEO_SUFFIXES or is_broken_link(path)
        left_out = path.name in results or path.name.lower() in {"frames", "videos"}
        if is_clip and not left_out:
            clips.append(path)
    return clips


def _is_folder(path: Path) -> bool:
    refuse_broken_link(path)
    return path.is_dir()


def broken_links(folder: Path) -> list[Path]:
    """List the links below a folder whose target is missing, junk left out."""
    paths = (listing.path / name for listing in walk(folder) for name in listing.files)
    return [path for path in paths if is_broken_link(path)]


def is_harmless(path: Path) -> bool:
    """True for a text, program or checksum beside the data, by its name; not for what may be
    labels.
    """
    name, suffix = path.stem.lower(), path.suffix.lower()
    if _HARMLESS_NAMES.match(name):
        return suffix == "" or bool(_HARMLESS_SUFFIX.fullmatch(suffix))
    may_be_labels = _LABELS_NAME.search(name) or path.parent.name.lower() in {"labels", "masks"}
    return bool(_HARMLESS_SUFFIX.fullmatch(suffix)) and not may_be_labels


def first_of(paths: Sequence[Path], limit: int = 1) -> str:
    """ "a.mp4 and 3 more", or "a.mp4, b.mp4 and 2 more" with a limit of 2, for a message."""
    names = ", ".join(map(str, paths[:limit]))
    return f"{names} and {len(paths) - limit} more" if len(paths) > limit else names


def is_truth(path: Path) -> bool:
    """True for a folder of ground truth that lies beside the clips: UCSD's `Test001_gt`, the
    `masks` and `labels` of other copies.
    """
    return path.is_dir() and (
        path.name.lower().endswith("_gt") or path.name.lower() in {"masks", "labels"}
    )


def open_frames(path: Path, channels: int) -> Frames:
    """The frames of a video file, or of a folder of images in natural order.

    Raises:
        InputError: no images, a gap in their numbers, or an unreadable first frame or file.
    """
    if not path.is_dir():
        return VideoFrames(path, channels)
    files = list_images(path)
    message = f"{path}: no images in it; expected frames such as 000.jpg: copy the clip again, or move the folder away"
    require(bool(files), message, "too-few", file=path)
    steps = np.diff(frame_numbers(files))
    # every fifth frame is a rate of its own, one frame less is a gap
    usual = max(1, np.median(steps)) if len(steps) else 1
    for i, step in enumerate(steps):
        if step != usual:
            raise InputError(
                f"{path}: {files[i].name} is followed by {files[i + 1].name}; expected consecutive numbers: "
                "a frame is missing or there twice: copy the clip again, or number its frames without gaps",
                "missing-frame",
                file=path,
            )
    return ImageFrames(files, channels)


def frame_numbers(files: Sequence[Path]) -> list[int]:
    """The number of each file in its name: the one that varies ("frame7_cam2"), else the last one.
    Empty where a name has none.
    """
    columns = [[int(digits) for digits in re.findall(r"\d+", file.stem)] for file in files]
    if len({len(numbers) for numbers in columns}) != 1:
        return [numbers[-1] for numbers in columns] if all(columns) else []
    varying = [column for column in zip(*columns, strict=True) if len(set(column)) > 1]
    return (
        list(varying[0] if len(varying) == 1 else [*zip(*columns, strict=True)][-1])
        if columns[0]
        else []
    )


def open_clip(path: Path, name: str, channels: int, fps: float, scene: str) -> Video:
    """Open a clip without labels. A video file's own times win over `fps`.

    Raises:
        InputError: what `open_frames` refuses.
    """
    frames = open_frames(path, channels)
    if isinstance(frames, VideoFrames):
        return Video(name, frames, frames.fps, scene, times=frames.times)
    return Video(name, frames, fps, scene)


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


def clip_number(path: Path, count: int | None = None) -> int:
    """Return the number in a clip's name.

    Raises:
        InputError: there is none, or it is not in 1..count, or there are several, as in the
            duplicate "04 (1)".
    """
    digits = re.findall(r"\d+", path.stem if path.suffix else path.name)
    if len(digits) != 1 or (count is not None and not 1 <= int(digits[0]) <= count):
        expected = f"one clip number from 1 to {count}" if count else "one clip number"
        message = (
            f"{path}: expected {expected} in the name, found {', '.join(digits) or 'none'}: "
            "rename or move it"
        )
        raise InputError(message, "unexpected-clip", file=path)
    return int(digits[0])


def numbered(paths: Iterable[Path], count: int | None = None) -> dict[str, Path]:
    """Name clips, or their label files, by the number in their names: "01" -> path.

    Raises:
        InputError: one without a number in 1..count, or two with the same number.
    """
    clips: dict[int, Path] = {}
    for path in paths:
        number = clip_number(path, count)
        if number in clips:
            message = (
                f"{path}: its name says clip {number}, and so does {clips[number]}; "
                "remove one of them"
            )
            raise InputError(message, "duplicate-name", file=path)
        clips[number] = path
    return {f"{number:02d}": clips[number] for number in sorted(clips)}


def numbered_lengths(lengths: Sequence[int]) -> dict[str, int]:
    """Name the lengths of a numbered test set's clips: "01" -> frames."""
    return {f"{number:02d}": length for number, length in enumerate(lengths, start=1)}
