"""Metrics against hand-made cases, literal counts and scikit-learn."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused
from sklearn.metrics import roc_auc_score

from vadlib.evaluation.metrics import (
    alarm_metrics,
    average_precision,
    bootstrap,
    equal_error_rate,
    found_pixels,
    frame_edges,
    intervals,
    kind_aucs,
    macro_auc,
    micro_auc,
    per_video,
)

SCORES = {"a": np.array([0.1, 0.4, 0.35, 0.8]), "b": np.array([10.0, 30, 20]), "c": np.full(2, 5.0)}
LABELS = {"a": np.array([0, 0, 1, 1]), "b": np.array([0, 1, 0]), "c": np.array([0, 0])}


def pairs(labels, scores):
    """The definition of the AUC: the share of (normal, abnormal) pairs in the right order; ties
    count half.
    """
    differences = scores[labels == 1][:, None] - scores[labels == 0]
    return np.mean((np.sign(differences) + 1) / 2)


def random_videos(seed):
    generator = np.random.default_rng(seed)
    labels, scores = {}, {}
    for name in "0123":
        labels[name] = (generator.random(12) < generator.random()).astype(int)
        scores[name] = generator.normal(labels[name], 1).round(1)
    return labels, scores


def test_macro_auc_treats_one_sided_videos_as_asked():
    own = [pairs(LABELS["a"], SCORES["a"]), 1.0]
    area = macro_auc(LABELS, SCORES)
    assert (area.mean, area.one_sided) == (pytest.approx(np.mean(own)), 1)
    assert macro_auc(LABELS, SCORES, "counted") == (pytest.approx((sum(own) + 1) / 3), 1)
    padded = []
    for name, scores in SCORES.items():
        labels = np.array([*LABELS[name], 0, 1])
        padded.append(pairs(labels, np.array([*scores, min(scores), max(scores)])))
    assert macro_auc(LABELS, SCORES, "padded") == (pytest.approx(np.mean(padded)), 1)
    assert macro_auc({"c": LABELS["c"]}, {"c": SCORES["c"]}) == (None, 1)
    with refused("unknown-name", field="one_sided"):
        macro_auc(LABELS, SCORES, "dropped")


def test_a_constant_curve_scales_to_zero():
    scaled = per_video(SCORES)
    np.testing.assert_array_equal(scaled["c"], [0, 0])
    np.testing.assert_allclose(scaled["b"], [0, 1, 0.5])


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("metric", [micro_auc, average_precision, equal_error_rate])
def test_one_class_cannot_be_measured(metric, label):
    with refused("missing-labels", field="labels"):
        metric({"x": np.full(3, label)}, {"x": np.arange(3.0)})


def test_each_kind_is_measured_against_all_normal_frames():
    scores = {"a": np.array([0.0, 1, 2, 3]), "b": np.array([5.0, 0.5, 1.5])}
    labels = {"a": np.array([0, 1, 0, 1]), "b": np.array([1, 0, 0])}
    kinds = {"a": ["", "cart", "", "runner"], "b": ["cart", "", ""]}
    normal = np.array([0, 2, 0.5, 1.5])
    cart = np.mean([(normal < 1).mean(), (normal < 5).mean()])
    assert kind_aucs(labels, scores, kinds) == pytest.approx({"cart": cart, "runner": 1.0})


@given(st.lists(st.integers(0, 1), max_size=30))
def test_intervals_are_the_runs_of_ones(labels):
    again = np.zeros(len(labels), int)
    runs = intervals(np.array(labels))
    for (_, end), (start, _) in itertools.pairwise(runs):
        assert start > end
    for start, end in runs:
        again[start:end] = 1
    assert again.tolist() == labels


def test_alarms_by_hand():
    scores = {"a": np.array([0, 9, 0, 0, 9, 9, 0, 0.0]), "b": np.array([9, 0, 9, 9.0])}
    labels = {"a": np.array([0, 0, 0, 1, 1, 1, 0, 1]), "b": np.zeros(4, int)}
    times = {"a": np.arange(8) / 2, "b": np.arange(4) / 2}
    alarms = alarm_metrics(labels, scores, times, 5)
    assert alarms._asdict() == {
        "events": 2,
        "events_found": 1,  # frames 3 to 5, half a second late; frame 7 is missed
        "detection_delay": 0.5,
        "false_alarms": 3,  # frame 1 of a; frame 0, and frames 2 and 3, of b
        "normal_frames_above": 4 / 8,
        # eight normal frames of half a second
        "false_alarms_per_hour": pytest.approx(3 / (8 / 2) * 3600),
    }


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        ([0, 1], [5.0, 5], (1, 0, None, 0, 0, 0)),  # at the threshold
        ([0, 1, 1, 0], [9.0, 9, 9, 0], (1, 1, 0, 0, 0.5, 0)),  # begins before its event
        ([1, 1, 1], [0.0, 0, 0], (1, 0, None, 0, None, None)),  # without normal frames
    ],
)
def test_alarms_at_their_limits(labels, scores, expected):
    assert alarm_metrics({"a": labels}, {"a": scores}, {"a": range(len(labels))}, 5) == expected


def test_the_last_frame_lasts_as_long_as_the_one_before():
    assert frame_edges(np.array([0.0, 0.1, 0.5])).tolist() == [0, 0.1, 0.5, 0.9]
    assert frame_edges(np.array([0.4])).tolist() == [0.4, 0.4]


@given(st.integers(0, 10_000))
def test_found_pixels_is_the_highest_threshold_at_which_enough_are_found(seed):
    """By trying every threshold on the map at the picture's own size."""
    generator = np.random.default_rng(seed)
    score_map = generator.integers(0, 9, (3, 4)).astype(float)
    mask = generator.random((17, 21)) < generator.choice([0, 0.05, 0.5])
    y, x = np.mgrid[:17, :21]
    large = score_map[(y * 3 / 17).astype(int), (x * 4 / 21).astype(int)]
    expected = score_map.max()
    if mask.any():
        reached = {t: (large[mask] >= t).mean() for t in np.unique(score_map)}
        expected = max(t for t, part in reached.items() if part >= 0.4 - 1e-12)
    assert found_pixels(score_map, mask) == expected


