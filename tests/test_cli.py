"""The commands, end to end, in processes of their own; small, so that they say that it works, not
how well.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from vadlib.data.catalog import load_videos
from vadlib.evaluation.metrics import micro_auc
from vadlib.evaluation.result import Result
from vadlib.model.run import Run

SMALL = {"clips": {"clip_step": 90}, "model": {"width": 8, "slots": 16}, "training": {"epochs": 1}}
FILES = {"config.json", "model.safetensors", "calibration.npz", "state.pt", "history.csv"}
FILES |= {"metrics.json", "scores.npz", "roc.png", "curves"}
METRICS = {"micro_auc_raw", "micro_auc_calibrated", "micro_auc_per_video", "macro_auc"}
METRICS |= {"macro_auc_left_out", "frames", "ground_truth", "average_precision", "eer"}
METRICS |= {"pixel_auc", "protocols", "intervals"}


def vadlib(*arguments, **environment):
    command = [sys.executable, "-m", "vadlib", *map(str, arguments)]
    environment = os.environ | environment
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)


def succeed(*arguments):
    """Run a command, which must succeed, and return its output."""
    done = vadlib(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def small(tmp_path):
    (tmp_path / "small.json").write_text(json.dumps(SMALL))
    return tmp_path / "small.json"


@pytest.mark.slow
def test_run_needs_nothing_and_leaves_the_files_of_the_contract(tmp_path, small):
    out = tmp_path / "demo"
    clips = {"shorter_side": 48, "crop": [24, 24], "clip_step": 90}
    small.write_text(json.dumps(SMALL | {"clips": clips}))
    succeed("run", "--out", out, "--config", small)
    assert {path.name for path in out.iterdir()} == FILES
    assert {path.name for path in (out / "curves").iterdir()} == {
        f"{i:02}.png" for i in range(1, 9)
    }
    metrics = json.loads((out / "metrics.json").read_text())
    assert set(metrics) >= METRICS
    assert metrics["frames"] == 1530
    assert sum(map(len, Result.load(out).scores.values())) == 1530
    del metrics["baselines"]
    assert json.loads(succeed("evaluate", out, "--json")) == metrics

    refused = vadlib("run", "--out", out, "--config", small)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"vadlib: {out}:")
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.slow
def test_run_on_the_real_ped2(tmp_path, small, real_data):
    options = ["--root", real_data, "--config", small, "--seed", 1, "--out", tmp_path / "ped2"]
    succeed("run", "--data", "ped2", *options)
    metrics = json.loads((tmp_path / "ped2" / "metrics.json").read_text())
    assert (metrics["frames"], metrics["abnormal_frames"]) == (2010, 1648)
    assert metrics["macro_auc_left_out"] == 4
    videos = load_videos("ped2", "test", real_data)
    result = Result.load(tmp_path / "ped2")
    # One epoch of a tiny model: D_n reconstructs a little, D_p has learned nothing to compare with.
    # Random scores give 0.5.
    assert micro_auc(result.labels, result.rescore("raw", contrast=0)) > 0.6
    assert metrics["pixel_auc"] == pytest.approx(pixel_auc_by_the_book(result, videos))
    config = Run.load(tmp_path / "ped2").config
    assert (config.dataset, config.training.seed) == ("ped2", 1)


def pixel_auc_by_the_book(result, videos):
    """For every threshold: an abnormal frame is detected when it alarms at 40% of its abnormal
    pixels, a normal one is false when it alarms anywhere.
    """
    detected, false = [], []
    for video in videos:
        # each value stands for 8 x 8 pixels of the 240 x 360
        maps = result.score_map(video.name).repeat(8, 1).repeat(8, 2)
        for t, is_abnormal in enumerate(video.labels):
            if is_abnormal:
                values = np.sort(maps[t][video.masks[t]])
                detected.append(values[len(values) - int(np.ceil(0.4 * len(values)))])
            else:
                false.append(maps[t].max())
    thresholds = np.unique([*detected, *false, np.inf])[::-1, None]
    return np.trapezoid((detected >= thresholds).mean(1), (false >= thresholds).mean(1))


@pytest.mark.slow
def test_data_check_of_the_real_ped2_and_of_the_synthetic_scene(real_data):
    report = json.loads(succeed("data", "check", "ped2", "--root", real_data, "--json"))
    for split in ("train", "test"):
        for item in ("clips", "frames"):
            assert report["splits"][split][item] == report["known"][f"{split}_{item}"]
    assert report["splits"]["test"]["abnormal"] == report["known"]["abnormal"][""] == 1648
    assert report["problems"] == []
    assert json.loads(succeed("data", "check", "synthetic", "--json"))["problems"] == []
