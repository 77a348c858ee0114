"""Whoever follows a printed hint gets on: each next step that a command or an error prints is run
as it stands.
"""

import hashlib
import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from scenes import moving_videos
from servers import NAME, PAYLOAD
from trees import own_videos, scene, write_images

from vadlib import cli
from vadlib.data.avenue import TEST_LENGTHS
from vadlib.data.download import ARCHIVES, Archive
from vadlib.data.encode import write_video
from vadlib.evaluation.result import Result
from vadlib.files import write_json
from vadlib.model.run import Run
from vadlib.training.trainer import Trainer

SMALL = {
    "clips": {"clip_step": 16, "crop": [24, 24]},
    "model": {"width": 8, "slots": 8},
    "training": {"epochs": 1, "batch_size": 4},
}
# A path in a hint may hold spaces and quotes, which the shell has to get quoted.
NAMES = ["mine", "my videos", "it's (mine) & yours"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="shlex reads the quotes of a POSIX shell")


@pytest.fixture
def command(vadlib_command):
    """(*words) -> exit status, standard output, the last line of standard error."""

    def call(*words):
        status, out, err = vadlib_command(*words)
        return status, out, re.split(r"[\r\n]+", err.strip())[-1]

    return call


@pytest.fixture
def follow(command, tmp_path):
    """(text) -> the words of the only `vadlib` command in it, which was run with what its capitals
    stand for, and ended well.
    """

    def call(text, *more, **values):
        [hint] = hints(text)
        words = [str(values.get(word, word)) for word in shlex.split(hint)[1:]]
        assert not [word for word in words if word.isupper()], words
        status, _, err = command(*words, *more)
        assert status == 0, (words, err)
        return words

    return call


