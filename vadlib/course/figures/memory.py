"""Figures of explanations: what both paths make of a clip, and which memory slots are read where.

Places that were not reconstructed are hatched: they have no value, which differs from a low value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from vadlib.config import CELL
from vadlib.course.figures.style import BARS, draw_box, legend_above, panels
from vadlib.course.inspection.explanation import Explanation
from vadlib.course.inspection.slots import SlotPicture
from vadlib.data.clips import to_frames
from vadlib.errors import require
from vadlib.output.figure import BLUE, GREY, ORANGE


def plot_reconstruction(
    explanation: Explanation, title: str = "frame", mask: np.ndarray | None = None
) -> np.ndarray:
    """Draw the middle frame of a clip, both reconstructions, their difference and their errors.

    Args:
        explanation: of the clip.
        title: of the frame.
        mask: bool (H, W); its True pixels are outlined in the frame and in the maps of errors.

    Returns:
        The Axes, (2, 3).
    """
    middle = len(explanation.frames) // 2
    axes = _map_panels(2, 3, explanation.seen)
    titles = (title, "D_n (hatched: nothing moves)", "D_p")
    panes = [*axes[0], *axes[1, 1:]]
    _draw_both_paths(panes, explanation, np.s_[middle], titles)
    assert explanation.pseudo is not None
    change = explanation.pseudo.reconstruction[middle] - explanation.reconstruction[middle]
    draw_heat(axes[1, 0], np.abs(change).mean(-1), "|D_p - D_n| (grey levels)")
    if mask is not None and mask.any():
        for ax in (axes[0, 0], *axes[1]):
            ax.contour(mask, [0.5], colors=ORANGE, linewidths=0.8)
    return axes


def _draw_both_paths(
    axes: Sequence[Axes] | np.ndarray, explanation: Explanation, part: Any, titles: Sequence[str]
) -> None:
    """Draw a part of a clip, both its reconstructions, and their errors on one scale of colours."""
    normal, pseudo = explanation, explanation.pseudo
    assert pseudo is not None, "the explanation is of the pseudo path alone"
    pictures = (normal.frames, normal.reconstruction, pseudo.reconstruction)
    for ax, picture, title in zip(axes[:3], pictures, titles, strict=True):
        draw_picture(ax, picture[part], title)
    errors = {"D_n": normal.error[part], "D_p": pseudo.error[part]}
    highest = heat_limit(*errors.values())
    for ax, (name, error) in zip(axes[3:], errors.items(), strict=True):
        draw_heat(ax, error, f"squared error of {name}", highest)


def plot_reconstruction_over_time(explanation: Explanation, row: int) -> np.ndarray:
    """Draw one row of pixels over time, downwards: the clip, D_n, D_p, and their errors.

    Args:
        explanation: of a clip.
        row: of pixels, from the top.

    Returns:
        The Axes, (5,).
    """
    axes: np.ndarray = panels(5, 1, 9, 5.2, sharex=True)[:, 0]
    _draw_both_paths(axes, explanation, np.s_[:, row], ("frames", "D_n", "D_p"))
    for ax in axes:
        ax.set(aspect="auto", yticks=[0, len(explanation.frames) - 1])
        ax.set_ylabel("frame", fontsize="small")
    columns = np.flatnonzero(explanation.seen[row])
    if len(columns):
        axes[0].set_xlim(columns[0] - 0.5, columns[-1] + 0.5)
    axes[-1].set_xticks(np.arange(0, explanation.seen.shape[1], 40))
    axes[-1].set_xlabel(f"x, in row {row} (hatched: nothing moves)", fontsize="small")
    return axes


def plot_attention(normal: Explanation, abnormal: Explanation) -> np.ndarray:
    """Draw the entropy of M_n's addressing in two clips, and how much each reads the slots.

    The entropy is high where no slot fits.

    Args:
        normal: a clip without anomalies.
        abnormal: one with an anomaly, for comparison.

    Returns:
        The Axes, (3,).
    """
    axes: np.ndarray = _map_panels(1, 3, normal.seen)[0]
    curves = axes[2]
    highest = heat_limit(normal.entropy, abnormal.entropy, share=1)
    draw_heat(axes[0], normal.entropy, "normal clip: entropy of M_n (nats)", highest)
    draw_heat(axes[1], abnormal.entropy, "abnormal clip: entropy of M_n (nats)", highest)
    axes[0].set_xlabel("hatched: nothing moves", fontsize="small")
    ranks = np.argsort(normal.usage)[::-1]
    curves.plot(normal.usage[ranks], color=BLUE, label="normal clip")
    curves.plot(abnormal.usage[ranks], ".", color=ORANGE, markersize=3, label="abnormal clip")
    curves.set_xlabel("slots, in the order of the normal clip", fontsize="small")
    curves.set_ylabel("share of the reads")
    curves.set_title("slots of M_n read", fontsize="small")
    curves.legend(fontsize="small")
    return axes


def plot_slot_maps(explanation: Explanation) -> np.ndarray:
    """Draw the middle frame, and where the five most read slots are read.

    A map is the mean weight over the clip, on a scale of its own.

    Args:
        explanation: its memory is M_n; that of `explanation.pseudo` is M_p.

    Returns:
        The Axes, (2, 3).
    """
    message = "this model has no memory (ModelConfig.memories = 0); use a run with a memory"
    require(len(explanation.attention) > 0, message, "conflict", field="ModelConfig.memories")
    axes = _map_panels(2, 3, explanation.seen)
    middle = len(explanation.frames) // 2
    title = f"frame {middle} of the clip (hatched: nothing moves)"
    draw_picture(axes[0, 0], explanation.frames[middle], title)
    usage = explanation.usage
    for ax, slot in zip(axes.flat[1:], np.argsort(usage)[::-1], strict=False):
        title = f"slot {slot}: {usage[slot]:.1%} of the reads"
        draw_heat(ax, explanation.attention[slot], title)
    return axes


def plot_slot_usage(usages: Mapping[str, Mapping[str, np.ndarray]]) -> np.ndarray:
    """Draw how much kinds of clips read the ten slots that the first kind reads most.

    The legend gives the share of all reads, of all slots, that would have to move to other slots to
    equal the first kind's.

    Args:
        usages: kind of clip, up to four -> what `slot_usage` returned for it.

    Returns:
        The Axes, (memories,).
    """
    first_kind, first = next(iter(usages.items()))
    axes: np.ndarray = panels(len(first), 1, 9, 2.6 * len(first))[:, 0]
    for ax, (memory, shares) in zip(axes, first.items(), strict=True):
        top = np.argsort(shares)[::-1][:10]
        bars = {first_kind: shares[top]}
        for kind, usage in usages.items():
            if kind != first_kind:
                moved = np.abs(usage[memory] - shares).sum() / 2
                bars[f"{kind} ({moved:.0%} moved)"] = usage[memory][top]
        _draw_bars(ax, bars, [str(slot) for slot in top])
        ax.set(xlabel=f"slot of {memory}", ylabel="share of the reads")
    return axes


def plot_slot_atlas(pages: Sequence[SlotPicture], clips: Sequence[Tensor]) -> np.ndarray:
    """Draw what each slot decodes to, beside the clips whose middle reads it most.

    The decoded bottleneck holds this slot at every place. A square marks the middle of a clip's
    middle frame.

    Args:
        pages: what `slot_atlas` returned.
        clips: those that it was given.

    Returns:
        The Axes, a row per slot.
    """
    nearest = max(len(page.nearest) for page in pages)
    axes = panels(len(pages), 1 + nearest, 1.35 * (1 + nearest), 1.5 * len(pages))
    for row, page in zip(axes, pages, strict=True):
        draw_picture(row[0], page.decoded[len(page.decoded) // 2], f"slot {page.slot}")
        for ax, number, weight in zip(row[1:], page.nearest, page.weights, strict=False):
            frames = to_frames(clips[number])
            draw_picture(ax, frames[len(frames) // 2], f"weight {weight:.2f}")
            cells = -(-np.array(frames.shape[1:3]) // CELL)
            y, x = cells // 2 * CELL - 0.5  # where the memory's middle position begins
            draw_box(ax, (x, y), CELL, CELL, edgecolor=ORANGE, linewidth=1.5)
    return axes


def plot_slot_removal(
    errors: Mapping[str, Mapping[str, np.ndarray]], apart: Sequence[str]
) -> np.ndarray:
    """Draw by how much the mean error of kinds of clips changes when slots are removed.

    Args:
        errors: kind of clip, up to four -> what `removal_errors` returned for it.
        apart: names in it that get a panel and a scale of their own, for much larger changes.

    Returns:
        The Axes, (2,).
    """
    first = next(iter(errors.values()))
    single = [name for name in first if name not in ("nothing", *apart)]
    widths = (len(single) + 0.5, len(apart) + 0.5)
    axes: np.ndarray = panels(1, 2, 9, 3, width_ratios=widths)[0]
    for ax, names in zip(axes, (single, apart), strict=True):
        changes = {}
        for kind, of_kind in errors.items():
            before = of_kind["nothing"].mean()
            changes[kind] = [100 * (of_kind[name].mean() / before - 1) for name in names]
        _draw_bars(ax, changes, names)
        ax.axhline(0, color=GREY, linewidth=0.8)
        ax.set_xlabel("slots removed")
    axes[0].set_ylabel("change of the error (%)")
    axes[1].get_legend().remove()
    return axes


def _draw_bars(
    ax: Axes, groups: Mapping[str, Sequence[float] | np.ndarray], names: Sequence[str]
) -> None:
    """Draw a bar for each name in each group, and the legend above."""
    places = np.arange(len(names))
    first = -(len(groups) - 1) / 2
    for k, ((group, heights), look) in enumerate(zip(groups.items(), BARS, strict=False)):
        ax.bar(places + (first + k) * 0.2, heights, 0.2, label=group, **look)
    ax.set_xticks(places, names, fontsize="small")
    legend_above(ax, len(groups))


def _map_panels(rows: int, columns: int, seen: np.ndarray) -> np.ndarray:
    """Make panels that have the proportions of a picture (H, W)."""
    height = 8.0 / columns * seen.shape[0] / seen.shape[1] + 0.3
    return panels(rows, columns, 9, rows * height)


def heat_limit(*maps: np.ndarray, share: float = 0.995) -> float | None:
    """Return where the colours of maps end, so that a few bright pixels do not darken the rest.

    It is None where all values are NaN.
    """
    values = np.concatenate([values[~np.isnan(values)] for values in maps])
    return float(np.quantile(values, share)) if values.size else None


def draw_picture(ax: Axes, picture: np.ndarray, title: str) -> None:
    """Draw a picture (H, W, C) in [0, 255], hatched where it is NaN."""
    unseen = np.isnan(picture[..., :1])
    colours = np.broadcast_to(np.where(unseen, 0, picture), (*picture.shape[:2], 3))
    rgba = np.dstack([colours, np.where(unseen, 0, 255)]).astype(np.uint8)
    ax.imshow(rgba, interpolation="nearest")
    _set_ground(ax, title)


def draw_heat(ax: Axes, values: np.ndarray, title: str, highest: float | None = None) -> None:
    """Draw values (H, W) as colours from 0 to `highest` (None: their maximum), hatched at NaN."""
    # viridis: even in grey, and for every eye
    image = ax.imshow(values, cmap="viridis", vmin=0, vmax=highest, interpolation="nearest")
    _set_ground(ax, title)
    # takes no room from its panel, so that all panels keep one size
    bar = ax.inset_axes((1.02, 0, 0.04, 1))
    ax.figure.colorbar(image, cax=bar)
    bar.tick_params(labelsize="x-small")


def _set_ground(ax: Axes, title: str) -> None:
    ax.patch.set(facecolor="0.9", hatch="////", edgecolor="0.6")
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize="small")
