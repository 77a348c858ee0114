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

SCORES = {
    "a": np.array([0.1, 0.4, 0.35, 0.8]),
    "b": np.array([10.0, 30.0, 20.0]),
    "c": np.array([5.0, 5.0]),
}
LABELS = {"a": np.array([0, 0, 1, 1]), "b": np.array([0, 1, 0]), "c": np.array([0, 0])}


def pairs(scores, labels):
    """Share of (normal, abnormal) pairs in the right order; ties count half. The definition of the
    AUC.
    """
    normal, abnormal = scores[labels == 0], scores[labels == 1]
    return np.mean([(a > n) + 0.5 * (a == n) for a in abnormal for n in normal])


def random_videos(count, seed=0, length=40):
    generator = np.random.default_rng(seed)
    labels = {
        str(k): (generator.random(length) < generator.random()).astype(int) for k in range(count)
    }
    return {name: generator.normal(truth, 1).round(1) for name, truth in labels.items()}, labels


def test_micro_auc_counts_pairs_over_all_videos():
    pooled = np.concatenate(list(SCORES.values())), np.concatenate(list(LABELS.values()))
    assert micro_auc(LABELS, SCORES) == pytest.approx(pairs(*pooled))


def test_macro_auc_is_the_mean_and_says_what_it_left_out():
    area, left_out = macro_auc(LABELS, SCORES)
    assert area == pytest.approx((pairs(SCORES["a"], LABELS["a"]) + 1.0) / 2)
    assert left_out == 1


def test_one_sided_videos_are_counted_or_padded_when_asked():
    own = [pairs(SCORES["a"], LABELS["a"]), 1.0]
    assert macro_auc(LABELS, SCORES, "counted") == (pytest.approx((sum(own) + 1) / 3), 1)
    padded = []
    for name, scores in SCORES.items():
        # One more normal frame that scores no more than any, one more abnormal frame that scores no
        # less.
        padded.append(
            pairs(np.array([*scores, min(scores), max(scores)]), np.array([*LABELS[name], 0, 1]))
        )
    assert macro_auc(LABELS, SCORES, "padded") == (pytest.approx(np.mean(padded)), 1)
    with refused("unknown-name", field="one_sided"):
        macro_auc(LABELS, SCORES, "dropped")


def test_macro_auc_of_one_sided_videos_is_none():
    assert macro_auc({"c": LABELS["c"]}, {"c": SCORES["c"]}) == (None, 1)


def test_defect_17_a_constant_curve_scales_to_zero():
    scaled = per_video(SCORES)
    assert np.array_equal(scaled["c"], [0, 0])
    assert np.allclose(scaled["b"], [0, 1, 0.5])


def test_random_scores_give_chance():
    generator = np.random.default_rng(0)
    labels = {str(k): (generator.random(2000) < 0.3).astype(int) for k in range(10)}
    scores = {name: generator.random(2000) for name in labels}
    assert micro_auc(labels, scores) == pytest.approx(0.5, abs=0.02)
    assert macro_auc(labels, scores)[0] == pytest.approx(0.5, abs=0.02)
    assert equal_error_rate(labels, scores) == pytest.approx(0.5, abs=0.02)
    # the share of abnormal frames
    assert average_precision(labels, scores) == pytest.approx(0.3, abs=0.02)
    low, high = bootstrap(labels, scores)
    assert 0.48 < low < micro_auc(labels, scores) < high < 0.52


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("metric", [micro_auc, average_precision, equal_error_rate])
def test_one_class_cannot_be_measured(metric, label):
    with refused("missing-labels", field="labels"):
        metric({"x": np.full(3, label)}, {"x": np.arange(3.0)})


def test_average_precision_by_hand():
    # By falling score: hit, miss, hit: precision 1 at the first, 2/3 at the second.
    assert average_precision(
        {"x": np.array([1, 0, 1])}, {"x": np.array([3.0, 2, 1])}
    ) == pytest.approx((1 + 2 / 3) / 2)


def test_equal_error_rate_by_hand():
    perfect = {"x": np.array([0, 0, 1, 1])}, {"x": np.array([0.0, 1, 2, 3])}
    assert equal_error_rate(*perfect) == pytest.approx(0)
    one_of_each_wrong = {"x": np.array([0, 0, 1, 1])}, {"x": np.array([0.0, 2, 1, 3])}
    assert equal_error_rate(*one_of_each_wrong) == pytest.approx(0.5)
    assert equal_error_rate({"x": np.array([0, 1, 0, 1])}, {"x": np.zeros(4)}) == pytest.approx(0.5)


@given(st.integers(0, 10_000))
def test_at_the_equal_error_rate_as_many_are_missed_as_false(seed):
    """A literal search over all thresholds brackets it."""
    scores, labels = random_videos(3, seed)
    values, truth = np.concatenate(list(scores.values())), np.concatenate(list(labels.values()))
    if len(np.unique(truth)) < 2:
        return
    rates = [
        ((values >= t)[truth == 0].mean(), (values < t)[truth == 1].mean())
        for t in [-np.inf, *np.unique(values), np.inf]
    ]
    below, above = (
        max((f for f, m in rates if f <= m), default=0),
        min((f for f, m in rates if f >= m), default=1),
    )
    assert below - 1e-9 <= equal_error_rate(labels, scores) <= above + 1e-9


