"""How a dataset lies on a disk: where its folders are, which clips they hold, and what stands beside them that is no clip."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from vadlib.data.decode import VIDEO_SUFFIXES, VideoFrames
from vadlib.data.video import Frames, ImageFrames, Video, is_junk, list_images, natural_key
from vadlib.errors import InputError, require


@dataclass(frozen=True)
class Source:
    """One clip of a copy. `open` reads its first frame, its labels and its masks' names, and raises `InputError` for what is wrong."""

    name: str
    path: Path | None  # its folder of frames, or its video file; None where nothing lies on a disk
    open: Callable[[], Video]


@dataclass(frozen=True)
class Copy:
    """A copy of a dataset as it was found.

    Attributes:
        layout: "official", "community", or what else describes the tree.
        folder: where it lies; None for the rendered scene.
        sources: split -> its clips; raises `InputError` where the split, its clips or the labels of the whole set are missing or damaged.
        ground_truths: the frame labels that this copy has: name -> the file or folder that holds them.
        beside: files and folders outside `folder` that belong to it, such as Avenue's masks.
        splits: those that it is to have; one's own videos may do without "test".
    """

    layout: str
    folder: Path | None
    sources: Callable[[str], list[Source]]
    ground_truths: dict[str, Path]
    beside: tuple[Path, ...] = ()
    splits: tuple[str, ...] = ("train", "test")

    def open(self, split: str) -> list[Video]:
        """All videos of a split; a bar shows when it takes long, as the first scan of many video files does."""
        return [source.open() for source in tqdm(self.sources(split), f"opening {split}", unit="clip", delay=3, leave=False)]


def below(folder: Path, *names: str) -> Path | None:
    """The file or folder of that path below a folder, letter case ignored; None where there is none."""
    for name in names:
        if not folder.is_dir():
            return None
        matches = [p for p in folder.iterdir() if p.name.lower() == name.lower()]
        if not matches:
            return None
        folder = next((p for p in matches if p.name == name), matches[0])
    return folder


def require_root(root: Path, advice: str) -> None:
    """Refuse a root folder that is missing or is a file.

    Args:
        root: the folder that --root names.
        advice: what it should name, for the message.

    Raises:
        InputError: the root is missing or is a file.
    """
    require(root.exists(), f"{root}: no such folder; {advice}", "missing-file", file=root, field="--root")
    require(root.is_dir(), f"{root}: a file, not a folder; {advice}", "wrong-kind-of-file", file=root, field="--root")


def find_copy(root: Path, title: str, places: Sequence[str], children: Sequence[str], expected: str) -> Path:
    """The folder of a dataset: the first of `places` below `root` that holds one of `children` (paths with /).

    Raises:
        InputError: there is none; the message says what was looked for, and where.
    """
    require_root(root, f"--root (or VADLIB_DATA) must name the folder that holds {places[0].split('/')[0]}/")
    # Unpacking by hand often leaves an archive in a folder of its own name: look one level deeper, after the places themselves.
    inside = sorted((p for p in root.iterdir() if p.is_dir() and not is_junk(p)), key=lambda p: natural_key(p.name))
    looked_at = (below(base, *place.split("/")) for base in (root, *inside) for place in places)
    there = [found for found in looked_at if found is not None and found.is_dir()]
    for folder in there:
        if any(below(folder, *child.split("/")) for child in children):
            return folder
    if any(below(root, *child.split("/")) for child in children):
        raise InputError(
            f"{root}: this is the dataset's own folder; name the folder above it, and call this one {places[0].split('/')[0]!r}",
            "missing-file",
            file=root,
            field="--root",
        )
    labels = [p for folder in there for p in folder.iterdir() if p.suffix in {".npy", ".mat", ".m"} and not is_junk(p)]
    if labels:
        raise InputError(
            f"{labels[0]}: labels without frames are no dataset; expected {expected} below {root}: get the frames",
            "labels-without-frames",
            file=labels[0],
        )
    raise InputError(f"{root}: no {title} here; expected {expected} below it", "missing-file", file=root, field="--root")


