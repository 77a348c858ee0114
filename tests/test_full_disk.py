"""A disk that is full at any write: one line that names the file, nothing half-written, and work
continues once there is room. A limit of the size of files stands for the disk; where one file is to
fail and another one not, the error is injected when the file gets its name.
"""

import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from archives import files, make_tar, make_zip, tree
from refusals import refused
from safetensors import SafetensorError
from scenes import moving_videos
from servers import FILES, NAME, PAYLOAD
from trees import own_videos

from vadlib.config import ClipConfig, ModelConfig, PseudoConfig, TrainConfig
from vadlib.data.clips import ClipDataset
from vadlib.data.decode import VideoFrames
from vadlib.data.download import ARCHIVES, Archive, download_dataset, unpack
from vadlib.data.encode import write_video
from vadlib.data.store import keep_arrays, store_frames
from vadlib.errors import InputError
from vadlib.evaluation.evaluate import evaluate
from vadlib.files import atomic, write_json
from vadlib.jobs import plot_run, score_video
from vadlib.model.network import DualPathAutoencoder
from vadlib.pseudo.mixer import make_mixer
from vadlib.training.fit import fit

RUN = ["config.json", "state.pt", "history.csv", "model.safetensors", "calibration.npz"]
SCORED = ["scores.csv", "curve.png", "annotated.mp4"]
NO_ROOM = OSError(errno.ENOSPC, "No space left on device")
TORCH = "[enforce fail at inline_container.cc:672] . unexpected pos 4070976 vs 4070868"


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


@contextmanager
def full(name, error=NO_ROOM, after=0):
    """Each file of that name fails when it gets its name, after so many that do not."""
    replace, numbers = os.replace, count()

    def refuse(source, target):
        if Path(target).name == name and next(numbers) >= after:
            raise error
        replace(source, target)

    with patch("os.replace", refuse):
        yield


def remnants(folder):
    """Temporary files below a folder."""
    return [path for path in folder.rglob(".*") if path.is_file()]


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


# --- one place translates all

ERRORS = [
    (NO_ROOM, "disk-full"),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk-full"),
    (RuntimeError(TORCH), "disk-full"),
    (RuntimeError("[...] . PytorchStreamWriter failed writing file data/3"), "disk-full"),
    (SafetensorError("I/O error: Disk quota exceeded (os error 122)"), "disk-full"),
    (SafetensorError("I/O error: not enough space on the disk. (os error 112)"), "disk-full"),
    (OSError(errno.EACCES, "Permission denied"), "not-writable"),
    (OSError("encoder error -2 when writing image file"), "not-writable"),
    (SafetensorError("I/O error: Permission denied (os error 13)"), "not-writable"),
]


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=str)
def test_each_error_of_writing_is_one_line_and_the_old_file_stays(tmp_path, error, code):
    path = tmp_path / "state.pt"
    path.write_bytes(b"old")
    with refused(code, file=path) as caught, atomic(path) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert "\n" not in str(caught.error)
    assert caught.error.__cause__ is error
    assert path.read_bytes() == b"old"
    assert remnants(tmp_path) == []


OTHERS = [RuntimeError("shapes"), KeyboardInterrupt(), InputError("(os error 28)", "too-few")]


@pytest.mark.parametrize("error", OTHERS, ids=repr)
def test_other_errors_are_not_called_a_full_disk(tmp_path, error):
    with pytest.raises(type(error)) as caught, atomic(tmp_path / "a.npz"):
        raise error
    assert caught.value is error
    assert list(tmp_path.iterdir()) == []


def test_no_room_for_another_name_is_a_full_disk(tmp_path):
    """Disks also run out of inodes."""
    no_name = patch("tempfile.mkstemp", side_effect=NO_ROOM)
    with no_name, refused("disk-full", file=tmp_path), atomic(tmp_path / "a.npz"):
        pass


# --- the cache and films under a real limit


@pytest.mark.parametrize("size", [0, 10_000])
@pytest.mark.parametrize(
    ("write", "content"), [(write_json, [*range(10_000)]), (write_video, noise(40, 64, 64, 3))]
)
def test_a_file_that_grows_too_large_leaves_the_old_one(tmp_path, write, content, size):
    path = tmp_path / "a.mp4"
    rate = [25] if write is write_video else []
    path.write_bytes(b"old")
    with refused("disk-full", file=path), room(size):
        write(path, content, *rate)
    assert files(tmp_path) == {path.name: b"old"}
    write(path, content, *rate)
    assert path.stat().st_size > size


