"""One's own videos: any tree of video files, or of folders of images, with labels or without.

::

    ROOT/training/cam1/monday.mp4                 normal videos only; folders of images do as well; or train/
        /testing/cam1/tuesday.mp4                 what is to be scored; optional; or test/
        /labels.csv                               optional: video,start,end (frames from 0, end exclusive), such as cam1/tuesday,120,180
        /labels.json                              or: [{"video": "cam1/tuesday", "start": 120, "end": 180}]
        /labels/cam1/tuesday.npy                  or: an array of 0 and 1, one for each frame
        /masks/cam1/tuesday/000.png ...           and, or instead: one image for each frame, any value above 0 is abnormal

Without `training/` and `testing/` all videos are for training. A video is called by its path
without the ending. Videos in one folder and of one size are taken to come from one fixed camera.
Colour is read as RGB unless all of them are grey.

Names are compared in Unicode's form NFC, and in labels without regard to case. What vadlib itself
wrote below the folder (films and curves of `vadlib score`, runs) is left out: see `result_names`. A
link whose target is missing is an error.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from vadlib.data import labels
from vadlib.data.decode import VIDEO_SUFFIXES, VideoFrames, is_grey, list_videos, read_comment
from vadlib.data.encode import ANNOTATED
from vadlib.data.layout import (
    Copy,
    Source,
    below,
    is_harmless,
    is_truth,
    name_key,
    open_clip,
    require_root,
    walk,
)
from vadlib.data.store import file_key, keep_arrays
from vadlib.data.video import IMAGE_SUFFIXES, MaskImages, Video, is_junk, list_files, list_images
from vadlib.errors import InputError, require
from vadlib.files import expand_home, is_broken_link, refuse_broken_link

FPS = 25.0  # assumed for folders of images, which do not say
GREY_MODES = {"1", "L", "LA"}
# a video -> its labels and where they are from
LabelReader = Callable[[Video], tuple[np.ndarray, str]]


def find_folder(root: Path) -> Copy:
    """Look at a tree of one's own videos.

    Raises:
        InputError: the folder is missing, or holds no videos.
    """
    require_root(root, "for the dataset 'folder', --root names the folder with your videos")
    found = {split: _split(root, split) for split in ("train", "test")}
    parts = {split: _base(folder) for split, folder in found.items() if folder is not None}
    bases = parts or {"train": root}
    truths = _truths(root)
    layout = "training and testing" if parts else "all for training"
    unread = partial(_unread, bases, truths)
    return Copy(layout, root, partial(_list, root, bases, truths), truths, (), tuple(bases), unread)


def open_video(path: Path) -> Video:
    """One video of one's own, without labels: a video file, or a folder of frame images, which play
    at `FPS`. Read as in `load_videos`.

    Raises:
        InputError: it is neither, or cannot be read.
    """
    path = expand_home(path)
    refuse_broken_link(path)
    message = (
        f"{path}: no such file or folder; expected one video file, or one folder of frame images"
    )
    require(path.exists(), message, "missing-file", file=path)
    if path.is_dir():
        found = list_videos(path)
        expected = (
            f"one of its video files, such as {found[0]}"
            if found
            else "a folder of frame images, or a video file"
        )
        require(
            bool(list_images(path)),
            f"{path}: no images in this folder; expected {expected}",
            "too-few",
            file=path,
        )
    name = unicodedata.normalize("NFC", path.resolve().name if path.is_dir() else path.stem)
    return _open(path, name, 1 if _is_grey(path) else 3, None, None)


def _split(root: Path, split: str) -> Path | None:
    """`training/` or `train/`, `testing/` or `test/`; also where it is a link without a target."""
    for name in (f"{split}ing", split):
        found = below(root, name)
        if found is not None and (found.is_dir() or is_broken_link(found)):
            return found
    return None


def _base(folder: Path) -> Path:
    """The folder below which clips are named: `frames/` or `videos/` where there is nothing else in
    the folder.
    """
    if not folder.is_dir():  # a link without a target, which listing it will name
        return folder
    inside = []
    for path in folder.iterdir():
        is_film = path.suffix.lower() in VIDEO_SUFFIXES
        is_clip = is_film or path.is_dir() or is_broken_link(path)
        if is_clip and not is_junk(path) and not is_truth(path):
            inside.append(path)
    # Results of vadlib beside it must not give the videos other names.
    if len(inside) > 1:
        inside = [path for path in inside if not path.is_dir() or any(_walk(path))]
    return (
        inside[0]
        if len(inside) == 1
        and inside[0].is_dir()
        and inside[0].name.lower() in {"frames", "videos"}
        else folder
    )


def _truths(root: Path) -> dict[str, Path]:
    """Label files, looked for in ROOT and in ROOT/testing.

    Raises:
        InputError: one kind of them is in both.
    """
    kinds = {"csv": "labels.csv", "json": "labels.json", "npy": "labels", "masks": "masks"}
    places = [root, _split(root, "test")]
    truths: dict[str, Path] = {}
    for kind, name in kinds.items():
        for path in (below(place, name) for place in places if place is not None):
            message = f"{path}: labels twice, there and in {truths.get(kind)}; keep one of them"
            require(path is None or kind not in truths, message, "conflict", file=path)
            if path is not None:
                truths[kind] = path
    return truths


def _list(root: Path, bases: dict[str, Path], truths: dict[str, Path], split: str) -> list[Source]:
    if split not in bases:
        name = "training" if split == "train" else "testing"
        message = (
            f"{root}: there is no {name}/ in it; put the videos for {split}ing into {root / name}"
        )
        raise InputError(message, "missing-file", file=root / name)
    if "test" not in bases and truths:
        path = next(iter(truths.values()))
        message = f"{path}: labels are for test videos, but there is no {root / 'testing'}; put the labelled videos there"
        raise InputError(message, "labels-without-frames", file=path)
    found = {base: list(_walk(base)) for base in bases.values()}
    names = [_name(clip, bases[split]) for clip in found[bases[split]]]
    clips = dict(zip(names, found[bases[split]], strict=True))
    require(
        len(clips) == len(names),
        f"{bases[split]}: two videos are called {max(names, key=names.count, default='')!r}, apart from "
        "their endings or the Unicode form of their names; rename one of them",
        "duplicate-name",
        file=bases[split],
    )
    suffixes = ", ".join(sorted(VIDEO_SUFFIXES))
    message = f"{bases[split]}: no videos in it; expected video files ({suffixes}) or folders of images; convert others"
    require(bool(clips), message, "too-few", file=bases[split])
    channels = (
        1 if all(_is_grey(clip) for clips_below in found.values() for clip in clips_below) else 3
    )
    reader = _label_reader(truths, clips) if split == "test" else None
    return [
        Source(
            name,
            clip,
            partial(
                _open_listed,
                clip,
                name,
                channels,
                reader,
                truths.get("masks") if split == "test" else None,
            ),
        )
        for name, clip in clips.items()
    ]


def _walk(base: Path) -> Iterator[Path]:
    """Video files, and folders that hold images (and no video: there they are covers and
    thumbnails), in natural order.

    Links are followed, each folder is entered once. A link without a target that may have been
    one of them is listed: opening it is an error.
    """
    for listing in walk(base):
        here = listing.path
        listing.folders[:] = [name for name in listing.folders if not is_truth(here / name)]
        videos = list_videos(here)
        yield from videos
        if not videos and list_files(here, IMAGE_SUFFIXES):
            yield here
        for name in listing.files:
            path = here / name
            listed = path.suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES or is_harmless(path)
            if not listed and is_broken_link(path):
                yield path


def _name(clip: Path, base: Path) -> str:
    if clip == base:
        return unicodedata.normalize("NFC", base.name)
    inside = clip.relative_to(base)
    named = (
        inside.with_suffix("")
        if clip.suffix.lower() in VIDEO_SUFFIXES and not clip.is_dir()
        else inside
    )
    return unicodedata.normalize("NFC", named.as_posix())


def _unread(bases: dict[str, Path], truths: dict[str, Path], paths: Sequence[Path]) -> list[Path]:
    """Pick the files that are no frames, videos or labels of these videos."""
    read = _read_files(bases, truths)
    folders = {parent: parent.resolve() for parent in {path.parent for path in paths}}
    return [path for path in paths if path.name not in read.get(folders[path.parent], ())]


def _read_files(bases: dict[str, Path], truths: dict[str, Path]) -> dict[Path, set[str]]:
    """Folder -> names of the files in it that are read; folders are resolved: links may lead there."""
    read: dict[Path, set[str]] = {}

    def add(folder: Path, names: Iterable[str]) -> None:
        read.setdefault(folder.resolve(), set()).update(names)

    tests = set()
    for split, base in bases.items():
        for listing in walk(base) if base.is_dir() else ():
            # Ground truth such as "a_gt" beside the videos is left out with a note of its own.
            listing.folders[:] = [
                n for n in listing.folders if n.lower() not in {"masks", "labels"}
            ]
            add(listing.path, _with_ending(listing.files, VIDEO_SUFFIXES | IMAGE_SUFFIXES))
        if split == "test" and base.is_dir():
            tests = {name_key(_name(clip, base)) for clip in _walk(base)}
    for kind, truth in truths.items():
        if not truth.is_dir():
            add(truth.parent, [truth.name] if kind in {"csv", "json"} else [])
            continue
        for listing in walk(truth):
            inside = listing.path.relative_to(truth)
            if kind == "npy":
                arrays = _with_ending(listing.files, {".npy"})
                add(
                    listing.path,
                    [n for n in arrays if name_key((inside / Path(n).stem).as_posix()) in tests],
                )
            elif kind == "masks" and name_key(inside.as_posix()) in tests:
                add(listing.path, _with_ending(listing.files, IMAGE_SUFFIXES))
    return read


def _with_ending(names: Iterable[str], suffixes: Collection[str]) -> list[str]:
    return [name for name in names if Path(name).suffix.lower() in suffixes]


def _is_grey(clip: Path) -> bool:
    try:
        if not clip.is_dir():
            return is_grey(clip)
        with Image.open(list_images(clip)[0]) as image:
            return image.mode in GREY_MODES
    except (InputError, UnidentifiedImageError, OSError):
        # opening the clip will say what is wrong with it, and it must not hide the others
        return True


def _open_listed(
    clip: Path, name: str, channels: int, reader: LabelReader | None, mask_root: Path | None
) -> Video:
    """Open a video of the dataset. One that `vadlib score` has painted may be looked at, but no
    model must learn from it.
    """
    video = _open(clip, name, channels, reader, mask_root)
    if isinstance(video.frames, VideoFrames) and read_comment(clip) == ANNOTATED:
        raise InputError(
            f"{clip}: a film that `vadlib score` has painted, which would be taken for what the "
            "camera saw; expected the film itself: move this one away",
            "unexpected-clip",
            file=clip,
        )
    return video


def _open(
    clip: Path, name: str, channels: int, reader: LabelReader | None, mask_root: Path | None
) -> Video:
    video = open_clip(clip, name, channels, FPS, "")
    parent, (height, width) = name.rpartition("/")[0] or "folder", video.frames.shape[1:3]
    video = replace(video, scene=f"{parent} {width}x{height}")
    if mask_root is not None:
        video = replace(video, masks=_masks(mask_root, name, len(video)))
    if reader is not None:
        truth, kind = reader(video)
        video = replace(video, labels=truth, ground_truth=kind)
    elif video.masks is not None:
        video = replace(video, labels=_from_masks(video.masks), ground_truth="masks")
    return video


def _label_reader(truths: dict[str, Path], clips: dict[str, Path]) -> LabelReader | None:
    """Video -> labels and where they are from; None without frame labels."""
    kinds = [kind for kind in ("csv", "json", "npy") if kind in truths]
    if not kinds:
        return None
    kind, path = kinds[0], truths[kinds[0]]
    require(
        len(kinds) == 1,
        f"{path}: labels twice, there and in {truths[kinds[-1]]}; keep one of them",
        "conflict",
        file=path,
    )
    if kind == "npy":
        return lambda video: (_own_npy(path, video.name), kind)
    spellings = _spellings(clips)
    rows: dict[str, list] = {name: [] for name in clips}
    for row in labels.read_intervals(path):
        name = _meant(row.video, clips, spellings)
        message = f"{path}: {row.where} labels a video {row.video!r}; there are: {', '.join(list(clips)[:5])}"
        require(name is not None, message, "unknown-name", file=path, field="video")
        rows[name].append(row)
    return lambda video: (labels.mark(rows[video.name], video.seconds, video.fps, path), kind)


def _spellings(clips: dict[str, Path]) -> dict[str, set[str]]:
    """Key of a spelling (see `name_key`) -> the videos that it may mean; a name may have its
    ending.
    """
    spellings: dict[str, set[str]] = {}
    for name, clip in clips.items():
        for spelt in (name, f"{name}{clip.suffix}"):
            spellings.setdefault(name_key(spelt), set()).add(name)
    return spellings


def _meant(spelt: str, clips: dict[str, Path], spellings: dict[str, set[str]]) -> str | None:
    """The video that a label file calls so; None if there is none, or if several may be meant.

    Windows writes a folder with a backslash, and spreadsheets make first letters capitals.
    """
    spelt = unicodedata.normalize("NFC", spelt)
    for spelling in (spelt, spelt.replace("\\", "/").removeprefix("./")):
        same = [name for name in clips if spelling in (name, f"{name}{clips[name].suffix}")]
        alike = same or sorted(spellings.get(name_key(spelling), []))
        if len(alike) == 1:
            return alike[0]
    return None


def _own_npy(folder: Path, name: str) -> np.ndarray:
    refuse_broken_link(folder)
    path = below(folder, *f"{name}.npy".split("/"))
    expected = folder / f"{name}.npy"
    message = f"{expected}: missing; expected labels for every test video, an array of 0 and 1"
    require(path is not None, message, "missing-labels", file=expected)
    _require_one_form(path)
    return labels.from_npy(path)


def _require_one_form(path: Path) -> None:
    """Refuse labels or masks of a video that are there twice, their names in two Unicode forms."""
    name = unicodedata.normalize("NFC", path.name)
    same = [p for p in path.parent.iterdir() if unicodedata.normalize("NFC", p.name) == name]
    others = ", ".join(ascii(p.name) for p in same)
    message = f"{path}: there twice, in two Unicode forms ({others}); keep one of them"
    require(len(same) < 2, message, "conflict", file=path)


def _masks(root: Path, name: str, length: int) -> MaskImages:
    refuse_broken_link(root)
    folder = below(root, *name.split("/"))
    if folder is not None:
        refuse_broken_link(folder)
        _require_one_form(folder)
    files = list_images(folder) if folder is not None and folder.is_dir() else []
    if len(files) != length:
        message = f"{root / name}: {len(files)} masks for {length} frames; expected one for each frame of {name}"
        raise InputError(message, "label-length", file=root / name)
    return MaskImages(files)


def _from_masks(masks: MaskImages) -> np.ndarray:
    key = file_key("masks", *masks.paths)
    return keep_arrays(
        "labels",
        key,
        lambda: {"labels": np.array([masks[t].any() for t in range(len(masks))], np.uint8)},
    )["labels"]
