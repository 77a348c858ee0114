"""Traps on hand-made cases whose shift is known, and on random scores."""

import numpy as np
import pytest
from refusals import refused

from vadlib.course.traps import cut_into_pieces, oracle_gap, shift_labels, split_gains
from vadlib.evaluation.metrics import macro_auc, micro_auc, per_video

EVENT = np.repeat([0, 1, 0], [20, 10, 20]).astype(np.uint8)


def random_case(seed=0):
    """Labels with both kinds of frame in each video, and five candidates that know a little of
    them, each with noise of its own.
    """
    generator = np.random.default_rng(seed)
    labels = {f"{i}": generator.permutation(np.arange(40) < 20).astype(np.uint8) for i in range(8)}
    curves = {}
    for c in range(5):
        curves[c] = {name: truth + generator.normal(size=40) for name, truth in labels.items()}
    return curves, labels


@pytest.mark.parametrize("by", [0, 1, -3, 10, 60, -60])
def test_shifted_labels_repeat_the_ends_and_cost_a_known_part(by):
    """Numbers of frames tell each end from its neighbours. Of 10 abnormal frames |by| are called
    normal and as many of 40 normal ones abnormal; ties count half.
    """
    shifted = shift_labels({"a": np.arange(50)}, by)["a"]
    assert shifted.tolist() == [min(max(t - by, 0), 49) for t in range(50)]
    if abs(by) <= 10:
        area = micro_auc(shift_labels({"a": EVENT}, by), {"a": EVENT.astype(float)})
        assert area == pytest.approx(1 - abs(by) / 10 / 2 - abs(by) / 40 / 2)


@pytest.mark.parametrize("length", [1, 7, 40, 80])
def test_pieces_hold_the_same_frames_in_the_same_order(length):
    curves, labels = random_case()
    pieces, truth = cut_into_pieces(curves[0], length), cut_into_pieces(labels, length)
    joined = np.concatenate(list(pieces.values()))
    np.testing.assert_array_equal(joined, np.concatenate(list(curves[0].values())))
    assert max(map(len, pieces.values())) == min(length, 40)
    assert micro_auc(truth, pieces) == micro_auc(labels, curves[0])


def test_pieces_of_one_kind_ruin_min_max_and_are_a_gift_to_padding():
    """Three pieces: all normal, all abnormal, all normal. Scores that separate them perfectly
    become three times the same ramp.
    """
    pieces = cut_into_pieces({"a": np.r_[0:10, 20:30, 0:10]}, 10)
    truth = cut_into_pieces({"a": np.repeat([0, 1, 0], 10)}, 10)
    assert micro_auc(truth, pieces) == 1
    assert micro_auc(truth, per_video(pieces)) == pytest.approx(0.5)
    assert macro_auc(truth, pieces) == (None, 3)
    assert macro_auc(truth, pieces, "padded")[0] > 0.9


def test_the_oracle_is_as_good_as_any_candidate_and_no_claim_is_below_the_truth():
    for seed in range(3):
        curves, labels = random_case(seed)
        areas = {name: micro_auc(labels, scores) for name, scores in curves.items()}
        for default in curves:
            best, gap = oracle_gap(curves, labels, default)
            assert areas[best] == max(areas.values())
            assert gap == areas[best] - areas[default] >= 0
        gains = split_gains(curves, labels, 0, splits=20, seed=seed)
        assert gains.shape == (20, 2)
        assert (gains[:, 0] >= np.maximum(gains[:, 1], 0)).all()


def test_gains_of_splits_are_those_of_a_literal_search():
    """Two videos split in one way only, so every row is the same and can be worked out by hand."""
    labels = {name: np.array([0, 0, 1, 1]) for name in "ab"}
    good, half = np.array([0.0, 1, 2, 3]), np.array([0.0, 3, 2, 1])  # AUCs of 1 and 0.5
    curves = {"default": {"a": half, "b": half}}
    curves |= {"of a": {"a": good, "b": -good}, "of b": {"a": -good, "b": good}}
    assert split_gains(curves, labels, "default", splits=4).tolist() == [[0.5, -0.5]] * 4


def test_wrong_arguments_are_named():
    curves, labels = random_case()
    with refused("out-of-range", field="length"):
        cut_into_pieces(labels, 0)
    with refused("unknown-name", field="default"):
        oracle_gap(curves, labels, 9)
    with refused("too-few", field="labels"):
        split_gains({0: {"a": EVENT, "b": EVENT}}, {"a": np.ones(50), "b": np.zeros(50)}, 0)