@pytest.mark.parametrize("size", [0, 20_000])
def test_the_cache_is_filled_when_there_is_room_again(cache, tmp_path, size):
    [video] = moving_videos(1)
    with refused("disk-full") as caught, room(size):
        store_frames([video], progress=False)
    assert caught.error.file.parent == cache / "frames"
    with refused("disk-full", file=cache / "boxes" / "key.npz"), room(size):
        keep_arrays("boxes", "key", lambda: {"boxes": noise(30_000)})
    assert files(cache) == {}
    [stored] = store_frames([video], progress=False)
    assert np.array_equal(stored, video.frames.frames)


# The disk fills while the frames are written.
TMPFS = """
import shutil, sys
from types import SimpleNamespace
sys.path.insert(0, sys.argv[1])
from scenes import moving_videos
from vadlib.data.store import store_frames
from vadlib.errors import InputError

shutil.disk_usage = lambda folder: SimpleNamespace(total=10**12, used=0, free=10**12)
try:
    store_frames(moving_videos(1, size=(480, 640)), progress=False)
except InputError as error:
    print(error.code)
"""


def test_a_disk_that_fills_while_frames_are_stored_does_not_kill_the_process(tmp_path):
    """Writing to mapped memory would: a bus error."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare")
    mounted = f"mount -t tmpfs -o size=1m none {tmp_path} || exit 77; VADLIB_CACHE={tmp_path} exec"
    command = ["unshare", "-rm", "sh", "-c", f'{mounted} "$@"', "sh", sys.executable, "-c", TMPFS]
    command.append(str(Path(__file__).parent))
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"mounting is not allowed here ({done.stderr.strip()})")
    assert (done.returncode, done.stdout.strip()) == (0, "disk-full"), done.stderr


# --- training


def train(out, **options):
    cuts = ClipConfig(length=8, crop=(16, 16), clip_step=8)
    clips = ClipDataset(moving_videos(3), cuts, progress=False)
    torch.manual_seed(0)
    config = TrainConfig(epochs=2, batch_size=4, workers=0, precision="fp32", device="cpu")
    model = DualPathAutoencoder(ModelConfig(width=8, slots=8))
    mixer = make_mixer(PseudoConfig(("skip", "noise")))
    return fit(model, clips, mixer, config, out, progress=False, **options).folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run that always had room."""
    return train(tmp_path_factory.mktemp("runs") / "a")