def split_folder(folder: Path, *choices: str) -> Path:
    """The first of the choices (paths with /) that is a folder below `folder`.

    Raises:
        InputError: there is none.
    """
    found = [place for choice in choices if (place := below(folder, *choice.split("/"))) is not None and place.is_dir()]
    for place in found:
        if _clips(place):
            return place
    if found and found[0] == below(folder, *choices[0].split("/")):
        return found[0]
    missing = folder / choices[0]
    message = f"{missing}: no such folder; expected one folder of images, or one video file, a clip in it"
    raise InputError(message, "missing-file", file=missing)


def list_clips(folder: Path) -> list[Path]:
    """Folders of images and video files in natural order; junk and ground truth beside the clips (`Test001_gt`) are left out.

    Raises:
        InputError: there are none.
    """
    clips = _clips(folder)
    message = f"{folder}: empty; expected one folder of images, or one video file, a clip in it, such as {folder / '01'}"
    require(bool(clips), message, "too-few", file=folder)
    return sorted(clips, key=lambda p: natural_key(p.name))


def _clips(folder: Path) -> list[Path]:
    listed = (p for p in folder.iterdir() if not is_junk(p) and not is_truth(p) and p.name.lower() not in {"frames", "videos"})
    return [p for p in listed if p.is_dir() or p.suffix.lower() in VIDEO_SUFFIXES]


# Pictures and videos of kinds that are not read; files of other kinds are no frames.
_UNREAD = re.compile(r"\.(mpe?g|m2v|wmv|asf|m?ts|m2ts|flv|vob|ogv|webp|hei[cf]|gif|p[gp]m|avif|jxl|jp2|h264)", re.IGNORECASE)


def unread_files(folder: Path) -> list[Path]:
    """Pictures and videos below a folder that nothing here reads, in natural order."""
    found = [Path(here) / n for here, _, files in os.walk(folder) for n in files if _UNREAD.fullmatch(Path(n).suffix)]
    return sorted((path for path in found if not is_junk(path)), key=lambda p: natural_key(str(p)))


def first_of(paths: Sequence[Path]) -> str:
    """ "a.mp4 and 3 more", for a message."""
    return f"{paths[0]} and {len(paths) - 1} more" if len(paths) > 1 else str(paths[0])


def is_truth(path: Path) -> bool:
    """True for a folder of ground truth that lies beside the clips: UCSD's `Test001_gt`, the `masks` and `labels` of other copies."""
    return path.is_dir() and (path.name.lower().endswith("_gt") or path.name.lower() in {"masks", "labels"})


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
    usual = max(1, np.median(steps)) if len(steps) else 1  # every fifth frame is a rate of its own, one frame less is a gap
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
    """The number of each file in its name: the one that varies ("frame7_cam2"), else the last one. Empty where a name has none."""
    columns = [[int(digits) for digits in re.findall(r"\d+", file.stem)] for file in files]
    if len({len(numbers) for numbers in columns}) != 1:
        return [numbers[-1] for numbers in columns] if all(columns) else []
    varying = [column for column in zip(*columns, strict=True) if len(set(column)) > 1]
    return list(varying[0] if len(varying) == 1 else [*zip(*columns, strict=True)][-1]) if columns[0] else []


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
    """A `Video` from a clip's folder or file, its labels, and the function that finds its masks given the number of frames.

    A video file's own frame times win over `fps`.

    Raises:
        InputError: another number of labels or masks than frames, or what `open_frames` refuses.
    """
    frames = open_frames(path, channels)
    require_same_length(path, len(frames), labels)
    times = frames.times if isinstance(frames, VideoFrames) else None
    return Video(
        name,
        frames,
        frames.fps if isinstance(frames, VideoFrames) else fps,
        scene,
        labels,
        masks(len(frames)),
        ground_truth=truth,
        times=times,
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
        InputError: there is none, or it is not in 1..count, or there are several, as in the duplicate "04 (1)".
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
