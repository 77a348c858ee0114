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

LFS_POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
)
BAR = re.compile(
    r"\d+%\||\d+(frame|clip)/s|(decoding once|looking for motion|scoring|training|reading \w+|finding people once):"
)


@pytest.fixture
def vad(monkeypatch, capfd):
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
        monkeypatch.setattr(sys, "argv", ["vadlib", *map(str, arguments)])
        capfd.readouterr()
        call.error = None
        try:
            cli.main()
            status = 0
        except SystemExit as stop:
            status = stop.code or 0
        out, err = capfd.readouterr()
        return (
            status,
            out,
            [line for line in re.split(r"[\r\n]+", err) if line.strip() and not BAR.search(line)],
        )

    monkeypatch.setattr(cli, "app", watched)
    return call


@pytest.fixture
def failing(vad):
    """(*arguments) -> the one line on standard error with which the command exits with status 1."""

    def call(*arguments):
        status, out, err = vad(*arguments)
        assert status == 1, (status, err)
        assert len(err) == 1, err
        assert err[0].startswith("vadlib: ")
        assert "Traceback" not in out + err[0]
        return err[0]

    return call


@pytest.fixture
def refused(vad, failing):
    """(code, *arguments, file=None, field=None) -> the one line; the error behind it has this code,
    file and field.

    The line names the file.
    """

    def call(code, *arguments, file=None, field=""):
        line = failing(*arguments)
        assert vad.error is not None
        with expect_refused(code, file=file, field=field):
            raise vad.error
        assert file is None or str(file) in line
        return line

    return call


@pytest.fixture
def tree(tiny_ped2_template, tmp_path):
    """A tiny Ped2 with one of its test clips, so that it costs little."""

    def other_test_clips(folder, names):
        return [
            name
            for name in names
            if Path(folder).parent.name == "testing" and name.isdecimal() and name != "09"
        ]

    copy = dataclasses.replace(tiny_ped2_template, root=tmp_path / "data")
    shutil.copytree(
        tiny_ped2_template.folder, copy.folder, copy_function=os.link, ignore=other_test_clips
    )
    yield copy
    shutil.rmtree(copy.root)


@pytest.fixture
def whole_frames(tmp_path):
    """A --config file for clips of whole frames and a tiny model, as the tiny Ped2 needs."""
    return config_file(
        tmp_path,
        {
            "clips": {"crop": None, "clip_step": 4},
            "model": {"width": 8, "slots": 4},
            "training": {"batch_size": 4},
        },
    )


def config_file(tmp_path, content):
    path = tmp_path / "chosen.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def train_arguments(root, tmp_path, *more):
    return [
        "train",
        "--data",
        "ped2",
        "--root",
        root,
        "--out",
        tmp_path / "run",
        "--device",
        "cpu",
        *more,
    ]


# --- a dataset at fault


def test_an_empty_folder_as_root(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(
        "missing-file",
        *train_arguments(tmp_path / "empty", tmp_path),
        file=tmp_path / "empty",
        field="--root",
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "code", "t"),
    [
        (b"", "empty-file", 0),
        (LFS_POINTER, "git-lfs-pointer", 23),
        ("cut", "damaged-file", 0),
        ("cut", "damaged-file", 23),
        (b"text", "wrong-kind-of-file", 23),
    ],
)
def test_a_damaged_frame(refused, tree, tmp_path, whole_frames, content, code, t):
    path = tree.frame(2, t, "training")
    noise = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 24), np.uint8)).save(noise)
    tree.replace(path, noise.read_bytes()[:250] if content == "cut" else content)
    refused(code, *train_arguments(tree.root, tmp_path, "--config", whole_frames), file=path)


def test_a_video_shorter_than_a_clip(refused, tree, tmp_path, whole_frames):
    for t in range(12, 40):
        tree.frame(3, t, "training").unlink()
    arguments = train_arguments(tree.root, tmp_path, "--config", whole_frames)
    line = refused("too-short", *arguments, field="ClipConfig.length")
    assert re.findall(r"\d+", line) == ["03", "12", "16"]


