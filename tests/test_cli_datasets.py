"""Whole runs on every kind of dataset, by command; small, so that they say that it works, not how
well.
"""

import json
import re

import numpy as np
import pytest
from test_cli import FILES, METRICS, vadlib
from trees import official_shanghaitech, official_ucsd, own_videos, scene, write_video

from vadlib.data.catalog import load_videos
from vadlib.data.ucsd import TEST_LENGTHS
from vadlib.evaluation.calibration import Calibration
from vadlib.evaluation.evaluate import evaluate

TINY = {"clips": {"clip_step": 16}, "model": {"width": 8, "slots": 16}, "training": {"epochs": 1}}


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(TINY))
    return path


def run_on(name, root, tiny, out, *more):
    done = vadlib("run", "--data", name, "--root", root, "--config", tiny, "--out", out, *more)
    assert done.returncode == 0, done.stderr
    return json.loads((out / "metrics.json").read_text())


@pytest.mark.slow
def test_the_real_avenue_in_colour_and_by_both_ground_truths(real_data, tiny, tmp_path):
    """With people found by a real Darknet network, and pictures of CIFAR-100 pasted onto them."""
    out, weights = (
        tmp_path / "avenue",
        real_data / "weights" / "MobileNetV2-YOLOv3-Nano-coco.weights",
    )
    metrics = run_on(
        "avenue",
        real_data,
        tiny,
        out,
        "--detector",
        f"darknet:{weights}",
        "--patches",
        real_data / "cifar100" / "train",
    )
    assert set(metrics) >= METRICS
    history = np.genfromtxt(out / "history.csv", delimiter=",", names=True)
    assert min(history[f"made_{kind}"] for kind in ("skip", "shuffle", "noise", "object")) > 0
    assert (metrics["frames"], metrics["abnormal_frames"], metrics["ground_truth"]) == (
        349,
        207,
        "vol",
    )
    config = json.loads((out / "config.json").read_text())
    assert (config["model"]["channels"], config["clips"]["shorter_side"]) == (3, 240)
    other = vadlib("evaluate", out, "--root", real_data, "--ground-truth", "community", "--json")
    assert other.returncode == 0, other.stderr
    other = json.loads(other.stdout)
    community = int(np.load(real_data / "avenue" / "frame_labels_avenue.npy").ravel()[-349:].sum())
    assert (other["abnormal_frames"], other["ground_truth"]) == (community, "community")
    # Each is measured beside the other, on the same scores.
    assert metrics["protocols"]["all, community"]["abnormal_frames"] == community
    assert other["protocols"]["all, vol"]["abnormal_frames"] == 207
    assert other["protocols"]["all, vol"]["micro_auc_raw"] == pytest.approx(
        metrics["micro_auc_raw"], abs=1e-3
    )


def test_shanghaitech(tiny, tmp_path):
    truth = official_shanghaitech(tmp_path, {"01_0014": 40, "01_0015": 30, "02_0128": 50})
    metrics = run_on("shanghaitech", tmp_path, tiny, tmp_path / "run")
    assert {p.name for p in (tmp_path / "run").iterdir()} == FILES
    assert set(metrics) >= METRICS | {"baselines"}
    assert (metrics["frames"], metrics["ground_truth"]) == (120, "frame_mask")
    assert metrics["abnormal_frames"] == sum(int(clip.sum()) for clip in truth.values())
    # one a camera
    assert set(Calibration.load(tmp_path / "run" / "calibration.npz").scenes) == {
        "shanghaitech 01",
        "shanghaitech 02",
    }
    assert {p.stem for p in (tmp_path / "run" / "curves").iterdir()} == set(truth)


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["csv", None])
def test_ones_own_videos(tiny, tmp_path, labels):
    own_videos(tmp_path / "mine", labels)
    out = tmp_path / "run"
    done = vadlib(
        "run", "--data", "folder", "--root", tmp_path / "mine", "--config", tiny, "--out", out
    )
    assert done.returncode == 0, done.stderr
    assert (out / "curves" / "cam1" / "friday.png").is_file()
    assert (out / "metrics.json").exists() == (labels is not None)
    assert (out / "roc.png").exists() == (labels is not None)
    again = vadlib(
        "evaluate", out, "--root", tmp_path / "mine", "--protocol", "center", "--baselines"
    )
    assert again.returncode == 0, again.stderr
    assert bool(re.search(r"all, csv +center, csv +best baseline", again.stdout)) == (
        labels is not None
    )
    assert str(out) in again.stdout
    assert (out / "curves" / "cam1" / "friday.png").is_file()
    with np.load(out / "scores.npz") as stored:
        assert np.isfinite(stored["score/cam1/friday"]).all()
        assert len(stored["score/cam2/sunday"]) == len(stored["time/cam2/sunday"]) == 60


