"""A printed hint can be followed: each next step that a command or an error prints is run as it
stands (case 23).
"""

import hashlib
import json
import os
import re
import shlex
import shutil

import numpy as np
import pytest
from scenes import moving_videos
from servers import NAME, PAYLOAD
from trees import own_videos, scene, write_images

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
ODD = "it's (mine) & yours"

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


def train_words(root, out, data="folder"):
    write_json(out.with_name("small.json"), SMALL)
    options = ["--config", out.with_name("small.json"), "--device", "cpu"]
    return ["train", "--data", data, "--root", root, "--out", out, *options]


@pytest.fixture
def run(command, template, tmp_path):
    """A run in a folder with a space in its name."""
    out = tmp_path / "my runs" / "a"
    command(*train_words(template, out))
    return out


@pytest.mark.parametrize(
    ("missing", "step"),
    [([], "evaluate"), (["labels.csv"], "evaluate"), (["labels.csv", "testing"], "score")],
)
def test_the_step_after_a_training(command, follow, template, tmp_path, missing, step):
    root, out = tmp_path / ODD, tmp_path / "runs" / ODD
    shutil.copytree(template, root, ignore=shutil.ignore_patterns(*missing))
    output = command(*train_words(root, out))
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
    output = command(*train_words(tmp_path, tmp_path / "run", "avenue"), *options)
    assert follow(output)[-2:] == options
    assert Result.load(tmp_path / "run").metrics["ground_truth"] == "community"


def test_a_scene_can_be_named_as_the_score_of_an_unknown_one_says(command, run, tmp_path):
    film = tmp_path / "other.mp4"
    write_video(film, moving_videos(1, size=(80, 80), length=20)[0].frames.frames, 25)
    words = ["score", run, film, "--out", tmp_path / "out"]
    output = command(*words)
    assert "no single scene" in output
    assert "'cam1 64x48'" in output
    command(*words, "--scene", "cam1 64x48")


def test_the_steps_before_and_after_a_download(
    vadlib_command, command, host, cache, monkeypatch, tiny_ped2, tmp_path
):
    archive = Archive(f"{host.url}/{NAME}", hashlib.sha256(PAYLOAD).hexdigest(), "", "tiny.v1")
    monkeypatch.setitem(ARCHIVES, "ped2", (archive,))
    output = command("data", "list", "--root", tmp_path / "it's new")
    vadlib_command(*words_of(output, "download ped2"))
    assert (tmp_path / "it's new" / "tiny.v1" / "README.txt").is_file()
    root = tmp_path / ODD
    shutil.copytree(tiny_ped2.root, root)
    output = command("data", "download", "ped2", "--root", root)
    report = json.loads(command(*words_of(output), "--json", status=1))
    assert (report["dataset"], report["root"]) == ("ped2", str(root))
    # a tiny copy lacks most clips, and nothing else
    assert {entry["code"] for entry in report["problems"]} == {"partial-copy"}


def test_a_stopped_training_goes_on_with_the_option_that_is_named(
    command, template, tmp_path, monkeypatch, run
):
    def stop(self, *_):
        raise KeyboardInterrupt

    words = train_words(template, tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "update", stop)
        output = command(*words, status=130)
    [option] = re.findall(r"`(--\w+)`", output)
    command(*words, option)
    resumed, whole = (folder / "model.safetensors" for folder in (tmp_path / "run", run))
    assert resumed.read_bytes() == whole.read_bytes()


MISSING = ["calibration.npz", "model.safetensors calibration.npz state.pt", ""]


@pytest.mark.parametrize("missing", MISSING)
def test_a_run_that_is_not_complete_is_completed_as_the_error_says(
    command, follow, template, run, missing
):
    whole = (run / "model.safetensors").read_bytes()
    calibration = run / "calibration.npz"
    for name in missing.split():
        (run / name).unlink()
    if not missing:
        calibration.write_bytes(calibration.read_bytes()[:100])
    output = command("evaluate", run, "--root", template, status=1)
    assert "--root" in output
    if "remove it" in output:
        calibration.unlink()
    follow(output, "--root", template)
    assert (run / "model.safetensors").read_bytes() == whole
    command("evaluate", run, "--root", template)


def test_a_training_is_resumed_with_the_settings_that_it_began_with(command, template, run):
    """Nothing is named again but the folders; and what is named still has to be the same."""
    (run / "calibration.npz").unlink()
    words = ["train", "--resume", "--out", run, "--root", template]
    assert "training.seed" in command(*words, "--seed", 5, status=1)
    command(*words)
    assert Run.load(run).config.training.epochs == 1
