"""`~` in paths, and environment variables that name no folder."""

import json
import os
import shutil
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from refusals import refused
from scenes import moving_videos
from trees import short_run, write_images

from vadlib import course
from vadlib.ablation import read_ablation
from vadlib.course.dataset_tables import load_test_videos
from vadlib.data.catalog import default_root, find_copy, list_datasets, load_videos
from vadlib.data.check import check_dataset
from vadlib.data.download import download_dataset
from vadlib.data.encode import write_video
from vadlib.data.folder import open_video
from vadlib.data.store import cache_dir, keep_arrays
from vadlib.device import pick_device, pick_precision
from vadlib.evaluation.result import Result
from vadlib.files import expand_home, write_json
from vadlib.jobs import evaluate_once, evaluate_run, make_config, plot_run, score_video, train_run
from vadlib.model.run import PRETRAINED, open_run
from vadlib.pseudo.detectors import find_weights
from vadlib.pseudo.patches import FolderPatches, load_patches

EMPTY = np.zeros((20, 8, 8), np.uint8)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder of the test's own, and a working folder in which nothing may be written."""
    folder = tmp_path / "home"
    folder.mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    # fonts are listed once, not in each home
    monkeypatch.setenv("MPLCONFIGDIR", matplotlib.get_configdir())
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    yield folder
    assert os.listdir() == []


def test_only_a_leading_tilde_is_the_home_folder(home):
    for path in ("~", "~/videos", "~/a/../b", "~//videos"):
        assert expand_home(path) == expand_home(Path(path)) == home / path[1:].strip("/")
    for path in ("a/~/b", "a~", "/~", "~nobody-of-that-name", "~$labels.csv", ""):
        assert expand_home(path) == Path(path)


def test_functions_take_a_tilde_for_what_they_read(home):
    write_images(home / "mine" / "training" / "a", EMPTY)
    shutil.copytree(PRETRAINED / "synthetic", home / "run")
    shutil.copy(PRETRAINED / "ablation.csv", home / "ablation.csv")
    write_images(home / "pictures" / "cats", np.zeros((2, 8, 8, 3), np.uint8))
    (home / "net.pt").write_bytes(b"x")
    (home / "data" / "UCSD_Anomaly_Dataset.v1p2").mkdir(parents=True)
    (home / "parts.json").write_text(json.dumps({"dataset": "ped2"}))
    assert [video.name for video in load_videos("folder", "train", "~/mine")] == ["a"]
    assert check_dataset("folder", Path("~/mine"), progress=False)["problems"] == []
    assert find_copy("folder", "~/mine").folder == home / "mine"
    assert open_run("~/run").folder == open_run(Path("~/run")).folder == home / "run"
    assert read_ablation("~/ablation.csv") == read_ablation()
    assert len(FolderPatches("~/pictures").classes) == 1
    assert find_weights("~/net.pt") == home / "net.pt"
    assert make_config(file=Path("~/parts.json")).dataset == "ped2"
    available = [entry["name"] for entry in list_datasets("~/mine") if entry["there"]]
    assert available == ["synthetic"]
    assert download_dataset("ped2", Path("~/data"), progress=False)[0].startswith(str(home))


def test_functions_take_a_tilde_for_what_they_write(home):
    videos = moving_videos(2, length=20)
    run = short_run(videos, "~/run")
    assert run.folder == home / "run"
    with refused("already-exists", file=home / "run"):
        train_run(make_config(), Path("~/run"))
    result = evaluate_once(run, videos, Path("~/once"), "cpu")
    result.save("~/saved")
    plot_run(result, Path("~/plots"))
    write_video("~/film.mp4", videos[0].frames[:], 10)
    assert len(open_video(Path("~/film.mp4"))) == 20
    score_video(run, Path("~/film.mp4"), Path("~/scored"), "cpu", progress=False)
    assert Result.load("~/saved").scores.keys() == result.scores.keys()
    for name in ("once/scores.npz", "plots/curves", "scored/scores.csv", "film.mp4"):
        assert (home / name).exists()


