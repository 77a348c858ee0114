"""How a dataset lies on a disk: where its folders are, which clips they hold, and what stands
beside them that is no clip.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from vadlib.data.decode import VIDEO_SUFFIXES, VideoFrames
from vadlib.data.store import cache_dir
from vadlib.data.video import (
    IMAGE_SUFFIXES,
    Frames,
    ImageFrames,
    Video,
    is_junk,
    list_images,
    natural_key,
    result_names,
)
from vadlib.errors import InputError, require
from vadlib.files import is_broken_link, refuse_broken_link

# Endings of arrays, labels and features in copies of known datasets, whose counts are known.
_DATA_SUFFIXES = {".npy", ".npz", ".mat", ".m", ".json", ".csv", ".pkl", ".pickle", ".h5", ".pt"}
# Endings of what people and cameras put beside videos, and what is neither film, frame nor label.
_HARMLESS_SUFFIXES = {
    ".txt",
    ".md",
    ".rst",
    ".rtf",
    ".pdf",
    ".doc",
    ".docx",
    ".odt",
    ".html",
    ".htm",
}
_HARMLESS_SUFFIXES |= {".url", ".webloc", ".log", ".ini", ".cfg", ".toml", ".yaml", ".yml", ".bib"}
_HARMLESS_SUFFIXES |= {".py", ".ipynb", ".r", ".sh", ".bat", ".ps1"}
_HARMLESS_SUFFIXES |= {
    ".md5",
    ".sha1",
    ".sha256",
    ".sha512",
    ".sfv",
    ".srt",
    ".vtt",
    ".thm",
    ".xmp",
    ".aae",
}
_HARMLESS_NAMES = re.compile(
    r"(readme|licen[cs]e|copying|notice|authors|changelog|citation|makefile|checksums?|"
    r"md5sums?|sha[0-9]+sums?)([\W_]|$)"
)
# A text of such a name may be labels in a form that is not read.
_LABELS_NAME = re.compile(r"label|annot|truth|anomal|abnormal|interval|(^|[\W_])gt([\W_]|$)")


@dataclass(frozen=True)
class Source:
    """One clip of a copy. `open` reads its first frame, its labels and its masks' names, and raises
    `InputError` for what is wrong.
    """

    name: str
    path: Path | None  # its folder of frames, or its video file; None where nothing lies on a disk
    open: Callable[[], Video]


def unread_by_ending(paths: Sequence[Path]) -> list[Path]:
    """Pick the files of a known dataset that are neither films, pictures nor arrays."""
    read = IMAGE_SUFFIXES | VIDEO_SUFFIXES | _DATA_SUFFIXES
    return [path for path in paths if path.suffix.lower() not in read]


@dataclass(frozen=True)
class Copy:
    """A copy of a dataset as it was found.

    Attributes:
        layout: "official", "community", or what else describes the tree.
        folder: where it lies; None for the rendered scene.
        sources: split -> its clips; raises `InputError` where the split, its clips or the labels of
            the whole set are missing or damaged.
        ground_truths: the frame labels that this copy has: name -> the file or folder that holds
            them.
        beside: files and folders outside `folder` that belong to it, such as Avenue's masks.
        splits: those that it is to have; one's own videos may do without "test".
        unread: picks those of some files of the copy that nothing reads.
    """

    layout: str
    folder: Path | None
    sources: Callable[[str], list[Source]]
    ground_truths: dict[str, Path]
    beside: tuple[Path, ...] = ()
    splits: tuple[str, ...] = ("train", "test")
    unread: Callable[[Sequence[Path]], list[Path]] = unread_by_ending

    def open(self, split: str) -> list[Video]:
        """All videos of a split; a bar shows when it takes long, as the first scan of many video
        files does.
        """
        return [
            source.open()
            for source in tqdm(
                self.sources(split), f"opening {split}", unit="clip", delay=3, leave=False
            )
        ]


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


def find_copy(
    root: Path, title: str, places: Sequence[str], children: Sequence[str], expected: str
) -> Path:
    """The folder of a dataset: the first of `places` below `root` that holds one of `children`
    (paths with /).

    Raises:
        InputError: there is none; the message says what was looked for, and where.
    """
    require_root(
        root, f"--root (or VADLIB_DATA) must name the folder that holds {places[0].split('/')[0]}/"
    )
    # Unpacking by hand often leaves an archive in a folder of its own name: look one level deeper,
    # after the places themselves.
    inside = sorted(
        (p for p in root.iterdir() if p.is_dir() and not is_junk(p)),
        key=lambda p: natural_key(p.name),
    )
    looked_at = (below(base, *place.split("/")) for base in (root, *inside) for place in places)
    there = []
    for folder in looked_at:
        if folder is None or not _is_folder(folder):
            continue
        if any(below(folder, *child.split("/")) for child in children):
            return folder
        there.append(folder)
    if any(below(root, *child.split("/")) for child in children):
        raise InputError(
            f"{root}: this is the dataset's own folder; name the folder above it, and call this one {places[0].split('/')[0]!r}",
            "missing-file",
            file=root,
            field="--root",
        )
    labels = [
        p
        for folder in there
        for p in folder.iterdir()
        if p.suffix in {".npy", ".mat", ".m"} and not is_junk(p)
    ]
    if labels:
        raise InputError(
            f"{labels[0]}: labels without frames are no dataset; expected {expected} below {root}: get the frames",
            "labels-without-frames",
            file=labels[0],
        )
    raise InputError(
        f"{root}: no {title} here; expected {expected} below it",
        "missing-file",
        file=root,
        field="--root",
    )


def split_folder(folder: Path, *choices: str) -> Path:
    """The first of the choices (paths with /) that is a folder below `folder`.

    Raises:
        InputError: there is none.
    """
    found = []
    for choice in choices:
        place = below(folder, *choice.split("/"))
        if place is None or not _is_folder(place):
            continue
        if _clips(place):
            return place
        found.append(place)
    if found and found[0] == below(folder, *choices[0].split("/")):
        return found[0]
    missing = folder / choices[0]
    message = (
        f"{missing}: no such folder; expected one folder of images, or one video file, a clip in it"
    )
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


def unread_files(copy: Copy) -> list[Path]:
    """List the files of a copy that nothing reads, in natural order.

    Texts and the like that are no data are left out, as are junk and results of vadlib.

    Raises:
        InputError: a folder that cannot be read.
    """
    if copy.folder is None:
        return []
    files = [listing.path / name for listing in walk(copy.folder) for name in listing.files]
    unread = copy.unread([path for path in files if not is_harmless(path)])
    return sorted((p for p in unread if not is_broken_link(p)), key=lambda p: natural_key(str(p)))


def result_files(copy: Copy) -> list[Path]:
    """List what vadlib itself has written into a copy's folders, and what it therefore leaves out."""
    if copy.folder is None:
        return []
    return [listing.path / name for listing in walk(copy.folder) for name in listing.results]


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
        return suffix in _HARMLESS_SUFFIXES | {""}
    may_be_labels = _LABELS_NAME.search(name) or path.parent.name.lower() in {"labels", "masks"}
    return suffix in _HARMLESS_SUFFIXES and not may_be_labels


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