def test_a_cache_that_cannot_be_written(failing, tree, tmp_path, whole_frames, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VADLIB_CACHE", str(tmp_path / "file"))
    line = failing(*train_arguments(tree.root, tmp_path, "--config", whole_frames))
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
def test_wrong_values(refused, tree, tmp_path, whole_frames, option, value, code, field):
    refused(
        code,
        *train_arguments(tree.root, tmp_path, "--config", whole_frames, option, value),
        field=field,
    )
    assert not (tmp_path / "run").exists()  # else the next try would find "a run" there


@pytest.mark.parametrize(
    ("content", "code", "field"),
    [
        ("{", "wrong-format", ""),
        ("", "wrong-format", ""),
        ("\udcff", "wrong-format", ""),
        ("[1, 2]", "wrong-type", ""),
        ({"modle": {}}, "unknown-key", "RunConfig.modle"),
        ({"clips": 3}, "wrong-type", "RunConfig.clips"),
        ({"clips": {"lenght": 8}}, "unknown-key", "ClipConfig.lenght"),
        ({"model": {"width": 12.5}}, "wrong-type", "ModelConfig.width"),
        ({"training": {"epoch": 4}}, "unknown-key", "TrainConfig.epoch"),
        ({"pseudo": {"p": True}}, "wrong-type", "PseudoConfig.p"),
        ({"pseudo": {"kinds": [["skip"]]}}, "wrong-type", "PseudoConfig.kinds"),
    ],
    ids=str,
)
def test_wrong_config_files(refused, tree, tmp_path, content, code, field):
    path = tmp_path / "chosen.json"
    if isinstance(content, str):
        path.write_bytes(content.encode(errors="surrogateescape"))
    else:
        path.write_text(json.dumps({"clips": {"crop": None}} | content))
    line = refused(code, *train_arguments(tree.root, tmp_path, "--config", path), field=field)
    assert str(path) in line


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


def test_a_checkpoint_of_another_shape(failing, tree, run):
    change(run, model={"slots": 8})
    line = failing("evaluate", run, "--root", tree.root)
    assert str(run / "model.safetensors") in line
    assert "(4, 32)" in line
    assert "(8, 32)" in line


@pytest.mark.parametrize("keep", [0, 10, 300])
def test_a_damaged_calibration(refused, tree, run, keep):
    calibrate_by_noise(run)
    whole = (run / "calibration.npz").read_bytes()
    (run / "calibration.npz").write_bytes(whole[:keep])
    refused("damaged-file", "evaluate", run, "--root", tree.root, file=run / "calibration.npz")


def test_a_run_for_colour_on_grey_videos(failing, tree, run):
    calibrate_by_noise(run)
    change(run, model={"channels": 3})
    torch.manual_seed(0)
    save_weights(
        DualPathAutoencoder(ModelConfig(channels=3, width=8, slots=4)), run / "model.safetensors"
    )
    assert re.findall(r"\d+", failing("evaluate", run, "--root", tree.root))[:3] == ["09", "1", "3"]


def test_an_out_folder_that_holds_a_run_is_noticed_before_any_work(failing, tree, run):
    """Nothing of the dataset need be right for it: decoding it first could take an hour."""
    shutil.rmtree(tree.root / "ped2")
    tree.root.joinpath("ped2").mkdir()
    arguments = train_arguments(tree.root, run.parent)
    arguments[arguments.index("--out") + 1] = run
    line = failing(*arguments)
    assert str(run) in line
    assert "--resume" in line


# --- the check


def test_check_reports_problems_as_json(vad, tiny_ped2):
    damaged = tiny_ped2.frame(3, 17)
    tiny_ped2.replace(damaged, LFS_POINTER)
    status, out, err = vad("data", "check", "ped2", "--root", tiny_ped2.root, "--json")
    report = json.loads(out)
    assert status == 1
    assert err == []
    [entry] = [e for e in report["problems"] if e["code"] == "git-lfs-pointer"]
    assert entry["where"].startswith(f"{damaged}: ")
    assert report["splits"]["test"]["frames"] == 2010


# --- options


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["train", "--out", "x", "--epoch", "3"], "--epoch"),
        (["train", "--out", "x", "--epochs", "2.5"], "--epochs"),
        (["train", "--out", "x", "--seed"], "--seed"),
        (["train"], "--out"),
        (["evaluate"], "run"),
        (["evaluate", "x", "y"], "y"),
        (["data", "chekc"], "chekc"),
    ],
    ids=" ".join,
)
def test_unknown_or_unparsable_options_exit_with_2(vad, arguments, named):
    status, out, err = vad(*arguments)
    assert status == 2
    assert named in "".join(err)
    assert "Traceback" not in out + "".join(err)


def test_debug_shows_the_traceback(vad, tmp_path):
    with expect_refused("missing-file", file=tmp_path / "nowhere", field="--root"):
        vad("--debug", *train_arguments(tmp_path / "nowhere", tmp_path))


@pytest.mark.parametrize(
    "command",
    [["-m", "vadlib"], [os.path.join(os.path.dirname(sys.executable), "vadlib")]],
    ids=["module", "script"],
)
def test_exit_status_and_the_one_line_of_a_process(command, tmp_path):
    program = [sys.executable, *command] if command[0] == "-m" else command
    for arguments, status in ((["data", "check", "ped3"], 1), (["--nosuch"], 2), (["--help"], 0)):
        done = subprocess.run([*program, *arguments], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == status
        assert "Traceback" not in done.stderr
        if status == 1:
            assert len(done.stderr.splitlines()) == 1