def test_each_kind_is_measured_against_all_normal_frames():
    scores = {"a": np.array([0.0, 1, 2, 3]), "b": np.array([5.0, 0.5, 1.5])}
    labels = {"a": np.array([0, 1, 0, 1]), "b": np.array([1, 0, 0])}
    kinds = {"a": ["", "cart", "", "runner"], "b": ["cart", "", ""]}
    normal = [0, 2, 0.5, 1.5]
    expected = {"cart": np.mean([(s > n) for s in (1, 5) for n in normal]), "runner": 1.0}
    assert kind_aucs(labels, scores, kinds) == pytest.approx(expected)


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
    found = alarm_metrics(labels, scores, times, 5)
    assert found == {
        "events": 2,
        "events_found": 1,  # frames 3 to 5, half a second late; frame 7 is missed
        "detection_delay": 0.5,
        "false_alarms": 3,  # frame 1 of a; frame 0, and frames 2 and 3, of b
        # eight normal frames of half a second
        "false_alarms_per_hour": pytest.approx(3 / (8 / 2) * 3600),
        "normal_frames_above": 4 / 8,
    }


def test_at_the_threshold_itself_nothing_alarms():
    found = alarm_metrics(
        {"a": np.array([0, 1])}, {"a": np.array([5.0, 5.0])}, {"a": np.arange(2.0)}, 5.0
    )
    assert (found["events_found"], found["false_alarms"], found["normal_frames_above"]) == (0, 0, 0)


def test_a_single_frame_has_no_duration():
    assert frame_edges(np.array([0.0, 0.1, 0.5])).tolist() == [0, 0.1, 0.5, 0.9]
    assert frame_edges(np.array([0.4])).tolist() == [0.4, 0.4]


def test_an_alarm_that_begins_before_its_event_is_not_false_and_has_no_delay():
    found = alarm_metrics(
        {"a": np.array([0, 1, 1, 0])}, {"a": np.array([9.0, 9, 9, 0])}, {"a": np.arange(4.0)}, 5
    )
    assert (found["false_alarms"], found["detection_delay"]) == (0, 0)


def test_without_alarms_or_normal_frames_there_is_no_rate():
    found = alarm_metrics({"a": np.ones(3, int)}, {"a": np.zeros(3)}, {"a": np.arange(3.0)}, 5)
    assert (found["detection_delay"], found["false_alarms_per_hour"], found["events_found"]) == (
        None,
        None,
        0,
    )
    assert found["normal_frames_above"] is None


@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.4, 1.0]))
def test_found_pixels_is_the_highest_threshold_at_which_enough_are_found(seed, share):
    """By trying every threshold on the map at the picture's own size."""
    generator = np.random.default_rng(seed)
    score_map, mask = (
        generator.integers(0, 9, (3, 4)).astype(float),
        generator.random((17, 21)) < generator.choice([0, 0.05, 0.5]),
    )
    y, x = np.mgrid[:17, :21]
    large = score_map[(y * 3 / 17).astype(int), (x * 4 / 21).astype(int)]
    enough = [
        t for t in np.unique(score_map) if mask.any() and (large[mask] >= t).mean() >= share - 1e-12
    ]
    expected = max(enough, default=score_map.max())
    assert found_pixels(score_map, mask, share) == expected


@given(st.integers(0, 10_000))
def test_the_bootstrap_counts_pairs_as_scikit_learn_does(seed):
    """The same drawings, measured one by one."""
    scores, labels = random_videos(4, seed, length=12)
    drawn = np.random.default_rng(seed).multinomial(4, np.full(4, 1 / 4), 25)
    areas = []
    for times in drawn:
        chosen = [name for name, count in zip(scores, times, strict=True) for _ in range(count)]
        truth = np.concatenate([labels[name] for name in chosen])
        if len(np.unique(truth)) == 2:
            areas.append(roc_auc_score(truth, np.concatenate([scores[name] for name in chosen])))
    expected = np.quantile(areas, [0.025, 0.975]).tolist() if areas else None
    found = bootstrap(labels, scores, draws=25, seed=seed)
    assert found is None if expected is None else found == pytest.approx(expected)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """Videos of which each has a level of its own; the truth is the AUC over very many of them."""

    def film(count, generator):
        level = {str(k): generator.normal() for k in range(count)}
        labels = {name: (np.arange(20) >= 10).astype(int) for name in level}
        scores = {
            name: level[name] + 1.5 * labels[name] + generator.normal(size=20) for name in level
        }
        return labels, scores

    truth = micro_auc(*film(3000, np.random.default_rng(0)))
    covered = []
    for trial in range(150):
        low, high = bootstrap(*film(20, np.random.default_rng([1, trial])), draws=300)
        covered.append(low <= truth <= high)
    assert 0.85 < np.mean(covered) <= 1  # 0.95 in theory; a little less with 20 videos


@given(st.integers(0, 10_000))
def test_the_interval_of_a_difference_draws_the_same_videos_for_both(seed):
    """Against one drawing at a time, measured by scikit-learn."""
    scores, labels = random_videos(4, seed, length=12)
    base, _ = random_videos(4, seed + 1, length=12)
    differences = []
    for times in np.random.default_rng(seed).multinomial(4, np.full(4, 1 / 4), 25):
        chosen = [name for name, count in zip(scores, times, strict=True) for _ in range(count)]
        truth = np.concatenate([labels[name] for name in chosen])
        if len(np.unique(truth)) == 2:
            one, other = (
                roc_auc_score(truth, np.concatenate([part[name] for name in chosen]))
                for part in (scores, base)
            )
            differences.append(one - other)
    found = bootstrap(labels, scores, base, draws=25, seed=seed)
    assert (
        found is None
        if not differences
        else found == pytest.approx(np.quantile(differences, [0.025, 0.975]).tolist())
    )


def test_against_itself_a_score_differs_by_nothing():
    assert bootstrap(LABELS, SCORES, SCORES) == [0, 0]


def test_a_single_video_has_no_interval():
    assert bootstrap({"a": np.array([0, 1, 0, 1])}, {"a": np.arange(4.0)}) is None
