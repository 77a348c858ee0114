"""Plots of traps show the numbers they are given, with their signs, and differ by more than colour."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from vadlib.course.figures.traps import (
    plot_auc_by_label_shift,
    plot_auc_shifts,
    plot_selection_gains,
)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_bars_have_sign_and_number_and_stand_in_order():
    ax = plot_auc_shifts({"padded": (0.8, 0.95), "shifted": (0.9, 0.85), "none": (0.9, 0.9)})
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([0.15, -0.05, 0])
    assert [text.get_text() for text in ax.texts] == ["+0.150", "-0.050", "+0.000"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["padded", "shifted", "none"]


def test_the_largest_auc_is_marked_whatever_the_order():
    ax = plot_auc_by_label_shift({4: 0.9, -4: 0.7, 0: 0.8})
    curve, mark = ax.lines[:2]
    assert curve.get_xydata().tolist() == [[-4, 0.7], [0, 0.8], [4, 0.9]]
    assert mark.get_xydata().tolist() == [[4, 0.9]]


@pytest.mark.parametrize(
    "gains", [[[0.02, -0.03], [0.0, -0.01]], [[0.05, 0.05], [0.04, 0.03]], [[0, 0], [0, 0]]]
)
def test_histograms_hold_all_gains_and_no_bar_reaches_across_zero(gains):
    ax = plot_selection_gains(np.array(gains))
    for outline, column in zip(ax.patches, np.transpose(gains), strict=True):
        edges, heights = outline.get_xy()[:, 0], outline.get_xy()[:, 1]
        assert edges.min() <= column.min() <= column.max() <= edges.max()
        assert heights.max() == max(np.histogram(column, np.unique(edges))[0])
        assert np.isclose(edges, 0).any() or column.min() > 0
    assert [text.get_text().split()[-1] for text in ax.get_legend().get_texts()] == [
        f"{mean:+.3f}" for mean in np.mean(gains, 0)
    ]
