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
from matplotlib.figure import Figure
from refusals import refused as refused_by_code
from scipy.optimize import brentq
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from vadlib.config import ScoreConfig
from vadlib.errors import InputError
from vadlib.evaluation import metrics
from vadlib.evaluation.calibration import Calibration
from vadlib.evaluation.evaluate import Result
from vadlib.output.plots import plot_roc


@contextmanager
def refused(code, *names, field):
    """Expect a refusal whose message names the video, the lengths or the values."""
    with refused_by_code(code, field=field) as caught:
        yield
    for name in names:
        assert name in str(caught.error)


def times_of(scores):
    return {name: np.arange(len(values)) / 25 for name, values in scores.items()}


def kinds_of(labels):
    return {
        name: ["cart" if label == 1 else "" for label in values] for name, values in labels.items()
    }


def result_of(scores, labels):
    return Result(scores, {}, labels, {}, TIMES, {}, Calibration({}, 0.0, ScoreConfig()), {})


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
    "result": lambda labels, scores: result_of(scores, labels),
    "roc": lambda labels, scores: plot_roc(labels, {"score": scores}, Figure().subplots()),
}


NUMBERS = [name for name in METRICS if name not in ("result", "roc")]


def with_value(values, value):
    changed = values.astype(np.float64)
    changed[3] = value
    return changed


def masked(values):
    return np.ma.masked_array(values, mask=np.arange(len(values)) == 2)


WRONG_VALUES = {  # of one video -> the code of the refusal
    "a column": (lambda v: v[:, None], "wrong-shape"),
    "a row": (lambda v: v[None], "wrong-shape"),
    "a table": (lambda v: np.stack([v, v], 1), "wrong-shape"),
    "one number": (lambda v: 0, "wrong-shape"),
    "text": (lambda v: v.astype(str), "wrong-type"),
    "bytes": (lambda v: v.astype("S"), "wrong-type"),
    "objects": (lambda v: v.astype(object), "wrong-type"),
    "a list with a gap": (lambda v: [None, *v[1:].tolist()], "wrong-type"),
    "complex": (lambda v: v.astype(complex), "wrong-type"),
    "dates": (lambda v: v.astype("datetime64[s]"), "wrong-type"),
    "ragged": (lambda v: [[0, 1], *v[1:].tolist()], "wrong-type"),
    "masked": (masked, "wrong-type"),
    "a tensor with gradients": (
        lambda v: torch.tensor(v, dtype=torch.float32, requires_grad=True),
        "wrong-type",
    ),
}
WRONG_SCORES = WRONG_VALUES | {
    "not a number": (lambda v: with_value(v, np.nan), "out-of-range"),
    "infinite": (lambda v: with_value(v, np.inf), "out-of-range"),
    "minus infinity": (lambda v: with_value(v, -np.inf), "out-of-range"),
    "no frames": (lambda v: v[:0], "too-few"),
}
WRONG_LABELS = WRONG_VALUES | {
    "0 and 255": (lambda v: (255 * v).astype(np.uint8), "label-values"),
    "1 and 2": (lambda v: v + 1, "label-values"),
    "-1 and 1": (lambda v: 2 * v - 1, "label-values"),
    "probabilities": (lambda v: v * 0.5, "label-values"),
    "not a number": (lambda v: with_value(v, np.nan), "label-values"),
    "256, which is 0 in eight bits": (lambda v: v * 256, "label-values"),
    "one frame less": (lambda v: v[1:], "label-length"),
    "one frame more": (lambda v: np.append(v, 0), "label-length"),
    "no frames": (lambda v: v[:0], "label-length"),
}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("wrong", WRONG_SCORES)
def test_scores_that_cannot_be_right_are_refused_by_every_metric(wrong, metric):
    change, code = WRONG_SCORES[wrong]
    with refused(code, "'b'", field="scores"):
        METRICS[metric](LABELS, SCORES | {"b": change(SCORES["b"])})


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("wrong", WRONG_LABELS)
def test_labels_that_cannot_be_right_are_refused_by_every_metric(wrong, metric):
    change, code = WRONG_LABELS[wrong]
    with refused(code, "'b'", field="labels"):
        METRICS[metric](LABELS | {"b": change(LABELS["b"])}, SCORES)


@pytest.mark.parametrize("metric", METRICS)
def test_labels_of_the_other_video_are_refused_although_their_sum_agrees(metric):
    with refused("label-length", "'a'", "80", "100", field="labels"):
        METRICS[metric]({"a": LABELS["b"], "b": LABELS["a"]}, SCORES)


@pytest.mark.parametrize("metric", [*NUMBERS, "roc"])
def test_a_video_without_labels_is_refused(metric):
    with refused("missing-labels", "'b'", field="labels"):
        METRICS[metric]({"a": LABELS["a"]}, SCORES)


@pytest.mark.parametrize("metric", METRICS)
def test_labels_without_scores_are_refused(metric):
    with refused("labels-without-frames", "'c'", field="labels"):
        METRICS[metric](LABELS | {"c": LABELS["a"]}, SCORES)


