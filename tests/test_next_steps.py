"""A printed hint can be followed: each next step that a command or an error prints is run
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

SMALL = {"clips": {"clip_step": 16, "crop": [24, 24]}, "model": {"width": 8, "slots": 8}}
SMALL |= {"training": {"epochs": 1, "batch_size": 4}}
# A path in a hint may hold spaces and quotes, which the shell has to get quoted.
NAMES = ["mine", "my videos", "it's (mine) & yours"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="shlex reads the quotes of a POSIX shell")


@pytest.fixture
def command(vadlib_command):
    """(*words, status=0) -> standard output and the last line of standard error."""

    def call(*words, status=0):
        code, *output = vadlib_command(*words)
        assert code == status, (words, output)
        return output[0] + re.split(r"[\r\n]+", output[1].strip())[-1]

    return call


@pytest.fixture
def follow(command):
    """(text) -> the words of the only `vadlib` command in it, which was run with what its capitals
    stand for, and succeeded.
    """

    def call(text, *more, **values):
        words = [str(values.get(word, word)) for word in words_of(text)]
        assert not [word for word in words if word.isupper()], words
        command(*words, *more)
        return words

    return call


def words_of(text, part=""):
    """The words of the only command in a text, between backquotes or at the end of a line."""
    hints = re.findall(r"`(vadlib [^`]+)`", text)
    hints = hints or re.findall(r"(?:^|: )(vadlib .+)$", text, re.MULTILINE)
    [hint] = [hint for hint in hints if part in hint]
    return shlex.split(hint)[1:]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Own videos, with labels."""
    root = tmp_path_factory.mktemp("own") / "mine"
    own_videos(root)
    return root


def train_arguments(root, out, data="folder"):
    write_json(out.with_name("small.json"), SMALL)
    options = ["--config", out.with_name("small.json"), "--device", "cpu"]
    return ["train", "--data", data, "--root", root, "--out", out, *options]


# --- after a training


@pytest.mark.parametrize(
    ("missing", "name", "step"),
    [
        ([], NAMES[0], "evaluate"),
        (["labels.csv"], NAMES[1], "evaluate"),
        (["labels.csv", "testing"], NAMES[2], "score"),
    ],
)
def test_the_step_after_a_training(command, follow, template, tmp_path, missing, name, step):
    root = tmp_path / name
    out = tmp_path / "runs" / name
    shutil.copytree(template, root, ignore=shutil.ignore_patterns(*missing))
    output = command(*train_arguments(root, out))
    words = follow(output, VIDEO=next(root.rglob("monday.mp4")), DIR=tmp_path / "scored")
    assert words[:2] == [step, str(out)]
    assert "--device cpu" in " ".join(words)
    assert (out / "scores.npz").is_file() == (step == "evaluate")
    assert (tmp_path / "scored" / "scores.csv").is_file() == (step == "score")


def test_the_step_after_a_training_with_a_ground_truth_of_its_own(command, follow, tmp_path):
    folder = tmp_path / "avenue"
    for number, (frames, _) in enumerate(scene(2, 60), start=1):
        write_images(folder / "training" / "frames" / f"{number:02d}", frames)
    last = folder / "testing" / "frames" / f"{len(TEST_LENGTHS):02d}"
    write_images(last, scene(1, TEST_LENGTHS[-1])[0][0])
    labels = np.zeros(sum(TEST_LENGTHS), np.uint8)
    labels[-20:] = 1
    np.save(folder / "frame_labels_avenue.npy", labels)
    options = ["--ground-truth", "community"]
    output = command(*train_arguments(tmp_path, tmp_path / "run", "avenue"), *options)
    assert follow(output)[-2:] == options
    assert Result.load(tmp_path / "run").metrics["ground_truth"] == "community"


# --- after other commands


@pytest.fixture(scope="module")
def trained(template, tmp_path_factory):
    """(root, run) of own videos; copy the run before changing it."""
    folder = tmp_path_factory.mktemp("runs")
    words = train_arguments(template, folder / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["vadlib", *map(str, words)])
        with pytest.raises(SystemExit, match="0"):
            cli.main()
    return template, folder / "run"


