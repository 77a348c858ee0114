"""The command line and bad input: one line that names the culprit, exit status 1; unknown options,
exit status 2. Each next step that a command or an error prints is run as it stands (case 23).
"""

import dataclasses
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusals import refused as expect_refused
from scenes import moving_videos
from servers import NAME, PAYLOAD
from trees import POINTER, own_videos, scene, write_images

import vadlib
from vadlib import cli
from vadlib.data.avenue import TEST_LENGTHS
from vadlib.data.download import ARCHIVES, Archive
from vadlib.data.encode import write_video
from vadlib.errors import InputError
from vadlib.evaluation.result import Result
from vadlib.files import write_json
from vadlib.model.run import Run, open_run
from vadlib.training.trainer import Trainer

SMALL = {"clips": {"clip_step": 16, "crop": [24, 24]}, "model": {"width": 8, "slots": 8}}
SMALL |= {"training": {"epochs": 1, "batch_size": 4}}
# A path in a hint may hold spaces and quotes, which the shell has to get quoted.
ODD = "it's (mine) & yours"


@pytest.fixture
def refused(vadlib_command, monkeypatch):
    """(code, *arguments, file=None, field=None) -> the last line on standard error, with exit
    status 1; the error behind it has this code, file and field, and the line names the file.
    """
    app, errors = cli.app, []

    def watched(*args, **kwargs):
        try:
            return app(*args, **kwargs)
        except InputError as error:
            # A copy, since a traceback would keep progress bars alive.
            errors.append(InputError(str(error), error.code, file=error.file, field=error.field))
            raise

    def call(code, *arguments, file=None, field=None):
        status, *output = vadlib_command(*arguments)
        line = re.split(r"[\r\n]+", output[1].strip())[-1]
        assert (status, "Traceback" in str(output)) == (1, False), output
        with expect_refused(code, file=file, field=field):
            raise errors.pop()
        assert line.startswith("vadlib: ")
        assert str(file or "") in line
        return line

    monkeypatch.setattr(cli, "app", watched)
    return call


@pytest.fixture
def tree(tiny_ped2_template, tmp_path):
    """A tiny Ped2 with one of its test clips, so that it costs little."""
    copy = dataclasses.replace(tiny_ped2_template, root=tmp_path / "data")
    ignore = shutil.ignore_patterns("0[1-8]", "1?", "training")
    source = tiny_ped2_template.folder
    for folder, names in (("", ignore), ("training", None)):
        target = copy.folder / folder
        shutil.copytree(source / folder, target, ignore=names, copy_function=os.link)
    yield copy
    shutil.rmtree(copy.root)


@pytest.fixture
def arguments(tree, tmp_path):
    """The words of a training on the tiny Ped2, with whole frames and a tiny model."""
    parts = {"clips": {"crop": None, "clip_step": 4}, "model": {"width": 8, "slots": 4}}
    write_json(tmp_path / "small.json", parts | {"training": {"batch_size": 4}})
    return train_arguments(tree.root, tmp_path, "--config", tmp_path / "small.json")


def train_arguments(root, tmp_path, *more):
    words = ["train", "--data", "ped2", "--device", "cpu"]
    return [*words, "--root", root, "--out", tmp_path / "run", *more]


def test_an_empty_folder_as_root(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    words = train_arguments(tmp_path / "empty", tmp_path)
    refused("missing-file", *words, file=tmp_path / "empty", field="--root")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty-file"),
        (POINTER, "git-lfs-pointer"),
        (b"text", "wrong-kind-of-file"),
        ("cut", "damaged-file"),
    ],
)
def test_a_damaged_frame(refused, tree, tmp_path, arguments, content, code):
    path = tree.frame(2, 23, "training")
    if content == "cut":
        noise = np.random.default_rng(0).integers(0, 256, (16, 24), np.uint8)
        Image.fromarray(noise).save(tmp_path / "noise.png")
        content = (tmp_path / "noise.png").read_bytes()[:250]
    tree.replace(path, content)
    refused(code, *arguments, file=path, field="")


def test_a_video_shorter_than_a_clip(refused, tree, arguments):
    for t in range(12, 40):
        tree.frame(3, t, "training").unlink()
    line = refused("too-short", *arguments, field="ClipConfig.length")
    assert {"03", "12", "16"} <= set(re.findall(r"\d+", line))


