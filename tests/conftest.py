"""Shared fixtures: a cache of the tests' own, the real data where it is, tiny videos and tiny
copies of Ped2.
"""

import os
import shutil
import sys
from collections.abc import Sequence
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
from vadlib.jobs import evaluate_run

# Runs share slow machines, so a single slow example is no failure; and a run that failed fails
# again.
settings.register_profile("vadlib", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("vadlib")

TRAIN_CLIPS = 3  # of 40 frames each
TEST_LENGTHS = (180, 180, 150, 180, 150, 180, 180, 180, 120, 150, 180, 180)
# 1-based, inclusive; 1,648 abnormal frames, as in the real set. The last clip's are given as two
# intervals side by side.
STARTS = (61, 95, 1, 31, 1, 1, 46, 1, 1, 1)
ENDS = (180, 180, 146, 180, 129, 159, 180, 180, 120, 150)
INTERVALS = [[pair] for pair in zip(STARTS, ENDS, strict=True)]
INTERVALS += [[(1, 180)], [(88, 100), (101, 180)]]


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """No test touches the user's cache, and none finds what an earlier run left; pytest-xdist's
    processes share one. And one thread: tensors are tiny here, so threads cost more than they gain.
    """
    folder = tmp_path_factory.getbasetemp()
    of_this_run = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VADLIB_CACHE", str(of_this_run / "shared-cache"))
        patch.setenv("OMP_NUM_THREADS", "1")  # for processes that tests start
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder for this test alone."""
    monkeypatch.setenv("VADLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def host(monkeypatch):
    """A web server, and no waiting: neither for its answers nor between two tries."""
    server = Host()
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr("vadlib.data.download.TIMEOUT", 0.5)
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=lambda seconds: None))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def real_data():
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
def pretrained_on_ped2(real_data):
    """The pretrained run's result on the real test set, which takes a minute."""
    return evaluate_run("ped2", None, real_data, "cpu")


@pytest.fixture(scope="session")
def array_video():
    """(frames uint8 (T, H, W, C), name="a", **Video's fields) -> a `Video` in memory."""

    def make(frames, name="a", fps=10.0, **fields):
        return Video(name, ArrayFrames(np.asarray(frames, np.uint8)), fps, **fields)

    return make


@pytest.fixture(scope="session")
def walker():
    """(length, channels=1, seed=0, speed=1) -> frames uint8 (T, 48, 64, C) of a dark figure of 10 x
    18 pixels that walks over textured ground, 40 pixels and back again, and its box in each frame.
    """

    def make(length, channels=1, seed=0, speed=1):
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
def make_clip(walker):
    """(length=16, channels=1, seed=0, ahead=64) -> a clip of the walker with its boxes and `ahead`
    later frames. It takes half a pixel a frame, so that it does not turn back within 80 frames.
    """

    def make(length=16, channels=1, seed=0, ahead=64):
        frames, boxes = walker(length + ahead, channels, seed, 0.5)
        later = torch.from_numpy(frames[length:])
        return Clip(to_tensor(frames[:length]), "a", 0, later, boxes[:length])

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
def pictures(tmp_path_factory):
    """180 grey pictures of 24 x 16 pixels: picture t has level t."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{t:03d}.png" for t in range(max(TEST_LENGTHS))]
    for t, path in enumerate(paths):
        Image.new("L", (24, 16), t).save(path)
    return paths


@pytest.fixture(scope="session")
def tiny_ped2_template(pictures, tmp_path_factory):
    """The tree that `tiny_ped2` copies."""
    root = tmp_path_factory.mktemp("tiny")
    labels = [np.zeros(length, np.uint8) for length in TEST_LENGTHS]
    cells = np.empty((1, len(INTERVALS)), object)
    for i, intervals in enumerate(INTERVALS):
        cells[0, i] = np.array(intervals, np.uint8).T
        for start, end in intervals:
            labels[i][start - 1 : end] = 1
    tree = TinyPed2(root, labels)
    masks = [root / "normal.png", root / "abnormal.png"]
    spot = Image.new("L", (24, 16), 0)
    spot.save(masks[0])
    spot.paste(255, (3, 5, 9, 10))
    spot.save(masks[1])
    for number in range(1, TRAIN_CLIPS + 1):
        link(pictures[:40], tree.clip(number, "training"))
    for number, clip in enumerate(labels, start=1):
        link(pictures[: len(clip)], tree.clip(number))
        link([masks[a] for a in clip], tree.folder / "testing" / "masks" / f"{number:02d}")
    scipy.io.savemat(tree.folder / "ped2.mat", {"gt": cells})
    np.save(tree.folder / "frame_labels_ped2.npy", np.concatenate(labels)[None])
    return tree


@pytest.fixture
def tiny_ped2(tiny_ped2_template, tmp_path):
    """A tiny Ped2 that the test may change; replace files (`TinyPed2.replace`), never write into
    them: they are hard links.
    """
    shutil.copytree(tiny_ped2_template.folder, tmp_path / "data" / "ped2", copy_function=os.link)
    yield TinyPed2(tmp_path / "data", tiny_ped2_template.labels)
    shutil.rmtree(tmp_path / "data")  # a file can have about 65,000 links; pytest keeps its folders


def link(sources, folder):
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
