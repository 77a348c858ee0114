"""The notebooks' profile, data and run folder follow the environment."""

import pytest
import torch
from refusals import refused

from vadlib import course


@pytest.mark.parametrize(
    ("value", "gpu", "expected"),
    [("quick", True, "quick"), ("full", False, "full"), ("", True, "full"), ("", False, "quick")],
)
def test_profile_is_what_the_environment_says_else_follows_the_gpu(
    monkeypatch, value, gpu, expected
):
    monkeypatch.setenv("VADLIB_PROFILE", value)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: gpu)
    assert course.profile() == expected
    monkeypatch.setenv("VADLIB_PROFILE", "Quick")
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
    monkeypatch.setenv("VADLIB_PROFILE", "full")
    assert course.run_folder("00") == tmp_path / "elsewhere" / "00-full"


def test_only_what_needs_no_download_is_offered(monkeypatch, tmp_path):
    monkeypatch.delenv("VADLIB_DATA", raising=False)
    assert course.tutorial_detectors() == ["motion", "boxes"]
    assert course.tutorial_patches() == ["builtin", "sprites"]
    monkeypatch.setenv("VADLIB_DATA", str(tmp_path))
    for name in ("ped2", "weights", "cifar100"):
        (tmp_path / name).mkdir()
    # without its .cfg, which would be downloaded
    (tmp_path / "weights" / "MobileNetV2-YOLOv3-Nano-coco.weights").touch()
    assert course.tutorial_detectors() == ["motion"]
    assert course.tutorial_patches() == ["builtin", "sprites"]
    (tmp_path / "weights" / "MobileNetV2-YOLOv3-Nano-coco.cfg").touch()
    (tmp_path / "cifar100" / "train").mkdir()
    assert course.tutorial_detectors() == ["motion", "darknet"]
    assert course.tutorial_patches() == ["builtin", "sprites", "cifar100"]


def test_a_fresh_run_folder_holds_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("VADLIB_RUNS", str(tmp_path))
    folder = course.run_folder("a")
    folder.mkdir()
    (folder / "config.json").touch()
    assert course.run_folder("a").exists()
    assert course.run_folder("a", fresh=True) == folder
    assert not folder.exists()


def test_a_process_is_killed_after_it_wrote_the_file(tmp_path):
    script = "import sys, time; open(sys.argv[1], 'w'); time.sleep(60); open(sys.argv[2], 'w')"
    arguments = ["-c", script, tmp_path / "first", tmp_path / "second"]
    assert course.kill_after(arguments, tmp_path / "first", seconds=0.1) != 0
    assert not (tmp_path / "second").exists()
    with refused("missing-file", file=tmp_path / "never"):
        course.kill_after(["-c", "raise SystemExit(3)"], tmp_path / "never", seconds=0)
