"""The datasets by name: what is known of each, and the one way to load them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vadlib.data.avenue import GROUND_TRUTHS, find_avenue
from vadlib.data.folder import find_folder
from vadlib.data.layout import Copy, Source
from vadlib.data.shanghaitech import find_shanghaitech
from vadlib.data.synthetic import load_synthetic
from vadlib.data.ucsd import find_ucsd
from vadlib.data.video import Video
from vadlib.errors import InputError, require
from vadlib.files import command_line, expand_home, folder_variable, require_folder_variable

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Known:
    """What a complete copy holds. `abnormal`: ground truth -> abnormal test frames; "" stands for
    every other one.
    """

    train_clips: int
    train_frames: int
    test_clips: int
    test_frames: int
    abnormal: dict[str, int]
    size: str  # width x height, in pixels
    fps: float


@dataclass(frozen=True)
class Dataset:
    """One entry of the catalogue.

    Attributes:
        title: what it is, in a few words.
        find: root -> the copy below it.
        known: the counts of a complete copy; None where there is no such thing.
        terms: what its owners allow, as far as they say.
        citation: whom to cite, with a DOI where there is one.
        get: how to get it.
        shorter_side: of its frames in training, in pixels, where its people are too tall for
            windows of 48 pixels; None takes that of the preset.
    """

    title: str
    find: Callable[..., Copy]
    known: Known | None
    terms: str
    citation: str
    get: str
    shorter_side: int | None = None


def _rendered(root: Path) -> Copy:
    def sources(split: str) -> list[Source]:
        return [
            Source(video.name, None, lambda video=video: video) for video in load_synthetic(split)
        ]

    return Copy("rendered", None, sources, {})


_UCSD = (
    "no licence is stated; for research, with a citation",
    "V. Mahadevan, W. Li, V. Bhalodia, N. Vasconcelos: Anomaly Detection in Crowded Scenes, CVPR 2010, doi:10.1109/CVPR.2010.5539872",
)
DATASETS = {
    "synthetic": Dataset(
        "a rendered street; cyclists, carts, running children, loiterers and walkers the wrong way are abnormal, and a bag that is left",
        _rendered,
        None,
        "MIT, as vadlib",
        "this software",
        "nothing to get: it is rendered",
        shorter_side=160,
    ),
    "ped1": Dataset(
        "UCSD Ped1, a walkway seen from its end; bicycles, skateboards and carts are abnormal",
        partial(find_ucsd, "ped1"),
        Known(34, 6800, 36, 7200, {"": 4045}, "238x158", 10.0),
        *_UCSD,
        "vadlib data download ped1",
    ),
    "ped2": Dataset(
        "UCSD Ped2, a walkway seen from its side; bicycles, skateboards and carts are abnormal",
        partial(find_ucsd, "ped2"),
        Known(16, 2550, 12, 2010, {"": 1648}, "360x240", 10.0),
        *_UCSD,
        "vadlib data download ped2",
    ),
    "avenue": Dataset(
        "CUHK Avenue, people before a building; running, throwing and walking the wrong way are abnormal",
        find_avenue,
        Known(16, 15328, 21, 15324, {"vol": 3712, "community": 3867}, "640x360", 25.0),
        "no licence is stated; for research, with a citation",
        "C. Lu, J. Shi, J. Jia: Abnormal Event Detection at 150 FPS in MATLAB, ICCV 2013, doi:10.1109/ICCV.2013.338",
        "vadlib data download avenue",
    ),
    "shanghaitech": Dataset(
        "ShanghaiTech Campus, thirteen cameras; bicycles, fights, running and more are abnormal",
        find_shanghaitech,
        Known(330, 274515, 107, 40791, {"": 17326}, "856x480", 24.0),
        "see its page; for research, with a citation",
        "W. Luo, W. Liu, S. Gao: A Revisit of Sparse Coding Based Anomaly Detection in Stacked RNN Framework, ICCV 2017, "
        "doi:10.1109/ICCV.2017.45",
        "only by hand: vadlib data download shanghaitech says how",
    ),
    "folder": Dataset(
        "your own videos, below --root",
        find_folder,
        None,
        "yours",
        "yours",
        "vadlib data check folder --root DIR looks at them",
    ),
}


def default_root(to_make: bool = False) -> Path:
    """The folder that holds the datasets' own folders: `VADLIB_DATA`, else ./data.

    Args:
        to_make: the folder will be made; otherwise the one that `VADLIB_DATA` names must be there.

    Raises:
        InputError: `VADLIB_DATA` names no folder.
    """
    if to_make:
        return folder_variable("VADLIB_DATA") or Path("data")
    return require_folder_variable(
        "VADLIB_DATA", "the datasets' own folders, such as ped2/"
    ) or Path("data")


def find_copy(name: str, root: str | Path | None = None, ground_truth: str | None = None) -> Copy:
    """Look for a dataset's copy.

    Args:
        name, root, ground_truth: see `load_videos`.

    Raises:
        InputError: an unknown name or ground truth, or no copy there.
    """
    message = f"dataset {name!r} is unknown; expected one of: {', '.join(DATASETS)}"
    require(isinstance(name, str) and name in DATASETS, message, "unknown-name", field="dataset")
    chosen = {}
    if ground_truth is not None:
        message = f"ground truth {ground_truth!r}: only avenue has several; {name} has one"
        require(name == "avenue", message, "conflict", field="ground_truth")
        message = (
            f"ground truth {ground_truth!r} is unknown; expected one of: {', '.join(GROUND_TRUTHS)}"
        )
        require(ground_truth in GROUND_TRUTHS, message, "unknown-name", field="ground_truth")
        chosen = {"ground_truth": ground_truth}
    if root is None:
        # what is rendered needs none
        root = Path("data") if name == "synthetic" else default_root()
    return DATASETS[name].find(expand_home(root), **chosen)


def load_videos(
    name: str, split: str = "train", root: str | Path | None = None, ground_truth: str | None = None
) -> list[Video]:
    """Load one split of a dataset; frames are read only when asked for.

    Args:
        name: "synthetic" (rendered, needs nothing), "ped1", "ped2", "avenue", "shanghaitech", or
            "folder" (one's own videos).
        split: "train" (normal videos only) or "test" (with frame labels and masks where the copy
            has them).
        root: the folder that holds the dataset's own folder, such as `ped2/`; for "folder" the data
            itself. Default: `VADLIB_DATA`, else ./data.
        ground_truth: of Avenue: "vol" (its authors' masks; the default where they are there) or
            "community"; AUCs on them differ.

    Raises:
        InputError: an unknown name, split or ground truth, or a copy that is missing, incomplete or
            damaged.
    """
    copy = find_copy(name, root, ground_truth)
    require(
        split in SPLITS,
        f"split {split!r} is unknown; expected 'train' or 'test'",
        "unknown-name",
        field="split",
    )
    return copy.open(split)


def list_datasets(root: str | Path | None = None) -> list[dict]:
    """What is known of each dataset, and the copy below `root` (see `load_videos`), if there is
    one.

    Returns:
        One dict a dataset, for JSON and `describe_datasets`.
    """
    named = () if root is None else ("--root", root)
    root, entries = expand_home(root) if root is not None else default_root(), []
    for name, dataset in DATASETS.items():
        entry = {
            "name": name,
            "title": dataset.title,
            "frames": None,
            "size": None,
            "terms": dataset.terms,
            "citation": dataset.citation,
        }
        if dataset.known:
            entry |= {
                "frames": dataset.known.train_frames + dataset.known.test_frames,
                "size": dataset.known.size,
            }
        try:
            copy = dataset.find(root)
            entry |= {
                "there": name != "folder",
                "layout": copy.layout,
                "folder": str(copy.folder) if copy.folder else None,
            }
        except InputError as error:
            entry |= {"there": False, "layout": None, "folder": None, "reason": str(error)}
        download = command_line("data", "download", name)
        get = dataset.get.replace(download, command_line("data", "download", name, *named))
        entries.append(entry | {"get": get})
    return entries


def describe_datasets(entries: list[dict]) -> str:
    """The entries of `list_datasets` as text for people."""
    lines = []
    for e in entries:
        size = f"; {e['frames']:,} frames of {e['size']} pixels" if e["frames"] else ""
        where = (
            f"in {e['folder']} ({e['layout']} layout)"
            if e["there"] and e["folder"]
            else "there"
            if e["there"]
            else f"not there: {e['get']}"
        )
        lines += [
            f"{e['name']:13} {e['title']}{size}",
            f"{'':13} {where}",
            f"{'':13} terms: {e['terms']}",
            f"{'':13} cite: {e['citation']}",
        ]
    return "\n".join(lines)
