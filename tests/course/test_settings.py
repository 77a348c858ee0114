"""The notebooks' profile, data and run folder follow the environment."""

from pathlib import Path

import pytest
import torch
from refusals import refused

import vadlib as vad
from vadlib import course


@pytest.mark.parametrize("name", ["quick", "full"])
def test_profile_is_what_the_environment_says(monkeypatch, name):
    monkeypatch.setenv("VADLIB_PROFILE", name)
    assert course.profile() == name


@pytest.mark.parametrize(("gpu", "expected"), [(False, "quick"), (True, "full")])
@pytest.mark.parametrize("value", [None, ""])
def test_profile_without_a_choice_follows_the_gpu(monkeypatch, gpu, expected, value):
    monkeypatch.delenv("VADLIB_PROFILE", raising=False)
    if value is not None:
        monkeypatch.setenv("VADLIB_PROFILE", value)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: gpu)
    assert course.profile() == expected


@pytest.mark.parametrize("value", ["Quick", "fast", "1"])
def test_profile_refuses_other_values(monkeypatch, value):
    monkeypatch.setenv("VADLIB_PROFILE", value)
    with refused("unknown-name", field="VADLIB_PROFILE"):
        course.profile()


def test_tutorial_data_takes_ped2_only_where_it_is(monkeypatch, tmp_path):
    monkeypatch.delenv("VADLIB_DATA", raising=False)
    assert course.tutorial_data() == "synthetic"
    monkeypatch.setenv("VADLIB_DATA", str(tmp_path))
    assert course.tutorial_data() == "synthetic"
    (tmp_path / "ped2").mkdir()
    assert course.tutorial_data() == "ped2"


def test_run_folder_is_the_same_from_the_repository_and_from_its_notebooks(monkeypatch, tmp_path):
    monkeypatch.setenv("VADLIB_PROFILE", "quick")
    monkeypatch.delenv("VADLIB_RUNS", raising=False)
    (tmp_path / "repository" / "notebooks" / "src").mkdir(parents=True)
    for here in ("repository", "repository/notebooks"):
        monkeypatch.chdir(tmp_path / here)
        assert course.run_folder("00") == tmp_path / "repository" / "build" / "runs" / "00-quick"
    monkeypatch.chdir(tmp_path)
    assert course.run_folder("00") == tmp_path / "runs" / "00-quick"
    monkeypatch.setenv("VADLIB_RUNS", str(tmp_path / "elsewhere"))
    assert course.run_folder("00") == tmp_path / "elsewhere" / "00-quick"


def test_run_folder_differs_by_profile(monkeypatch):
    folders: set[Path] = set()
    for name in ("quick", "full"):
        monkeypatch.setenv("VADLIB_PROFILE", name)
        folders.add(course.run_folder("00"))
    assert len(folders) == 2


def test_only_what_needs_no_download_is_offered(monkeypatch, tmp_path):
    monkeypatch.delenv("VADLIB_DATA", raising=False)
    assert (course.tutorial_detectors(), course.tutorial_patches()) == (
        ["motion", "boxes"],
        ["builtin", "sprites"],
    )
    monkeypatch.setenv("VADLIB_DATA", str(tmp_path))
    (tmp_path / "ped2").mkdir()
    (tmp_path / "weights").mkdir()
    (tmp_path / "cifar100").mkdir()
    # without its .cfg, which would be downloaded
    (tmp_path / "weights" / "MobileNetV2-YOLOv3-Nano-coco.weights").touch()
    assert (course.tutorial_detectors(), course.tutorial_patches()) == (
        ["motion"],
        ["builtin", "sprites"],
    )
    (tmp_path / "weights" / "MobileNetV2-YOLOv3-Nano-coco.cfg").touch()
    (tmp_path / "cifar100" / "train").mkdir()
    assert (course.tutorial_detectors(), course.tutorial_patches()) == (
        ["motion", "darknet"],
        ["builtin", "sprites", "cifar100"],
    )


def test_no_exported_name_hides_behind_a_module_of_the_same_name():
    """`vadlib/profile.py` would replace the function `course.profile` as soon as the module is
    imported.
    """
    folder = Path(vad.__file__).parent
    assert [
        name for name in vad.__all__ if (folder / f"{name}.py").exists() or (folder / name).is_dir()
    ] == []


def test_a_fresh_run_folder_holds_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("VADLIB_RUNS", str(tmp_path))
    folder = course.run_folder("a")
    folder.mkdir()
    (folder / "config.json").touch()
    assert course.run_folder("a").exists()
    assert course.run_folder("a", fresh=True) == folder
    assert not folder.exists()


def test_a_process_is_killed_after_it_wrote_the_file(tmp_path):
    script = "import sys, time; open(sys.argv[1], 'w').close(); time.sleep(60); open(sys.argv[2], 'w').close()"
    arguments = ["-c", script, tmp_path / "first", tmp_path / "second"]
    assert course.kill_after(arguments, tmp_path / "first", seconds=0.1) != 0
    assert not (tmp_path / "second").exists()


def test_a_process_that_writes_nothing_is_an_error(tmp_path):
    with refused("missing-file", file=tmp_path / "never"):
        course.kill_after(["-c", "raise SystemExit(3)"], tmp_path / "never", seconds=0)
