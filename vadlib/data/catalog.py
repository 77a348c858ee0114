"""The datasets by name: what is known of each, and the one way to load them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from vadlib.data.avenue import Avenue
from vadlib.data.copies import DatasetCopy
from vadlib.data.folder import OwnVideos
from vadlib.data.shanghaitech import ShanghaiTech
from vadlib.data.synthetic import load_synthetic
from vadlib.data.ucsd import Ped1, Ped2
from vadlib.data.video import Video
from vadlib.errors import InputError, require, require_known
from vadlib.files import command_line, expand_home, folder_variable, require_folder_variable

SPLITS = ("train", "test")


class CopyCounts(NamedTuple):
    """What a complete copy holds.

    Attributes:
        train_clips, train_frames, test_clips, test_frames: of each split.
        abnormal: ground truth -> abnormal test frames; "" stands for every other one.
        size: width x height, in pixels.
        fps: frames a second.
    """

    train_clips: int
    train_frames: int
    test_clips: int
    test_frames: int
    abnormal: dict[str, int]
    size: str
    fps: float


class DatasetCard(NamedTuple):
    """What is known of a dataset.

    Attributes:
        title: what it is, in a few words.
        copy: root -> the copy below it.
        counts: those of a complete copy; None where there is no such thing.
        terms: what its owners allow, as far as they say.
        citation: whom to cite, with a DOI where there is one.
        get: how to get it; "": by `vadlib data download`.
        shorter_side: of its frames in training, in pixels, where its people are too tall for
            windows of 48 pixels; None takes that of the preset.
        ground_truths: their names, best first, if there are several.
    """

    title: str
    copy: Callable[[Path], DatasetCopy]
    citation: str
    terms: str = "no licence is stated; for research, with a citation"
    get: str = ""
    counts: CopyCounts | None = None
    shorter_side: int | None = None
    ground_truths: Sequence[str] = ()


class RenderedCopy(DatasetCopy):
    """The rendered street, which needs no files; the path of a clip only tells it from others."""

    layout = "rendered"

    def __init__(self, root: Path):
        self.videos: dict[Path, Video] = {}

    def clips(self, split: str) -> dict[str, Path]:
        self.videos |= {Path(split, video.name): video for video in load_synthetic(split)}
        return {path.name: path for path in self.videos if path.parent.name == split}

    def open_clip(self, name: str, path: Path) -> Video:
        return self.videos[path]


_UCSD = "Mahadevan et al., Anomaly Detection in Crowded Scenes, doi:10.1109/CVPR.2010.5539872"
DATASETS = {
    "synthetic": DatasetCard(
        title="a rendered street; abnormal: bicycles, carts, running, loitering, wrong ways, bags",
        copy=RenderedCopy,
        terms="MIT, as vadlib",
        citation="this software",
        get="nothing to get: it is rendered",
        shorter_side=160,
    ),
    "ped1": DatasetCard(
        title="UCSD Ped1, a walkway seen from its end; abnormal: bicycles, skateboards and carts",
        copy=Ped1,
        counts=CopyCounts(34, 6800, 36, 7200, {"": 4045}, "238x158", 10.0),
        citation=_UCSD,
    ),
    "ped2": DatasetCard(
        title="UCSD Ped2, a walkway seen from its side; abnormal: bicycles, skateboards and carts",
        copy=Ped2,
        counts=CopyCounts(16, 2550, 12, 2010, {"": 1648}, "360x240", 10.0),
        citation=_UCSD,
    ),
    "avenue": DatasetCard(
        title="CUHK Avenue, people before a building; abnormal: running, throwing, wrong ways",
        copy=Avenue,
        counts=CopyCounts(16, 15328, 21, 15324, {"vol": 3712, "community": 3867}, "640x360", 25.0),
        citation="Lu et al., Abnormal Event Detection at 150 FPS, doi:10.1109/ICCV.2013.338",
        ground_truths=["vol", "community"],
    ),
    "shanghaitech": DatasetCard(
        title="ShanghaiTech Campus, thirteen cameras; abnormal: bicycles, fights, running and more",
        copy=ShanghaiTech,
        counts=CopyCounts(330, 274515, 107, 40791, {"": 17326}, "856x480", 24.0),
        terms="see its page; for research, with a citation",
        citation="Luo et al., A Revisit of Sparse Coding, doi:10.1109/ICCV.2017.45",
        get="only by hand: vadlib data download shanghaitech says how",
    ),
    "folder": DatasetCard(
        title="your own videos, below --root",
        copy=OwnVideos,
        terms="yours",
        citation="yours",
        get="vadlib data check folder --root DIR looks at them",
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
    return require_folder_variable("VADLIB_DATA", "datasets, such as ped2/") or Path("data")


def find_copy(
    name: str, root: str | Path | None = None, ground_truth: str | None = None
) -> DatasetCopy:
    """Look for a dataset's copy.

    Args:
        name, root, ground_truth: see `load_videos`.

    Raises:
        InputError: an unknown name or ground truth, or no copy there, or not with that ground
            truth.
    """
    require_known(name, DATASETS, "dataset")
    if ground_truth is not None:
        names = DATASETS[name].ground_truths
        message = f"ground truth {ground_truth!r}: dataset {name} has only one to choose from"
        require(bool(names), message, "conflict", field="ground_truth")
        require_known(ground_truth, names, "ground truth", field="ground_truth")
    if root is None:
        # what is rendered needs none
        root = Path("data") if name == "synthetic" else default_root()
    copy = DATASETS[name].copy(expand_home(root))
    if ground_truth is not None:
        copy.ground_truth(ground_truth, clips=None)
    return copy


def load_videos(
    name: str, split: str = "train", root: str | Path | None = None, ground_truth: str | None = None
) -> list[Video]:
    """Load one split of a dataset; frames are read only when asked for.

    Args:
        name: "synthetic" (rendered, needs nothing), "ped1", "ped2", "avenue", "shanghaitech", or
            "folder" (your own videos).
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
    require_known(split, SPLITS, "split")
    return copy.open(split, ground_truth)


