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
    mixer = PseudoAnomalyMixer([ShuffleMotion(), AddNoise()], p=0.5)
    return Samples(clips, np.arange(len(clips)), mixer, seed=3)


def test_the_same_samples_whatever_the_number_of_workers(samples):
    batches = samples.batches(epoch=1, size=4)[:3]
    alone = load_batches(samples, batches, 0, pin=False)
    for one, two in zip(alone, load_batches(samples, batches, 2, pin=False), strict=True):
        assert all(map(torch.equal, one[:3], two[:3]))
        assert one.outcomes == two.outcomes


def test_defect_15_the_order_is_shuffled_and_differs_between_epochs(samples):
    first, second = (list(chain(*samples.batches(epoch, size=4))) for epoch in (0, 1))
    positions = [position for _, position in first]
    assert positions != sorted(positions)
    assert positions != [position for _, position in second]
    assert len(set(positions)) == len(first)
    assert {epoch for epoch, _ in first} == {0}


def test_skipped_batches_are_those_already_done(samples):
    assert samples.batches(0, size=4, skip=2) == samples.batches(0, size=4)[2:]


def test_a_sample_is_always_the_same_and_another_in_another_epoch(samples):
    one = samples[(2, 5)][1]
    assert torch.equal(one, samples[(2, 5)][1])
    assert not all(torch.equal(one, samples[(epoch, 5)][1]) for epoch in range(6))


def test_normal_samples_go_in_unchanged_and_pseudo_ones_changed(samples):
    kinds = set()
    for position in range(40):
        *tensors, outcome = samples[(0, position)]
        assert torch.equal(*tensors) == (not outcome.success)
        kinds.add(outcome.kind)
    assert kinds == {None, "shuffle", "noise"}


def test_generators_of_different_keys_differ():
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, -1), (0, 0)]
    assert len({derived_generator(*key).initial_seed() for key in keys}) == 6
