"""The ablation's table as a picture. Numbers in, Axes out."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from vadlib.ablation import MEASURES as ABLATION_MEASURES
from vadlib.errors import require
from vadlib.evaluation.baselines import BEST as BASELINE_ROW
from vadlib.output.figure import BLUE, GREEN, GREY, ORANGE

__all__ = ["ABLATION_MEASURES", "BASELINE_ROW", "plot_ablation"]


def plot_ablation(
    table: Sequence[dict], measure: str = "micro_auc_raw", ax: Axes | None = None
) -> Axes:
    """Each row's AUC with the 95% interval of its difference to the default, laid around the
    default's AUC.

    A bar that crosses the dashed line, the default's AUC, may be chance: other videos could turn
    the order round. The grey band spans the rows that differ from the default by their seed only.

    Args:
        table: what `read_ablation` or `ablate` returned.
        measure: one of its AUCs; rows without it are left out.
        ax: where to draw.
    """
    rows = [row for row in table if row.get(measure) is not None]
    known = sorted(
        key
        for key in {key for row in table for key in row}
        if key.startswith("micro") and not key.endswith(("_low", "_high"))
    )
    there = any(row["row"] == "default" for row in rows)
    require(
        there,
        f"the table has no {measure} of a row called 'default'; expected such a row, and one of: {', '.join(known)}",
        "unknown-name",
        field="measure",
    )
    ax = ax or plt.subplots(figsize=(8, 0.3 * len(rows) + 0.9), layout="constrained")[1]
    base = next(row[measure] for row in rows if row["row"] == "default")
    seeds = [
        row[measure] for row in rows if row["row"] == "default" or row["row"].startswith("seed")
    ]
    ax.axvspan(min(seeds), max(seeds), color=GREY, alpha=0.25, linewidth=0, label="seeds")
    ax.axvline(base, color=GREY, linestyle="--", linewidth=1)
    for y, row in enumerate(rows):
        low, high = row.get(f"{measure}_low"), row.get(f"{measure}_high")
        changed = low is not None and (low > 0 or high < 0)
        colour, marker = (
            (GREEN, "s")
            if row["row"] == BASELINE_ROW
            else (ORANGE, "D")
            if changed
            else (BLUE, "o")
        )
        if low is not None:
            ax.plot(
                [base + low, base + high], [y, y], color=colour, linewidth=2, solid_capstyle="butt"
            )
        ax.plot(row[measure], y, marker, color=colour)
    ax.set(
        yticks=range(len(rows)),
        yticklabels=[row["row"] for row in rows],
        ylim=(len(rows) - 0.5, -0.5),
        xlabel=f"AUC ({measure})",
    )
    ax.grid(axis="x", linewidth=0.4)
    ax.legend(loc="upper left", fontsize="small", frameon=False)
    return ax
