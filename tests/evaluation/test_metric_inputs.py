"""What metrics accept and refuse: valid curves in any form give the numbers of scikit-learn,
everything else the same `InputError`.
"""

import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused as refused_by_code
from results import result_of
from scipy.optimize import brentq
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from vadlib.evaluation import metrics


@contextmanager
def refused(code, *names, field):
    """Expect a refusal whose message names the video or the lengths."""
    with refused_by_code(code, field=field) as caught:
        yield
    for name in names:
        assert name in str(caught.error)


def times_of(scores):
    return {name: np.arange(len(values)) / 25 for name, values in scores.items()}


def kinds_of(labels):
    return {name: np.where(np.equal(values, 1), "cart", "") for name, values in labels.items()}


LABELS = {"a": np.repeat([0, 1], [60, 40]), "b": np.repeat([0, 1], [30, 50])}
SCORES = {
    name: truth + np.random.default_rng(len(truth)).normal(size=len(truth))
    for name, truth in LABELS.items()
}
TIMES, KINDS = times_of(SCORES), kinds_of(LABELS)
METRICS = {
    "micro": metrics.micro_auc,
    "macro": metrics.macro_auc,
    "precision": metrics.average_precision,
    "eer": metrics.equal_error_rate,
    "bootstrap": metrics.bootstrap,
    "kinds": lambda labels, scores: metrics.kind_aucs(labels, scores, KINDS),
    "alarms": lambda labels, scores: metrics.alarm_metrics(labels, scores, TIMES, 0.5),
}


WRONG_VALUES = {  # of one video -> the code of the refusal
    "a column": (lambda v: v[:, None], "wrong-shape"),
    "one number": (lambda v: 0, "wrong-shape"),
    "text": (lambda v: v.astype(str), "wrong-type"),
    "objects": (lambda v: v.astype(object), "wrong-type"),
    "a list with a gap": (lambda v: [None, *v[1:].tolist()], "wrong-type"),
    "complex": (lambda v: v.astype(complex), "wrong-type"),
    "dates": (lambda v: v.astype("datetime64[s]"), "wrong-type"),
    "ragged": (lambda v: [[0, 1], *v[1:].tolist()], "wrong-type"),
    "masked": (lambda v: np.ma.masked_array(v, mask=np.arange(len(v)) == 2), "wrong-type"),
    "a tensor with gradients": (lambda v: torch.tensor(1.0 * v, requires_grad=True), "wrong-type"),
}
WRONG_SCORES = WRONG_VALUES | {
    "not a number": (lambda v: [np.nan, *v[1:]], "out-of-range"),
    "infinite": (lambda v: [np.inf, *v[1:]], "out-of-range"),
    "no frames": (lambda v: v[:0], "too-few"),
}
WRONG_LABELS = WRONG_VALUES | {
    "0 and 255": (lambda v: (255 * v).astype(np.uint8), "label-values"),
    "-1 and 1": (lambda v: 2 * v - 1, "label-values"),
    "probabilities": (lambda v: v * 0.5, "label-values"),
    "not a number": (lambda v: [np.nan, *v[1:]], "label-values"),
    "256, which is 0 in eight bits": (lambda v: v * 256, "label-values"),
    "one frame less": (lambda v: v[1:], "label-length"),
    "one frame more": (lambda v: np.append(v, 0), "label-length"),
}


@pytest.mark.parametrize("wrong", WRONG_LABELS)
def test_labels_that_cannot_be_right_are_refused(wrong):
    change, code = WRONG_LABELS[wrong]
    with refused(code, "'b'", field="labels"):
        metrics.micro_auc(LABELS | {"b": change(LABELS["b"])}, SCORES)


@pytest.mark.parametrize("metric", METRICS)
def test_other_videos_are_refused_by_every_metric(metric):
    swapped = {"a": LABELS["b"], "b": LABELS["a"]}  # the sum of their lengths agrees
    with refused("label-length", "'a'", "80", "100", field="labels"):
        METRICS[metric](swapped, SCORES)
    with refused("missing-labels", "'b'", field="labels"):
        METRICS[metric]({"a": LABELS["a"]}, SCORES)
    with refused("labels-without-frames", "'c'", field="labels"):
        METRICS[metric](LABELS | {"c": LABELS["a"]}, SCORES)
    with refused("wrong-type", field="scores"):
        METRICS[metric](LABELS, np.zeros(3))
    with refused("too-few", field="scores"):
        METRICS[metric](LABELS, {})


CURVES = {  # field -> a function that takes these curves
    "scores": metrics.per_video,
    "base": lambda curves: metrics.bootstrap(LABELS, SCORES, curves),
    "times": lambda curves: metrics.alarm_metrics(LABELS, SCORES, curves, 0.5),
    "raw": lambda curves: result_of(SCORES, raw=curves),
}


@pytest.mark.parametrize("wrong", WRONG_SCORES)
@pytest.mark.parametrize("part", CURVES)
def test_further_curves_are_checked_too(wrong, part):
    change, code = WRONG_SCORES[wrong]
    curves = SCORES | {"b": change(np.sort(SCORES["b"]))}
    with refused(code, "'b'", field=part):
        CURVES[part](curves)


def test_a_result_refuses_parts_that_do_not_fit():
    for part in ("labels", "times", "raw"):
        with refused("label-length", "'a'", "80", "100", field=part):
            result_of(SCORES, **{part: {"a": LABELS["b"], "b": LABELS["b"]}})
    with refused("label-values", "'b'", field="labels"):
        result_of(SCORES, LABELS | {"b": LABELS["b"] * 2})
    with refused("too-few", field="videos"):
        result_of({})


