"""Plots of evaluation traps: how far each moves an AUC, and what choosing on test labels claims.
Numbers in, Axes out.
"""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from vadlib.output.figure import BLUE, GREY, ORANGE


def plot_auc_shifts(areas: Mapping[str, tuple[float, float]], ax: Axes | None = None) -> Axes:
    """How far each trap moves the AUC: a bar to the right, hatched, where the number gets too good,
    to the left where it suffers.

    Args:
        areas: trap -> (honest AUC, AUC in the trap), from the top.
        ax: where to draw.
    """
    ax = ax or plt.subplots(figsize=(8, 0.32 * len(areas) + 1), layout="constrained")[1]
    shifts = [trapped - honest for honest, trapped in areas.values()]
    for row, shift in enumerate(shifts):
        look = {"facecolor": ORANGE, "hatch": "////"} if shift > 0 else {"facecolor": BLUE}
        ax.barh(row, shift, 0.7, edgecolor="white", linewidth=0, **look)
        ax.annotate(
            f"{shift:+.3f}",
            (shift, row),
            (4 if shift >= 0 else -4, 0),
            textcoords="offset points",
            va="center",
            ha="left" if shift >= 0 else "right",
            fontsize="small",
        )
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.set(
        yticks=range(len(areas)),
        yticklabels=list(areas),
        ylim=(len(areas) - 0.5, -0.5),
        xlabel="shift of the AUC",
    )
    ax.margins(x=0.2)
    return ax


def plot_auc_by_label_shift(areas: Mapping[int, float], ax: Axes | None = None) -> Axes:
    """The AUC against labels that come late (right) or early (left) by so many frames; the largest
    is marked.

    Args:
        areas: frames -> AUC.
        ax: where to draw.
    """
    ax = ax or plt.subplots(figsize=(7, 2.8), layout="constrained")[1]
    frames, best = sorted(areas), max(areas, key=areas.get)
    ax.plot(frames, [areas[k] for k in frames], color=BLUE, marker=".")
    ax.plot(
        best,
        areas[best],
        "o",
        color=ORANGE,
        markersize=9,
        fillstyle="none",
        label=f"largest at {best}",
    )
    ax.axvline(0, color=GREY, linestyle="--", linewidth=1)
    ax.set(xlabel="frames by which labels come late; negative: early", ylabel="AUC")
    ax.legend(fontsize="small")
    return ax


def plot_selection_gains(gains: np.ndarray, ax: Axes | None = None) -> Axes:
    """Claimed and true gains of choosing on test labels, as two histograms with their means dashed.

    Args:
        gains: (N, 2), see `vadlib.course.traps.split_gains`.
        ax: where to draw.
    """
    ax = ax or plt.subplots(figsize=(7, 2.8), layout="constrained")[1]
    width = max(np.ptp(gains), 1e-3) / 25
    # one of them is 0: no bar crosses it
    edges = width * np.arange(np.floor(gains.min() / width), np.ceil(gains.max() / width) + 2)
    looks = [
        (
            "claimed, on the videos chosen on",
            {"color": ORANGE, "histtype": "step", "hatch": "////", "linewidth": 1.5},
        ),
        ("true, on the others", {"color": BLUE, "histtype": "stepfilled", "alpha": 0.5}),
    ]
    for values, (label, look) in zip(gains.T, looks, strict=True):
        ax.hist(values, edges, label=f"{label}: mean {values.mean():+.3f}", **look)
        ax.axvline(values.mean(), color=look["color"], linestyle="--", linewidth=1.5)
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="gain in AUC over the default", ylabel="splits")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize="small", frameon=False)
    return ax
