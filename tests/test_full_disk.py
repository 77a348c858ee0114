"""A disk that is full at any write: one line that names the file, nothing half-written, and after
room is made all goes on.

A limit of the size of files stands for the disk where any of the files of a step may be the one
without room. Where one file is to fail and another one not, the error is injected when the file
gets its name.
"""

import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from contextlib import contextmanager
from pathlib import Path

import av
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
from vadlib.jobs import evaluate_once, plot_run, score_video
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import open_run
from vadlib.output.ablation_table import write_ablation
from vadlib.pseudo.mixer import make_mixer
from vadlib.pseudo.patches import CIFAR100Patches
from vadlib.training.fit import fit

RUN = ["config.json", "state.pt", "history.csv", "model.safetensors", "calibration.npz"]
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


@pytest.fixture
def full(monkeypatch):
    """(name, error=ENOSPC, after=0): a context in which each file of that name fails when it gets
    its name, after so many that do not.
    """

    @contextmanager
    def call(name, error=None, after=0):
        replace, left = os.replace, [after]

        def refuse(source, target):
            if Path(target).name != name:
                return replace(source, target)
            left[0] -= 1
            if left[0] >= 0:
                return replace(source, target)
            raise error or OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", refuse)
            yield

    return call


def leftovers(folder):
    """Temporary files below a folder."""
    return [path for path in folder.rglob(".*") if path.is_file()]


# --- one place translates all

FULL_ERRORS = [
    *(OSError(number, os.strerror(number)) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)),
    av.error.OSError(errno.ENOSPC, "No space left on device", "film.mp4"),
    RuntimeError(TORCH),
    RuntimeError(
        "[enforce fail at inline_container.cc:783] . PytorchStreamWriter failed writing file data/3: file write failed"
    ),
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    SafetensorError("Error while serializing: I/O error: Disk quota exceeded (os error 122)"),
    SafetensorError("Error while serializing: I/O error: File too large (os error 27)"),
    SafetensorError(
        "Error while serializing: I/O error: There is not enough space on the disk. (os error 112)"
    ),
]
REFUSALS = [
    *(OSError(number, os.strerror(number)) for number in (errno.EACCES, errno.EROFS, errno.EIO)),
    OSError("encoder error -2 when writing image file"),
    SafetensorError("Error while serializing: I/O error: Permission denied (os error 13)"),
]
OTHERS = [
    RuntimeError("shape mismatch"),
    SafetensorError("invalid header"),
    ValueError("x"),
    KeyboardInterrupt(),
    MemoryError(),
]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        *((error, "disk-full") for error in FULL_ERRORS),
        *((error, "not-writable") for error in REFUSALS),
    ],
    ids=str,
)
def test_each_error_of_writing_is_one_line_and_the_old_file_stays(tmp_path, error, code):
    path = tmp_path / "state.pt"
    path.write_bytes(b"old")
    with refused(code, file=path) as caught, atomic(path) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert "\n" not in str(caught.error)
    assert str(path) in str(caught.error)
    assert ("make room" in str(caught.error)) == (code == "disk-full")
    assert caught.error.__cause__ is error
    assert path.read_bytes() == b"old"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("error", OTHERS, ids=repr)
