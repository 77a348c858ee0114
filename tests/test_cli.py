"""The commands, end to end, in processes of their own; small, so that they say that it works, not how well."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

SMALL = {"data": {"clip_step": 90}, "model": {"width": 8, "slots": 16}, "training": {"epochs": 1}}
METRICS = {"micro_auc_raw", "micro_auc_calibrated", "micro_auc_per_video", "macro_auc", "macro_auc_left_out", "frames", "ground_truth"}


def vadlib(*arguments, **environment):
    command = [sys.executable, "-m", "vadlib", *map(str, arguments)]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=600)


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.json"
    path.write_text(json.dumps(SMALL))
    return path


def test_run_needs_nothing_and_leaves_the_files_of_the_contract(tmp_path, small):
    out = tmp_path / "demo"
    done = vadlib("run", "--out", out, "--config", small)
    assert done.returncode == 0, done.stderr
    files = {
        "config.json",
        "model.safetensors",
        "calibration.npz",
        "state.pt",
        "history.csv",
        "metrics.json",
        "scores.npz",
        "roc.png",
        "curves",
    }
    assert {p.name for p in out.iterdir()} == files
    assert {p.name for p in (out / "curves").iterdir()} == {f"{i:02}.png" for i in range(1, 9)}
    metrics = json.loads((out / "metrics.json").read_text())
    assert set(metrics) >= METRICS
    assert metrics["frames"] == 1530
    assert set(metrics["yardstick"]) == {"micro_auc_raw", "micro_auc_per_video", "macro_auc"}
    with np.load(out / "scores.npz") as stored:
        assert sum(len(stored[name]) for name in stored.files if name.startswith("score/")) == 1530

    again = vadlib("evaluate", out, "--json")
    assert again.returncode == 0, again.stderr
    assert {k: v for k, v in json.loads(again.stdout).items() if k != "yardstick"} == {k: v for k, v in metrics.items() if k != "yardstick"}

    refused = vadlib("run", "--out", out, "--config", small)
    assert refused.returncode == 1
    assert "already holds a run" in refused.stderr


def test_run_on_the_real_ped2(tmp_path, small, real_data):
    done = vadlib("run", "--data", "ped2", "--root", real_data, "--config", small, "--seed", 1, "--out", tmp_path / "ped2")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "ped2" / "metrics.json").read_text())
    assert (metrics["frames"], metrics["abnormal_frames"], metrics["macro_auc_left_out"]) == (2010, 1648, 4)
    assert metrics["micro_auc_raw"] > 0.6  # one epoch of a tiny model; random scores give 0.5
    config = json.loads((tmp_path / "ped2" / "config.json").read_text())
    assert config["training"]["seed"] == 1
    chosen = {"name": "ped2", "preset": "fast", "detector": "motion", "patches": "builtin"}
    assert config["dataset"].items() >= chosen.items()
    assert config["dataset"].keys() - chosen.keys() == {"clips", "fingerprint"}


def test_data_check_of_the_real_ped2(real_data):
    done = vadlib("data", "check", "ped2", "--root", real_data, "--json")
    assert done.returncode == 0, done.stdout
    report = json.loads(done.stdout)
    assert report["problems"] == []
    for split in ("train", "test"):
        for what in ("clips", "frames"):
            assert report["splits"][split][what] == report["known"][f"{split}_{what}"]
    assert report["splits"]["test"]["abnormal"] == report["known"]["abnormal"][""] == 1648


def test_data_check_of_the_synthetic_scene():
    done = vadlib("data", "check", "synthetic")
    assert done.returncode == 0, done.stderr
    assert "nothing wrong was found" in done.stdout
