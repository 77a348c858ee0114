"""Training samples depend on (seed, epoch, position) alone."""

from itertools import chain

import numpy as np
import pytest
import torch
from scenes import moving_videos

from vadlib.config import ClipConfig
from vadlib.data.clips import ClipDataset
from vadlib.pseudo.kinds import AddNoise, ShuffleMotion
from vadlib.pseudo.mixer import PseudoAnomalyMixer
from vadlib.training.samples import Samples, derived_generator, load_batches


@pytest.fixture
def samples():
    clips = ClipDataset(moving_videos(3), ClipConfig(length=8, crop=(16, 16)), progress=False)
    return Samples(
        clips,
        np.arange(len(clips)),
        PseudoAnomalyMixer([ShuffleMotion(), AddNoise()], p=0.5),
        seed=3,
    )


def test_the_same_samples_whatever_the_number_of_workers(samples):
    batches = samples.batches(epoch=1, size=4)[:3]
    alone, with_two = (
        list(load_batches(samples, batches, workers, pin=False)) for workers in (0, 2)
    )
    for one, two in zip(alone, with_two, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one[:3], two[:3], strict=True))
        assert one.outcomes == two.outcomes


def test_defect_15_the_order_is_shuffled_and_differs_between_epochs(samples):
    first, second = (list(chain.from_iterable(samples.batches(epoch, size=4))) for epoch in (0, 1))
    assert [p for _, p in first] != sorted(p for _, p in first)
    assert [p for _, p in first] != [p for _, p in second]
    assert len({p for _, p in first}) == len(first)
    assert {e for e, _ in first} == {0}


def test_skipped_batches_are_those_already_done(samples):
    assert samples.batches(0, size=4, skip=2) == samples.batches(0, size=4)[2:]


def test_the_batch_size_does_not_change_a_sample(samples):
    one, two = samples[(2, 5)], samples[(2, 5)]
    assert torch.equal(one[1], two[1])
    other_epoch = [samples[(epoch, 5)][1] for epoch in range(6)]
    assert any(not torch.equal(one[1], other) for other in other_epoch)


def test_normal_samples_go_in_unchanged_and_pseudo_ones_changed(samples):
    drawn = [samples[(0, i)] for i in range(40)]
    assert {outcome.kind for _, _, outcome in drawn} == {None, "shuffle", "noise"}
    for normal, given, outcome in drawn:
        assert torch.equal(normal, given) == (not outcome.success)


def test_generators_of_different_keys_differ():
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, -1), (0, 0)]
    draws = {float(torch.rand((), generator=derived_generator(*key))) for key in keys}
    assert len(draws) == 6