@pytest.mark.parametrize("metric", [*NUMBERS, "result"])
@pytest.mark.parametrize("wrong", [[1, 2, 3], np.zeros(3), "abc", None])
def test_what_is_no_dictionary_is_refused(wrong, metric):
    with refused("wrong-type", field="scores"):
        METRICS[metric](LABELS, wrong)


@pytest.mark.parametrize("metric", METRICS)
def test_no_videos_are_refused(metric):
    with refused("too-few", field="scores"):
        METRICS[metric](LABELS, {})


@pytest.mark.parametrize("wrong", WRONG_SCORES)
def test_scaling_refuses_the_same_scores(wrong):
    change, code = WRONG_SCORES[wrong]
    with refused(code, "'b'", field="scores"):
        metrics.per_video(SCORES | {"b": change(SCORES["b"])})


@pytest.mark.parametrize("wrong", WRONG_SCORES)
@pytest.mark.parametrize("part", ["base", "times", "raw"])
def test_further_curves_are_checked_too(wrong, part):
    change, code = WRONG_SCORES[wrong]
    curves = SCORES | {"b": change(np.sort(SCORES["b"]))}
    with refused(code, "'b'", field=part):
        if part == "base":
            metrics.bootstrap(LABELS, SCORES, curves)
        elif part == "times":
            metrics.alarm_metrics(LABELS, SCORES, curves, 0.5)
        else:
            Result(SCORES, curves, {}, {}, TIMES, {}, Calibration({}, 0.0, ScoreConfig()), {})


def test_times_that_go_back_are_refused():
    backward = TIMES | {"a": TIMES["a"][::-1]}
    with refused("out-of-range", "'a'", field="times"):
        metrics.alarm_metrics(LABELS, SCORES, backward, 0.5)
    with refused("out-of-range", field="times"):
        metrics.frame_edges(backward["a"])


def test_kinds_must_fit_the_labels():
    with refused("label-length", "'a'", field="kinds"):
        metrics.kind_aucs(LABELS, SCORES, KINDS | {"a": KINDS["b"]})
    with refused("conflict", field="kinds"):
        metrics.kind_aucs(LABELS, SCORES, KINDS | {"a": ["cart"] * 100})
    with refused("conflict", field="kinds"):
        metrics.kind_aucs(LABELS, SCORES, KINDS | {"a": [""] * 100})


def test_numbers_outside_their_range_are_refused():
    with refused("out-of-range", field="threshold"):
        metrics.alarm_metrics(LABELS, SCORES, TIMES, float("nan"))
    with refused("out-of-range", field="draws"):
        metrics.bootstrap(LABELS, SCORES, draws=0)
    for level in (0, 1, 95):
        with refused("out-of-range", field="level"):
            metrics.bootstrap(LABELS, SCORES, level=level)
    score_map, mask = np.zeros((3, 4)), np.ones((6, 8), bool)
    for share in (0, 1.5):
        with refused("out-of-range", field="share"):
            metrics.found_pixels(score_map, mask, share)
    with refused("wrong-shape", field="mask"):
        metrics.found_pixels(score_map, mask.astype(np.uint8))
    for wrong in (score_map[0], np.full((3, 4), np.nan), np.zeros((0, 4))):
        with refused("wrong-shape", field="score_map"):
            metrics.found_pixels(wrong, mask)
    for wrong in ([0, 255], [0, -1], [[0, 1]]):
        with pytest.raises(InputError):
            metrics.intervals(np.array(wrong))


FORMS = {
    "list": lambda v: v.tolist(),
    "tuple": lambda v: tuple(v.tolist()),
    "int8": lambda v: v.astype(np.int8),
    "uint8": lambda v: v.astype(np.uint8),
    "int64": lambda v: v.astype(np.int64),
    "float16": lambda v: v.astype(np.float16),
    "float32": lambda v: v.astype(np.float32),
    "big-endian": lambda v: v.astype(">f4"),
    "tensor": torch.tensor,
    "not contiguous": lambda v: np.repeat(v, 2)[::2],
    "read-only": lambda v: np.frombuffer(v.astype(np.float64).tobytes()),
    "masked nowhere": np.ma.masked_array,
}
# hold in eight bits, signed or not
INTEGERS = {name: np.clip(60 * values, 0, 127).round() for name, values in SCORES.items()}


@pytest.mark.parametrize("metric", NUMBERS)
@pytest.mark.parametrize("form", FORMS)
def test_the_same_values_in_another_form_give_the_same_number(form, metric):
    scores = {name: FORMS[form](values) for name, values in INTEGERS.items()}
    labels = {name: FORMS[form](values) for name, values in LABELS.items()}
    assert METRICS[metric](labels, scores) == METRICS[metric](LABELS, INTEGERS)


