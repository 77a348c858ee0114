"""Figures of evaluation traps: AUCs that they move, and gains by choosing on test labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from vadlib.course.figures.style import Look, legend_above, list_downwards, one_panel
from vadlib.output.figure import BLUE, GREY, ORANGE


def plot_auc_shifts(areas: Mapping[str, tuple[float, float]]) -> Axes:
    """Draw how far each trap moves the AUC.

    A hatched bar to the right means that the number becomes too good, a bar to the left that it
    suffers.

    Args:
        areas: trap -> (honest AUC, AUC in the trap), from the top.
    """
    ax = one_panel(8, 0.32 * len(areas) + 1)
    for row, (honest, trapped) in enumerate(areas.values()):
        shift = trapped - honest
        look: Look = {"facecolor": BLUE}
        if shift > 0:
            look = {"facecolor": ORANGE, "hatch": "////"}
        ax.barh(row, shift, 0.7, edgecolor="white", linewidth=0, **look)
        offset, side = (4, "left") if shift >= 0 else (-4, "right")
        text: Look = {"textcoords": "offset points", "va": "center", "fontsize": "small"}
        ax.annotate(f"{shift:+.3f}", (shift, row), (offset, 0), ha=side, **text)
    ax.axvline(0, color=GREY, linewidth=0.8)
    list_downwards(ax, list(areas))
    ax.set_xlabel("shift of the AUC")
    ax.margins(x=0.2)
    return ax


def plot_auc_by_label_shift(areas: Mapping[int, float]) -> Axes:
    """Draw the AUC against labels that come late (right) or early (left); the largest is marked.

    Args:
        areas: frames by which labels come late -> AUC.
    """
    ax = one_panel(7, 2.8)
    shifts = sorted(areas)
    best = max(areas, key=lambda shift: areas[shift])
    ax.plot(shifts, [areas[shift] for shift in shifts], color=BLUE, marker=".")
    ring: Look = {"color": ORANGE, "markersize": 9, "fillstyle": "none"}
    ax.plot(best, areas[best], "o", label=f"largest at {best}", **ring)
    ax.axvline(0, color=GREY, linestyle="--", linewidth=1)
    ax.set(xlabel="frames by which labels come late; negative: early", ylabel="AUC")
    ax.legend(fontsize="small")
    return ax


def plot_selection_gains(gains: np.ndarray) -> Axes:
    """Draw claimed and true gains of choosing on test labels as histograms, their means dashed.

    Args:
        gains: (N, 2), see `vadlib.course.traps.split_gains`.
    """
    ax = one_panel(7, 2.8)
    width = max(float(np.ptp(gains)), 1e-3) / 25
    # one of the edges is 0: no bar crosses it
    edges = width * np.arange(np.floor(gains.min() / width), np.ceil(gains.max() / width) + 2)
    claimed: Look = {"color": ORANGE, "histtype": "step", "hatch": "////", "linewidth": 1.5}
    true: Look = {"color": BLUE, "histtype": "stepfilled", "alpha": 0.5}
    labels = ("claimed, on the videos chosen on", "true, on the others")
    for values, label, look in zip(gains.T, labels, (claimed, true), strict=True):
        mean = float(values.mean())
        ax.hist(values, edges.tolist(), label=f"{label}: mean {mean:+.3f}", **look)
        ax.axvline(mean, color=look["color"], linestyle="--", linewidth=1.5)
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="gain in AUC over the default", ylabel="splits")
    legend_above(ax, 2)
    return ax
