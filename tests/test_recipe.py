"""Whole jobs by name: presets reach every part of a run, and a config file wins over them."""

import json

import numpy as np
import pytest
from trees import own_videos

from vadlib.data.clips import PRESETS as DATA_PRESETS
from vadlib.engine.config import PRESETS as TRAINING_PRESETS
from vadlib.engine.config import TrainConfig
from vadlib.model.network import PRESETS as MODEL_PRESETS
from vadlib.recipe import MixerConfig, evaluate_run, train_run


def test_every_part_knows_the_same_presets():
    assert list(MODEL_PRESETS) == list(DATA_PRESETS) == list(TRAINING_PRESETS) == ["fast", "compact", "paper"]
    assert [MixerConfig.preset(name).p for name in MODEL_PRESETS] == [0.2, 0.02, 0.01]


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
