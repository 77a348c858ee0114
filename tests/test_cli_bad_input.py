"""The command line and bad input: one line that names the culprit, exit status 1; unknown options,
exit status 2.
"""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refused as expect_refused
from results import maps_of

from vadlib import cli
from vadlib.config import ModelConfig, RunConfig, ScoreConfig, TrainConfig
from vadlib.errors import InputError
from vadlib.evaluation.calibration import calibrate
from vadlib.files import write_json
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import save_weights

LFS_POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{0:064}\nsize 12345\n"
BAR = re.compile(
    r"\d+%\||\d+(frame|clip)/s|^(decoding|looking for|scoring|training|reading|finding)"
)


@pytest.fixture
def vad(vadlib_command, monkeypatch):
    """(*arguments) -> exit status, standard output, lines of standard error without progress bars.

    `vad.error` is the `InputError` that the last call turned into an exit status, or None.
    """
    app = cli.app

    def watched(*args, **kwargs):
        try:
            return app(*args, **kwargs)
        except InputError as error:
            # A copy, since a traceback would keep progress bars alive.
            call.error = InputError(str(error), error.code, file=error.file, field=error.field)
            raise

    def call(*arguments):
        call.error = None
        *result, err = vadlib_command(*arguments)
        lines = [line for line in re.split(r"[\r\n]+", err) if line.strip()]
        return *result, [line for line in lines if not BAR.search(line)]

    monkeypatch.setattr(cli, "app", watched)
    return call


@pytest.fixture
def refused(vad):
    """(code, *arguments, file=None, field=None) -> the one line on standard error, with exit status
    1; the error behind it has this code, file and field, and the line names the file.
    """

    def call(code, *arguments, file=None, field=None):
        status, *output = vad(*arguments)
        assert status == 1, output
        [line] = output[1]
        assert line.startswith("vadlib: ")
        assert "Traceback" not in output[0] + line
        assert vad.error is not None
        with expect_refused(code, file=file, field=field):
            raise vad.error
        assert str(file or "") in line
        return line

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
    parts = {
        "clips": {"crop": None, "clip_step": 4},
        "model": {"width": 8, "slots": 4},
        "training": {"batch_size": 4},
    }
    write_json(tmp_path / "small.json", parts)
    return train_arguments(tree.root, tmp_path, "--config", tmp_path / "small.json")


def train_arguments(root, tmp_path, *more):
    words = ["train", "--data", "ped2", "--device", "cpu"]
    return [*words, "--root", root, "--out", tmp_path / "run", *more]


# --- a dataset at fault


def test_an_empty_folder_as_root(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    words = train_arguments(tmp_path / "empty", tmp_path)
    refused("missing-file", *words, file=tmp_path / "empty", field="--root")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "code", "t"),
    [
        (b"", "empty-file", 0),
        (LFS_POINTER.encode(), "git-lfs-pointer", 23),
        ("cut", "damaged-file", 0),
        ("cut", "damaged-file", 23),
        (b"text", "wrong-kind-of-file", 23),
    ],
)
def test_a_damaged_frame(refused, tree, tmp_path, arguments, content, code, t):
    path = tree.frame(2, t, "training")
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
    assert re.findall(r"\d+", line) == ["03", "12", "16"]


def test_a_cache_that_cannot_be_written(refused, arguments, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VADLIB_CACHE", str(tmp_path / "file"))
    line = refused("not-writable", *arguments, field="VADLIB_CACHE")
    assert str(tmp_path / "file") in line
    assert "VADLIB_CACHE" in line


# --- values at fault


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
        ("--seed", "-1", "out-of-range", "TrainConfig.seed"),
        ("--patches", "nowhere", "missing-file", "patches"),
        ("--detector", "yolo9000", "unknown-name", "detector"),
        ("--detector", "boxes", "conflict", "detector"),
        ("--device", "tpu9", "unknown-name", "device"),
    ],
)
def test_wrong_values(refused, arguments, tmp_path, option, value, code, field):
    refused(code, *arguments, option, value, field=field)
    assert not (tmp_path / "run").exists()  # else the next try would find "a run" there