def test_a_result_holds_arrays_of_one_type():
    lists = {name: values.tolist() for name, values in SCORES.items()}
    result = result_of(lists, {name: values.tolist() for name, values in LABELS.items()})
    for name in SCORES:
        assert result.scores[name].dtype == result.times[name].dtype == np.float64
        assert result.labels[name].dtype == np.uint8
        np.testing.assert_array_equal(result.scores[name], SCORES[name])


@pytest.mark.parametrize(
    ("kinds", "code"),
    [(KINDS["b"], "label-length"), (["cart"] * 100, "conflict"), ([""] * 100, "conflict")],
)
def test_kinds_must_fit_the_labels(kinds, code):
    with refused(code, field="kinds"):
        metrics.kind_aucs(LABELS, SCORES, KINDS | {"a": kinds})


def test_numbers_outside_their_range_are_refused():
    with refused("out-of-range", "'a'", field="times"):
        metrics.alarm_metrics(LABELS, SCORES, TIMES | {"a": TIMES["a"][::-1]}, 0.5)
    with refused("out-of-range", field="threshold"):
        metrics.alarm_metrics(LABELS, SCORES, TIMES, float("nan"))
    with refused("out-of-range", field="draws"):
        metrics.bootstrap(LABELS, SCORES, draws=0)


FORMS = {
    "list": lambda v: v.tolist(),
    "int8": lambda v: v.astype(np.int8),
    "uint8": lambda v: v.astype(np.uint8),
    "float16": lambda v: v.astype(np.float16),
    "big-endian": lambda v: v.astype(">f4"),
    "tensor": torch.tensor,
    "not contiguous": lambda v: np.repeat(v, 2)[::2],
    "masked nowhere": np.ma.masked_array,
}
# hold in eight bits, signed or not
INTEGERS = {name: np.clip(60 * values, 0, 127).round() for name, values in SCORES.items()}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("form", FORMS)
def test_form_and_order_do_not_change_the_number(form, metric):
    scores = {name: FORMS[form](values) for name, values in INTEGERS.items()}
    labels = {name: FORMS[form](values) for name, values in reversed(LABELS.items())}
    assert METRICS[metric](labels, scores) == METRICS[metric](LABELS, INTEGERS)


@pytest.mark.parametrize("values", [np.array([-120, 0, 120], np.int8), [-1e308, 0, 1e308]])
def test_scaling_does_not_overflow(values):
    assert metrics.per_video({"a": values})["a"].tolist() == [0, 0.5, 1]


@st.composite
def videos(draw):
    """Labels and scores of 1 to 4 videos that hold both labels together. Scores of few values, so
    with ties.
    """
    scores, labels = {}, {}
    for k in range(draw(st.integers(1, 4))):
        truth = draw(st.lists(st.integers(0, 1), min_size=1, max_size=12))
        values = draw(st.lists(st.integers(0, 100), min_size=len(truth), max_size=len(truth)))
        labels[str(k)] = np.array(truth, draw(st.sampled_from(["uint8", "int64", "float32", bool])))
        scores[str(k)] = np.array(values, draw(st.sampled_from(["int8", "uint32", "float64"])))
    labels["last"], scores["last"] = np.array([0, 1]), np.array([7, draw(st.integers(0, 100))])
    return labels, scores


@given(videos())
def test_valid_curves_give_the_numbers_of_scikit_learn(curves):
    labels, scores = curves
    truth = np.concatenate([np.asarray(values, int) for values in labels.values()])
    pooled = np.concatenate([np.asarray(values, float) for values in scores.values()])
    area = pytest.approx(roc_auc_score(truth, pooled))
    assert metrics.micro_auc(labels, scores) == area
    assert metrics.kind_aucs(labels, scores, kinds_of(labels)) == {"cart": area}
    precision = average_precision_score(truth, pooled)
    assert metrics.average_precision(labels, scores) == pytest.approx(precision)
    false, true, _ = roc_curve(truth, pooled)
    crossing = brentq(lambda rate: 1 - rate - np.interp(rate, false, true), -1e-9, 1)
    assert metrics.equal_error_rate(labels, scores) == pytest.approx(crossing, abs=1e-8)
    areas = []
    for name, values in labels.items():
        if len(np.unique(values)) == 2:
            areas.append(roc_auc_score(values.astype(int), scores[name].astype(float)))
    macro = (pytest.approx(np.mean(areas)), len(labels) - len(areas))
    assert metrics.macro_auc(labels, scores) == macro
    alarms = metrics.alarm_metrics(labels, scores, times_of(scores), 50)
    assert alarms.normal_frames_above == pytest.approx(np.mean(pooled[truth == 0] > 50))


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
    stored = np.load(folder / f"{name}.npz")
    labels, scores = {}, {}
    for key in stored.files:
        part, _, video = key.partition("/")
        (scores if part == "score" else labels)[video] = stored[key]
    frames, raw, scaled = PUBLISHED[name]
    assert sum(map(len, scores.values())) == frames
    assert metrics.micro_auc(labels, scores) == pytest.approx(raw, abs=5e-5)
    assert metrics.micro_auc(labels, metrics.per_video(scores)) == pytest.approx(scaled, abs=5e-5)
