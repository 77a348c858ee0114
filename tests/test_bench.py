"""The published recipe is what its description says, and ratios are those of rates."""

import json

import cv2
import numpy as np
import pytest
import torch

from benchmarks import speed

RATIOS = [
    ("train_ratio_batch2", "compact_train_batch2", "published_train"),
    ("fast_train_ratio_batch2", "fast_train_batch2", "published_train"),
    ("score_ratio", "compact_score", "published_score"),
    ("read_ratio", "read", "published_read"),
]


@pytest.fixture
def published(tmp_path):
    for t in range(24):
        picture = np.random.default_rng(t).integers(0, 256, (60, 80), np.uint8)
        cv2.imwrite(str(tmp_path / f"{t:03d}.jpg"), picture)
    return speed.Published(tmp_path, torch.device("cpu"))


def test_the_published_recipe_z_scores_each_frame(published):
    clip = published.read(3)
    assert clip.shape == (1, 16, 128, 128)
    torch.testing.assert_close(clip.mean((0, 2, 3)), torch.zeros(16), atol=1e-4, rtol=0)
    torch.testing.assert_close(clip.std((0, 2, 3), correction=0), torch.ones(16), atol=1e-4, rtol=0)


def test_defect_9_the_published_step_encodes_the_whole_batch_for_every_clip(published, monkeypatch):
    """In float32 and contiguous tensors, as published; here on clips of 16 x 16 pixels."""
    monkeypatch.setattr(speed, "SIDE", 16)
    model = published.model
    batches = []

    def note(module, inputs, output):
        batches.append((inputs[0].shape[0], inputs[0].dtype, output.is_contiguous()))

    for layer in (model.encoder.stages[0], model.normal_decoder.convs[0]):
        layer.register_forward_hook(note)
    before = [p.detach().clone() for p in model.encoder.parameters()]
    published.train_step([0, 1])
    assert batches == [(2, torch.float32, True)] * 4
    assert not all(map(torch.equal, before, model.encoder.parameters()))


@pytest.mark.slow
def test_the_report_names_every_ratio_of_the_contract():
    """One round, really run; slow where it must be (the published recipe at its own size)."""
    report = json.loads(json.dumps(speed.run_bench(progress=False, rounds=1)))
    rates = report["rates"]
    for name, ours, theirs in RATIOS:
        assert report[name] == pytest.approx(rates[ours] / rates[theirs], rel=0.02)


def test_the_command_needs_a_checkout(vadlib_command, tmp_path, monkeypatch):
    monkeypatch.setattr("vadlib.cli.CHECKOUT", tmp_path)
    *result, error = vadlib_command("bench")
    assert (result, len(error.splitlines())) == ([1, ""], 1)
    assert "benchmarks/speed.py" in error
