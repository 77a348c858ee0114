"""Whole jobs by name: presets reach every part of a run, and a config file wins over them."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from trees import own_videos

from vadlib.data.catalog import load_videos
from vadlib.data.clips import PRESETS as DATA_PRESETS
from vadlib.engine.config import PRESETS as TRAINING_PRESETS
from vadlib.engine.config import TrainConfig
from vadlib.errors import InputError
from vadlib.evaluation.evaluate import evaluate
from vadlib.evaluation.report import describe_metrics
from vadlib.model.network import PRESETS as MODEL_PRESETS
from vadlib.recipe import MixerConfig, evaluate_run, train_run


def test_every_part_knows_the_same_presets():
    assert list(MODEL_PRESETS) == list(DATA_PRESETS) == list(TRAINING_PRESETS) == ["fast", "compact", "paper"]
    assert [MixerConfig.preset(name).p for name in MODEL_PRESETS] == [0.5, 0.02, 0.01]


@pytest.mark.parametrize("preset", ["compact", "paper"])
def test_a_published_preset_trains_and_scores_whole_frames(tmp_path, preset):
    """On frames of 32 x 32 and with few channels; the objective, p and network are the preset's."""
    own_videos(tmp_path / "mine")
    small = {"data": {"size": [32, 32], "clip_step": 4}, "model": {"width": 8, "slots": 16}, "training": {"epochs": 1}}
    (tmp_path / "small.json").write_text(json.dumps(small))
    run = train_run("folder", tmp_path / "mine", preset, {}, tmp_path / "run", config=tmp_path / "small.json")
    training, expected = run.config["training"], TrainConfig.preset(preset)
    assert (training["objective"], training["separation_weight"]) == (expected.objective, expected.separation_weight)
    assert (run.config["model"]["network"], run.config["model"]["skip"], run.config["model"]["width"]) == ("published", True, 8)
    assert run.config["mixer"]["p"] == MixerConfig.preset(preset).p
    assert run.config["data"]["size"] == [32, 32]
    assert run.config["data"]["crop"] is None
    result = evaluate_run(run, None, tmp_path / "mine")
    assert {name: len(scores) for name, scores in result.scores.items()} == {"cam1/friday": 60, "cam2/sunday": 60}
    assert all(np.isfinite(scores).all() for scores in result.scores.values())


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """(labelled videos of one's own, a run on them)."""
    root = tmp_path_factory.mktemp("own")
    own_videos(root / "mine", "csv")
    chosen = {"training": {"epochs": 1}, "mixer": {"p": 0.0}, "data": {"clip_step": 8, "crop": [24, 24]}, "model": {"width": 8, "slots": 8}}
    return root / "mine", train_run("folder", root / "mine", "fast", chosen, root / "run")


def test_the_published_protocol_and_the_yardstick_stand_beside_the_flat_metrics(own):
    root, run = own
    metrics = evaluate_run(run, None, root, with_yardstick=True, protocol="center").metrics
    videos = load_videos("folder", "test", root)
    flat, centre = (evaluate(run, videos, progress=False, protocol=protocol).metrics for protocol in ("all", "center"))
    assert metrics.items() >= flat.items()
    assert list(metrics["protocols"]) == ["center, csv"]
    nested = metrics["protocols"]["center, csv"]
    assert {name: centre[name] for name in nested} == nested
    assert nested["frames"] == flat["frames"] - 15 * flat["videos"]
    assert json.loads((run.folder / "metrics.json").read_text()) == metrics
    assert 0 <= metrics["yardstick"]["micro_auc_raw"] <= 1


def test_a_second_ground_truth_that_cannot_be_used_is_told_and_costs_nothing(own, monkeypatch):
    root, run = own

    def half_a_copy(name, split, where, truth=None):
        if truth == "vol":
            raise InputError("1_label.mat: missing")
        return load_videos("folder", split, root)

    monkeypatch.setattr("vadlib.recipe.load_videos", half_a_copy)
    monkeypatch.setattr("vadlib.recipe.find_copy", lambda *arguments: SimpleNamespace(ground_truths={"vol": None, "csv": None}))
    metrics = evaluate_run(run, "avenue", root).metrics
    assert metrics["not_measured"] == {"vol": "1_label.mat: missing"}
    assert metrics["protocols"] == {}
    assert "not measured by vol: 1_label.mat: missing" in describe_metrics(metrics)


def test_all_ground_truths_of_a_dataset_are_measured_under_each_protocol(own, monkeypatch):
    """Avenue has two: here the second calls normal what the first calls abnormal."""
    root, run = own

    def load(name, split, where, truth=None):
        videos = load_videos("folder", split, root)
        return [replace(v, labels=1 - v.labels, ground_truth="other") for v in videos] if truth == "other" else videos

    monkeypatch.setattr("vadlib.recipe.load_videos", load)
    monkeypatch.setattr("vadlib.recipe.find_copy", lambda *arguments: SimpleNamespace(ground_truths={"csv": None, "other": None}))
    metrics = evaluate_run(run, "avenue", root, protocol="center").metrics
    assert list(metrics["protocols"]) == ["center, csv", "all, other", "center, other"]
    centre, other, both = metrics["protocols"].values()
    assert other["micro_auc_raw"] == pytest.approx(1 - metrics["micro_auc_raw"])
    assert both["micro_auc_raw"] == pytest.approx(1 - centre["micro_auc_raw"])
    assert other["abnormal_frames"] == metrics["frames"] - metrics["abnormal_frames"]


def test_normal_test_videos_are_scored_and_kept_without_metrics_that_need_both(own, monkeypatch):
    root, run = own
    normal = [replace(v, labels=np.zeros(len(v), np.uint8)) for v in load_videos("folder", "test", root)]
    monkeypatch.setattr("vadlib.recipe.load_videos", lambda *arguments: normal)
    metrics = evaluate_run(run, None, root, with_yardstick=True).metrics
    assert metrics["micro_auc_raw"] is None
    assert "yardstick" not in metrics
    assert json.loads((run.folder / "metrics.json").read_text())["abnormal_frames"] == 0


def test_an_unknown_protocol_is_refused_before_anything_is_scored(own):
    with pytest.raises(InputError, match="protocol 'middle' is unknown; expected one of: all, center"):
        evaluate_run(own[1], None, own[0], protocol="middle")