@pytest.mark.parametrize(
    ("option", "value", "code", "field"),
    [
        ("--p", "-0.1", "out-of-range", "p"),
        ("--p", "nan", "out-of-range", "p"),
        ("--kinds", "skip,blur", "unknown-name", "kinds"),
        ("--kinds", "", "conflict", "kinds"),
        ("--objective", "minimize", "unknown-name", "TrainConfig.objective"),
        ("--preset", "huge", "unknown-name", "preset"),
        ("--epochs", "0", "out-of-range", "TrainConfig.epochs"),
        ("--patches", "nowhere", "missing-file", "patches"),
        ("--detector", "yolo9000", "unknown-name", "detector"),
        ("--detector", "boxes", "conflict", "detector"),
        ("--device", "tpu9", "unknown-name", "device"),
        ("--data", "", "unknown-name", "dataset"),
    ],
)
def test_wrong_values(refused, arguments, tmp_path, option, value, code, field):
    refused(code, *arguments, option, value, field=field)
    assert not (tmp_path / "run").exists()  # else the next try would find "a run" there


@pytest.mark.parametrize(
    ("content", "code", "field"),
    [
        (b"\xff", "wrong-format", ""),
        (b"[1, 2]", "wrong-type", ""),
        (b'{"modle": {}}', "unknown-key", "RunConfig.modle"),
        (b'{"model": {"width": 12.5}}', "wrong-type", "ModelConfig.width"),
        (b'{"dataset": 3}', "wrong-type", "RunConfig.dataset"),
        (b'{"dataset": null}', "conflict", "dataset"),
    ],
    ids=str,
)
def test_wrong_config_files(refused, tmp_path, content, code, field):
    path = tmp_path / "wrong.json"
    path.write_bytes(content)
    refused(code, "train", "--out", tmp_path / "run", "--config", path, file=path, field=field)


def test_an_out_folder_that_holds_a_run_is_noticed_before_any_work(refused, tmp_path):
    """Nothing of the dataset need be right for it: decoding it first could take an hour."""
    (tmp_path / "data" / "ped2").mkdir(parents=True)
    write_json(tmp_path / "run" / "config.json", {})
    words = train_arguments(tmp_path / "data", tmp_path)
    assert "--resume" in refused("already-exists", *words, file=tmp_path / "run", field="out")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ("train --out x --epoch 3", "--epoch"),
        ("train --out x --epochs 2.5", "--epochs"),
        ("train --out x --seed", "--seed"),
        ("train", "--out"),
        ("evaluate", "run"),
        ("evaluate x y", "y"),
        ("data chekc", "chekc"),
    ],
)
def test_unknown_or_unparsable_options_exit_with_2(vadlib_command, arguments, name):
    status, *output = vadlib_command(*arguments.split())
    assert status == 2
    assert name in output[1]
    assert "Traceback" not in str(output)


def test_debug_shows_the_traceback(vadlib_command, tmp_path):
    with expect_refused("missing-file", file=tmp_path / "nowhere", field="--root"):
        vadlib_command("--debug", *train_arguments(tmp_path / "nowhere", tmp_path))


@pytest.mark.parametrize(
    "program",
    [[sys.executable, "-m", "vadlib"], [str(Path(sys.executable).with_name("vadlib"))]],
    ids=["module", "script"],
)
def test_exit_status_and_the_one_line_of_a_process(program, tmp_path):
    for arguments, status in (("data check ped3", 1), ("--nosuch", 2), ("--help", 0)):
        command = [*program, *arguments.split()]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == status
        assert "Traceback" not in done.stderr
        assert status != 1 or len(done.stderr.splitlines()) == 1


# --- next steps


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
    if os.name == "nt":
        pytest.skip("shlex reads the quotes of a POSIX shell")
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
    archive = Archive(f"{host.url}/{NAME}", hashlib.sha256(PAYLOAD).hexdigest(), "tiny.v1")
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


def test_commands_in_messages_are_quoted_for_the_shell(tmp_path):
    with expect_refused("missing-file", file=tmp_path / ODD) as caught:
        open_run(tmp_path / ODD)
    assert words_of(str(caught.error)) == ["train", "--out", str(tmp_path / ODD)]
    for path in Path(vadlib.__file__).parent.rglob("*.py"):
        assert not re.search(r"`vadlib [^`\n]*\{", path.read_text(encoding="utf-8")), path