def assert_same_run(first, second):
    for name in ("model.safetensors", "history.csv", "config.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    with np.load(first / "calibration.npz") as a, np.load(second / "calibration.npz") as b:
        assert a.files == b.files
        assert all(np.array_equal(a[name], b[name]) for name in a.files)


FAILURES = [
    *((name, NO_ROOM, 0) for name in RUN),
    ("state.pt", RuntimeError(TORCH), 1),  # the second checkpoint; the first one is there
    ("model.safetensors", SafetensorError("I/O error: No space left on device (os error 28)"), 0),
]


@pytest.mark.parametrize(("name", "error", "after"), FAILURES, ids=str)
def test_a_training_continues_when_there_is_room_again(undisturbed, tmp_path, name, error, after):
    out = tmp_path / "run"
    with refused("disk-full", file=out / name), full(name, error, after):
        train(out)
    assert remnants(tmp_path) == []
    train(out, resume=True)
    assert_same_run(out, undisturbed)


@pytest.mark.parametrize("size", [500, 100_000])
def test_a_training_under_a_real_limit_leaves_nothing(undisturbed, tmp_path, size):
    out = tmp_path / "run"
    with refused("disk-full") as caught, room(size):
        train(out)
    assert caught.error.file in (out / "config.json", out / "state.pt")
    assert files(tmp_path) == {}
    train(out)
    assert_same_run(out, undisturbed)


def test_a_checkpoint_is_not_lost_to_one_that_has_no_room(undisturbed, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(undisturbed, out)
    for name in ("model.safetensors", "calibration.npz"):
        (out / name).unlink()
    before = (out / "state.pt").read_bytes()
    with refused("disk-full", file=out / "model.safetensors"), room(5000):
        train(out, resume=True)
    assert (out / "state.pt").read_bytes() == before
    with refused("already-exists", file=out):
        train(out)
    train(out, resume=True)
    assert_same_run(out, undisturbed)


# --- scoring


@pytest.fixture(scope="module")
def result(undisturbed):
    return evaluate(undisturbed, moving_videos(2, labelled=True, seed=3), "cpu", progress=False)


def old_files(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("old")


@pytest.mark.parametrize("name", ["scores.npz", "metrics.json"])
def test_metrics_never_lie_beside_the_scores_of_another_time(result, tmp_path, name):
    old_files(tmp_path, "scores.npz", "metrics.json")
    with full(name), refused("disk-full", file=tmp_path / name):
        result.save(tmp_path)
    there = files(tmp_path)
    assert there["scores.npz"] == b"old" or "metrics.json" not in there
    assert remnants(tmp_path) == []
    result.save(tmp_path)
    assert b"old" not in files(tmp_path).values()


def test_results_under_a_real_limit_keep_the_earlier_ones(result, tmp_path):
    old_files(tmp_path, "scores.npz", "metrics.json")
    with refused("disk-full"), room(2000):
        result.save(tmp_path)
    with refused("disk-full", file=tmp_path / "curves" / "01.png"), room(5000):
        plot_run(result, tmp_path)
    assert files(tmp_path) == {"scores.npz": b"old", "metrics.json": b"old"}
    plot_run(result, tmp_path)
    assert set(files(tmp_path)) > {"curves/01.png", "curves/02.png", "roc.png"}


@pytest.mark.parametrize("name", SCORED)
def test_a_scored_film_keeps_earlier_files(undisturbed, tmp_path, name):
    film, out = tmp_path / "film.mp4", tmp_path / "out"
    write_video(film, moving_videos(1, length=20)[0].frames.frames, 25)
    _ = VideoFrames(film).scan  # it is in the cache
    with refused("disk-full"), room(4000):
        score_video(undisturbed, film, out, "cpu", progress=False)
    assert not out.exists()
    old_files(out, *SCORED)
    with full(name), refused("disk-full", file=out / name):
        score_video(undisturbed, film, out, "cpu", progress=False)
    assert remnants(out) == []
    assert set(files(out)) == set(SCORED)
    assert (out / name).read_text() == "old"


# --- downloads


@pytest.mark.parametrize("size", [0, 150_000])
def test_a_download_continues_where_it_had_no_more_room(host, cache, tmp_path, monkeypatch, size):
    archive = Archive(f"{host.url}/{NAME}", hashlib.sha256(PAYLOAD).hexdigest(), "tiny.v1")
    monkeypatch.setitem(ARCHIVES, "ped2", (archive,))
    with refused("disk-full", file=cache / "downloads" / NAME), room(size):
        download_dataset("ped2", tmp_path / "root", progress=False)
    download_dataset("ped2", tmp_path / "root", progress=False)
    assert files(tmp_path / "root") == FILES
    ranges = [int(re.search(r"\d+", header)[0]) for _, header in host.asked[1:] if header]
    assert ranges == ([size] if size else []), "what had come is not asked for again"


@pytest.mark.parametrize("size", [0, 150_000])
@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_an_archive_is_unpacked_when_there_is_room_again(tmp_path, make, size):
    root, archive = tmp_path / "root", tmp_path / ("a.zip" if make is make_zip else "a.tar.gz")
    archive.write_bytes(make(*FILES.items()))
    with refused("disk-full", file=root), room(size):
        unpack(archive, root, "tiny.v1")
    assert tree(root) == {}
    unpack(archive, root, "tiny.v1")
    assert files(root) == FILES


# --- the commands


def test_a_command_ends_with_one_line_and_can_be_given_again(vadlib_command, tmp_path):
    def command(*words):
        result = vadlib_command(*words)
        lines = re.split(r"[\r\n]+", result[2])
        return result[0], [line for line in lines if line.strip() and "%|" not in line]

    root, out = tmp_path / "mine", tmp_path / "run"
    own_videos(root)
    small = {"clips": {"clip_step": 16, "crop": [24, 24]}, "model": {"width": 8, "slots": 8}}
    small["training"] = {"epochs": 1, "batch_size": 4}
    write_json(tmp_path / "small.json", small)
    options = ["--config", tmp_path / "small.json", "--root", root, "--device", "cpu"]
    train = ["train", "--data", "folder", *options, "--out"]
    assert command(*train, tmp_path / "first")[0] == 0  # its frames are in the cache
    with room(100_000):
        status, err = command(*train, out)
    assert (status, len(err)) == (1, 1), err
    assert err[0].startswith(f"vadlib: {out / 'state.pt'}: ")
    assert command(*train, out)[0] == 0
    evaluation = ["evaluate", out, "--root", root, "--device", "cpu"]
    with room(1000):
        status, err = command(*evaluation)
    assert (status, len(err)) == (1, 1), err
    assert command(*evaluation)[0] == 0