@pytest.mark.slow
def test_ped2_in_the_official_layout_gives_the_same_labels_and_the_same_scores(
    real_data, pretrained_on_ped2, tmp_path
):
    folder = real_data / "ped2" / "testing"
    community = load_videos("ped2", "test", real_data)
    test = {
        n: (
            sorted((folder / "frames" / f"{n:02d}").iterdir()),
            sorted((folder / "masks" / f"{n:02d}").iterdir()),
        )
        for n in range(1, 13)
    }
    train = [sorted((real_data / "ped2" / "training" / "frames" / "01").iterdir())[:20]]
    official_ucsd("ped2", tmp_path, train, test, [v.labels for v in community])
    official = load_videos("ped2", "test", tmp_path)
    assert tuple(map(len, official)) == TEST_LENGTHS["ped2"]
    assert sum(int(v.labels.sum()) for v in official) == 1648
    for a, b in zip(community, official, strict=True):
        assert (a.name, a.scene, a.fps) == (b.name, b.scene, b.fps)
        assert np.array_equal(a.labels, b.labels)
        assert np.array_equal(a.masks[::20], b.masks[::20])
    found = evaluate("ped2", official[:3], "cpu", progress=False).raw
    for name, scores in found.items():
        assert np.allclose(scores, pretrained_on_ped2.raw[name], atol=1e-3)


def test_data_list_names_every_dataset_its_terms_and_where_it_is(real_data, tmp_path):
    listed = vadlib("data", "list", "--root", real_data, "--json")
    assert listed.returncode == 0, listed.stderr
    entries = {entry["name"]: entry for entry in json.loads(listed.stdout)}
    assert list(entries) == ["synthetic", "ped1", "ped2", "avenue", "shanghaitech", "folder"]
    assert {name for name, entry in entries.items() if entry["there"]} == {
        "synthetic",
        "ped1",
        "ped2",
        "avenue",
    }
    assert (entries["ped2"]["frames"], entries["ped2"]["size"], entries["ped2"]["layout"]) == (
        4560,
        "360x240",
        "community",
    )
    assert "vadlib data download shanghaitech" in entries["shanghaitech"]["get"]
    assert all(entry["terms"] and entry["citation"] for entry in entries.values())
    text = vadlib("data", "list", "--root", tmp_path).stdout
    assert "vadlib data download avenue" in text
    assert "doi:10.1109/ICCV.2013.338" in text


def test_data_download_of_what_cannot_be_downloaded(tmp_path):
    for name in ("shanghaitech", "synthetic", "folder", "ped3"):
        done = vadlib("data", "download", name, "--root", tmp_path)
        assert done.returncode == 1
        assert name in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert "Traceback" not in done.stderr


def test_a_name_that_the_console_cannot_write_does_not_end_the_command(tmp_path):
    write_video(tmp_path / "监控" / "周一.mp4", scene(1, 20)[0][0])
    done = vadlib("data", "check", "folder", "--root", tmp_path / "监控", PYTHONIOENCODING="cp1252")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert "20 frames" in done.stdout


@pytest.mark.parametrize("command", ["train", "run"])
def test_a_ground_truth_that_the_dataset_has_not_is_refused_at_once(tmp_path, command):
    done = vadlib(command, "--ground-truth", "community", "--out", tmp_path / "run")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "'community'" in done.stderr
    assert "avenue" in done.stderr
    assert not (tmp_path / "run").exists()
