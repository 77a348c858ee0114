"""The command line and bad input: one line that names the culprit, exit status 1; unknown options, exit status 2."""

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

from vadlib import cli
from vadlib.errors import InputError
from vadlib.evaluation.calibration import calibrate
from vadlib.evaluation.errors import ErrorMaps
from vadlib.evaluation.scores import ScoreConfig
from vadlib.files import write_json
from vadlib.model.network import DualPathAutoencoder, ModelConfig
from vadlib.model.run import save_weights

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
BAR = re.compile(r"\d+%\||\d+(frame|clip)/s|(decoding once|looking for motion|scoring|training|reading \w+|finding people once):")


@pytest.fixture
def vad(monkeypatch, capfd):
    """(*arguments) -> exit status, standard output, lines of standard error without progress bars."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["vadlib", *map(str, arguments)])
        capfd.readouterr()
        try:
            cli.main()
            status = 0
        except SystemExit as stop:
            status = stop.code or 0
        out, err = capfd.readouterr()
        return status, out, [line for line in re.split(r"[\r\n]+", err) if line.strip() and not BAR.search(line)]

    return call


@pytest.fixture
def refused(vad):
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
def tree(tiny_ped2_template, tmp_path):
    """A tiny Ped2 with one of its test clips, so that it costs little."""

    def other_test_clips(folder, names):
        return [name for name in names if Path(folder).parent.name == "testing" and name.isdecimal() and name != "09"]

    copy = dataclasses.replace(tiny_ped2_template, root=tmp_path / "data")
    shutil.copytree(tiny_ped2_template.folder, copy.folder, copy_function=os.link, ignore=other_test_clips)
    yield copy
    shutil.rmtree(copy.root)


@pytest.fixture
def whole_frames(tmp_path):
    """A --config file for clips of whole frames and a tiny model, as the tiny Ped2 needs."""
    return config_file(tmp_path, {"data": {"crop": None, "clip_step": 4}, "model": {"width": 8, "slots": 4}, "training": {"batch_size": 4}})


def config_file(tmp_path, content):
    path = tmp_path / "chosen.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def train_arguments(root, tmp_path, *more):
    return ["train", "--data", "ped2", "--root", root, "--out", tmp_path / "run", "--device", "cpu", *more]


# --- a dataset at fault


def test_an_empty_folder_as_root(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    line = refused(*train_arguments(tmp_path / "empty", tmp_path))
    assert f"{tmp_path / 'empty'}: no Ped2 here; expected ped2/training/frames" in line
    assert not (tmp_path / "run").exists()


def test_a_missing_folder_as_root(refused, tmp_path):
    assert f"{tmp_path / 'nowhere'}: no such folder" in refused(*train_arguments(tmp_path / "nowhere", tmp_path))


DAMAGES = [(b"", "an empty file"), (LFS_POINTER, "a Git LFS pointer"), ("cut", "a damaged image"), (b"text", "not an image")]


@pytest.mark.parametrize(("content", "message"), DAMAGES, ids=[message for _, message in DAMAGES])
@pytest.mark.parametrize("t", [0, 23])
def test_a_damaged_frame(refused, tree, tmp_path, whole_frames, content, message, t):
    path = tree.frame(2, t, "training")
    noise = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 24), np.uint8)).save(noise)
    tree.replace(path, noise.read_bytes()[:250] if content == "cut" else content)
    line = refused(*train_arguments(tree.root, tmp_path, "--config", whole_frames))
    assert f"{path}: {message}" in line


def test_a_frame_of_another_size(refused, tree, tmp_path, whole_frames):
    path = tree.frame(2, 5, "training")
    path.unlink()
    Image.new("L", (24, 17)).save(path)
    assert f"{path}: 24x17 pixels, but 000.png has 24x16" in refused(*train_arguments(tree.root, tmp_path, "--config", whole_frames))


def test_labels_of_another_length(refused, tree, run):
    tree.frame(9, 119).unlink()
    line = refused("evaluate", run, "--root", tree.root)
    assert f"{tree.clip(9)}: 119 frames, but its labels cover 120" in line


def test_a_video_shorter_than_a_clip(refused, tree, tmp_path, whole_frames):
    for t in range(12, 40):
        tree.frame(3, t, "training").unlink()
    line = refused(*train_arguments(tree.root, tmp_path, "--config", whole_frames))
    assert "video 03: 12 frames, shorter than a clip of 16" in line


def test_frames_smaller_than_the_window(refused, tree, tmp_path):
    assert "video 01: frames of 16x24, smaller than the crop of 48x48" in refused(*train_arguments(tree.root, tmp_path))


def test_nothing_moves(refused, tree, tmp_path):
    path = config_file(tmp_path, {"data": {"crop": [8, 8]}})
    assert "nothing moves in 3 videos" in refused(*train_arguments(tree.root, tmp_path, "--config", path))


def test_a_cache_that_cannot_be_written(refused, tree, tmp_path, whole_frames, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VADLIB_CACHE", str(tmp_path / "file"))
    line = refused(*train_arguments(tree.root, tmp_path, "--config", whole_frames))
    assert str(tmp_path / "file") in line
    assert "VADLIB_CACHE" in line


def test_an_unknown_dataset(refused, tmp_path):
    assert "dataset 'ped3' is unknown; expected one of: synthetic, ped1, ped2" in refused(
        "train", "--data", "ped3", "--out", tmp_path / "run"
    )
    assert "dataset 'ped3' is unknown" in refused("data", "check", "ped3")


# --- values at fault


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--p", "1.5"], r"p = 1\.5; expected a probability in \[0, 1\]"),
        (["--p", "-0.1"], r"p = -0\.1; expected a probability"),
        (["--p", "nan"], r"p = nan; expected a probability"),
        (["--kinds", "skip,blur"], r"kind 'blur' is unknown; expected some of: skip, shuffle, noise, object"),
        (["--kinds", ""], r"without any kind of pseudo-anomaly"),
        (["--objective", "minimize"], r"objective 'minimize' is unknown; expected one of"),
        (["--preset", "huge"], r"preset 'huge' is unknown; expected one of: fast"),
        (["--epochs", "0"], r"epochs = 0; expected at least 1"),
        (["--seed", "-1"], r"seed = -1; expected at least 0"),
        (["--patches", "nowhere"], r"patches 'nowhere': no such folder"),
        (["--detector", "yolo9000"], r"detector 'yolo9000' is unknown"),
        (["--detector", "boxes"], r"the dataset brings no boxes"),
        (["--device", "tpu9"], r"device 'tpu9' cannot be used here"),
        (["--epochs", "1", "--config", "BIG_BATCH"], r"\d+ training clips, fewer than a batch of 4096"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_values(refused, tree, tmp_path, whole_frames, options, message):
    if "BIG_BATCH" in options:
        big = {"data": {"crop": None}, "training": {"batch_size": 4096}}
        options = [config_file(tmp_path, big) if option == "BIG_BATCH" else option for option in options]
    assert re.search(message, refused(*train_arguments(tree.root, tmp_path, "--config", whole_frames, *options)))
    assert not (tmp_path / "run").exists()  # else the next try would find "a run" there


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("", "not JSON"),
        ("\udcff", "not JSON"),
        ("[1, 2]", "expected a JSON object"),
        ({"modle": {}}, "unknown key 'modle'; known keys: dataset, data, model, mixer, training"),
        ({"data": 3}, "data = 3; expected an object"),
        ({"data": {"lenght": 8}}, "unknown key 'lenght' in DataConfig; known keys: length"),
        ({"data": {"length": "16"}}, "DataConfig.length = '16'; expected int"),
        ({"data": {"crop": [48]}}, "DataConfig.crop = .48.; expected tuple"),
        ({"data": {"length": 0}}, "DataConfig.length = 0; expected at least 1"),
        ({"model": {"width": 12.5}}, "ModelConfig.width = 12.5; expected int"),
        ({"model": {"width": 12}}, "ModelConfig.width = 12; expected a multiple of 8"),
        ({"model": {"depth": 4}}, "unknown key 'depth' in ModelConfig"),
        ({"training": {"epoch": 4}}, "unknown key 'epoch' in TrainConfig"),
        ({"training": {"batch_size": True}}, "TrainConfig.batch_size = True; expected int"),
        ({"mixer": {"prob": 0.5}}, "unknown key 'prob' in MixerConfig; known keys: kinds, p, detector, patches"),
        ({"mixer": {"p": "0.5"}}, "p = '0.5'; expected"),
        ({"mixer": {"p": True}}, "p = True; expected"),
        ({"mixer": {"p": None}}, "p = None; expected"),
        ({"mixer": {"kinds": "skip"}}, "kinds = 'skip'; expected"),
        ({"mixer": {"kinds": 5}}, "kinds = 5; expected"),
        ({"mixer": {"kinds": [["skip"]]}}, "kinds = .*; expected"),
        ({"mixer": {"detector": 5}}, "detector = 5; expected"),
        ({"mixer": {"patches": None}}, "patches = None; expected"),
    ],
    ids=str,
)
def test_wrong_config_files(refused, tree, tmp_path, content, message):
    path = tmp_path / "chosen.json"
    if isinstance(content, str):
        path.write_bytes(content.encode(errors="surrogateescape"))
    else:
        base = {"data": {"crop": None}, "model": {"width": 8}}
        parts = {part: base.get(part, {}) | values if isinstance(values, dict) else values for part, values in (base | content).items()}
        path.write_text(json.dumps(parts))
    line = refused(*train_arguments(tree.root, tmp_path, "--config", path))
    assert str(path) in line or "expected at least" in line or "multiple of 8" in line
    assert re.search(message, line)


@pytest.mark.parametrize("name", ["nowhere.json", "."])
def test_a_config_file_that_is_none(refused, tree, tmp_path, name):
    assert f"{tmp_path / name}: no such file" in refused(*train_arguments(tree.root, tmp_path, "--config", tmp_path / name))


def test_options_win_over_the_config_file(refused, tree, tmp_path):
    path = config_file(tmp_path, {"mixer": {"p": 3}})
    assert "p = 7.0" in refused(*train_arguments(tree.root, tmp_path, "--config", path, "--p", "7"))


# --- a run at fault


@pytest.fixture
def run(tmp_path):
    """A run's folder with a tiny model and no calibration."""
    torch.manual_seed(0)
    model = ModelConfig(width=8, slots=4)
    parts = {"dataset": {"name": "ped2"}, "data": {"crop": None}, "model": {"width": 8, "slots": 4}, "mixer": {}}
    parts["training"] = {"precision": "fp32"}
    write_json(tmp_path / "made" / "config.json", parts)
    save_weights(DualPathAutoencoder(model), tmp_path / "made" / "model.safetensors")
    return tmp_path / "made"