@pytest.fixture
def run(trained, tmp_path):
    """(root, a copy of the run in a folder with a space in its name)."""
    root, folder = trained
    return root, Path(shutil.copytree(folder, tmp_path / "my runs" / "a"))


def test_a_scene_can_be_named_as_the_score_of_an_unknown_one_says(command, run, tmp_path):
    film = tmp_path / "other.mp4"
    write_video(film, moving_videos(1, size=(80, 80), length=20)[0].frames.frames, 25)
    words = ["score", run[1], film, "--out", tmp_path / "out"]
    output = command(*words)
    assert "'cam1 64x48'" in output
    assert "--scene" in output
    command(*words, "--scene", "cam1 64x48")


@pytest.fixture
def ped2_host(host, cache, monkeypatch):
    """A server that has an archive for "ped2", whose frames are none."""
    archive = Archive(f"{host.url}/{NAME}", hashlib.sha256(PAYLOAD).hexdigest(), "tiny.v1")
    monkeypatch.setitem(ARCHIVES, "ped2", (archive,))


def test_the_step_after_a_download_checks_what_was_downloaded(
    command, ped2_host, tiny_ped2, tmp_path
):
    root = tmp_path / NAMES[2]
    shutil.copytree(tiny_ped2.root, root)
    output = command("data", "download", "ped2", "--root", root)
    report = json.loads(command(*words_of(output), "--json", status=1))
    assert (report["dataset"], report["root"]) == ("ped2", str(root))
    # a tiny copy lacks most clips, and nothing else
    assert {entry["code"] for entry in report["problems"]} == {"partial-copy"}


def test_the_list_of_datasets_says_how_to_get_one_where_it_looked(
    vadlib_command, command, ped2_host, tmp_path
):
    root = tmp_path / NAMES[2]
    output = command("data", "list", "--root", root)
    vadlib_command(*words_of(output, "download ped2"))
    assert (root / "tiny.v1" / "README.txt").is_file()


def test_a_stopped_training_goes_on_with_the_option_that_is_named(
    command, template, tmp_path, monkeypatch, trained
):
    words = train_arguments(template, tmp_path / "run")

    def stop(self, *_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "update", stop)
        output = command(*words, status=130)
    [option] = re.findall(r"`(--\w+)`", output)
    command(*words, option)
    resumed, whole = (folder / "model.safetensors" for folder in (tmp_path / "run", trained[1]))
    assert resumed.read_bytes() == whole.read_bytes()


# --- errors that name a command


@pytest.mark.parametrize(
    "missing",
    [
        ["calibration.npz"],
        ["model.safetensors"],
        ["model.safetensors", "calibration.npz", "state.pt"],
        [],
    ],
    ids=["no calibration", "no weights", "no weights, no checkpoint", "a cut calibration"],
)
def test_a_run_that_is_not_complete_is_completed_as_the_error_says(command, follow, run, missing):
    root, folder = run
    whole = (folder / "model.safetensors").read_bytes()
    for name in missing:
        (folder / name).unlink()
    calibration = folder / "calibration.npz"
    if not missing:
        calibration.write_bytes(calibration.read_bytes()[:100])
    output = command("evaluate", folder, "--root", root, status=1)
    assert "--root" in output
    if "remove it" in output:
        calibration.unlink()
    follow(output, "--root", root)
    assert (folder / "model.safetensors").read_bytes() == whole
    command("evaluate", folder, "--root", root)


def test_a_training_is_resumed_with_the_settings_that_it_began_with(command, run):
    """Nothing is named again but the folders; and what is named still has to be the same."""
    root, folder = run
    (folder / "calibration.npz").unlink()
    words = ["train", "--resume", "--out", folder, "--root", root]
    assert "training.seed" in command(*words, "--seed", 5, status=1)
    command(*words)
    assert Run.load(folder).config.training.epochs == 1


# --- no hint is left out
