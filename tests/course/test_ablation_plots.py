"""The picture of an ablation: what is drawn where."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from refusals import refused

from vadlib.course.figures.ablation import plot_ablation

TABLE = [
    {
        "row": "best baseline",
        "micro_auc_raw": 0.8,
        "micro_auc_raw_low": -0.2,
        "micro_auc_raw_high": -0.01,
        "micro_auc_calibrated": None,
    },
    {
        "row": "default",
        "micro_auc_raw": 0.9,
        "micro_auc_raw_low": None,
        "micro_auc_raw_high": None,
        "micro_auc_calibrated": 0.91,
    },
    {
        "row": "seed 1",
        "micro_auc_raw": 0.89,
        "micro_auc_raw_low": -0.03,
        "micro_auc_raw_high": 0.02,
        "micro_auc_calibrated": 0.9,
    },
    {
        "row": "p = 0",
        "micro_auc_raw": 0.85,
        "micro_auc_raw_low": -0.08,
        "micro_auc_raw_high": -0.02,
        "micro_auc_calibrated": 0.85,
    },
]


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_each_row_has_its_auc_and_the_interval_of_its_difference_to_the_default():
    ax = plot_ablation(TABLE)
    assert [label.get_text() for label in ax.get_yticklabels()] == [row["row"] for row in TABLE]
    markers = {
        int(line.get_ydata()[0]): line for line in ax.lines if line.get_marker() not in ("None", "")
    }
    assert [float(markers[y].get_xdata()[0]) for y in range(4)] == [
        row["micro_auc_raw"] for row in TABLE
    ]
    bars = {
        int(line.get_ydata()[0]): line.get_xdata()
        for line in ax.lines
        if len(line.get_xdata()) == 2 and line.get_linestyle() == "-"
    }
    assert set(bars) == {0, 2, 3}
    np.testing.assert_allclose(bars[3], [0.82, 0.88])


def test_what_may_be_chance_looks_otherwise_than_what_is_not():
    ax = plot_ablation(TABLE)
    markers = {
        int(line.get_ydata()[0]): line.get_marker()
        for line in ax.lines
        if line.get_marker() not in ("None", "")
    }
    assert markers[1] == markers[2], "both may be chance"
    assert len(set(markers.values())) == 3, (
        "the baseline, chance and no chance differ without colours too"
    )
    [band] = ax.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((0.89, 0.9))


@pytest.mark.parametrize(
    ("table", "measure"),
    [([], "micro_auc_raw"), (TABLE[2:], "micro_auc_raw"), (TABLE, "micro_auc_median")],
)
def test_without_a_default_to_compare_with_it_says_so(table, measure):
    with refused("unknown-name", field="measure"):
        plot_ablation(table, measure)


def test_rows_without_the_measure_are_left_out():
    ax = plot_ablation(TABLE, "micro_auc_calibrated")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["default", "seed 1", "p = 0"]
