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
    clips = ClipDataset(
        moving_videos(3), ClipConfig(length=8, crop=(16, 16), clip_step=4), progress=False
    )
    mixer = PseudoAnomalyMixer([SkipFrames(), ShuffleMotion()], p=0.5)
    config = TrainConfig(epochs=2, batch_size=4, precision=precision, device="cpu")
    return fit(
        DualPathAutoencoder(ModelConfig(width=8, slots=8)),
        clips,
        mixer,
        config,
        out,
        progress=False,
    )


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


def test_the_environment_turns_auto_into_bf16_and_back(runs, tmp_path, monkeypatch):
    """A run that is trained with "auto" has the weights of the precision that the environment
    names.
    """
    for precision, run in runs.items():
        monkeypatch.setenv("VADLIB_PRECISION", precision)
        automatic = train(tmp_path / precision, "auto")
        for name, value in automatic.model.state_dict().items():
            assert torch.equal(value, run.model.state_dict()[name]), name


def test_scores_in_bf16_rank_frames_as_float32_does(runs, monkeypatch):
    run = runs["fp32"]
    config = run.config.changed({"training": {"precision": "auto"}})
    run = replace(run, config=config)
    results = []
    for precision in ("fp32", "bf16"):
        monkeypatch.setenv("VADLIB_PRECISION", precision)
        results.append(evaluate(run, moving_videos(2, labelled=True), "cpu", progress=False))
    single, half = results
    scores = [np.concatenate(list(result.raw.values())) for result in results]
    assert not np.array_equal(*scores)
    assert np.corrcoef(*scores)[0, 1] > 0.99
    assert half.metrics["micro_auc_raw"] == pytest.approx(single.metrics["micro_auc_raw"], abs=0.02)
