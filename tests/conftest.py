"""Shared fixtures: a cache of the tests' own, the real data where it is, tiny videos and tiny
copies of Ped2.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.io
import torch
from hypothesis import settings
from PIL import Image
from scenes import ArrayFrames
from servers import Host

from vadlib.data.clips import Clip, to_tensor
from vadlib.data.video import Video
from vadlib.evaluation.result import Result
from vadlib.jobs import evaluate_run

# Runs share slow machines, so a single slow example is no failure; and a run that failed fails
# again.
settings.register_profile("vadlib", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("vadlib")

TRAIN_CLIPS = 3  # of 40 frames each
TEST_LENGTHS = (180, 180, 150, 180, 150, 180, 180, 180, 120, 150, 180, 180)
# 1-based, inclusive; 1,648 abnormal frames, as in the real set. The last clip's are given as two
# intervals side by side.
INTERVALS = (
    [(61, 180)],
    [(95, 180)],
    [(1, 146)],
    [(31, 180)],
    [(1, 129)],
    [(1, 159)],
    [(46, 180)],
    [(1, 180)],
    [(1, 120)],
    [(1, 150)],
)
INTERVALS += ([(1, 180)], [(88, 100), (101, 180)])


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """No test touches the user's cache, and none finds what an earlier run left; pytest-xdist's
    processes share one.
    """
    folder = tmp_path_factory.getbasetemp()
    of_this_run = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VADLIB_CACHE", str(of_this_run / "shared-cache"))
        yield


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tensors are tiny here: threads that wait for each other cost more than they gain, above all
    on a busy machine.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # for processes that tests start
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """A cache folder for this test alone."""
    monkeypatch.setenv("VADLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def host(monkeypatch) -> Iterator[Host]:
    """A web server, and no waiting: neither for its answers nor between two tries."""
    server = Host()
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr("vadlib.data.download.TIMEOUT", 0.5)
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=lambda seconds: None))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real datasets; the test is skipped without it, but fails where
    VADLIB_REQUIRE_DATA=1 demands it.
    """
    folder = os.environ.get("VADLIB_DATA")
    if folder and (Path(folder) / "ped2").is_dir():
        return Path(folder)
    reason = f"no real data: VADLIB_DATA is {folder or 'not set'}; it must hold ped2/"
    if os.environ.get("VADLIB_REQUIRE_DATA") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def pretrained_on_ped2(real_data) -> Result:
    """The pretrained run's result on the real test set, which takes a minute."""
    return evaluate_run("ped2", None, real_data, "cpu")


@pytest.fixture(scope="session")
def array_video() -> Callable[..., Video]:
    """(frames uint8 (T, H, W, C), name="a", **Video's fields) -> a `Video` in memory."""

    def make(frames: np.ndarray, name: str = "a", **fields) -> Video:
        return Video(
            name, ArrayFrames(np.asarray(frames, np.uint8)), fields.pop("fps", 10.0), **fields
        )

    return make


