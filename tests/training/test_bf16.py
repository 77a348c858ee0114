"""Training and scoring in bf16, on every CPU: where it is not native it is emulated, and slow, but
the results are those of bf16.

All other tests compute in float32 where `VADLIB_PRECISION=fp32` says so, as CI does.
"""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from scenes import moving_videos

from vadlib.config import ClipConfig, ModelConfig, TrainConfig
from vadlib.data.clips import ClipDataset
from vadlib.evaluation.evaluate import evaluate
from vadlib.model.network import DualPathAutoencoder
from vadlib.pseudo.kinds import ShuffleMotion, SkipFrames
from vadlib.pseudo.mixer import PseudoAnomalyMixer
from vadlib.training.fit import fit


def train(out, precision):
    torch.manual_seed(0)
    config = ClipConfig(length=8, crop=(16, 16), clip_step=4)
    clips = ClipDataset(moving_videos(3), config, progress=False)
    mixer = PseudoAnomalyMixer([SkipFrames(), ShuffleMotion()], p=0.5)
    model = DualPathAutoencoder(ModelConfig(width=8, slots=8))
    training = TrainConfig(epochs=2, batch_size=4, precision=precision, device="cpu")
    return fit(model, clips, mixer, training, out, progress=False)


def final_error(run):
    return float(list(csv.DictReader((run.folder / "history.csv").open()))[-1]["rebuild"])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {precision: train(folder / precision, precision) for precision in ("fp32", "bf16")}


def test_training_in_bf16_is_another_computation_that_learns_as_much(runs):
    state = torch.load(runs["bf16"].folder / "state.pt", weights_only=True)
    assert state["computed"]["precision"] == "torch.bfloat16"
    weights = [run.model.state_dict()["encoder.bottom.0.weight"] for run in runs.values()]
    assert not torch.equal(*weights)
    assert final_error(runs["bf16"]) == pytest.approx(final_error(runs["fp32"]), rel=0.1)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_auto_is_the_precision_that_the_environment_names(runs, tmp_path, monkeypatch, precision):
    monkeypatch.setenv("VADLIB_PRECISION", precision)
    weights = train(tmp_path, "auto").model.state_dict()
    for name, value in runs[precision].model.state_dict().items():
        assert torch.equal(value, weights[name]), name


def test_scores_in_bf16_rank_frames_as_float32_does(runs, monkeypatch):
    run = runs["fp32"]
    run = replace(run, config=run.config.changed({"training": {"precision": "auto"}}))
    results = []
    for precision in ("fp32", "bf16"):
        monkeypatch.setenv("VADLIB_PRECISION", precision)
        results.append(evaluate(run, moving_videos(2, labelled=True), "cpu", progress=False))
    scores = [np.concatenate(list(result.raw.values())) for result in results]
    assert not np.array_equal(*scores)
    assert np.corrcoef(*scores)[0, 1] > 0.99
    single, half = (result.metrics["micro_auc_raw"] for result in results)
    assert half == pytest.approx(single, abs=0.02)
