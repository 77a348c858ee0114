"""Figures of evaluations: the table of an ablation, and what evaluation traps do to an AUC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from vadlib.ablation import MEASURES as ABLATION_MEASURES
from vadlib.course.figures.style import Look, legend_above, list_downwards, one_panel
from vadlib.errors import require
from vadlib.evaluation.baselines import BEST as BASELINE_ROW
from vadlib.output.figure import BLUE, GREEN, GREY, ORANGE


def plot_ablation(table: Sequence[dict[str, Any]], measure: str = "micro_auc_raw") -> Axes:
    """Draw each row's AUC with the 95% interval of its difference from the default.

    The intervals are drawn around the default's AUC. A bar that crosses this dashed line may be
    chance. The grey band covers the rows that differ from the default by their seed only.

    Args:
        table: what `read_ablation` or `ablate` returned.
        measure: one of its AUCs; rows without it are left out.
    """
    rows = {row["row"]: row for row in table if row.get(measure) is not None}
    message = f"no {measure} in the row 'default'; expected one of: {', '.join(ABLATION_MEASURES)}"
    require("default" in rows, message, "unknown-name", field="measure")
    ax = one_panel(8, 0.3 * len(rows) + 0.9)
    base = rows["default"][measure]
    seeds = [row[measure] for name, row in rows.items() if name.startswith("seed")]
    reach = (min([base, *seeds]), max([base, *seeds]))
    ax.axvspan(*reach, color=GREY, alpha=0.25, linewidth=0, label="seeds")
    ax.axvline(base, color=GREY, linestyle="--", linewidth=1)
    for y, (name, row) in enumerate(rows.items()):
        low: float | None = row.get(f"{measure}_low")
        high: float = row.get(f"{measure}_high", 0.0)
        colour, marker = BLUE, "o"
        if name == BASELINE_ROW:
            colour, marker = GREEN, "s"
        elif low is not None and not low <= 0 <= high:
            colour, marker = ORANGE, "D"
        if low is not None:
            ends = [base + low, base + high]
            ax.plot(ends, [y, y], color=colour, linewidth=2, solid_capstyle="butt")
        ax.plot(row[measure], y, marker, color=colour)
    list_downwards(ax, list(rows))
    ax.set_xlabel(f"AUC ({measure})")
    ax.grid(axis="x", linewidth=0.4)
    ax.legend(loc="upper left", fontsize="small", frameon=False)
    return ax


def plot_auc_shifts(areas: Mapping[str, tuple[float, float]]) -> Axes:
    """Draw how far each trap moves the AUC.

    A hatched bar to the right means that the number becomes too good, a bar to the left that it
    suffers.

    Args:
        areas: trap -> (honest AUC, AUC in the trap), from the top.
    """
    ax = one_panel(8, 0.32 * len(areas) + 1)
    text: Look = {"textcoords": "offset points", "va": "center", "fontsize": "small"}
    for row, (honest, trapped) in enumerate(areas.values()):
        shift = trapped - honest
        look: Look = {"facecolor": ORANGE, "hatch": "////"} if shift > 0 else {"facecolor": BLUE}
        ax.barh(row, shift, 0.7, edgecolor="white", linewidth=0, **look)
        offset, side = (4, "left") if shift >= 0 else (-4, "right")
        ax.annotate(f"{shift:+.3f}", (shift, row), (offset, 0), ha=side, **text)
    ax.axvline(0, color=GREY, linewidth=0.8)
    list_downwards(ax, list(areas))
    ax.set_xlabel("shift of the AUC")
    ax.margins(x=0.2)
    return ax


def plot_auc_by_label_shift(areas: Mapping[int, float]) -> Axes:
    """Draw the AUC against labels that come late (right) or early (left); the largest is marked.

    Args:
        areas: frames by which labels come late, in rising order -> AUC.
    """
    ax = one_panel(7, 2.8)
    best = max(areas, key=lambda shift: areas[shift])
    ax.plot(list(areas), list(areas.values()), color=BLUE, marker=".")
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