@pytest.fixture(scope="session")
def walker() -> Callable[..., tuple[np.ndarray, list[np.ndarray]]]:
    """(length, channels=1, seed=0, speed=1) -> frames uint8 (T, 48, 64, C) of a dark figure of 10 x
    18 pixels that walks over textured ground, 40 pixels and back again, and its box in each frame.
    """

    def make(
        length: int, channels: int = 1, seed: int = 0, speed: float = 1
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        rng = np.random.default_rng(seed)
        frames = np.repeat(rng.integers(110, 200, (1, 48, 64, channels)), length, axis=0)
        figure = rng.integers(0, 60, (18, 10, channels))
        start = 4 + np.abs((np.arange(length) * speed + 40) % 80 - 40).astype(int)
        for t, x in enumerate(start):
            frames[t, 15:33, x : x + 10] = figure
        frames = np.clip(frames + rng.normal(0, 1.5, frames.shape), 0, 255).astype(np.uint8)
        return frames, [np.float32([[x, 15, x + 10, 33]]) for x in start]

    return make


@pytest.fixture(scope="session")
def make_clip(walker) -> Callable[..., Clip]:
    """(length=16, channels=1, seed=0, ahead=64) -> a clip of the walker with its boxes and `ahead`
    later frames.

    The walker takes half a pixel a frame, so that it does not turn back within 80 frames.
    """

    def make(length: int = 16, channels: int = 1, seed: int = 0, ahead: int = 64) -> Clip:
        frames, boxes = walker(length + ahead, channels, seed, 0.5)
        return Clip(
            to_tensor(frames[:length]), "a", 0, torch.from_numpy(frames[length:]), boxes[:length]
        )

    return make


@dataclass(frozen=True)
class TinyPed2:
    """A copy of Ped2 in the community layout with the true lengths of its test clips and pictures
    of 24 x 16 pixels.

    The picture at position t of every clip is grey throughout, of level t, so that a pixel tells
    which frame it is.
    """

    root: Path  # holds ped2/
    labels: Sequence[np.ndarray]

    @property
    def folder(self) -> Path:
        return self.root / "ped2"

    def clip(self, number: int, split: str = "testing") -> Path:
        return self.folder / split / "frames" / f"{number:02d}"

    def frame(self, number: int, t: int, split: str = "testing") -> Path:
        return self.clip(number, split) / f"{t:03d}.png"

    @staticmethod
    def replace(path: Path, content: bytes) -> None:
        """Give one file other content; its hard links keep theirs."""
        path.unlink()
        path.write_bytes(content)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> list[Path]:
    """180 grey pictures of 24 x 16 pixels: picture t has level t."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{t:03d}.png" for t in range(max(TEST_LENGTHS))]
    for t, path in enumerate(paths):
        Image.new("L", (24, 16), t).save(path)
    return paths


@pytest.fixture(scope="session")
def tiny_ped2_template(pictures, tmp_path_factory) -> TinyPed2:
    """The tree that `tiny_ped2` copies."""
    root = tmp_path_factory.mktemp("tiny")
    labels = [np.zeros(length, np.uint8) for length in TEST_LENGTHS]
    for clip, intervals in zip(labels, INTERVALS, strict=True):
        for start, end in intervals:
            clip[start - 1 : end] = 1
    tree = TinyPed2(root, labels)
    normal, abnormal = root / "normal.png", root / "abnormal.png"
    Image.new("L", (24, 16), 0).save(normal)
    spot = Image.new("L", (24, 16), 0)
    spot.paste(255, (3, 5, 9, 10))
    spot.save(abnormal)
    for number in range(1, TRAIN_CLIPS + 1):
        link(pictures[:40], tree.clip(number, "training"))
    for number, clip in enumerate(labels, start=1):
        link(pictures[: len(clip)], tree.clip(number))
        link(
            [abnormal if a else normal for a in clip],
            tree.folder / "testing" / "masks" / f"{number:02d}",
        )
    cells = np.empty((1, len(INTERVALS)), object)
    for i, intervals in enumerate(INTERVALS):
        cells[0, i] = np.array(intervals, np.uint8).T
    scipy.io.savemat(tree.folder / "ped2.mat", {"gt": cells})
    np.save(tree.folder / "frame_labels_ped2.npy", np.concatenate(labels)[None])
    return tree


@pytest.fixture
def tiny_ped2(tiny_ped2_template, tmp_path) -> Iterator[TinyPed2]:
    """A tiny Ped2 that the test may change; replace files (`TinyPed2.replace`), never write into
    them: they are hard links.
    """
    shutil.copytree(tiny_ped2_template.folder, tmp_path / "data" / "ped2", copy_function=os.link)
    yield TinyPed2(tmp_path / "data", tiny_ped2_template.labels)
    shutil.rmtree(tmp_path / "data")  # a file can have about 65,000 links; pytest keeps its folders


def link(sources: Sequence[Path], folder: Path) -> None:
    """Hard-link files as 000.png, 001.png, ... into a new folder."""
    folder.mkdir(parents=True)
    for t, source in enumerate(sources):
        os.link(source, folder / f"{t:03d}.png")


@pytest.fixture
def vadlib_command(monkeypatch, capfd):
    """(*words) -> exit status, standard output and standard error of the command line, run in this
    process.
    """
    from vadlib import cli

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["vadlib", *map(str, words)])
        capfd.readouterr()
        try:
            cli.main()
            status = 0
        except SystemExit as stop:
            status = stop.code or 0
        return status, *capfd.readouterr()

    return call