def change(run, **parts):
    config = json.loads((run / "config.json").read_text())
    write_json(run / "config.json", {k: v | parts.get(k, {}) for k, v in config.items()})


def calibrate_by_noise(run):
    errors = np.random.default_rng(0).random((3, 20, 2, 3))
    calibrate({"ped2": [ErrorMaps(*errors.astype(np.float16))]}, ScoreConfig()).save(run / "calibration.npz")


def test_a_run_that_is_none(refused, tree, tmp_path):
    assert f"{tmp_path / 'nowhere'}: no such run" in refused("evaluate", tmp_path / "nowhere", "--root", tree.root)
    assert "no config.json in it" in refused("evaluate", tree.root, "--root", tree.root)


def test_a_checkpoint_of_another_shape(refused, tree, run):
    change(run, model={"slots": 8})
    line = refused("evaluate", run, "--root", tree.root)
    assert f"{run / 'model.safetensors'}: weights of another model" in line
    assert "(4, 32), expected (8, 32)" in line


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"\xff" * 100])
def test_damaged_weights(refused, tree, run, content):
    (run / "model.safetensors").write_bytes(content)
    assert f"{run / 'model.safetensors'}: a damaged file" in refused("evaluate", run, "--root", tree.root)


def test_an_unfinished_run(refused, tree, run):
    line = refused("evaluate", run, "--root", tree.root)
    assert f"{run / 'calibration.npz'}: no such file" in line
    assert "--resume" in line