def list_datasets(root: str | Path | None = None) -> list[dict[str, object]]:
    """What is known of each dataset, and the copy below `root` (see `load_videos`), if there is
    one.

    Returns:
        One dict a dataset, for JSON and `describe_datasets`.
    """
    options = () if root is None else ("--root", root)
    folder = expand_home(root) if root is not None else default_root()
    entries = []
    for name, card in DATASETS.items():
        counts = card.counts
        frames = counts and counts.train_frames + counts.test_frames
        entry: dict[str, object] = {"name": name, "title": card.title, "frames": frames}
        get = card.get or command_line("data", "download", name, *options)
        entry |= {"size": counts and counts.size, "terms": card.terms, "citation": card.citation}
        entry |= {"get": get, "there": False, "layout": None, "folder": None}
        try:
            copy = card.copy(folder)
            path = copy.folder and str(copy.folder)
            entry |= {"there": name != "folder", "layout": copy.layout, "folder": path}
        except InputError as error:
            entry["reason"] = str(error)
        entries.append(entry)
    return entries


def describe_datasets(entries: list[dict[str, object]]) -> str:
    """The entries of `list_datasets` as text for people."""
    lines = []
    for entry in entries:
        size = f"; {entry['frames']:,} frames of {entry['size']} pixels" if entry["frames"] else ""
        place = f"in {entry['folder']} ({entry['layout']} layout)" if entry["folder"] else "there"
        lines.append(f"{entry['name']:13} {entry['title']}{size}")
        place = place if entry["there"] else f"not there: {entry['get']}"
        for text in (place, f"terms: {entry['terms']}", f"cite: {entry['citation']}"):
            lines.append(f"{'':13} {text}")
    return "\n".join(lines)