@pytest.mark.parametrize("form", FORMS)
def test_scaling_does_not_overflow(form):
    """int8 differences would; so would the difference of the two largest floats."""
    values = np.array([-120.0, 0, 120]) if form != "uint8" else np.array([0.0, 100, 200])
    scaled = metrics.per_video({"a": FORMS[form](values)})["a"]
    assert scaled.tolist() == [0, 0.5, 1]
    largest = np.finfo(np.float64).max
    assert metrics.per_video({"a": np.array([-largest, 0, largest])})["a"].tolist() == [0, 0.5, 1]


def test_a_result_holds_arrays_of_one_type():
    lists = {name: values.tolist() for name, values in SCORES.items()}
    result = result_of(lists, {name: values.tolist() for name, values in LABELS.items()})
    for name in SCORES:
        assert result.scores[name].dtype == result.times[name].dtype == np.float64
        assert result.labels[name].dtype == np.uint8
        np.testing.assert_array_equal(result.scores[name], SCORES[name])


def test_the_order_of_the_videos_does_not_matter():
    reversed_labels = dict(reversed(LABELS.items()))
    for metric in NUMBERS:
        assert METRICS[metric](reversed_labels, SCORES) == METRICS[metric](LABELS, SCORES)


TYPES = ["int8", "uint8", "int16", "uint32", "int64", "float32", "float64"]


@st.composite
def videos(draw):
    """Scores and labels of 1 to 4 videos that hold both kinds of frame together. Scores of few
    values, so with ties.
    """
    scores, labels = {}, {}
    for k in range(draw(st.integers(1, 4))):
        truth = draw(st.lists(st.integers(0, 1), min_size=1, max_size=12))
        values = draw(st.lists(st.integers(0, 100), min_size=len(truth), max_size=len(truth)))
        labels[str(k)] = np.array(truth, draw(st.sampled_from([*TYPES, bool])))
        scores[str(k)] = np.array(values, draw(st.sampled_from(TYPES)))
    labels["last"], scores["last"] = np.array([0, 1]), np.array([7, draw(st.integers(0, 100))])
    return scores, labels


@given(videos())
def test_valid_curves_give_the_numbers_of_scikit_learn(curves):
    scores, labels = curves
    truth = np.concatenate([np.asarray(values, int) for values in labels.values()])
    pooled = np.concatenate([np.asarray(values, float) for values in scores.values()])
    assert metrics.micro_auc(labels, scores) == pytest.approx(roc_auc_score(truth, pooled))
    assert metrics.average_precision(labels, scores) == pytest.approx(
        average_precision_score(truth, pooled)
    )
    assert metrics.kind_aucs(labels, scores, kinds_of(labels)) == pytest.approx(
        {"cart": roc_auc_score(truth, pooled)}
    )
    false, true, _ = roc_curve(truth, pooled)
    crossing = brentq(lambda rate: 1 - rate - np.interp(rate, false, true), -1e-9, 1)
    assert metrics.equal_error_rate(labels, scores) == pytest.approx(crossing, abs=1e-8)
    areas = [
        roc_auc_score(labels[n].astype(int), scores[n].astype(float))
        for n in labels
        if len(np.unique(labels[n])) == 2
    ]
    assert metrics.macro_auc(labels, scores) == (
        pytest.approx(np.mean(areas)),
        len(labels) - len(areas),
    )
    alarms = metrics.alarm_metrics(labels, scores, times_of(scores), 50)
    assert alarms["normal_frames_above"] == pytest.approx(np.mean(pooled[truth == 0] > 50))


@given(videos(), st.data())
def test_a_single_wrong_video_among_valid_ones_is_refused(curves, data):
    scores, labels = curves
    name = data.draw(st.sampled_from(sorted(scores)))
    if data.draw(st.booleans()):
        change, _ = WRONG_SCORES[
            data.draw(st.sampled_from(["a column", "text", "complex", "no frames"]))
        ]
        scores = scores | {name: change(scores[name])}
    else:
        change, _ = WRONG_LABELS[
            data.draw(
                st.sampled_from(["a column", "text", "1 and 2", "one frame less", "one frame more"])
            )
        ]
        labels = labels | {name: change(labels[name].astype(int))}
    outcomes = set()
    for metric in (
        metrics.micro_auc,
        metrics.macro_auc,
        metrics.average_precision,
        metrics.equal_error_rate,
        metrics.bootstrap,
    ):
        with pytest.raises(InputError) as refusal:
            metric(labels, scores)
        outcomes.add((refusal.value.code, refusal.value.field, str(refusal.value)))
    assert len(outcomes) == 1, "the same answer from every metric"


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
    videos = sorted({key.partition("/")[2] for key in stored.files})
    scores, labels = (
        {video: stored[f"{part}/{video}"] for video in videos} for part in ("score", "label")
    )
    frames, raw, scaled = PUBLISHED[name]
    assert sum(map(len, scores.values())) == frames
    assert metrics.micro_auc(labels, scores) == pytest.approx(raw, abs=5e-5)
    assert metrics.micro_auc(labels, metrics.per_video(scores)) == pytest.approx(scaled, abs=5e-5)
