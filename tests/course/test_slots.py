"""Slots against the model's own reads, a decoder that is known, and a memory that is masked by
hand.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from refusals import refused

from vadlib.config import ClipConfig, ModelConfig, RunConfig
from vadlib.course.inspection.slots import (
    removal_errors,
    slot_atlas,
    slot_usage,
    window_measures,
    without_slots,
)
from vadlib.model.memory import Memory
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import Run


def make_run(**changes):
    torch.manual_seed(0)
    model = DualPathAutoencoder(
        ModelConfig(**{"width": 8, "slots": 12, "sharpness": 20.0} | changes)
    ).eval()
    model.fill_memories(torch.rand(4, 1, 8, 24, 32) * 2 - 1, torch.Generator().manual_seed(0))
    return Run(Path("run"), RunConfig(clips=ClipConfig(length=8)), model)


@pytest.fixture(scope="module")
def clips():
    """40 clips, more than a batch, no two of one brightness."""
    generator = torch.Generator().manual_seed(1)
    noise = 0.2 * torch.randn(40, 1, 8, 24, 32, generator=generator)
    levels = torch.arange(40).reshape(40, 1, 1, 1, 1) / 20 - 1
    return list((noise + levels).clamp(-1, 1))


class Painter(torch.nn.Module):
    """A decoder that paints the first channel of what was read, in squares."""

    def forward(self, read, encoded):
        return F.interpolate(read[:, :1], scale_factor=(4, 8, 8)), read


def test_usage_is_the_mean_of_the_models_own_weights(clips):
    run = make_run()
    usage = slot_usage(run, clips)
    assert set(usage) == {"M_n", "M_p"}
    for name, path in (("M_n", "normal"), ("M_p", "pseudo")):
        expected = np.zeros(12)
        with torch.no_grad():
            for clip in clips:
                for weights in run.model(clip[None], path).weights.reshape(-1, 12):
                    expected += weights.numpy()
        np.testing.assert_allclose(usage[name], expected / expected.sum(), rtol=1e-4, atol=1e-7)
        assert usage[name].sum() == pytest.approx(1)


def test_usage_of_a_single_memory_and_of_none(clips):
    assert set(slot_usage(make_run(memories=1), clips)) == {"M_n"}
    with refused("conflict", field="ModelConfig.memories"):
        slot_usage(make_run(memories=0), clips)
    with refused("too-few", field="clips"):
        slot_usage(make_run(), [])


def test_measures_of_windows_are_those_of_the_scoring_path(clips):
    run = make_run()
    measures = window_measures(run, clips)
    for k, clip in enumerate(clips):
        with torch.no_grad():
            output = run.model(clip[None])
        weights = output.weights.reshape(-1, 12).double().numpy()
        literal = np.mean([-sum(w * np.log(w) for w in row if w > 0) for row in weights])
        assert measures["entropy"][k] == pytest.approx(literal, rel=1e-4)
        assert measures["error"][k] == pytest.approx(
            float(((output.reconstruction[0] - clip) ** 2).mean()), rel=1e-4
        )


@pytest.mark.parametrize("path", ["normal", "pseudo"])
def test_atlas_decodes_slots_with_the_decoder_of_their_own_path(clips, path):
    run = make_run()
    memory, _ = run.model.parts(path)
    with torch.no_grad():
        memory.slots[:, 0] = torch.linspace(-1, 1, 12)
    setattr(run.model, f"{path}_decoder", Painter())
    pages = slot_atlas(run, clips, [11, 0, 4], path)
    assert [page.slot for page in pages] == [11, 0, 4]
    for page in pages:
        level = round((memory.slots[page.slot, 0].item() + 1) * 127.5)
        np.testing.assert_array_equal(page.decoded, np.full((8, 24, 32, 1), level))
        with torch.no_grad():
            reads = [run.model(clip[None], path).weights[0, 1, 1, 2] for clip in clips]
        weights = torch.stack(reads)[:, page.slot].numpy()
        np.testing.assert_allclose(page.weights, np.sort(weights)[::-1][:4], rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(weights[page.nearest], page.weights, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("changes", [{"network": "published"}, {"skip": True}])
def test_atlas_of_every_network_has_the_clips_size(changes):
    [page] = slot_atlas(make_run(**changes), [torch.zeros(1, 7, 20, 28)] * 3, [2])
    assert page.decoded.shape == (7, 20, 28, 1)
    assert sorted(page.nearest) == [0, 1, 2]


def test_a_memory_without_slots_is_the_memory_with_these_masked_out():
    """Masked: minus infinity in the softmax, as a literal transcription of the addressing."""
    torch.manual_seed(0)
    memory, features = Memory(9, 6, sharpness=8.0, shrink=0.2), torch.randn(2, 6, 3, 4, 5)
    query = features.movedim(1, -1)
    cosines = F.cosine_similarity(query[..., None, :], memory.slots, dim=-1)
    cosines[..., [0, 5]] = -torch.inf
    weights = torch.softmax(8.0 * cosines, -1)
    weights = torch.where(weights >= 0.2 * weights.amax(-1, keepdim=True), weights, 0)
    expected = (weights / weights.sum(-1, keepdim=True)) @ memory.slots
    read = without_slots(memory, [5, 0, 5])(features)
    torch.testing.assert_close(read.features.movedim(1, -1), expected, rtol=1e-3, atol=1e-3)
    assert read.weights.shape[-1] == 7


@pytest.mark.parametrize("path", ["normal", "pseudo"])
def test_removal_errors_are_those_of_a_model_without_the_slots(clips, path):
    run = make_run(skip=True)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    errors = removal_errors(run, clips, {"two": [3, 7]}, path)
    assert all(torch.equal(value, before[name]) for name, value in run.model.state_dict().items())
    config = ModelConfig(width=8, slots=10, sharpness=20.0, skip=True)
    smaller = DualPathAutoencoder(config).eval()
    rest = [i for i in range(12) if i not in (3, 7)]
    state = {name: value[rest] if "slots" in name else value for name, value in before.items()}
    smaller.load_state_dict(state)
    for name, model in {"nothing": run.model, "two": smaller}.items():
        with torch.no_grad():
            rebuilt = [model(clip[None], path).reconstruction for clip in clips]
        pairs = zip(rebuilt, clips, strict=True)
        expected = [float((picture - clip).square().mean()) for picture, clip in pairs]
        np.testing.assert_allclose(errors[name], expected, rtol=1e-4)
    assert np.abs(errors["two"] - errors["nothing"]).max() > 1e-6


def test_with_one_slot_left_every_clip_becomes_its_page_of_the_atlas(clips):
    run, slot = make_run(), 4
    errors = removal_errors(run, clips, {"but one": [i for i in range(12) if i != slot]})
    [page] = slot_atlas(run, clips, [slot])
    decoded = torch.from_numpy(page.decoded[..., 0] / 127.5 - 1)
    expected = [float((decoded - clip[0]).square().mean()) for clip in clips]
    np.testing.assert_allclose(errors["but one"], expected, rtol=0.02)


@pytest.mark.parametrize("slots", [[12], [-1], range(12)])
def test_slots_that_cannot_be_removed(clips, slots):
    with refused("out-of-range", field="slots"):
        removal_errors(make_run(), clips, {"some": slots})
