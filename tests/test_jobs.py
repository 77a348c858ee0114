"""Whole jobs by name: presets reach every part of a run, and a config file wins over them."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from refusals import refused
from trees import own_videos

from vadlib.data.catalog import load_videos
from vadlib.data.folder import OwnVideos, TableLabels
from vadlib.errors import InputError
from vadlib.evaluation.baselines import baseline_scores, measure_baselines
from vadlib.evaluation.calibration import Calibration
from vadlib.evaluation.evaluate import evaluate
from vadlib.evaluation.result import Result
from vadlib.jobs import evaluate_once, evaluate_run, make_config, train_run
from vadlib.output.report import describe_metrics


@pytest.mark.parametrize("preset", ["compact", "paper"])
def test_a_published_preset_trains_and_scores_whole_frames(tmp_path, preset):
    """On frames of 32 x 32 and with few channels."""
    own_videos(tmp_path / "mine")
    small = {
        "clips": {"size": [32, 32], "clip_step": 4},
        "model": {"width": 8, "slots": 16},
        "training": {"epochs": 1},
    }
    run = train_run(make_config("folder", preset, small), tmp_path / "run", tmp_path / "mine")
    result = evaluate_run(run, None, tmp_path / "mine")
    assert {name: len(scores) for name, scores in result.scores.items()} == {
        "cam1/friday": 60,
        "cam2/sunday": 60,
    }
    assert all(np.isfinite(scores).all() for scores in result.scores.values())


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """(labelled videos of one's own, a run on them)."""
    root = tmp_path_factory.mktemp("own")
    own_videos(root / "mine", "csv")
    chosen = {
        "training": {"epochs": 1},
        "pseudo": {"p": 0.0},
        "clips": {"clip_step": 8, "crop": [24, 24]},
        "model": {"width": 8, "slots": 8},
    }
    config = make_config("folder", "fast", chosen)
    return root / "mine", train_run(config, root / "run", root / "mine")


def test_the_published_protocol_and_the_baselines_stand_beside_the_flat_metrics(own):
    root, run = own
    metrics = evaluate_run(run, None, root, with_baselines=True, protocol="center").metrics
    videos = load_videos("folder", "test", root)
    flat, centre = (
        evaluate(run, videos, progress=False, protocol=protocol).metrics
        for protocol in ("all", "center")
    )
    assert metrics.items() >= flat.items()
    assert list(metrics["protocols"]) == ["center, csv"]
    nested = metrics["protocols"]["center, csv"]
    assert {name: centre[name] for name in nested} == nested
    assert nested["frames"] == flat["frames"] - 15 * flat["videos"]
    assert json.loads((run.folder / "metrics.json").read_text()) == metrics
    scores = baseline_scores(load_videos("folder", "train", root), videos)
    assert metrics["baselines"] == measure_baselines(
        scores, {video.name: video.labels for video in videos}
    )


class TwoTruths(OwnVideos):
    """Own videos with a second ground truth, which calls normal what the first calls abnormal."""

    def ground_truths(self):
        return [*super().ground_truths(), Opposite("other", self.label_paths["csv"])]


class Opposite(TableLabels):
    def read(self, video, clip):
        return 1 - super().read(video, clip)


def test_a_second_ground_truth_that_cannot_be_used_is_told_and_costs_nothing(own, monkeypatch):
    root, run = own

    def fail(self, video, clip):
        raise InputError("1_label.mat: missing", "missing-labels")

    monkeypatch.setattr(Opposite, "read", fail)
    monkeypatch.setattr("vadlib.jobs.find_copy", lambda name, root, truth: TwoTruths(root))
    metrics = evaluate_run(run, "avenue", root).metrics
    assert metrics["not_measured"] == {"other": "1_label.mat: missing"}
    assert metrics["protocols"] == {}
    assert "1_label.mat: missing" in describe_metrics(metrics)


def test_all_ground_truths_of_a_dataset_are_measured_under_each_protocol(own, monkeypatch):
    root, run = own
    monkeypatch.setattr("vadlib.jobs.find_copy", lambda name, root, truth: TwoTruths(root))
    metrics = evaluate_run(run, "avenue", root, protocol="center").metrics
    assert list(metrics["protocols"]) == ["center, csv", "all, other", "center, other"]
    centre, other, both = metrics["protocols"].values()
    assert other["micro_auc_raw"] == pytest.approx(1 - metrics["micro_auc_raw"])
    assert both["micro_auc_raw"] == pytest.approx(1 - centre["micro_auc_raw"])
    assert other["abnormal_frames"] == metrics["frames"] - metrics["abnormal_frames"]


def test_videos_are_opened_once_for_all_ground_truths(own, monkeypatch):
    root, run = own
    opened = []

    class Counted(TwoTruths):
        def open_clip(self, name, path):
            opened.append(name)
            return super().open_clip(name, path)

    monkeypatch.setattr("vadlib.jobs.find_copy", lambda name, root, truth: Counted(root))
    evaluate_run(run, "avenue", root, protocol="center")
    assert opened == ["cam1/friday", "cam2/sunday"]


def test_normal_test_videos_are_scored_and_kept_without_metrics_that_need_both(own, monkeypatch):
    root, run = own
    normal = [
        replace(v, labels=np.zeros(len(v), np.uint8)) for v in load_videos("folder", "test", root)
    ]
    copy = SimpleNamespace(open=lambda split, truth: normal, ground_truths=list)
    monkeypatch.setattr("vadlib.jobs.find_copy", lambda *arguments: copy)
    metrics = evaluate_run(run, None, root, with_baselines=True).metrics
    assert metrics["micro_auc_raw"] is None
    assert "baselines" not in metrics
    assert json.loads((run.folder / "metrics.json").read_text())["abnormal_frames"] == 0


def test_an_unknown_protocol_is_refused_before_anything_is_scored(own):
    with refused("unknown-name", field="protocol"):
        evaluate_run(own[1], None, own[0], protocol="middle")


def test_scores_are_made_once_for_the_same_run_and_videos(own, tmp_path):
    root, run = own
    videos, folder = load_videos("folder", "test", root), tmp_path / "kept"
    expected = evaluate(run, videos, progress=False)
    evaluate_once(run, videos, folder)
    stored = (folder / "scores.npz").read_bytes()
    broken = replace(run, model=None)  # whoever asks it for errors fails
    again = evaluate_once(broken, videos, folder)
    assert again.metrics == expected.metrics
    for name, curve in expected.scores.items():
        np.testing.assert_array_equal(again.scores[name], curve)
    assert (folder / "scores.npz").read_bytes() == stored


@pytest.mark.parametrize("changed", ["videos", "labels", "calibration"])
def test_scores_of_other_videos_labels_or_runs_are_made_again(own, tmp_path, changed):
    root, run = own
    videos, folder = load_videos("folder", "test", root), tmp_path / "kept"
    evaluate_once(run, videos, folder)
    if changed == "videos":
        videos = videos[:1]
    elif changed == "labels":
        videos = [replace(video, labels=1 - video.labels) for video in videos]
    else:
        shutil.copytree(run.folder, tmp_path / "other")
        calibration = Calibration.load(run.folder / "calibration.npz")
        replace(calibration, threshold=calibration.threshold + 1).save(
            tmp_path / "other" / "calibration.npz"
        )
        run = replace(run, folder=tmp_path / "other")
    made, expected = evaluate_once(run, videos, folder), evaluate(run, videos, progress=False)
    assert (made.threshold, made.metrics, made.scores.keys()) == (
        expected.threshold,
        expected.metrics,
        expected.scores.keys(),
    )
    assert Result.load(folder).metrics == expected.metrics


def test_where_nothing_can_be_written_nothing_is_computed(own, tmp_path):
    root, run = own
    (tmp_path / "file").write_text("in the way")
    broken = replace(run, model=None)
    with refused("not-writable", file=tmp_path / "file" / "kept"):
        evaluate_once(broken, load_videos("folder", "test", root), tmp_path / "file" / "kept")


@pytest.mark.parametrize("harm", ["no metrics", "damaged"])
def test_scores_that_a_kill_left_incomplete_are_made_again(own, tmp_path, harm):
    root, run = own
    videos, folder = load_videos("folder", "test", root), tmp_path / "kept"
    expected = evaluate_once(run.folder, videos, folder).metrics
    if harm == "no metrics":
        (folder / "metrics.json").unlink()
    else:
        (folder / "scores.npz").write_bytes((folder / "scores.npz").read_bytes()[:1000])
    assert (
        evaluate_once(run, videos, folder).metrics == expected == Result.load(folder).metrics != {}
    )


def test_a_result_that_cannot_be_written_leaves_the_earlier_one_whole(own, tmp_path, monkeypatch):
    root, run = own
    result = evaluate_once(run, load_videos("folder", "test", root), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with refused("disk-full", file=tmp_path / "scores.npz"):
        result.save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert set(before) == {"scores.npz", "metrics.json"}