def test_other_errors_are_not_called_a_full_disk(tmp_path, error):
    with pytest.raises(type(error)) as caught, atomic(tmp_path / "a.npz"):
        raise error
    assert caught.value is error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_no_room_for_another_name_is_a_full_disk(tmp_path, monkeypatch, number):
    """Disks also run out of inodes."""

    def refuse(**_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with refused("disk-full", file=tmp_path), atomic(tmp_path / "a.npz"):
        pass


# --- each kind of file under a real limit


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


WRITERS = {
    "a.json": lambda path: write_json(path, list(range(10_000))),
    "a.csv": lambda path: write_ablation(path, [{"row": "x" * 100}] * 1000),
    "a.mp4": lambda path: write_video(path, noise(40, 64, 64, 3), 25),
    "b.mp4": lambda path: write_video(path, noise(40, 64, 64, 1), 1, np.arange(40) ** 2.0),
}


@pytest.mark.parametrize("size", [0, 100, 10_000])
@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_grows_too_large_leaves_the_old_one(tmp_path, name, size):
    path = tmp_path / name
    path.write_bytes(b"old")
    with refused("disk-full", file=path), room(size):
        WRITERS[name](path)
    assert [other.name for other in tmp_path.iterdir()] == [name]
    assert path.read_bytes() == b"old"
    WRITERS[name](path)
    assert path.stat().st_size > size


@pytest.mark.parametrize("size", [0, 100, 3000, 20_000])
def test_frames_are_stored_when_there_is_room_again(cache, size):
    [video] = moving_videos(1)
    with refused("disk-full") as caught, room(size):
        store_frames([video], progress=False)
    assert caught.error.file.parent == cache / "frames"
    assert "VADLIB_CACHE" in str(caught.error)
    assert files(cache) == {}
    [stored] = store_frames([video], progress=False)
    assert np.array_equal(stored, video.frames.frames)


def test_arrays_and_scans_are_kept_when_there_is_room_again(cache, tmp_path):
    with refused("disk-full", file=cache / "boxes" / "key.npz"), room(100):
        keep_arrays("boxes", "key", lambda: {"boxes": noise(1000)})
    write_video(tmp_path / "a.mp4", noise(20, 32, 32, 1), 25)
    with refused("disk-full") as caught, room(100):
        VideoFrames(tmp_path / "a.mp4")
    assert caught.error.file.parent == cache / "videos"
    assert files(cache) == {}
    assert len(keep_arrays("boxes", "key", lambda: {"boxes": noise(1000)})["boxes"]) == 1000
    assert len(VideoFrames(tmp_path / "a.mp4")) == 20


TMPFS = """
import shutil, sys
from collections import namedtuple
sys.path.insert(0, sys.argv[1])
from scenes import moving_videos
from vadlib.data.store import store_frames
from vadlib.errors import InputError

# The disk fills while the frames are written.
shutil.disk_usage = lambda folder: namedtuple("usage", "total used free")(10**12, 0, 10**12)
try:
    store_frames(moving_videos(1, size=(480, 640)), progress=False)
except InputError as error:
    print(error.code)
"""


def test_a_disk_that_fills_while_frames_are_stored_does_not_kill_the_process(tmp_path):
    """Writing to mapped memory would: a bus error."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = f"mount -t tmpfs -o size=1m none {disk} || exit 77; VADLIB_CACHE={disk} exec"
    tests = Path(__file__).parent
    command = [
        "unshare",
        "-rm",
        "sh",
        "-c",
        f'{mounted} "$@"',
        "sh",
        sys.executable,
        "-c",
        TMPFS,
        str(tests),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"mounting is not allowed here ({done.stderr.strip()})")
    assert (done.returncode, done.stdout.strip()) == (0, "disk-full"), done.stderr


# --- training


@pytest.fixture(scope="module")
def clips():
    return ClipDataset(
        moving_videos(3), ClipConfig(length=8, crop=(16, 16), clip_step=8), progress=False
    )


def train(clips, out, **options):
    torch.manual_seed(0)
    config = TrainConfig(epochs=2, batch_size=4, workers=0, precision="fp32", device="cpu")
    model = DualPathAutoencoder(ModelConfig(width=8, slots=8))
    return fit(
        model,
        clips,
        make_mixer(PseudoConfig(("skip", "noise"))),
        config,
        out,
        progress=False,
        **options,
    ).folder


@pytest.fixture(scope="module")
def undisturbed(clips, tmp_path_factory):
    """A run that always had room."""
    return train(clips, tmp_path_factory.mktemp("runs") / "a")


def same_run(first, second):
    """Weights and history are equal, byte by byte, and so is what calibrates the scores."""
    for name in ("model.safetensors", "history.csv", "config.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    with np.load(first / "calibration.npz") as a, np.load(second / "calibration.npz") as b:
        assert a.files == b.files
        assert all(np.array_equal(a[name], b[name]) for name in a.files)


FAILURES = [
    *((name, None, 0) for name in RUN),
    ("state.pt", RuntimeError(TORCH), 1),  # the second checkpoint; the first one is there
    ("history.csv", None, 1),
    ("model.safetensors", SafetensorError("I/O error: No space left on device (os error 28)"), 0),
]


@pytest.mark.parametrize(("name", "error", "after"), FAILURES, ids=str)
def test_a_training_goes_on_when_there_is_room_again(
    clips, undisturbed, tmp_path, full, name, error, after
):
    out = tmp_path / "run"
    with refused("disk-full", file=out / name), full(name, error, after):
        train(clips, out)
    assert leftovers(tmp_path) == []
    there = {path.name for path in out.iterdir()}
    assert there in [set(RUN[:count]) for count in (0, 2, 3, 4)] or (
        name == "history.csv" and there == {"config.json", "state.pt"}
    )
    train(clips, out, resume=True)
    same_run(out, undisturbed)


@pytest.mark.parametrize("size", [500, 100_000])
def test_a_training_under_a_real_limit_goes_on_without_it(clips, undisturbed, tmp_path, size):
    out = tmp_path / "run"
    with refused("disk-full") as caught, room(size):
        train(clips, out)
    assert caught.error.file in (out / "config.json", out / "state.pt")
    assert files(tmp_path) == {}, (
        "nothing can be continued, so nothing stands in the way of the next training"
    )
    train(clips, out)
    same_run(out, undisturbed)


def test_a_checkpoint_is_not_lost_to_one_that_has_no_room(clips, undisturbed, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(undisturbed, out)
    for name in ("model.safetensors", "calibration.npz"):
        (out / name).unlink()
    before = files(out)
    with refused("disk-full", file=out / "model.safetensors"), room(5000):
        train(clips, out, resume=True)
    assert {name: content for name, content in files(out).items() if name != "history.csv"} == {
        name: content for name, content in before.items() if name != "history.csv"
    }
    with refused("already-exists", file=out):
        train(clips, out)
    train(clips, out, resume=True)
    same_run(out, undisturbed)


@pytest.mark.parametrize(
    "gone",
    [["model.safetensors"], ["calibration.npz"], ["model.safetensors", "calibration.npz"]],
    ids=str,
)
def test_what_is_missing_of_a_finished_run_is_made_again_by_resuming(
    clips, undisturbed, tmp_path, gone
):
    out = tmp_path / "run"
    shutil.copytree(undisturbed, out)
    for name in gone:
        (out / name).unlink()
    train(clips, out, resume=True)
    same_run(out, undisturbed)
    open_run(out)


# --- scoring


@pytest.fixture(scope="module")
def result(undisturbed):
    return evaluate(undisturbed, moving_videos(2, labelled=True, seed=3), "cpu", progress=False)


def old_files(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("old")


@pytest.mark.parametrize("name", ["scores.npz", "metrics.json"])
def test_metrics_never_lie_beside_the_scores_of_another_time(result, tmp_path, full, name):
    old_files(tmp_path, "scores.npz", "metrics.json")
    with full(name), refused("disk-full", file=tmp_path / name):
        result.save(tmp_path)
    there = files(tmp_path)
    assert there["scores.npz"] == b"old" or "metrics.json" not in there
    assert leftovers(tmp_path) == []
    result.save(tmp_path)
    there = files(tmp_path)
    assert set(there) == {"scores.npz", "metrics.json"}
    assert b"old" not in there.values()


@pytest.mark.parametrize("size", [100, 2000, 20_000])
def test_an_evaluation_under_a_real_limit_keeps_the_earlier_result(result, tmp_path, size):
    old_files(tmp_path, "scores.npz", "metrics.json")
    with refused("disk-full"), room(size):
        result.save(tmp_path)
    assert files(tmp_path) == {"scores.npz": b"old", "metrics.json": b"old"}


@pytest.mark.parametrize("size", [5000])
def test_curves_are_drawn_when_there_is_room_again(result, tmp_path, size):
    with refused("disk-full", file=tmp_path / "curves" / "01.png"), room(size):
        plot_run(result, tmp_path)
    assert files(tmp_path) == {}
    plot_run(result, tmp_path)
    assert set(files(tmp_path)) == {"curves/01.png", "curves/02.png", "roc.png"}


def test_a_picture_of_the_roc_that_has_no_room(result, tmp_path, full):
    with full("roc.png"), refused("disk-full", file=tmp_path / "roc.png"):
        plot_run(result, tmp_path)
    assert set(files(tmp_path)) == {"curves/01.png", "curves/02.png"}


def test_a_result_for_several_notebooks_is_made_when_there_is_room_again(undisturbed, tmp_path):
    videos = moving_videos(1, labelled=True)
    with refused("disk-full"), room(2000):
        evaluate_once(undisturbed, videos, tmp_path / "out", "cpu")
    assert files(tmp_path) == {}
    evaluate_once(undisturbed, videos, tmp_path / "out", "cpu")


@pytest.fixture
def film(tmp_path):
    write_video(tmp_path / "film.mp4", moving_videos(1, length=20)[0].frames.frames, 25)
    return tmp_path / "film.mp4"


SCORED = ["scores.csv", "curve.png", "annotated.mp4"]


@pytest.mark.parametrize("name", SCORED)
def test_a_scored_film_keeps_earlier_files(undisturbed, film, tmp_path, full, name):
    out = tmp_path / "out"
    old_files(out, *SCORED)
    with full(name), refused("disk-full", file=out / name):
        score_video(undisturbed, film, out, "cpu", progress=False)
    assert leftovers(out) == []
    assert set(files(out)) == set(SCORED)
    assert (out / name).read_text() == "old"


@pytest.mark.parametrize("size", [300, 4000])
def test_a_film_scored_under_a_real_limit_leaves_nothing(undisturbed, film, tmp_path, size):
    VideoFrames(film)  # its scan is in the cache
    out = tmp_path / "out"
    with refused("disk-full") as caught, room(size):
        score_video(undisturbed, film, out, "cpu", progress=False)
    assert caught.error.file.name in SCORED
    assert not out.exists()
    score_video(undisturbed, film, out, "cpu", progress=False)
    assert set(files(out)) == set(SCORED)


# --- downloads


@pytest.mark.parametrize("size", [0, 1000, 150_000])
def test_a_download_goes_on_where_it_had_no_more_room(host, cache, tmp_path, monkeypatch, size):
    archive = Archive(
        f"{host.url}/{NAME}", hashlib.sha256(PAYLOAD).hexdigest(), "", "tiny.v1", 1_000_000
    )
    monkeypatch.setitem(ARCHIVES, "ped2", (archive,))
    with refused("disk-full", file=cache / "downloads") as caught, room(size):
        download_dataset("ped2", tmp_path / "root", progress=False)
    assert NAME in str(caught.error)
    assert [
        path for path in cache.rglob("*") if path.is_file() and not path.name.endswith(".part")
    ] == []
    download_dataset("ped2", tmp_path / "root", progress=False)
    assert files(tmp_path / "root") == FILES
    asked_from = [int(re.search(r"\d+", header)[0]) for _, header in host.asked[1:] if header]
    assert asked_from == ([size] if size else []), "what had come is not asked for again"


@pytest.mark.parametrize("size", [0, 1000, 150_000])
@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_an_archive_is_unpacked_when_there_is_room_again(tmp_path, make, size):
    path, root = tmp_path / "archive", tmp_path / "root"
    path.write_bytes(make(*FILES.items()))
    assert tarfile.is_tarfile(path) or zipfile.is_zipfile(path)
    with refused("disk-full", file=root), room(size):
        unpack(path, root, "tiny.v1", 10**6)
    assert tree(root) == {}
    unpack(path, root, "tiny.v1", 10**6)
    assert files(root) == FILES


def test_pictures_of_cifar_without_room_to_unpack_are_not_called_damaged(cache, monkeypatch):
    from torchvision.datasets import CIFAR100

    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(CIFAR100, "__init__", refuse)
    (cache / "patches" / CIFAR100.base_folder).mkdir(parents=True)
    monkeypatch.delenv("VADLIB_DATA", raising=False)
    with refused("disk-full", file=cache / "patches" / CIFAR100.base_folder):
        CIFAR100Patches()


# --- the commands


@pytest.fixture
def command(vadlib_command):
    """(*arguments) -> exit status and the lines of standard error that are no progress bars."""

    def call(*arguments):
        status, _, err = vadlib_command(*arguments)
        return status, [
            line for line in re.split(r"[\r\n]+", err) if line.strip() and "%|" not in line
        ]

    return call


def test_a_command_ends_with_one_line_and_can_be_given_again(command, tmp_path):
    own_videos(tmp_path / "mine")
    small = {
        "data": {"clip_step": 16, "crop": [24, 24]},
        "model": {"width": 8, "slots": 8},
        "training": {"epochs": 1, "batch_size": 4},
    }
    write_json(tmp_path / "small.json", small)
    out = tmp_path / "run"
    options = [
        "--root",
        tmp_path / "mine",
        "--config",
        tmp_path / "small.json",
        "--out",
        out,
        "--device",
        "cpu",
    ]
    train = ["train", "--data", "folder", *options]
    # its frames are in the cache
    assert command(*train[:-3], tmp_path / "first", *train[-2:])[0] == 0
    with room(100_000):
        status, err = command(*train)
    assert (status, len(err)) == (1, 1), err
    assert err[0].startswith(f"vadlib: {out / 'state.pt'}: ")
    assert command(*train)[0] == 0
    with room(1000):
        status, err = command("evaluate", out, "--root", tmp_path / "mine", "--device", "cpu")
    assert (status, len(err)) == (1, 1), err
    assert isinstance(open_run(out).model, DualPathAutoencoder)
    assert command("evaluate", out, "--root", tmp_path / "mine", "--device", "cpu")[0] == 0


def test_an_input_error_is_not_wrapped_in_another(tmp_path):
    """A full disk within the writing of another file: the inner file is the one to name."""
    with (
        refused("disk-full", file=tmp_path / "inner"),
        atomic(tmp_path / "outer"),
        atomic(tmp_path / "inner"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(InputError, match="os error 28") as caught, atomic(tmp_path / "outer"):
        raise InputError("a file that cannot be read (os error 28)", "damaged-file")
    assert caught.value.code == "damaged-file"