@pytest.mark.parametrize(
    ("content", "code", "field"),
    [
        ("{", "wrong-format", ""),
        ("\udcff", "wrong-format", ""),
        ("[1, 2]", "wrong-type", ""),
        ({"modle": {}}, "unknown-key", "RunConfig.modle"),
        ({"clips": 3}, "wrong-type", "RunConfig.clips"),
        ({"model": {"width": 12.5}}, "wrong-type", "ModelConfig.width"),
        ({"pseudo": {"kinds": [["skip"]]}}, "wrong-type", "PseudoConfig.kinds"),
    ],
    ids=str,
)
def test_wrong_config_files(refused, tree, tmp_path, content, code, field):
    path = tmp_path / "wrong.json"
    if isinstance(content, dict):
        content = json.dumps({"clips": {"crop": None}} | content)
    path.write_bytes(content.encode(errors="surrogateescape"))
    words = train_arguments(tree.root, tmp_path, "--config", path)
    refused(code, *words, file=path, field=field)


# --- a run at fault


@pytest.fixture
def run(tmp_path):
    """A run's folder with a tiny model and no calibration."""
    torch.manual_seed(0)
    model = ModelConfig(width=8, slots=4)
    config = RunConfig("ped2", model=model, training=TrainConfig(precision="fp32"))
    write_json(tmp_path / "made" / "config.json", dataclasses.asdict(config))
    save_weights(DualPathAutoencoder(model), tmp_path / "made" / "model.safetensors")
    return tmp_path / "made"


def change(run, **parts):
    config = json.loads((run / "config.json").read_text())
    for part, values in parts.items():
        config[part] |= values
    write_json(run / "config.json", config)


def calibrate_by_noise(run):
    maps = maps_of(*np.random.default_rng(0).random((3, 20, 2, 3)))
    calibrate({"ped2": [maps]}, ScoreConfig()).save(run / "calibration.npz")


def test_a_run_for_colour_on_grey_videos(refused, tree, run):
    calibrate_by_noise(run)
    change(run, model={"channels": 3})
    model = DualPathAutoencoder(ModelConfig(channels=3, width=8, slots=4))
    save_weights(model, run / "model.safetensors")
    line = refused("wrong-shape", "evaluate", run, "--root", tree.root)
    assert re.findall(r"\d+", line)[:3] == ["09", "1", "3"]


def test_an_out_folder_that_holds_a_run_is_noticed_before_any_work(refused, tmp_path, run):
    """Nothing of the dataset need be right for it: decoding it first could take an hour."""
    (tmp_path / "data" / "ped2").mkdir(parents=True)
    words = [*train_arguments(tmp_path / "data", tmp_path), "--out", run]
    assert "--resume" in refused("already-exists", *words, file=run, field="out")


def test_check_reports_problems_as_json(vad, tiny_ped2):
    damaged = tiny_ped2.frame(3, 17)
    tiny_ped2.replace(damaged, LFS_POINTER.encode())
    status, *output = vad("data", "check", "ped2", "--root", tiny_ped2.root, "--json")
    assert (status, output[1]) == (1, [])
    report = json.loads(output[0])
    [entry] = [e for e in report["problems"] if e["code"] == "git-lfs-pointer"]
    assert entry["where"].startswith(f"{damaged}: ")
    assert report["splits"]["test"]["frames"] == 2010


# --- options


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
def test_unknown_or_unparsable_options_exit_with_2(vad, arguments, name):
    status, *output = vad(*arguments.split())
    assert status == 2
    assert name in "".join(output[1])
    assert "Traceback" not in str(output)


def test_debug_shows_the_traceback(vad, tmp_path):
    with expect_refused("missing-file", file=tmp_path / "nowhere", field="--root"):
        vad("--debug", *train_arguments(tmp_path / "nowhere", tmp_path))


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