@pytest.mark.parametrize("keep", [0, 10, 300])
def test_a_damaged_calibration(refused, tree, run, keep):
    calibrate_by_noise(run)
    whole = (run / "calibration.npz").read_bytes()
    (run / "calibration.npz").write_bytes(whole[:keep])
    assert f"{run / 'calibration.npz'}: a damaged file" in refused("evaluate", run, "--root", tree.root)


def test_a_run_for_colour_on_grey_videos(refused, tree, run):
    calibrate_by_noise(run)
    change(run, model={"channels": 3})
    torch.manual_seed(0)
    save_weights(DualPathAutoencoder(ModelConfig(channels=3, width=8, slots=4)), run / "model.safetensors")
    assert "video 09: 1 channels, but the model was trained on 3" in refused("evaluate", run, "--root", tree.root)


def test_a_test_video_shorter_than_a_clip(refused, tree, run):
    calibrate_by_noise(run)
    change(run, data={"length": 200})
    assert "video 09: 120 frames, shorter than a clip of 200" in refused("evaluate", run, "--root", tree.root)


def test_a_wrong_run_config(refused, tree, run):
    change(run, data={"lenght": 8})
    line = refused("evaluate", run, "--root", tree.root)
    assert f"{run / 'config.json'}: unknown key 'lenght' in DataConfig" in line


