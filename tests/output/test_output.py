"""Annotated frames, plots and the table of metrics show the numbers that they are given, and an
alarm is seen without colour.
"""

import re

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pytest
from refusals import refused
from results import result_of
from sklearn.metrics import roc_auc_score

from vadlib.output import plots
from vadlib.output.annotation import annotate
from vadlib.output.report import describe_metrics


def picture(channels=3, size=(240, 320)):
    return np.random.default_rng(0).integers(60, 180, (*size, channels), np.uint8)


def annotated(score, channels=3, threshold=4.0, seconds=3723.5):
    """One cell of the map has the score, the others half of the threshold."""
    score_map = np.full((30, 40), threshold - 2)
    score_map[10, 20] = score
    return annotate(picture(channels), score_map, score, threshold, seconds)


def filled(frame):
    """Columns of the bar that are neither ground nor the mark."""
    row = frame[240 + (len(frame) - 240) // 4 + 1].astype(int)
    return np.flatnonzero(np.ptp(row, axis=1) > 30)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_normal_frame_stays_as_it_is_and_heat_is_above_the_threshold(channels):
    expected = np.broadcast_to(picture(channels), (240, 320, 3))
    np.testing.assert_array_equal(annotated(4.0, channels)[:240], expected)
    changed = (annotated(9.0, channels)[:240] != expected).any(2)[5:-5, 5:-5]
    places = np.argwhere(changed) + 5  # inside the frame of an alarm
    # The cell is 8 x 8 pixels; its outline is up to 2 pixels thick on each side.
    assert [*places.min(0), *places.max(0)] == pytest.approx([80, 160, 87, 167], abs=2)


def test_an_alarm_is_seen_without_colour():
    pair = [cv2.cvtColor(annotated(score), cv2.COLOR_RGB2GRAY) for score in (3.99, 4.01)]
    differ = np.abs(np.diff(np.array(pair, int), axis=0)[0]) > 60
    assert differ[:240, :3].mean() > 0.9  # a white frame
    assert differ[240:, -70:].sum() > 60  # a word
    assert differ[240:, 100:200].sum() > 40  # hatches


@pytest.mark.parametrize("threshold", [4.0, 0.0, -2.0])
def test_the_bar_grows_with_the_score_up_to_the_mark_and_beyond(threshold):
    scores = [threshold + d for d in (-0.5, -0.05, 0.05, 0.5, 30, 90)]
    bars = [filled(annotated(score, threshold=threshold)) for score in scores]
    ends = [bar.max(initial=0) for bar in bars]
    assert np.diff(ends).min() >= -3  # the last may be a hatch
    assert ends[4] == ends[5], "the bar is full"
    mark = np.flatnonzero((annotated(scores[0], threshold=threshold)[242] == 255).all(1))
    assert len(mark) == 2  # above the bar nothing else is white
    assert ends[1] <= mark.max() + 2
    assert ends[2] >= mark.min() - 4  # the last may be a hatch
    assert len(filled(annotated(threshold - 9, threshold=threshold))) == 0


@pytest.mark.parametrize(
    ("size", "expected"),
    [((48, 64), (240, 320)), ((241, 363), (240, 364)), ((2000, 90), (5334, 240))],
)
def test_sizes_are_even_and_small_frames_enlarged(size, expected):
    quiet, alarm = (
        annotate(picture(1, size), np.full((6, 8), score), score, 4.0, 0).shape for score in (0, 9)
    )
    assert quiet == alarm
    assert quiet[1] == expected[1]
    assert quiet[0] > expected[0]
    assert quiet[0] % 2 == 0


@pytest.mark.parametrize("hours", [0, 99, 100, 87_600])
def test_the_clock_of_a_long_film_does_not_reach_into_the_bar(hours):
    strip = annotated(-1.0, seconds=3600.0 * hours + 59)[240:]
    bar = np.flatnonzero((strip[len(strip) // 4 + 1] == 60).all(1))
    bright = np.flatnonzero((strip[:, : strip.shape[1] // 2] > 200).any((0, 2)))
    text = bright[bright < bar.min()]
    assert len(text) > 20
    assert text.max() < bar.min() - 3
    assert len(bright) - len(text) <= 2, "only the mark is bright inside the bar"


# --- plots


@pytest.fixture
def result():
    generator = np.random.default_rng(0)
    labels = {"01": np.repeat([0, 1, 0, 1], 10).astype(np.uint8), "02": np.zeros(30, np.uint8)}
    scores = {name: generator.normal(v) for name, v in labels.items()}
    raw = {name: generator.normal(v) for name, v in labels.items()}
    # of a varying rate
    times = {name: np.cumsum(np.tile([0.05, 0.3], len(v) // 2)) for name, v in labels.items()}
    yield result_of(scores, labels, raw, times, threshold=1.5)
    plt.close("all")


def test_a_score_curve_has_scores_threshold_and_truth_at_the_frames_own_times(result):
    ax = plots.plot_scores(result, "01")
    curve, threshold = ax.get_lines()
    times = result.times["01"]
    np.testing.assert_array_equal(curve.get_ydata(), result.scores["01"])
    np.testing.assert_allclose(curve.get_xdata(), times)
    assert set(threshold.get_ydata()) == {1.5}
    spans = [patch.get_extents().transformed(ax.transData.inverted()) for patch in ax.patches]
    edges = [*times, 2 * times[-1] - times[-2]]
    expected = [[edges[10], edges[20]], [edges[30], edges[40]]]
    np.testing.assert_allclose(sorted(span.intervalx.tolist() for span in spans), expected)
    assert len(ax.get_legend().get_texts()) == 3
    # other scores are without the threshold that is not theirs
    [curve] = plots.plot_scores(result, "01", rescored=result.raw).get_lines()
    np.testing.assert_array_equal(curve.get_ydata(), result.raw["01"])
    ax = plots.plot_scores(result, "01", rescored=result.raw, threshold=0.25)
    assert set(ax.get_lines()[1].get_ydata()) == {0.25}
    with refused("unknown-name", field="name"):
        plots.plot_scores(result, "07")


def test_roc_curves_have_the_areas_of_scikit_learn_and_differ_by_more_than_colour(result):
    curves = {"calibrated": result.scores, "raw": result.raw}
    ax = plots.plot_roc(result.labels, curves)
    truth = np.concatenate(list(result.labels.values()))
    for text, scores in zip(ax.get_legend().get_texts(), curves.values(), strict=True):
        area = roc_auc_score(truth, np.concatenate(list(scores.values())))
        assert text.get_text().endswith(f"AUC {area:.3f}")
    assert len({line.get_linestyle() for line in ax.get_lines()[:2]}) == 2
    with refused("out-of-range", field="curves"):
        plots.plot_roc(result.labels, dict.fromkeys("abcde", result.raw))


# --- the table of metrics

METRICS = {
    **{"micro_auc_raw": 0.90987, "micro_auc_calibrated": 0.90976, "micro_auc_per_video": 0.89362},
    **{"macro_auc": 0.92575, "macro_auc_left_out": 4, "eer": 0.18021, "detection_delay": None},
    "intervals": {"micro_auc_raw": (0.8337, 0.96497), "micro_auc_calibrated": None},
    **{"events": 12, "events_found": 11, "false_alarms": 6, "false_alarms_per_hour": 596.685},
    **{"kind_auc": {"cart": 0.98212}, "videos": 12, "frames": 2010, "abnormal_frames": 1648},
    **{"ground_truth": "vol", "dataset": "avenue"},
}


def test_every_number_is_in_its_row():
    lines = describe_metrics(METRICS).splitlines()
    assert "avenue" in lines[0]
    assert re.findall(r"\d+", lines[0]) == ["12", "2010", "1648", "4", "11", "12", "6"]
    assert "vol" in lines[1]
    rows = [line for line in lines if re.match(r"[a-z_]+  |AUC of", line)]
    assert dict(re.split(r"  +", row, maxsplit=1) for row in rows) == {
        "micro_auc_per_video": "0.894",
        "micro_auc_raw": "0.910 [0.834, 0.965]",
        "micro_auc_calibrated": "0.910",
        "macro_auc": "0.926",
        "eer": "0.180",
        "detection_delay": "-",
        "false_alarms_per_hour": "597",
        "AUC of cart": "0.982",
    }


def test_protocols_truths_and_the_best_baseline_are_columns():
    other = {"micro_auc_raw": 0.5, "intervals": {"micro_auc_raw": (0.4, 0.6)}}
    first = {"micro_auc_raw": 0.873, "micro_auc_per_video": 0.7, "macro_auc": None}
    second = {"micro_auc_raw": 0.6, "micro_auc_per_video": 0.8, "macro_auc": None}
    more = {"protocols": {"all, community": other}, "baselines": {"first": first, "second": second}}
    lines = describe_metrics(METRICS | more).splitlines()
    assert re.split(r"  +", lines[1].strip()) == ["all, vol", "all, community", "best baseline"]
    rows = {line.split("  ")[0]: re.split(r"  +", line)[1:] for line in reversed(lines)}
    assert rows["micro_auc_raw"] == ["0.910 [0.834, 0.965]", "0.500 [0.400, 0.600]", "0.873"]
    assert rows["micro_auc_per_video"][-1] == "0.800"
    assert rows["second"] == ["0.600", "0.800", "-"]
    assert rows["the best"] == ["0.873", "0.800", "-"]
