"""Plots show the numbers they are given; figures carry their text."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from refusals import refused
from results import result_of
from sklearn.metrics import roc_auc_score

from vadlib.output import plots
from vadlib.output.figure import BLUE, GREEN, ORANGE


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def result():
    generator = np.random.default_rng(0)
    labels = {"01": np.repeat([0, 1, 0, 1], 10).astype(np.uint8), "02": np.zeros(30, np.uint8)}
    scores = {name: generator.normal(size=len(v)) + v for name, v in labels.items()}
    raw = {name: generator.normal(size=len(v)) + v for name, v in labels.items()}
    times = {name: np.arange(len(v)) / 10 for name, v in labels.items()}
    return result_of(scores, labels, raw, times, threshold=1.5)


def test_score_curve_has_the_scores_the_threshold_and_the_truth_at_the_frames_own_times(result):
    times = result.times | {"01": np.cumsum(np.tile([0.05, 0.3], 20))}  # of a varying rate
    result = result_of(result.scores, result.labels, result.raw, times, threshold=1.5)
    ax = plots.plot_scores(result, "01")
    curve, threshold = ax.get_lines()
    np.testing.assert_array_equal(curve.get_ydata(), result.scores["01"])
    np.testing.assert_allclose(curve.get_xdata(), times["01"])
    assert set(threshold.get_ydata()) == {1.5}
    spans = [patch.get_extents().transformed(ax.transData.inverted()) for patch in ax.patches]
    edges = [*times["01"], 2 * times["01"][-1] - times["01"][-2]]
    expected = [[edges[10], edges[20]], [edges[30], edges[40]]]
    np.testing.assert_allclose(sorted(span.intervalx.tolist() for span in spans), expected)
    assert len(ax.get_legend().get_texts()) == 3
    with refused("unknown-name", field="name"):
        plots.plot_scores(result, "07")


def test_other_scores_are_shown_without_the_threshold_that_is_not_theirs(result):
    [curve] = plots.plot_scores(result, "01", rescored=result.raw).get_lines()
    np.testing.assert_array_equal(curve.get_ydata(), result.raw["01"])
    ax = plots.plot_scores(result, "01", rescored=result.raw, threshold=0.25)
    assert set(ax.get_lines()[1].get_ydata()) == {0.25}


def test_roc_prints_the_areas_of_scikit_learn(result):
    curves = {"calibrated": result.scores, "raw": result.raw}
    ax = plots.plot_roc(result.labels, curves)
    truth = np.concatenate(list(result.labels.values()))
    for text, scores in zip(ax.get_legend().get_texts(), curves.values(), strict=True):
        area = roc_auc_score(truth, np.concatenate(list(scores.values())))
        assert text.get_text().endswith(f"AUC {area:.3f}")
    styles = {line.get_linestyle() for line in ax.get_lines()[:2]}
    assert len(styles) == 2, "the curves differ by more than colour"


def test_colours_differ_for_colour_blind_readers_and_in_grey():
    """Brettel's model reduced to its deuteranopia matrix (Viénot 1999); the pairs used together
    must stay apart.
    """
    deuteranopia = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
    for pair in itertools.combinations((BLUE, ORANGE, GREEN), 2):
        seen = [deuteranopia @ np.square(to_rgb(colour)) for colour in pair]
        assert np.abs(seen[0] - seen[1]).max() > 0.1