def open_clip(
    path: Path,
    name: str,
    channels: int,
    fps: float,
    scene: str,
    labels: np.ndarray | None = None,
    truth: str = "",
    masks: Callable[[int], Frames | None] = lambda length: None,
) -> Video:
    """A `Video` from a clip's folder or file, its labels, and the function that finds its masks
    given the number of frames.

    A video file's own frame times win over `fps`.

    Raises:
        InputError: another number of labels or masks than frames, or what `open_frames` refuses.
    """
    frames = open_frames(path, channels)
    require_same_length(path, len(frames), labels)
    return Video(
        name,
        frames,
        frames if isinstance(frames, VideoFrames) else fps,
        scene,
        labels,
        masks(len(frames)),
        ground_truth=truth,
    )


def require_same_length(path: Path, frames: int, labels: np.ndarray | None) -> None:
    """Raise `InputError` when a clip has labels for another number of frames."""
    if labels is not None and len(labels) != frames:
        raise InputError(
            f"{path}: {frames} frames, but its labels cover {len(labels)}; expected the same number: copy or extract the clip again",
            "label-length",
            file=path,
        )


def clip_number(path: Path, count: int | None = None) -> int:
    """The number in a clip's name.

    Raises:
        InputError: there is none, or it is not in 1..count, or there are several, as in the
            duplicate "04 (1)".
    """
    digits = re.findall(r"\d+", path.stem if path.suffix else path.name)
    if len(digits) != 1 or (count is not None and not 1 <= int(digits[0]) <= count):
        expected = f"one clip number from 1 to {count}" if count else "one clip number"
        message = f"{path}: expected {expected} in the name, found {', '.join(digits) or 'none'}: rename or move it"
        raise InputError(message, "unexpected-clip", file=path)
    return int(digits[0])


def numbered(clips: Iterable[Path], count: int | None = None) -> dict[int, Path]:
    """Clip number -> clip.

    Raises:
        InputError: a clip without a number in 1..count, or two of one number.
    """
    found: dict[int, Path] = {}
    for clip in clips:
        number = clip_number(clip, count)
        if number in found:
            message = f"{clip}: its name says clip {number}, and so does {found[number]}; remove one of them"
            raise InputError(message, "duplicate-name", file=clip)
        found[number] = clip
    return dict(sorted(found.items()))
