"""What metrics accept and refuse: valid curves in any form give the same numbers, everything else
the same `InputError`.
"""

import numpy as np
import pytest
import torch
from refusals import refused
from results import result_of

from vadlib.evaluation import metrics

LABELS = {"a": np.repeat([0, 1], [60, 40]), "b": np.repeat([0, 1], [30, 50])}
SCORES, TIMES, KINDS = {}, {}, {}
for video, truth in LABELS.items():
    SCORES[video] = truth + np.random.default_rng(len(truth)).normal(size=len(truth))
    TIMES[video] = np.arange(len(truth)) / 25
    KINDS[video] = np.where(truth == 1, "cart", "")
METRICS = (
    *(metrics.micro_auc, metrics.macro_auc, metrics.average_precision, metrics.equal_error_rate),
    *(metrics.bootstrap, lambda labels, scores: metrics.kind_aucs(labels, scores, KINDS)),
    lambda labels, scores: metrics.alarm_metrics(labels, scores, TIMES, 0.5),
)
# field -> a function that takes these curves
CURVES = {
    "y_true": lambda curves: metrics.micro_auc(curves, SCORES),
    "labels": lambda curves: result_of(SCORES, curves),
    "y_score": metrics.per_video,
    "base": lambda curves: metrics.bootstrap(LABELS, SCORES, curves),
    "times": lambda curves: metrics.alarm_metrics(LABELS, SCORES, curves, 0.5),
    "raw": lambda curves: result_of(SCORES, raw=curves),
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
    curves = LABELS if are_labels else {"a": SCORES["a"], "b": np.sort(SCORES["b"])}
    for change, code in (WRONG_LABELS if are_labels else WRONG_SCORES).values():
        with refused(code, field=field) as caught:
            CURVES[field](curves | {"b": change(curves["b"])})
        assert "'b'" in str(caught.error)


@pytest.mark.parametrize("metric", METRICS)
def test_other_videos_are_refused_by_every_metric(metric):
    swapped = {"a": LABELS["b"], "b": LABELS["a"]}  # the sum of their lengths agrees
    with refused("label-length", field="y_true") as caught:
        metric(swapped, SCORES)
    assert all(part in str(caught.error) for part in ("'a'", "80", "100"))
    for code, labels in (
        ("missing-labels", {"a": LABELS["a"]}),
        ("labels-without-frames", LABELS | {"c": LABELS["a"]}),
        ("label-values", {"a": LABELS["a"] * 2 - 1, "b": LABELS["b"]}),
    ):
        with refused(code, field="y_true"):
            metric(labels, SCORES)
    for code, scores in (("wrong-type", np.zeros(3)), ("too-few", {})):
        with refused(code, field="y_score"):
            metric(LABELS, scores)


def test_further_arguments_must_fit():
    for kinds, code in ((KINDS["b"], "label-length"), (["cart"] * 100, "conflict")):
        with refused(code, field="kinds"):
            metrics.kind_aucs(LABELS, SCORES, KINDS | {"a": kinds})
    with refused("out-of-range", field="times"):
        metrics.alarm_metrics(LABELS, SCORES, TIMES | {"a": TIMES["a"][::-1]}, 0.5)
    with refused("out-of-range", field="threshold"):
        metrics.alarm_metrics(LABELS, SCORES, TIMES, float("nan"))
    with refused("out-of-range", field="draws"):
        metrics.bootstrap(LABELS, SCORES, draws=0)


def test_a_result_refuses_parts_that_do_not_fit_and_holds_arrays_of_one_type():
    for part in ("labels", "times", "raw"):
        with refused("label-length", field=part):
            result_of(SCORES, **{part: {"a": LABELS["b"], "b": LABELS["b"]}})
    with refused("too-few", field="videos"):
        result_of({})
    lists = {name: values.tolist() for name, values in SCORES.items()}
    result = result_of(lists, {name: values.tolist() for name, values in LABELS.items()})
    assert result.scores["a"].dtype == result.times["a"].dtype == np.float64
    assert result.labels["a"].dtype == np.uint8
    np.testing.assert_array_equal(result.scores["a"], SCORES["a"])


FORMS = {"list": list, "tensor": torch.tensor, "masked nowhere": np.ma.masked_array}
FORMS |= {"int8": lambda v: v.astype(np.int8), "big-endian": lambda v: v.astype(">f4")}
# hold in eight bits, signed or not
INTEGERS = {name: np.clip(60 * values, 0, 127).round() for name, values in SCORES.items()}


@pytest.mark.parametrize("form", FORMS)
def test_form_and_order_do_not_change_the_number(form):
    scores = {name: FORMS[form](values) for name, values in INTEGERS.items()}
    labels = {name: FORMS[form](values) for name, values in reversed(LABELS.items())}
    for metric in METRICS:
        assert metric(labels, scores) == metric(LABELS, INTEGERS)
