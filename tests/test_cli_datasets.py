"""Whole runs on every kind of dataset, by command; small, so that they say that it works, not how
well.
"""

import json
import re

import numpy as np
import pytest
from test_cli import METRICS, succeed, vadlib
from trees import own_videos, scene, write_video

from vadlib.evaluation.result import Result

TINY = {"clips": {"clip_step": 16}, "model": {"width": 8, "slots": 16}, "training": {"epochs": 1}}


@pytest.fixture
def run_on(tmp_path):
    """(dataset, root, *options) -> the metrics of a tiny run in `tmp_path / "run"`, or None."""

    def call(name, root, *options):
        out = tmp_path / "run"
        (tmp_path / "tiny.json").write_text(json.dumps(TINY))
        options = ["--config", tmp_path / "tiny.json", "--out", out, *options]
        succeed("run", "--data", name, "--root", root, *options)
        path = out / "metrics.json"
        return json.loads(path.read_text()) if path.exists() else None

    return call


@pytest.mark.slow
def test_the_real_avenue_in_colour_and_by_both_ground_truths(real_data, run_on, tmp_path):
    """With people found by a real Darknet network, and pictures of CIFAR-100 pasted onto them."""
    weights = real_data / "weights/MobileNetV2-YOLOv3-Nano-coco.weights"
    options = ["--detector", f"darknet:{weights}", "--patches", real_data / "cifar100/train"]
    metrics = run_on("avenue", real_data, *options)
    assert set(metrics) >= METRICS
    out = tmp_path / "run"
    history = np.genfromtxt(out / "history.csv", delimiter=",", names=True)
    assert min(history[f"made_{kind}"] for kind in ("skip", "shuffle", "noise", "object")) > 0
    assert (metrics["frames"], metrics["ground_truth"]) == (349, "vol")
    options = ["--root", real_data, "--ground-truth", "community", "--json"]
    other = json.loads(succeed("evaluate", out, *options))
    beside = other["protocols"]["all, vol"]  # each is measured beside the other
    assert metrics["abnormal_frames"] == beside["abnormal_frames"] == 207
    assert beside["micro_auc_raw"] == pytest.approx(metrics["micro_auc_raw"], abs=1e-3)
    assert metrics["protocols"]["all, community"]["abnormal_frames"] == other["abnormal_frames"]


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["csv", None])
def test_your_own_videos(run_on, tmp_path, labels):
    own_videos(tmp_path / "mine", labels)
    assert (run_on("folder", tmp_path / "mine") is None) == (labels is None)
    options = ["--root", tmp_path / "mine", "--protocol", "center", "--baselines"]
    output = succeed("evaluate", tmp_path / "run", *options)
    is_measured = bool(re.search(r"all, csv +center, csv +best baseline", output))
    assert is_measured == (tmp_path / "run/roc.png").exists() == (labels is not None)
    result = Result.load(tmp_path / "run")
    assert np.isfinite(result.scores["cam1/friday"]).all()
    assert len(result.scores["cam2/sunday"]) == len(result.times["cam2/sunday"]) == 60


def test_data_list_names_every_dataset_its_terms_and_where_it_is(real_data, tmp_path):
    listed = json.loads(succeed("data", "list", "--root", real_data, "--json"))
    entries = {entry["name"]: entry for entry in listed}
    assert list(entries) == ["synthetic", "ped1", "ped2", "avenue", "shanghaitech", "folder"]
    present = [name for name, entry in entries.items() if entry["there"]]
    assert present == ["synthetic", "ped1", "ped2", "avenue"]
    ped2 = [entries["ped2"][name] for name in ("frames", "size", "layout")]
    assert ped2 == [4560, "360x240", "community"]
    assert all(entry["terms"] and entry["citation"] for entry in entries.values())
    text = succeed("data", "list", "--root", tmp_path)
    assert f"vadlib data download avenue --root {tmp_path}" in text
    assert "doi:10.1109/ICCV.2013.338" in text


def test_a_name_that_the_console_cannot_write_does_not_end_the_command(tmp_path):
    write_video(tmp_path / "监控/周一.mp4", scene(1, 20)[0][0])
    done = vadlib("data", "check", "folder", "--root", tmp_path / "监控", PYTHONIOENCODING="cp1252")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert "20 frames" in done.stdout
