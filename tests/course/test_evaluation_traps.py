"""Traps on hand-made cases whose shift is known, and on random scores."""

import numpy as np
import pytest
from refusals import refused

from vadlib.course.traps import cut_into_pieces, oracle_gap, shift_labels, split_gains
from vadlib.evaluation.metrics import macro_auc, micro_auc, per_video

EVENT = np.repeat([0, 1, 0], [20, 10, 20]).astype(np.uint8)


def random_case(candidates=5, seed=0):
    """Labels with both kinds of frame in each video, and candidates that know a little of them,
    each with noise of its own.
    """
    generator = np.random.default_rng(seed)
    half = np.arange(40) < 20
    labels = {f"{i:02d}": generator.permutation(half).astype(np.uint8) for i in range(8)}
    curves = {}
    for c in range(candidates):
        curves[c] = {name: truth + generator.normal(size=40) for name, truth in labels.items()}
    return curves, labels


@pytest.mark.parametrize("by", [0, 7, -7, 60, -60])
def test_shifted_labels_are_those_of_the_frame_before_and_the_ends_repeat(by):
    """Labels that are numbers of frames, so that each end can be told from its neighbours."""
    [shifted] = shift_labels({"a": np.arange(50)}, by).values()
    assert shifted.tolist() == [min(max(t - by, 0), 49) for t in range(50)]


@pytest.mark.parametrize("by", [-10, -3, 0, 1, 10])
def test_a_perfect_score_loses_a_known_part_when_labels_shift(by):
    """Of 10 abnormal frames |by| are now called normal and as many of 40 normal ones abnormal; ties
    count half.
    """
    wrong = min(abs(by), 10)
    area = micro_auc(shift_labels({"a": EVENT}, by), {"a": EVENT.astype(float)})
    assert area == pytest.approx(1 - wrong / 10 / 2 - wrong / 40 / 2)


@pytest.mark.parametrize("length", [1, 7, 20, 50, 80])
def test_pieces_hold_the_same_frames_in_the_same_order(length):
    curves, labels = random_case()
    pieces, truth = cut_into_pieces(curves[0], length), cut_into_pieces(labels, length)
    assert pieces.keys() == truth.keys()
    joined = np.concatenate(list(pieces.values()))
    np.testing.assert_array_equal(joined, np.concatenate(list(curves[0].values())))
    assert max(map(len, pieces.values())) == min(length, 40)
    assert micro_auc(truth, pieces) == micro_auc(labels, curves[0])


def test_pieces_of_one_kind_ruin_min_max_and_are_a_gift_to_padding():
    """Three pieces: all normal, all abnormal, all normal. Scores that separate them perfectly
    become three times the same ramp.
    """
    scores = {"a": np.r_[0:10, 20:30, 0:10]}
    pieces = cut_into_pieces(scores, 10)
    truth = cut_into_pieces({"a": np.repeat([0, 1, 0], 10)}, 10)
    assert micro_auc(truth, pieces) == 1
    assert micro_auc(truth, per_video(pieces)) == pytest.approx(0.5)
    assert macro_auc(truth, pieces) == (None, 3)
    assert macro_auc(truth, pieces, "padded")[0] > 0.9


def test_the_oracle_is_as_good_as_any_candidate_and_names_it():
    curves, labels = random_case()
    areas = {name: micro_auc(labels, scores) for name, scores in curves.items()}
    for default in curves:
        best, gap = oracle_gap(curves, labels, default)
        assert areas[best] == max(areas.values())
        assert gap == areas[best] - areas[default] >= 0
    assert oracle_gap({0: curves[0]}, labels, 0) == (0, 0)


def test_gains_of_splits_are_those_of_a_literal_search():
    """Two videos split in one way only, so every row is the same and can be worked out by hand."""
    labels = {"a": np.array([0, 0, 1, 1]), "b": np.array([0, 0, 1, 1])}
    good, half = np.array([0.0, 1, 2, 3]), np.array([0.0, 3, 2, 1])  # AUCs of 1 and 0.5
    curves = {"default": {"a": half, "b": half}}
    curves |= {"of a": {"a": good, "b": -good}, "of b": {"a": -good, "b": good}}
    gains = split_gains(curves, labels, "default", splits=4)
    assert gains.tolist() == [[0.5, -0.5]] * 4


def test_no_claim_is_below_zero_or_below_the_true_gain():
    for seed in range(5):
        curves, labels = random_case(seed=seed)
        gains = split_gains(curves, labels, 0, splits=20, seed=seed)
        assert gains.shape == (20, 2)
        assert (gains[:, 0] >= 0).all()
        assert (gains[:, 0] >= gains[:, 1]).all()


def test_wrong_arguments_are_named():
    curves, labels = random_case()
    with refused("out-of-range", field="length"):
        cut_into_pieces(labels, 0)
    with refused("unknown-name", field="default"):
        oracle_gap(curves, labels, 9)
    with refused("too-few", field="labels"):
        split_gains({0: {"a": EVENT, "b": EVENT}}, {"a": np.ones(50), "b": np.zeros(50)}, 0)
