"""The table of an ablation as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from vadlib.ablation import MEASURES as ABLATION_MEASURES
from vadlib.course.figures.style import list_downwards, one_panel
from vadlib.errors import require
from vadlib.evaluation.baselines import BEST as BASELINE_ROW
from vadlib.output.figure import BLUE, GREEN, GREY, ORANGE

__all__ = ["ABLATION_MEASURES", "BASELINE_ROW", "plot_ablation"]

Row = dict[str, Any]


def plot_ablation(table: Sequence[Row], measure: str = "micro_auc_raw") -> Axes:
    """Draw each row's AUC with the 95% interval of its difference from the default.

    The intervals are drawn around the default's AUC. A bar that crosses this dashed line may be
    chance. The grey band covers the rows that differ from the default by their seed only.

    Args:
        table: what `read_ablation` or `ablate` returned.
        measure: one of its AUCs; rows without it are left out.
    """
    rows = [row for row in table if row.get(measure) is not None]
    areas = {row["row"]: row[measure] for row in rows}
    message = f"no {measure} in the row 'default'; expected one of: {', '.join(ABLATION_MEASURES)}"
    require("default" in areas, message, "unknown-name", field="measure")
    ax = one_panel(8, 0.3 * len(rows) + 0.9)
    base = areas["default"]
    seeds = [area for name, area in areas.items() if name == "default" or name.startswith("seed")]
    ax.axvspan(min(seeds), max(seeds), color=GREY, alpha=0.25, linewidth=0, label="seeds")
    ax.axvline(base, color=GREY, linestyle="--", linewidth=1)
    for y, row in enumerate(rows):
        low, high = row.get(f"{measure}_low"), row.get(f"{measure}_high")
        colour, marker = _look(row["row"], low, high)
        if low is not None:
            ends = [base + low, base + high]
            ax.plot(ends, [y, y], color=colour, linewidth=2, solid_capstyle="butt")
        ax.plot(row[measure], y, marker, color=colour)
    list_downwards(ax, list(areas))
    ax.set_xlabel(f"AUC ({measure})")
    ax.grid(axis="x", linewidth=0.4)
    ax.legend(loc="upper left", fontsize="small", frameon=False)
    return ax


def _look(name: str, low: float | None, high: float | None) -> tuple[str, str]:
    """Return colour and marker: the baseline, a row that differs from the default, or another."""
    if name == BASELINE_ROW:
        return GREEN, "s"
    if low is not None and high is not None and (low > 0 or high < 0):
        return ORANGE, "D"
    return BLUE, "o"
