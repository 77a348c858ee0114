"""Metrics against hand-made cases and a literal count of pairs."""

import numpy as np
import pytest

from vadlib.errors import InputError
from vadlib.evaluation.metrics import macro_auc, micro_auc, per_video

SCORES = {"a": np.array([0.1, 0.4, 0.35, 0.8]), "b": np.array([10.0, 30.0, 20.0]), "c": np.array([5.0, 5.0])}
LABELS = {"a": np.array([0, 0, 1, 1]), "b": np.array([0, 1, 0]), "c": np.array([0, 0])}


def pairs(scores, labels):
    """Share of (normal, abnormal) pairs in the right order; ties count half. The definition of the AUC."""
    normal, abnormal = scores[labels == 0], scores[labels == 1]
    return np.mean([(a > n) + 0.5 * (a == n) for a in abnormal for n in normal])


def test_micro_auc_counts_pairs_over_all_videos():
    pooled = np.concatenate(list(SCORES.values())), np.concatenate(list(LABELS.values()))
    assert micro_auc(SCORES, LABELS) == pytest.approx(pairs(*pooled))


def test_macro_auc_is_the_mean_and_says_what_it_left_out():
    area, left_out = macro_auc(SCORES, LABELS)
    assert area == pytest.approx((pairs(SCORES["a"], LABELS["a"]) + 1.0) / 2)
    assert left_out == 1


def test_macro_auc_of_one_sided_videos_is_none():
    assert macro_auc({"c": SCORES["c"]}, {"c": LABELS["c"]}) == (None, 1)


def test_defect_17_a_constant_curve_scales_to_zero():
    scaled = per_video(SCORES)
    assert np.array_equal(scaled["c"], [0, 0])
    assert np.allclose(scaled["b"], [0, 1, 0.5])


def test_random_scores_give_one_half():
    generator = np.random.default_rng(0)
    labels = {"x": generator.integers(0, 2, 20_000)}
    assert micro_auc({"x": generator.random(20_000)}, labels) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_auc(label):
    with pytest.raises(InputError, match="all 3 frames are"):
        micro_auc({"x": np.arange(3.0)}, {"x": np.full(3, label)})
