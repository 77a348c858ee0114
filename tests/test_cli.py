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
METRICS = {
    "micro_auc_raw",
    "micro_auc_calibrated",
    "micro_auc_per_video",
    "macro_auc",
    "macro_auc_left_out",
    "frames",
    "ground_truth",
}
METRICS |= {"average_precision", "eer", "pixel_auc", "protocols", "intervals"}


def vadlib(*arguments, **environment):
    command = [sys.executable, "-m", "vadlib", *map(str, arguments)]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=600
    )


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.json"
    path.write_text(json.dumps(SMALL))
    return path


@pytest.mark.slow
def test_run_needs_nothing_and_leaves_the_files_of_the_contract(tmp_path):
    out, small = tmp_path / "demo", tmp_path / "smaller.json"
    data = {"shorter_side": 48, "crop": [24, 24], "clip_step": 90}
    small.write_text(json.dumps(SMALL | {"data": data}))
    done = vadlib("run", "--out", out, "--config", small)
    assert done.returncode == 0, done.stderr
    assert {p.name for p in out.iterdir()} == FILES
    assert {p.name for p in (out / "curves").iterdir()} == {f"{i:02}.png" for i in range(1, 9)}
    metrics = json.loads((out / "metrics.json").read_text())
    assert set(metrics) >= METRICS
    assert metrics["frames"] == 1530
    with np.load(out / "scores.npz") as stored:
        assert sum(len(stored[name]) for name in stored.files if name.startswith("score/")) == 1530

    again = vadlib("evaluate", out, "--json")
    assert again.returncode == 0, again.stderr
    assert "baselines" in metrics
    assert json.loads(again.stdout) == {
        name: value for name, value in metrics.items() if name != "baselines"
    }

    refused = vadlib("run", "--out", out, "--config", small)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"vadlib: {out}:")
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.slow
def test_run_on_the_real_ped2(tmp_path, small, real_data):
    done = vadlib(
        "run",
        "--data",
        "ped2",
        "--root",
        real_data,
        "--config",
        small,
        "--seed",
        1,
        "--out",
        tmp_path / "ped2",
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "ped2" / "metrics.json").read_text())
    assert (metrics["frames"], metrics["abnormal_frames"], metrics["macro_auc_left_out"]) == (
        2010,
        1648,
        4,
    )
    videos, result = load_videos("ped2", "test", real_data), Result.load(tmp_path / "ped2")
    # One epoch of a tiny model: D_n rebuilds a little, D_p has learned nothing to compare with.
    # Random scores give 0.5.
    assert micro_auc(result.labels, result.rescore("raw", contrast=0)) > 0.6
    assert metrics["pixel_auc"] == pytest.approx(pixel_auc_by_the_book(result, videos))
    config = Run.load(tmp_path / "ped2").config
    assert (config.dataset, config.training.seed) == ("ped2", 1)


def pixel_auc_by_the_book(result, videos):
    """For every threshold: a frame is found when it alarms at 40% of its abnormal pixels, a normal
    one is false when it alarms anywhere.
    """
    found, false = [], []
    for video in videos:
        # each value stands for 8 x 8 pixels of the 240 x 360
        maps = result.score_map(video.name).repeat(8, 1).repeat(8, 2)
        for t, bad in enumerate(video.labels):
            values = np.sort(maps[t][video.masks[t]] if bad else maps[t].ravel())
            (found if bad else false).append(
                values[len(values) - int(np.ceil(0.4 * len(values)))] if bad else values[-1]
            )
    thresholds = np.unique(np.concatenate([found, false, [np.inf]]))[::-1]
    rates = [[np.mean(np.array(part) >= t) for t in thresholds] for part in (false, found)]
    return np.trapezoid(rates[1], rates[0])


@pytest.mark.slow
def test_data_check_of_the_real_ped2(real_data):
    done = vadlib("data", "check", "ped2", "--root", real_data, "--json")
    assert done.returncode == 0, done.stdout
    report = json.loads(done.stdout)
    assert report["problems"] == []
    for split in ("train", "test"):
        for what in ("clips", "frames"):
            assert report["splits"][split][what] == report["known"][f"{split}_{what}"]
    assert report["splits"]["test"]["abnormal"] == report["known"]["abnormal"][""] == 1648


@pytest.mark.slow
def test_data_check_of_the_synthetic_scene():
    done = vadlib("data", "check", "synthetic", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["problems"] == []
