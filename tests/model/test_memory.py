"""The memory against a literal transcription, and the two ways in which the published one breaks
(defect 19).
"""

import math

import pytest
import torch

from vadlib.model.memory import Memory, address, entropy


def literal_address(query, slots, sharpness, shrink):
    """Slot by slot, query by query, in plain Python."""
    rows = []
    for q in query.tolist():
        norm_q = math.sqrt(sum(v * v for v in q))
        similarities = []
        for s in slots.tolist():
            norm_s = math.sqrt(sum(v * v for v in s))
            similarities.append(
                sharpness * sum(a * b for a, b in zip(q, s, strict=True)) / (norm_q * norm_s)
            )
        exponentials = [math.exp(v - max(similarities)) for v in similarities]
        weights = [v / sum(exponentials) for v in exponentials]
        remaining = [v if v >= shrink * max(weights) else 0.0 for v in weights]
        rows.append([v / sum(remaining) for v in remaining])
    return torch.tensor(rows)


@pytest.mark.parametrize(("sharpness", "shrink"), [(10.0, 0.05), (1.0, 0.0), (30.0, 0.5)])
def test_address_is_the_literal_formula(sharpness, shrink):
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(7, 5, generator=generator) * 4
    slots = torch.randn(11, 5, generator=generator) * 4
    # EPSILON under the root makes our cosine a little smaller than the literal one.
    expected = literal_address(query, slots, sharpness, shrink)
    weights = address(query, slots, sharpness, shrink)
    torch.testing.assert_close(weights, expected, rtol=2e-3, atol=2e-4)


def test_weights_sum_to_one_and_read_is_their_mixture():
    memory = Memory(slots=9, channels=6, sharpness=10.0, shrink=0.05)
    features = torch.randn(2, 6, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    read = memory(features)
    assert read.features.shape == features.shape
    assert read.weights.shape == (2, 3, 4, 5, 9)
    torch.testing.assert_close(read.weights.sum(-1), torch.ones(2, 3, 4, 5))
    torch.testing.assert_close(
        read.features[1, :, 2, 3, 4], (read.weights[1, 2, 3, 4, :, None] * memory.slots).sum(0)
    )


def test_defect_19_no_read_is_empty_at_initialisation():
    """2000 slots, as published: there about 94% of the reads are all zero; here none is."""
    memory = Memory(slots=2000, channels=128, sharpness=1.0, shrink=0.05)
    read = memory(torch.randn(1, 128, 2, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert (read.weights.sum(-1) > 0.999).all()
    assert (read.features.abs().sum(1) > 0).all()


def test_defect_19_zero_queries_have_small_finite_gradients():
    memory = Memory(slots=8, channels=4, sharpness=10.0, shrink=0.05)
    features = torch.zeros(1, 4, 1, 2, 2, requires_grad=True)
    memory(features).features.square().sum().backward()
    assert torch.isfinite(features.grad).all()
    assert features.grad.abs().max() < 1e4  # the published normalisation gives 1e12
    assert torch.isfinite(memory.slots.grad).all()


def test_entropy_is_zero_for_one_slot_and_ln_n_for_all():
    weights = torch.tensor([[1.0, 0, 0, 0], [0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0, 0]])
    torch.testing.assert_close(
        entropy(weights), torch.tensor([0.0, math.log(4), math.log(2)]), atol=1e-6, rtol=0
    )


def test_filled_slots_are_features_and_read_differently():
    memory = Memory(slots=16, channels=4, sharpness=10.0, shrink=0.05)
    features = torch.randn(2, 4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    memory.fill(features, torch.Generator().manual_seed(1))
    vectors = features.movedim(1, -1).reshape(-1, 4)
    assert all((slot == vectors).all(1).any() for slot in memory.slots)
    assert memory(features).features.std(dim=(0, 2, 3, 4)).min() > 0.1


@pytest.mark.parametrize("slots", [5, 36, 40, 100])
def test_no_feature_fills_two_slots_while_others_are_left(slots):
    """Equal slots get equal gradients, and so stay equal for ever."""
    # 36 positions
    features = torch.randn(2, 4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    memory = Memory(slots, channels=4, sharpness=10.0, shrink=0.05)
    memory.fill(features, torch.Generator().manual_seed(1))
    _, counts = memory.slots.unique(dim=0, return_counts=True)
    assert len(counts) == min(slots, 36)
    assert counts.max() == math.ceil(slots / 36)