def test_an_out_folder_that_holds_a_run(refused, tree, run, whole_frames):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    arguments = train_arguments(tree.root, run.parent, "--config", whole_frames)
    arguments[arguments.index("--out") + 1] = run
    line = refused(*arguments)
    assert f"{run}: already holds a run" in line
    assert "--resume" in line
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_an_out_folder_that_holds_a_run_is_noticed_before_any_work(refused, tree, run):
    """Nothing of the dataset need be right for it: decoding it first could take an hour."""
    shutil.rmtree(tree.root / "ped2")
    tree.root.joinpath("ped2").mkdir()
    arguments = train_arguments(tree.root, run.parent)
    arguments[arguments.index("--out") + 1] = run
    assert "already holds a run" in refused(*arguments)


def test_resuming_with_other_settings(refused, tree, run, whole_frames):
    arguments = train_arguments(tree.root, run.parent, "--config", whole_frames, "--resume")
    arguments[arguments.index("--out") + 1] = run
    line = refused(*arguments)
    assert f"{run / 'config.json'}: " in line
    assert "resume with the same settings" in line


def test_an_out_folder_that_is_a_file(refused, tree, tmp_path, whole_frames):
    (tmp_path / "run").touch()
    assert str(tmp_path / "run") in refused(*train_arguments(tree.root, tmp_path, "--config", whole_frames))


# --- the check


def test_check_reports_problems_as_json(vad, tiny_ped2):
    damaged = tiny_ped2.frame(3, 17)
    tiny_ped2.replace(damaged, LFS_POINTER)
    status, out, err = vad("data", "check", "ped2", "--root", tiny_ped2.root, "--json")
    report = json.loads(out)
    assert status == 1
    assert err == []
    [entry] = [e for e in report["problems"] if e["trap"] == "git-lfs-pointer"]
    assert entry["where"].startswith(f"{damaged}: a Git LFS pointer")
    assert "git lfs pull" in entry["mend"]
    assert report["splits"]["test"]["frames"] == 2010


def test_check_of_an_empty_folder(vad, tmp_path):
    status, out, err = vad("data", "check", "ped2", "--root", tmp_path, "--json")
    assert (status, err) == (1, [])
    assert len(json.loads(out)["problems"]) == 1
    status, out, err = vad("data", "check", "ped2", "--root", tmp_path)
    assert (status, err) == (1, [])
    assert out.count("no Ped2 here") == 1


def test_check_of_the_real_copy(vad, real_data):
    status, out, err = vad("data", "check", "ped2", "--root", real_data)
    assert (status, err) == (0, [])
    assert "nothing wrong was found" in out
    assert "1648 abnormal frames" in out


# --- options


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["train", "--out", "x", "--epoch", "3"], "--epoch"),
        (["train", "--out", "x", "--epochs", "five"], "'--epochs'"),
        (["train", "--out", "x", "--epochs", "2.5"], "'--epochs'"),
        (["train", "--out", "x", "--p", "often"], "'--p'"),
        (["train", "--out", "x", "--seed"], "--seed"),
        (["train"], "--out"),
        (["evaluate"], "'run'"),
        (["evaluate", "x", "y"], "y"),
        (["data", "check"], "'name'"),
        (["data", "chekc"], "chekc"),
        (["trian"], "trian"),
    ],
    ids=" ".join,
)
def test_unknown_or_unparsable_options_exit_with_2(vad, arguments, named):
    status, out, err = vad(*arguments)
    assert status == 2
    assert named in "".join(err)
    assert "Traceback" not in out + "".join(err)


def test_debug_shows_the_traceback(vad, tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        vad("--debug", *train_arguments(tmp_path / "nowhere", tmp_path))


@pytest.mark.parametrize("command", [["-m", "vadlib"], [os.path.join(os.path.dirname(sys.executable), "vadlib")]], ids=["module", "script"])
def test_exit_status_and_the_one_line_of_a_process(command, tmp_path):
    program = [sys.executable, *command] if command[0] == "-m" else command
    for arguments, status in ((["data", "check", "ped3"], 1), (["--nosuch"], 2), (["--help"], 0)):
        done = subprocess.run([*program, *arguments], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == status
        assert "Traceback" not in done.stderr
        if status == 1:
            assert len(done.stderr.splitlines()) == 1
