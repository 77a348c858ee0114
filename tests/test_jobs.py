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

LENGTHS = {"cam1/friday": 60, "cam2/sunday": 60}  # of the test videos


def train_on(root, preset, **parts):
    parts = {"model": {"width": 8, "slots": 8}, "training": {"epochs": 1}} | parts
    return train_run(make_config("folder", preset, parts), root.with_name("run"), root)


@pytest.mark.parametrize("preset", ["compact", "paper"])
def test_a_published_preset_trains_and_scores_whole_frames(tmp_path, preset):
    """On frames of 32 x 32 and with few channels."""
    own_videos(tmp_path / "mine")
    run = train_on(tmp_path / "mine", preset, clips={"size": [32, 32], "clip_step": 4})
    scores = evaluate_run(run, None, tmp_path / "mine").scores
    assert {name: len(curve) for name, curve in scores.items()} == LENGTHS
    assert all(np.isfinite(curve).all() for curve in scores.values())


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """(labelled videos of your own, a run on them)."""
    root = tmp_path_factory.mktemp("own") / "mine"
    own_videos(root, "csv")
    return root, train_on(root, "fast", pseudo={"p": 0.0}, clips={"clip_step": 8, "crop": [24, 24]})


@pytest.fixture
def videos(own):
    return load_videos("folder", "test", own[0])


def test_the_published_protocol_and_the_baselines_are_beside_the_flat_metrics(own, videos):
    root, run = own
    metrics = evaluate_run(run, None, root, with_baselines=True, protocol="center").metrics
    flat = evaluate(run, videos, progress=False).metrics
    centre = evaluate(run, videos, progress=False, protocol="center").metrics
    assert metrics.items() >= flat.items()
    assert list(metrics["protocols"]) == ["center, csv"]
    nested = metrics["protocols"]["center, csv"]
    assert {name: centre[name] for name in nested} == nested
    assert nested["frames"] == flat["frames"] - 15 * flat["videos"]
    assert json.loads((run.folder / "metrics.json").read_text()) == metrics
    scores = baseline_scores(load_videos("folder", "train", root), videos)
    labels = {video.name: video.labels for video in videos}
    assert metrics["baselines"] == measure_baselines(scores, labels)


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


def test_all_ground_truths_are_measured_under_each_protocol_and_videos_opened_once(
    own, monkeypatch
):
    root, run = own
    opened = []

    class Counted(TwoTruths):
        def open_clip(self, name, path):
            opened.append(name)
            return super().open_clip(name, path)

    monkeypatch.setattr("vadlib.jobs.find_copy", lambda name, root, truth: Counted(root))
    metrics = evaluate_run(run, "avenue", root, protocol="center").metrics
    assert opened == list(LENGTHS)
    assert list(metrics["protocols"]) == ["center, csv", "all, other", "center, other"]
    aucs = {name: part["micro_auc_raw"] for name, part in metrics["protocols"].items()}
    assert aucs["all, other"] == pytest.approx(1 - metrics["micro_auc_raw"])
    assert aucs["center, other"] == pytest.approx(1 - aucs["center, csv"])
    other = metrics["protocols"]["all, other"]
    assert other["abnormal_frames"] == metrics["frames"] - metrics["abnormal_frames"]


def test_normal_videos_are_scored_without_metrics_that_need_both(own, videos, monkeypatch):
    root, run = own
    normal = [replace(video, labels=np.zeros(len(video), np.uint8)) for video in videos]
    copy = SimpleNamespace(open=lambda split, truth: normal, ground_truths=list)
    monkeypatch.setattr("vadlib.jobs.find_copy", lambda *arguments: copy)
    metrics = evaluate_run(run, None, root, with_baselines=True).metrics
    assert metrics["micro_auc_raw"] is None
    assert "baselines" not in metrics
    assert json.loads((run.folder / "metrics.json").read_text())["abnormal_frames"] == 0


def test_an_unknown_protocol_is_refused_before_anything_is_scored(own):
    with refused("unknown-name", field="protocol"):
        evaluate_run(own[1], None, own[0], protocol="middle")


def test_scores_are_computed_once_for_the_same_run_and_videos(own, videos, tmp_path):
    _, run = own
    expected = evaluate(run, videos, progress=False)
    evaluate_once(run, videos, tmp_path)
    stored = (tmp_path / "scores.npz").read_bytes()
    # without a model, so that computing errors would fail
    again = evaluate_once(replace(run, model=None), videos, tmp_path)
    assert again.metrics == expected.metrics
    for name, curve in expected.scores.items():
        np.testing.assert_array_equal(again.scores[name], curve)
    assert (tmp_path / "scores.npz").read_bytes() == stored


@pytest.mark.parametrize("change", ["videos", "labels", "calibration", "no metrics", "damaged"])
def test_scores_of_others_or_incomplete_ones_are_computed_again(own, videos, tmp_path, change):
    _, run = own
    folder = tmp_path / "stored"
    evaluate_once(run.folder, videos, folder)
    if change == "videos":
        videos = videos[:1]
    elif change == "labels":
        videos = [replace(video, labels=1 - video.labels) for video in videos]
    elif change == "calibration":
        run = replace(run, folder=shutil.copytree(run.folder, tmp_path / "other"))
        calibration = Calibration.load(run.folder / "calibration.npz")
        other = replace(calibration, threshold=calibration.threshold + 1)
        other.save(run.folder / "calibration.npz")
    elif change == "no metrics":
        (folder / "metrics.json").unlink()
    else:
        (folder / "scores.npz").write_bytes((folder / "scores.npz").read_bytes()[:1000])
    result = evaluate_once(run, videos, folder)
    expected = evaluate(run, videos, progress=False)
    assert result.scores.keys() == expected.scores.keys()
    assert (result.threshold, result.metrics) == (expected.threshold, expected.metrics)
    assert Result.load(folder).metrics == expected.metrics != {}


def test_where_nothing_can_be_written_nothing_is_computed(own, videos, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with refused("not-writable", file=tmp_path / "file" / "a"):
        evaluate_once(replace(own[1], model=None), videos, tmp_path / "file" / "a")


def test_a_result_that_cannot_be_written_leaves_the_earlier_one_whole(
    own, videos, tmp_path, monkeypatch
):
    result = evaluate_once(own[1], videos, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with refused("disk-full", file=tmp_path / "scores.npz"):
        result.save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert set(before) == {"scores.npz", "metrics.json"}