@pytest.mark.parametrize("form", [["--root", "~/mine"], ["--root=~/mine"]])
def test_commands_take_a_tilde(home, vadlib_command, form):
    write_images(home / "mine" / "training" / "a", EMPTY)
    for words, status, name in (
        (["data", "check", "folder", *form], 0, "mine"),
        (["train", "--data", "folder", *form, "--out=~/a", "--config=~/no.json"], 1, "no.json"),
        (["evaluate", "~/none", *form, "--out=~/results"], 1, "none"),
        (["score", "synthetic", "~/none.mp4", "--out=~/results"], 1, "none.mp4"),
    ):
        result = vadlib_command(*words)
        assert (result[0], str(home / name) in "".join(result[1:])) == (status, True)


READERS = (
    lambda: load_videos("ped2"),
    lambda: load_videos("folder"),
    list_datasets,
    load_test_videos,
    lambda: evaluate_run("ped2", None, None, "cpu"),
    lambda: find_weights("none.pt"),
    lambda: load_patches("cifar100"),
    course.tutorial_data,
    course.tutorial_detectors,
    course.tutorial_patches,
)


@pytest.mark.parametrize("value", ["~/missing", "file", "link"])
def test_data_that_are_not_where_the_variable_says(
    home, tmp_path, monkeypatch, vadlib_command, value
):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    folder = expand_home(value) if value.startswith("~") else tmp_path / value
    monkeypatch.setenv("VADLIB_DATA", value if value.startswith("~") else str(folder))
    code = "wrong-kind-of-file" if value == "file" else "missing-file"
    for reader in READERS:
        with refused(code, file=folder, field="VADLIB_DATA"):
            reader()
    for words in ("data check ped2", "data list", "evaluate ped2"):
        *result, error = vadlib_command(*words.split())
        assert (result, len(error.splitlines())) == ([1, ""], 1)
        assert error.startswith(f"vadlib: {folder}: ")
        assert "VADLIB_DATA" in error
    # what needs no data does not ask for them
    assert default_root(to_make=True) == folder  # as for a download
    assert find_copy("synthetic").layout == "rendered"
    assert load_patches("builtin").source == "builtin"
    write_images(tmp_path / "mine" / "a", EMPTY)
    assert len(load_videos("folder", "train", tmp_path / "mine")) == 1


@pytest.mark.parametrize("value", ["", " \n"])
def test_an_empty_variable_counts_as_unset(home, monkeypatch, value):
    def settings():
        folders = default_root(), cache_dir(), course.run_folder("a")
        return *folders, course.tutorial_data(), course.profile(), pick_precision("auto", cpu)

    cpu = pick_device("cpu")
    names = ["DATA", "CACHE", "RUNS", "PROFILE", "PRECISION"]
    for name in names:
        monkeypatch.delenv(f"VADLIB_{name}", raising=False)
    unset = settings()
    for name in names:
        monkeypatch.setenv(f"VADLIB_{name}", value)
    assert settings() == unset


@pytest.mark.parametrize("kind", ["file", "file/below", "link"])
@pytest.mark.parametrize("variable", ["VADLIB_CACHE", "VADLIB_RUNS"])
def test_folders_for_results_are_made_or_named(tmp_path, monkeypatch, variable, kind):
    def write():
        keep_arrays("labels", "key", lambda: {"a": np.zeros(1)})
        write_json(course.run_folder("a") / "metrics.json", {"a": 1})

    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    monkeypatch.setenv(variable, str(tmp_path / kind))
    with refused("not-writable") as caught:
        write()
    assert variable in str(caught.error)
    assert str(tmp_path / kind) in str(caught.error)
    monkeypatch.setenv(variable, str(tmp_path / "new" / "folder"))
    monkeypatch.chdir(tmp_path)
    write()
    assert any((tmp_path / "new" / "folder").iterdir())
