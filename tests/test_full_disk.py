"""A disk that is full at any write: one line, nothing half-written, and work continues once there
is room. A limit of the size of files stands for the disk (case 17).
"""

import errno
import hashlib
import os
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from archives import files, make_zip
from refusals import refused
from safetensors import SafetensorError
from scenes import moving_videos
from servers import FILES, NAME, PAYLOAD
from trees import own_videos, short_run

from vadlib.data.decode import VideoFrames
from vadlib.data.download import ARCHIVES, Archive, download_dataset, unpack
from vadlib.data.encode import write_video
from vadlib.data.store import keep_arrays, store_frames
from vadlib.errors import InputError
from vadlib.evaluation.evaluate import evaluate
from vadlib.files import atomic, write_json
from vadlib.jobs import plot_run, score_video

NO_ROOM = OSError(errno.ENOSPC, "No space left on device")
TORCH = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 407 vs 400")
TENSORS = SafetensorError("I/O error: No space left on device (os error 28)")
VIDEOS = moving_videos(3)


@contextmanager
def room(size):
    """No file may grow beyond `size` bytes."""
    resource = pytest.importorskip("resource", reason="Windows has no limit of the size of files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def full(name, error=NO_ROOM):
    """Each file of that name fails when it gets its name."""
    replace = os.replace

    def refuse(source, target):
        if Path(target).name == name:
            raise error
        replace(source, target)

    return patch("os.replace", refuse)


ERRORS = [
    (NO_ROOM, "disk-full"),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk-full"),
    (TORCH, "disk-full"),
    (TENSORS, "disk-full"),
    (SafetensorError("I/O error: not enough space on the disk. (os error 112)"), "disk-full"),
    (OSError("encoder error -2 when writing image file"), "not-writable"),
    (RuntimeError("shapes"), None),
    (KeyboardInterrupt(), None),
    (InputError("(os error 28)", "too-few"), None),
]


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=repr)
def test_each_error_of_writing_is_one_line_and_the_old_file_stays(tmp_path, error, code):
    path = tmp_path / "state.pt"
    path.write_bytes(b"old")
    expected = refused(code, file=path) if code else pytest.raises(type(error))
    with expected as caught, atomic(path) as temporary:
        temporary.write_bytes(b"half")
        raise error
    if code:
        assert "\n" not in str(caught.error)
        assert caught.error.__cause__ is error
    assert files(tmp_path) == {"state.pt": b"old"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run that always had room."""
    return short_run(VIDEOS, tmp_path_factory.mktemp("runs") / "a").folder


def contents(run):
    names = ("config.json", "history.csv", "model.safetensors", "calibration.npz")
    return [(run / name).read_bytes() for name in names]


FAILURES = [
    (name, NO_ROOM) for name in ("config.json", "state.pt", "history.csv", "calibration.npz")
]
FAILURES += [("state.pt", TORCH), ("model.safetensors", TENSORS)]


@pytest.mark.parametrize(("name", "error"), FAILURES, ids=repr)
def test_a_training_continues_when_there_is_room_again(undisturbed, tmp_path, name, error):
    out = tmp_path / "run"
    with refused("disk-full", file=out / name), full(name, error):
        short_run(VIDEOS, out)
    assert [path for path in files(tmp_path) if Path(path).name.startswith(".")] == []
    had_checkpoint = name in ("model.safetensors", "calibration.npz")
    assert not had_checkpoint or (out / "state.pt").is_file()
    short_run(VIDEOS, out, resume=True)
    assert contents(out) == contents(undisturbed)


@pytest.fixture(scope="module")
def result(undisturbed):
    return evaluate(undisturbed, moving_videos(2, labelled=True, seed=3), "cpu", progress=False)


NOISE = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), np.uint8)
WRITERS = {
    "json": lambda folder, run, result: write_json(folder / "old", [*range(10_000)]),
    "film": lambda folder, run, result: write_video(folder / "old.mp4", NOISE, 25),
    "frames": lambda folder, run, result: store_frames(VIDEOS[:1], progress=False),
    "boxes": lambda folder, run, result: keep_arrays("boxes", "key", lambda: {"a": NOISE}),
    "scores": lambda folder, run, result: result.save(folder),
    "plots": lambda folder, run, result: plot_run(result, folder),
    "archive": lambda folder, run, result: unpack(folder / "a.zip", folder / "new", "tiny.v1"),
    "scored": lambda folder, run, result: score_video(run, folder / "film.mp4", folder / "out"),
}


@pytest.mark.parametrize("size", [0, 4000])
@pytest.mark.parametrize("name", WRITERS)
def test_whatever_is_written_leaves_the_old_files(undisturbed, result, cache, tmp_path, name, size):
    for path in ("old", "old.mp4", "scores.npz", "metrics.json"):
        (tmp_path / path).write_bytes(b"old")
    (tmp_path / "a.zip").write_bytes(make_zip(*FILES.items()))
    write_video(tmp_path / "film.mp4", VIDEOS[0].frames.frames[:20], 25)
    _ = VideoFrames(tmp_path / "film.mp4").scan  # it is in the cache
    before = files(tmp_path)
    with refused("disk-full"), room(size):
        WRITERS[name](tmp_path, undisturbed, result)
    assert files(tmp_path) == before
    WRITERS[name](tmp_path, undisturbed, result)
    assert files(tmp_path) != before


LAST = {"scores.npz": "scores", "metrics.json": "scores"}
LAST |= {"out/curve.png": "scored", "out/annotated.mp4": "scored"}


@pytest.mark.parametrize("name", LAST)
def test_files_that_belong_together_are_not_of_two_times(undisturbed, result, tmp_path, name):
    write_video(tmp_path / "film.mp4", VIDEOS[0].frames.frames[:20], 25)
    (tmp_path / "out").mkdir()
    for path in ("scores.npz", "metrics.json", "out/scores.csv", name):
        (tmp_path / path).write_bytes(b"old")
    with full(Path(name).name), refused("disk-full", file=tmp_path / name):
        WRITERS[LAST[name]](tmp_path, undisturbed, result)
    after = files(tmp_path)
    assert after["scores.npz"] == b"old" or "metrics.json" not in after
    assert after.get(name, b"old") == b"old"
    assert [path for path in after if Path(path).name.startswith(".")] == []


def test_a_download_continues_where_it_had_no_more_room(host, cache, tmp_path, monkeypatch):
    archive = Archive(f"{host.url}/{NAME}", hashlib.sha256(PAYLOAD).hexdigest(), "tiny.v1")
    monkeypatch.setitem(ARCHIVES, "ped2", (archive,))
    with refused("disk-full", file=cache / "downloads" / NAME), room(150_000):
        download_dataset("ped2", tmp_path / "root", progress=False)
    download_dataset("ped2", tmp_path / "root", progress=False)
    assert files(tmp_path / "root") == FILES
    assert "150000" in host.asked[1][1], "what had come is not asked for again"


def test_a_command_ends_with_one_line_and_can_be_given_again(vadlib_command, tmp_path):
    own_videos(tmp_path / "mine")
    settings = {"clips": {"clip_step": 16, "crop": [24, 24]}, "model": {"width": 8, "slots": 8}}
    write_json(tmp_path / "small.json", settings | {"training": {"epochs": 1, "batch_size": 4}})
    words = ["train", "--data", "folder", "--root", tmp_path / "mine", "--device", "cpu"]
    words += ["--config", tmp_path / "small.json", "--out"]
    assert vadlib_command(*words, tmp_path / "first")[0] == 0  # its frames are in the cache
    with room(100_000):
        status, *output = vadlib_command(*words, tmp_path / "run")
    assert (status, "Traceback" in output[1]) == (1, False)
    assert output[1].splitlines()[-1].startswith(f"vadlib: {tmp_path / 'run' / 'state.pt'}: ")
    assert vadlib_command(*words, tmp_path / "run")[0] == 0