def resampled_areas(labels, scores, seed):
    """The same resamples of four videos, measured one by one by scikit-learn."""
    areas = []
    for counts in np.random.default_rng(seed).multinomial(4, np.full(4, 1 / 4), 25):
        names = np.repeat(list(labels), counts)
        truth = np.concatenate([labels[name] for name in names])
        if len(np.unique(truth)) == 2:
            areas.append(roc_auc_score(truth, np.concatenate([scores[name] for name in names])))
    return np.array(areas)


@given(st.integers(0, 10_000))
def test_the_bootstrap_counts_pairs_as_scikit_learn_does(seed):
    labels, scores = random_videos(seed)
    base = random_videos(seed + 1)[1]
    areas = resampled_areas(labels, scores, seed)
    differences = areas - resampled_areas(labels, base, seed)
    for values, other in ((areas, None), (differences, base)):
        interval = bootstrap(labels, scores, other, draws=25, seed=seed)
        if len(values):
            assert interval == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
        else:
            assert interval is None


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """Videos of which each has a level of its own; the truth is the AUC over very many of them."""

    def film(count, generator):
        labels, scores = {}, {}
        for name in map(str, range(count)):
            labels[name] = (np.arange(20) >= 10).astype(int)
            scores[name] = generator.normal() + 1.5 * labels[name] + generator.normal(size=20)
        return labels, scores

    truth = micro_auc(*film(3000, np.random.default_rng(0)))
    covered = []
    for trial in range(150):
        low, high = bootstrap(*film(20, np.random.default_rng([1, trial])), draws=300)
        covered.append(low <= truth <= high)
    assert 0.85 < np.mean(covered) <= 1  # 0.95 in theory; a little less with 20 videos


def test_an_interval_needs_two_videos_and_is_nothing_against_itself():
    assert bootstrap(LABELS, SCORES, SCORES) == (0, 0)
    assert bootstrap({"a": np.array([0, 1, 0, 1])}, {"a": np.arange(4.0)}) is None
