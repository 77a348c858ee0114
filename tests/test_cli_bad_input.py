"""The command line and bad input: one line that names the culprit, exit status 1; unknown options,
exit status 2.
"""

import dataclasses
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
from trees import POINTER

import vadlib
from vadlib import cli
from vadlib.errors import InputError
from vadlib.files import write_json
from vadlib.model.run import open_run


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


@pytest.mark.skipif(os.name == "nt", reason="shlex reads the quotes of a POSIX shell")
def test_commands_in_messages_are_quoted_for_the_shell(tmp_path):
    for name in ("my run", "it's (mine) & yours"):
        with expect_refused("missing-file", file=tmp_path / name) as caught:
            open_run(tmp_path / name)
        [command] = re.findall("`(vadlib .+)`", str(caught.error))
        assert shlex.split(command) == ["vadlib", "train", "--out", str(tmp_path / name)]
    for path in Path(vadlib.__file__).parent.rglob("*.py"):
        assert not re.search(r"`vadlib [^`\n]*\{", path.read_text(encoding="utf-8")), path
