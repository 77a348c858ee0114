"""Metrics against hand-made cases, literal counts, scikit-learn and published numbers; what they
accept and refuse.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused
from results import result_of
from scipy.optimize import brentq
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from vadlib.evaluation import metrics

SCORES = {"a": np.array([0.1, 0.4, 0.35, 0.8]), "b": np.array([10.0, 30, 20]), "c": np.full(2, 5.0)}
LABELS = {"a": np.array([0, 0, 1, 1]), "b": np.array([0, 1, 0]), "c": np.array([0, 0])}
SEEDS = st.integers(0, 10_000)


def random_videos(seed):
    generator = np.random.default_rng(seed)
    labels, scores = {}, {}
    for name in "0123":
        labels[name] = (generator.random(12) < generator.random()).astype(int)
        scores[name] = generator.normal(labels[name], 1).round(1)  # with ties
    labels["last"], scores["last"] = np.array([0, 1]), generator.normal(size=2).round(1)
    return labels, scores


@given(SEEDS)
def test_numbers_are_those_of_scikit_learn(seed):
    labels, scores = random_videos(seed)
    truth, pooled = (np.concatenate(list(part.values())) for part in (labels, scores))
    area = pytest.approx(roc_auc_score(truth, pooled))
    assert metrics.micro_auc(labels, scores) == area
    kinds = {name: np.where(values, "cart", "").astype("<U9") for name, values in labels.items()}
    kinds["last"][1] = "runner"  # against all normal frames
    runner = np.mean(np.sign(scores["last"][1] - pooled[truth == 0]) + 1) / 2
    assert metrics.kind_aucs(labels, scores, kinds)["runner"] == pytest.approx(runner)
    precision = average_precision_score(truth, pooled)
    assert metrics.average_precision(labels, scores) == pytest.approx(precision)
    false, true = roc_curve(truth, pooled)[:2]
    crossing = brentq(lambda rate: 1 - rate - np.interp(rate, false, true), -1e-9, 1)
    assert metrics.equal_error_rate(labels, scores) == pytest.approx(crossing, abs=1e-8)
    areas = []
    for name, values in labels.items():
        if len(np.unique(values)) == 2:
            areas.append(roc_auc_score(values, scores[name]))
    macro = (pytest.approx(np.mean(areas)), len(labels) - len(areas))
    assert metrics.macro_auc(labels, scores) == macro
    times = {name: np.arange(len(values)) for name, values in scores.items()}
    alarms = metrics.alarm_metrics(labels, scores, times, 0.5)
    assert alarms.normal_frames_above == pytest.approx(np.mean(pooled[truth == 0] > 0.5))


def test_macro_auc_treats_one_sided_videos_as_asked():
    own = [0.75, 1.0]  # of a and b
    assert metrics.macro_auc(LABELS, SCORES) == (pytest.approx(np.mean(own)), 1)
    assert metrics.macro_auc(LABELS, SCORES, "counted") == (pytest.approx((sum(own) + 1) / 3), 1)
    padded = []
    for name, scores in SCORES.items():
        labels = [*LABELS[name], 0, 1]
        padded.append(roc_auc_score(labels, [*scores, min(scores), max(scores)]))
    assert metrics.macro_auc(LABELS, SCORES, "padded") == (pytest.approx(np.mean(padded)), 1)
    assert metrics.macro_auc({"c": LABELS["c"]}, {"c": SCORES["c"]}) == (None, 1)
    with refused("unknown-name", field="one_sided"):
        metrics.macro_auc(LABELS, SCORES, "dropped")


def test_scaled_curves_reach_from_0_to_1_and_constant_ones_are_0():
    scaled = metrics.per_video(SCORES | {"large": [-1e308, 0, 1e308]})
    assert [scaled[name].tolist() for name in "bc"] == [[0, 1, 0.5], [0, 0]]
    assert scaled["large"].tolist() == [0, 0.5, 1]  # without overflow
    assert metrics.per_video({"a": np.array([-120, 0, 120], np.int8)})["a"].tolist() == [0, 0.5, 1]


def test_one_class_cannot_be_measured():
    for metric in (metrics.micro_auc, metrics.average_precision, metrics.equal_error_rate):
        for label in (0, 1):
            with refused("missing-labels", field="y_true"):
                metric({"x": np.full(3, label)}, {"x": np.arange(3.0)})


@given(st.lists(st.integers(0, 1), max_size=30))
def test_intervals_are_the_runs_of_ones(labels):
    runs = metrics.intervals(np.array(labels))
    edges = [edge for run in runs for edge in run]
    assert edges == sorted(set(edges))
    assert [t for run in runs for t in range(*run)] == np.flatnonzero(labels).tolist()


def test_alarms_by_hand():
    scores = {"a": np.array([0, 9, 0, 0, 9, 9, 0, 0.0]), "b": np.array([9, 0, 9, 9.0])}
    labels = {"a": np.array([0, 0, 0, 1, 1, 1, 0, 1]), "b": np.zeros(4, int)}
    times = {"a": np.arange(8) / 2, "b": np.arange(4) / 2}
    # Frames 3 to 5 are found, half a second late; frame 7 is missed. False alarms are frame 1 of a,
    # and frames 0 and 2 to 3 of b, in eight normal frames of half a second.
    expected = (2, 1, 0.5, 3, 4 / 8, 3 / (8 / 2) * 3600)
    assert metrics.alarm_metrics(labels, scores, times, 5) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        ([0, 1], [5.0, 5], (1, 0, None, 0, 0, 0)),
        ([0, 1, 1, 0], [9.0, 9, 9, 0], (1, 1, 0, 0, 0.5, 0)),
        ([1, 1, 1], [0.0, 0, 0], (1, 0, None, 0, None, None)),
    ],
    ids=["at the threshold", "begins before its event", "without normal frames"],
)
def test_alarms_at_their_limits(labels, scores, expected):
    times = {"a": range(len(labels))}  # the last frame lasts as long as the one before
    assert metrics.alarm_metrics({"a": labels}, {"a": scores}, times, 5) == expected


@given(SEEDS)
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
    assert metrics.found_pixels(score_map, mask) == expected


@given(SEEDS)
def test_the_bootstrap_counts_pairs_as_scikit_learn_does(seed):
    """Of one score, and of the difference of two, on the same resamples."""
    labels, scores = random_videos(seed)
    base = random_videos(seed + 1)[1]
    areas = []
    for counts in np.random.default_rng(seed).multinomial(5, np.full(5, 1 / 5), 25):
        names = np.repeat(list(labels), counts)
        truth = np.concatenate([labels[name] for name in names])
        if len(np.unique(truth)) == 2:
            rows = np.concatenate([np.stack([scores[name], base[name]]) for name in names], axis=1)
            areas.append([roc_auc_score(truth, row) for row in rows])
    own, other = np.array(areas).T
    for values, compared in ((own, None), (own - other, base)):
        interval = metrics.bootstrap(labels, scores, compared, draws=25, seed=seed)
        assert interval == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))


def test_an_interval_needs_two_videos_and_is_nothing_against_itself():
    assert metrics.bootstrap(LABELS, SCORES, SCORES) == (0, 0)
    assert metrics.bootstrap({"a": np.array([0, 1, 0, 1])}, {"a": np.arange(4.0)}) is None


# Micro AUC, raw and scaled per video, as the files' README gives them; the authors' logs print
# 0.9341, 0.8099 and 85.9.
PUBLISHED = {
    "memae_ped2": (1830, 0.6958, 0.9341),
    "memae_avenue": (15009, 0.8074, 0.8099),
    "stgnf_shanghaitech": (40791, 0.8594, 0.8123),
    "mnad_shanghaitech": (40791, 0.6828, 0.7132),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_scores_give_their_published_numbers(name):
    folder = Path(os.environ.get("VADLIB_DATA", "nowhere")).parent / "published"
    if not folder.is_dir():
        pytest.skip("the published scores are not beside the folder that VADLIB_DATA names")
    parts = {"score": {}, "label": {}}
    with np.load(folder / f"{name}.npz") as stored:
        for key, values in stored.items():
            part, video = key.split("/", 1)
            parts["score" if part == "score" else "label"][video] = values
    numbers = [sum(map(len, parts["score"].values()))]
    for scores in (parts["score"], metrics.per_video(parts["score"])):
        numbers.append(metrics.micro_auc(parts["label"], scores))
    assert numbers == pytest.approx(PUBLISHED[name], abs=5e-5)


# --- valid curves in any form give the same numbers, everything else the same refusal

TRUTH = {"a": np.repeat([0, 1], [60, 40]), "b": np.repeat([0, 1], [30, 50])}
VALUES, TIMES = {}, {}
KINDS = {}
for video, truth in TRUTH.items():
    VALUES[video] = truth + np.random.default_rng(len(truth)).normal(size=len(truth))
    TIMES[video] = np.arange(len(truth)) / 25
    KINDS[video] = np.where(truth == 1, "cart", "")
METRICS = (
    *(metrics.micro_auc, metrics.macro_auc, metrics.average_precision, metrics.equal_error_rate),
    *(metrics.bootstrap, lambda labels, scores: metrics.kind_aucs(labels, scores, KINDS)),
    lambda labels, scores: metrics.alarm_metrics(labels, scores, TIMES, 0.5),
)
# field -> a function that takes these curves
CURVES = {
    "y_true": lambda curves: metrics.micro_auc(curves, VALUES),
    "labels": lambda curves: result_of(VALUES, curves),
    "y_score": metrics.per_video,
    "base": lambda curves: metrics.bootstrap(TRUTH, VALUES, curves),
    "times": lambda curves: metrics.alarm_metrics(TRUTH, VALUES, curves, 0.5),
    "raw": lambda curves: result_of(VALUES, raw=curves),
}
WRONG = {  # values of one video -> the code of the refusal
    "a column": (lambda v: v[:, None], "wrong-shape"),
    "one number": (lambda v: 0, "wrong-shape"),
    "text": (lambda v: v.astype(str), "wrong-type"),
    "a list with a gap": (lambda v: [None, *v[1:].tolist()], "wrong-type"),
    "complex": (lambda v: v.astype(complex), "wrong-type"),
    "ragged": (lambda v: [[0, 1], *v[1:].tolist()], "wrong-type"),
    "masked": (lambda v: np.ma.masked_array(v, mask=np.arange(len(v)) == 2), "wrong-type"),
    "with gradients": (lambda v: torch.tensor(1.0 * v, requires_grad=True), "wrong-type"),
}
WRONG_SCORES = WRONG | {
    "not a number": (lambda v: [np.nan, *v[1:]], "out-of-range"),
    "infinite": (lambda v: [np.inf, *v[1:]], "out-of-range"),
    "no frames": (lambda v: v[:0], "too-few"),
}
WRONG_LABELS = WRONG | {
    "0 and 255": (lambda v: (255 * v).astype(np.uint8), "label-values"),
    "1 and 2": (lambda v: v + 1, "label-values"),
    "probabilities": (lambda v: v * 0.5, "label-values"),
    "not a number": (lambda v: [np.nan, *v[1:]], "label-values"),
    "256, which is 0 in eight bits": (lambda v: v * 256, "label-values"),
    "one frame less": (lambda v: v[1:], "label-length"),
}


@pytest.mark.parametrize("field", CURVES)
def test_curves_that_cannot_be_right_are_refused(field):
    are_labels = field in ("y_true", "labels")
    curves = TRUTH if are_labels else {"a": VALUES["a"], "b": np.sort(VALUES["b"])}
    for change, code in (WRONG_LABELS if are_labels else WRONG_SCORES).values():
        with refused(code, field=field) as caught:
            CURVES[field](curves | {"b": change(curves["b"])})
        assert "'b'" in str(caught.error)


@pytest.mark.parametrize("metric", METRICS)
def test_other_videos_are_refused_by_every_metric(metric):
    swapped = {"a": TRUTH["b"], "b": TRUTH["a"]}  # the sum of their lengths agrees
    with refused("label-length", field="y_true") as caught:
        metric(swapped, VALUES)
    assert all(part in str(caught.error) for part in ("'a'", "80", "100"))
    for code, labels in (
        ("missing-labels", {"a": TRUTH["a"]}),
        ("labels-without-frames", TRUTH | {"c": TRUTH["a"]}),
        ("label-values", {"a": TRUTH["a"] * 2 - 1, "b": TRUTH["b"]}),
    ):
        with refused(code, field="y_true"):
            metric(labels, VALUES)
    for code, scores in (("wrong-type", np.zeros(3)), ("too-few", {})):
        with refused(code, field="y_score"):
            metric(TRUTH, scores)


def test_further_arguments_must_fit():
    for kinds, code in ((KINDS["b"], "label-length"), (["cart"] * 100, "conflict")):
        with refused(code, field="kinds"):
            metrics.kind_aucs(TRUTH, VALUES, KINDS | {"a": kinds})
    with refused("out-of-range", field="times"):
        metrics.alarm_metrics(TRUTH, VALUES, TIMES | {"a": TIMES["a"][::-1]}, 0.5)
    with refused("out-of-range", field="threshold"):
        metrics.alarm_metrics(TRUTH, VALUES, TIMES, float("nan"))
    with refused("out-of-range", field="draws"):
        metrics.bootstrap(TRUTH, VALUES, draws=0)


def test_a_result_refuses_parts_that_do_not_fit_and_holds_arrays_of_one_type():
    for part in ("labels", "times", "raw"):
        with refused("label-length", field=part):
            result_of(VALUES, **{part: {"a": TRUTH["b"], "b": TRUTH["b"]}})
    with refused("too-few", field="videos"):
        result_of({})
    lists = {name: values.tolist() for name, values in VALUES.items()}
    result = result_of(lists, {name: values.tolist() for name, values in TRUTH.items()})
    assert result.scores["a"].dtype == result.times["a"].dtype == np.float64
    assert result.labels["a"].dtype == np.uint8
    np.testing.assert_array_equal(result.scores["a"], VALUES["a"])


FORMS = {"list": list, "tensor": torch.tensor, "masked nowhere": np.ma.masked_array}
FORMS |= {"int8": lambda v: v.astype(np.int8), "big-endian": lambda v: v.astype(">f4")}
# hold in eight bits, signed or not
INTEGERS = {name: np.clip(60 * values, 0, 127).round() for name, values in VALUES.items()}


@pytest.mark.parametrize("form", FORMS)
def test_form_and_order_do_not_change_the_number(form):
    scores = {name: FORMS[form](values) for name, values in INTEGERS.items()}
    labels = {name: FORMS[form](values) for name, values in reversed(TRUTH.items())}
    for metric in METRICS:
        assert metric(labels, scores) == metric(TRUTH, INTEGERS)
