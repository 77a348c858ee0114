"""The published recipe is what its description says, and the report's ratios are those of its
rates; nothing is timed here.
"""

import json

import cv2
import numpy as np
import pytest
import torch

from benchmarks import speed as bench
from benchmarks.speed import Published, run_bench

CPU = torch.device("cpu")


@pytest.fixture
def published(tmp_path):
    for t in range(24):
        picture = np.random.default_rng(t).integers(0, 256, (60, 80), np.uint8)
        cv2.imwrite(str(tmp_path / f"{t:03d}.jpg"), picture)
    return Published(tmp_path, CPU)


def test_the_published_recipe_z_scores_each_frame(published):
    clip = published.read(3)
    assert clip.shape == (1, 16, 128, 128)
    torch.testing.assert_close(clip.mean((0, 2, 3)), torch.zeros(16), atol=1e-4, rtol=0)
    torch.testing.assert_close(clip.std((0, 2, 3), correction=0), torch.ones(16), atol=1e-4, rtol=0)


def test_defect_9_the_published_step_encodes_the_whole_batch_once_for_every_clip(
    published, monkeypatch
):
    """In float32 and contiguous tensors, as published; here on clips of 16 x 16 pixels."""
    monkeypatch.setattr(bench, "SIDE", 16)
    seen, layouts = [], set()
    published.model.encoder.register_forward_hook(
        lambda _, given, __: seen.append((given[0].shape[0], given[0].dtype))
    )
    for part in (published.model.encoder.stages[0], published.model.normal_decoder.convs[0]):
        part.register_forward_hook(
            lambda _, given, made: layouts.update({given[0].is_contiguous(), made.is_contiguous()})
        )
    before = [p.detach().clone() for p in published.model.encoder.parameters()]
    published.train_step([0, 1])
    assert seen == [(2, torch.float32)] * 2
    assert layouts == {True}
    assert not all(
        torch.equal(a, b) for a, b in zip(before, published.model.encoder.parameters(), strict=True)
    )


@pytest.mark.slow
def test_the_report_names_every_ratio_of_the_contract(monkeypatch):
    """One round, really run; slow where it must be (the published recipe at its own size)."""
    report = json.loads(json.dumps(run_bench(progress=False, rounds=1)))
    ratios = {name: value for name, value in report.items() if name not in ("rates", "machine")}
    assert {"train_ratio", "train_ratio_batch2", "score_ratio", "read_ratio"} <= set(ratios)
    rates = report["rates"]
    assert ratios["train_ratio"] == pytest.approx(
        rates["compact_train_batch8"] / rates["published_train"], rel=0.02
    )
    assert ratios["fast_train_ratio_batch2"] == pytest.approx(
        rates["fast_train_batch2"] / rates["published_train"], rel=0.02
    )
    assert ratios["score_ratio"] == pytest.approx(
        rates["compact_score"] / rates["published_score"], rel=0.02
    )
    assert ratios["read_ratio"] == pytest.approx(rates["read"] / rates["published_read"], rel=0.02)


def test_the_command_needs_a_checkout(vadlib_command, tmp_path, monkeypatch):
    monkeypatch.setattr("vadlib.cli.CHECKOUT", tmp_path)
    status, out, error = vadlib_command("bench")
    assert (status, out, len(error.splitlines())) == (1, "", 1)
    assert "benchmarks/speed.py" in error
