"""Plots show the numbers they are given; figures carry their text."""

import base64
import html
import re

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from refusals import refused
from results import result_of
from sklearn.metrics import roc_auc_score

from vadlib.output import figure, plots


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


def test_score_curve_has_the_scores_the_threshold_and_the_shaded_truth(result):
    ax = plots.plot_scores(result, "01")
    curve, threshold = ax.get_lines()
    np.testing.assert_array_equal(curve.get_ydata(), result.scores["01"])
    np.testing.assert_allclose(curve.get_xdata(), np.arange(40) / 10)
    assert set(threshold.get_ydata()) == {1.5}
    spans = sorted(
        (patch.get_extents().transformed(ax.transData.inverted())).intervalx.round(2).tolist()
        for patch in ax.patches
    )
    assert spans == [[1.0, 2.0], [3.0, 4.0]]


def test_other_scores_may_bring_their_threshold(result):
    curve, threshold = plots.plot_scores(
        result, "01", rescored=result.raw, threshold=0.25
    ).get_lines()
    np.testing.assert_array_equal(curve.get_ydata(), result.raw["01"])
    assert set(threshold.get_ydata()) == {0.25}


def test_other_scores_are_shown_without_the_threshold_that_is_not_theirs(result):
    ax = plots.plot_scores(result, "01", rescored=result.raw)
    [curve] = ax.get_lines()
    np.testing.assert_array_equal(curve.get_ydata(), result.raw["01"])


def test_score_curve_of_a_varying_rate_goes_by_the_frames_own_times(result):
    times = result.times | {"01": np.cumsum(np.tile([0.05, 0.3], 20))}
    result = result_of(result.scores, result.labels, result.raw, times)
    ax = plots.plot_scores(result, "01")
    np.testing.assert_allclose(ax.get_lines()[0].get_xdata(), result.times["01"])
    spans = sorted(
        (patch.get_extents().transformed(ax.transData.inverted())).intervalx.round(4).tolist()
        for patch in ax.patches
    )
    times = [*result.times["01"], 2 * result.times["01"][-1] - result.times["01"][-2]]
    assert spans == [[round(times[a], 4), round(times[b], 4)] for a, b in ((10, 20), (30, 40))]


def test_score_curve_of_an_unknown_video(result):
    with refused("unknown-name", field="name"):
        plots.plot_scores(result, "07")


def test_roc_prints_the_areas_of_scikit_learn(result):
    truth = np.concatenate(list(result.labels.values()))
    ax = plots.plot_roc(
        result.labels, {"calibrated": result.scores, "raw": result.raw, "again": result.raw}
    )
    printed = [
        float(re.search(r"AUC ([\d.]+)", text.get_text())[1])
        for text in ax.get_legend().get_texts()
    ]
    expected = [
        roc_auc_score(truth, np.concatenate(list(s.values())))
        for s in (result.scores, result.raw, result.raw)
    ]
    assert printed == [pytest.approx(e, abs=5e-4) for e in expected]
    styles = {line.get_linestyle() for line in ax.get_lines()[:3]}
    assert len(styles) == 3, "the curves differ by more than colour"


def test_intervals_of_labels():
    assert plots.intervals(np.array([1, 1, 0, 0, 1])) == [(0, 2), (4, 5)]
    assert plots.intervals(np.zeros(4)) == []
    assert plots.intervals(np.ones(3)) == [(0, 3)]


def test_show_emits_an_image_with_its_text(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    drawing = plt.figure(figsize=(1, 1))
    figure.show(drawing, 'A line that rises <fast> & "far".')
    [output] = shown
    assert 'alt="A line that rises &lt;fast&gt; &amp; &quot;far&quot;."' in output.data
    caption = re.search(r'<figcaption aria-hidden="true".*?>(.*?)</figcaption>', output.data)[1]
    assert html.unescape(caption) == 'A line that rises <fast> & "far".', (
        "for those who see it, once for those who hear it"
    )
    encoded = re.search(r"base64,([^\"]+)", output.data)[1]
    assert base64.b64decode(encoded).startswith(b"\x89PNG")
    assert not plt.fignum_exists(drawing.number)


@pytest.mark.parametrize("text", ["", "a score curve"])
def test_show_refuses_a_text_that_says_nothing(text):
    with refused("too-few", field="alt"):
        figure.show(plt.figure(), text)


def test_colours_differ_for_colour_blind_readers_and_in_grey():
    """Brettel's model reduced to its deuteranopia matrix (Viénot 1999); the pairs used together
    must stay apart.
    """
    from matplotlib.colors import to_rgb

    deuteranopia = np.array(
        [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]]
    )
    for one, two in (
        (figure.BLUE, figure.ORANGE),
        (figure.BLUE, figure.GREEN),
        (figure.GREEN, figure.ORANGE),
    ):
        seen = [deuteranopia @ np.square(to_rgb(colour)) for colour in (one, two)]
        assert np.abs(seen[0] - seen[1]).max() > 0.1