def hints(text):
    """The commands in a text, between backquotes or at the end of a line."""
    return re.findall(r"`(vadlib [^`]+)`", text) or re.findall(
        r"(?:^|: )(vadlib .+)$", text, re.MULTILINE
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Own videos, with labels."""
    root = tmp_path_factory.mktemp("own") / "mine"
    own_videos(root)
    return root


def layout(template, root, kind):
    """A copy of the videos in one of the layouts."""
    shutil.copytree(template, root)
    if kind == "no labels":
        (root / "labels.csv").unlink()
    if kind in ("no testing", "a heap"):
        (root / "labels.csv").unlink()
        shutil.rmtree(root / "testing")
    if kind == "a heap":
        (root / "training").rename(root / "heap")
    return root


def small_file(folder, **parts):
    write_json(folder / "small.json", SMALL | parts)
    return folder / "small.json"


# --- after a training


@pytest.mark.parametrize(
    ("kind", "name", "step"),
    [
        ("labels", NAMES[0], "evaluate"),
        ("no labels", NAMES[1], "evaluate"),
        ("no testing", NAMES[2], "score"),
        ("a heap", NAMES[0], "score"),
    ],
)
def test_the_step_after_a_training(command, follow, template, tmp_path, kind, name, step):
    root, out = layout(template, tmp_path / name, kind), tmp_path / "runs" / name
    status, said, err = command(
        "train",
        "--data",
        "folder",
        "--root",
        root,
        "--out",
        out,
        "--config",
        small_file(tmp_path),
        "--device",
        "cpu",
    )
    assert status == 0, err
    video = next(root.rglob("monday.mp4"))
    words = follow(said, VIDEO=video, DIR=tmp_path / "scored")
    assert words[:2] == [step, str(out)]
    assert "--device cpu" in " ".join(words)
    assert (out / "scores.npz").is_file() == (step == "evaluate")
    assert (tmp_path / "scored" / "scores.csv").is_file() == (step == "score")


def test_the_step_after_a_training_with_a_ground_truth_of_its_own(command, follow, tmp_path):
    for number, (frames, _) in enumerate(scene(2, 60), start=1):
        write_images(tmp_path / "avenue" / "training" / "frames" / f"{number:02d}", frames)
    last = len(TEST_LENGTHS)
    write_images(
        tmp_path / "avenue" / "testing" / "frames" / f"{last:02d}", scene(1, TEST_LENGTHS[-1])[0][0]
    )
    labels = np.zeros(sum(TEST_LENGTHS), np.uint8)
    labels[-20:] = 1
    np.save(tmp_path / "avenue" / "frame_labels_avenue.npy", labels)
    options = ["--ground-truth", "community", "--root", tmp_path, "--config", small_file(tmp_path)]
    status, said, err = command("train", "--data", "avenue", "--out", tmp_path / "run", *options)
    assert status == 0, err
    assert follow(said)[-2:] == ["--ground-truth", "community"]
    assert Result.load(tmp_path / "run").metrics["ground_truth"] == "community"


# --- after other commands


@pytest.fixture(scope="module")
def trained(template, tmp_path_factory):
    """(root, run) of own videos; copy the run before changing it."""
    folder = tmp_path_factory.mktemp("runs")
    arguments = [
        "vadlib",
        "train",
        "--data",
        "folder",
        "--root",
        str(template),
        "--out",
        str(folder / "run"),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [*arguments, "--config", str(small_file(folder))])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code
    return template, folder / "run"


@pytest.fixture
def run(trained, tmp_path):
    """(root, a copy of the run in a folder with a space in its name)."""
    root, folder = trained
    return root, Path(shutil.copytree(folder, tmp_path / "my runs" / "a"))


def test_a_scene_can_be_named_as_the_score_of_an_unknown_one_says(command, run, tmp_path):
    scene = "cam1 64x48"
    _, folder = run
    write_video(
        tmp_path / "other.mp4", moving_videos(1, size=(80, 80), length=20)[0].frames.frames, 25
    )
    status, said, err = command("score", folder, tmp_path / "other.mp4", "--out", tmp_path / "out")
    assert status == 0, err
    assert repr(scene) in said
    assert "--scene" in said
    assert (
        command(
            "score", folder, tmp_path / "other.mp4", "--out", tmp_path / "out", "--scene", scene
        )[0]
        == 0
    )


@pytest.fixture
def ped2_host(host, cache, monkeypatch):
    """A server that has an archive for "ped2", whose frames are none."""
    archive = Archive(f"{host.url}/{NAME}", hashlib.sha256(PAYLOAD).hexdigest(), "", "tiny.v1")
    monkeypatch.setitem(ARCHIVES, "ped2", (archive,))


@pytest.mark.parametrize("name", NAMES)
def test_the_step_after_a_download_checks_what_was_downloaded(
    command, ped2_host, tiny_ped2, tmp_path, name
):
    root = tmp_path / name
    shutil.copytree(tiny_ped2.root, root)
    status, said, err = command("data", "download", "ped2", "--root", root)
    assert status == 0, err
    [hint] = hints(said)
    _, out, _ = command(*shlex.split(hint)[1:], "--json")
    report = json.loads(out)
    assert (report["dataset"], report["root"]) == ("ped2", str(root))
    assert {entry["code"] for entry in report["problems"]} == {"partial-copy"}, (
        "a tiny copy lacks most clips, and nothing else"
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_list_of_datasets_says_how_to_get_one_where_it_looked(
    command, ped2_host, tmp_path, name
):
    status, said, _ = command("data", "list", "--root", tmp_path / name)
    assert status == 0
    [hint] = [hint for hint in hints(said) if "download ped2" in hint]
    command(*shlex.split(hint)[1:])
    assert (tmp_path / name / "tiny.v1" / "README.txt").is_file()


def test_a_stopped_training_goes_on_with_the_option_that_is_named(
    command, template, tmp_path, monkeypatch, trained
):
    options = [
        "--data",
        "folder",
        "--root",
        template,
        "--out",
        tmp_path / "run",
        "--config",
        small_file(tmp_path),
    ]

    def stop(self, *_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "update", stop)
        status, _, said = command("train", *options)
    assert status == 130
    [option] = re.findall(r"`(--\w+)`", said)
    assert command("train", *options, option)[0] == 0
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (
        trained[1] / "model.safetensors"
    ).read_bytes()


# --- errors that name a command


def without(folder, *names):
    for name in names:
        (folder / name).unlink()


def cut(folder, name):
    (folder / name).write_bytes((folder / name).read_bytes()[:100])


BROKEN = {
    "no calibration": lambda folder: without(folder, "calibration.npz"),
    "no weights": lambda folder: without(folder, "model.safetensors"),
    "no weights, no checkpoint": lambda folder: without(
        folder, "model.safetensors", "calibration.npz", "state.pt"
    ),
    "a cut calibration": lambda folder: cut(folder, "calibration.npz"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_run_that_is_not_complete_is_completed_as_the_error_says(command, follow, run, fault):
    root, folder = run
    whole = (folder / "model.safetensors").read_bytes()
    BROKEN[fault](folder)
    status, _, said = command("evaluate", folder, "--root", root)
    assert status == 1
    assert "--root" in said
    if "remove it" in said:
        without(folder, "calibration.npz")
    follow(said, "--root", root)
    assert (folder / "model.safetensors").read_bytes() == whole
    assert command("evaluate", folder, "--root", root)[0] == 0


def test_a_training_is_resumed_with_the_settings_that_it_began_with(command, run):
    """Nothing is named again but the folders; and what is named still has to be the same."""
    root, folder = run
    without(folder, "calibration.npz")
    status, _, err = command("train", "--resume", "--out", folder, "--root", root, "--seed", 5)
    assert (status, "training.seed" in err) == (1, True)
    status, _, err = command("train", "--resume", "--out", folder, "--root", root)
    assert status == 0, err
    assert Run.load(folder).config.training.epochs == 1


# --- no hint is left out
