"""The look of the figures: colours, hatches and lines, and the pieces that several figures draw.

Colours come from one palette that every common colour vision tells apart. Hatches, line styles and
markers repeat the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from vadlib.evaluation.metrics import intervals
from vadlib.output.figure import BLUE, GREEN, GREY, ORANGE, PINK

Look = dict[str, Any]  # keyword arguments of matplotlib

# Frames over time
NORMAL: Look = {"facecolor": "#DDDDDD"}
ABNORMAL: Look = {"facecolor": ORANGE, "hatch": "////", "edgecolor": "white", "linewidth": 0}
# Kinds of pseudo-anomalies
KIND_COLOURS = {"skip": BLUE, "shuffle": ORANGE, "noise": GREEN, "object": PINK}
# Curves of several runs, in order
LINES: list[Look] = [
    {"color": BLUE, "linestyle": "-", "marker": "o"},
    {"color": ORANGE, "linestyle": "--", "marker": "s"},
    {"color": GREEN, "linestyle": "-.", "marker": "^"},
    {"color": PINK, "linestyle": ":", "marker": "D"},
    {"color": GREY, "linestyle": (0, (5, 1, 1, 1, 1, 1)), "marker": "v"},
]
# Bars of several groups, in order
BARS: list[Look] = [
    {"facecolor": BLUE},
    {"facecolor": "white", "edgecolor": BLUE},
    {"facecolor": "white", "edgecolor": GREEN, "hatch": "////"},
    {"facecolor": ORANGE, "edgecolor": "white", "hatch": "..."},
]

GAP, GAP_GREY = 2, 170  # pixels between pictures; masks may be white, and differences black


def one_panel(width: float, height: float) -> Axes:
    """Make a figure of one panel; sizes in inches."""
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def panels(rows: int, columns: int, width: float, height: float, **options: Any) -> np.ndarray:
    """Make a figure of several panels; return their Axes, (rows, columns)."""
    options |= {"figsize": (width, height), "layout": "constrained", "squeeze": False}
    axes: np.ndarray = plt.subplots(rows, columns, **options)[1]
    return axes


def legend_above(ax: Axes, columns: int, right: bool = False, **entries: Any) -> None:
    """Put the legend above the panel, where it hides nothing."""
    look: Look = {"ncols": columns, "fontsize": "small", "frameon": False}
    look["loc"] = "lower right" if right else "lower left"
    ax.legend(bbox_to_anchor=(int(right), 1), **look, **entries)


def list_downwards(ax: Axes, names: Sequence[str]) -> None:
    """Name the rows 0, 1, 2, ... of a panel, from the top."""
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)


def draw_pixels(ax: Axes, picture: np.ndarray, **look: Any) -> None:
    """Draw a picture (H, W, C) without ticks, in [0, 255] unless `look` sets other colours."""
    colours: Look = {"cmap": "gray", "vmin": 0, "vmax": 255}
    ax.imshow(picture.squeeze(), **colours | look)
    ax.set(xticks=[], yticks=[])


def draw_box(
    ax: Axes, corner: tuple[float, float], width: float, height: float, **look: Any
) -> None:
    """Draw the outline of a box, from its corner with the smallest coordinates."""
    ax.add_patch(Rectangle(corner, width, height, fill=False, **look))


def spans(labels: np.ndarray | None) -> list[tuple[int, int]]:
    """Return (start, length) of each abnormal span, as `broken_barh` takes them."""
    if labels is None:
        return []
    return [(start, end - start) for start, end in intervals(labels)]


def beside(pictures: np.ndarray, grey: float = GAP_GREY, below: int = GAP) -> np.ndarray:
    """Join pictures (N, H, W, C) to (H + below, N * (W + GAP), C), with grey after each."""
    margins = ((0, 0), (0, below), (0, GAP), (0, 0))
    padded = np.pad(pictures, margins, constant_values=grey)
    return np.concatenate(list(padded), axis=1)


def evenly(length: int, count: int) -> np.ndarray:
    """Return up to `count` numbers from 0 to length - 1, evenly spaced."""
    return np.linspace(0, length - 1, min(count, length)).round().astype(int)


def describe_place(down: float, across: float) -> str:
    """Say where in a picture a place is, from shares of its height and width."""
    return f"{across:.0%} from the left and {down:.0%} from the top"
