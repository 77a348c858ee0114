"""Plots of explanations: what both paths make of a clip, and which slots of the memories are read
where. Axes out.

Places that were not rebuilt are hatched: there is nothing to show, which is something else than a
low value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from vadlib.config import CELL
from vadlib.course.inspection.explanation import Explanation
from vadlib.course.inspection.slots import SlotPicture
from vadlib.data.clips import to_frames
from vadlib.errors import require
from vadlib.output.figure import BLUE, GREEN, GREY, ORANGE

# Of bars, in order; they differ by more than colour.
LOOKS = [
    {"facecolor": BLUE},
    {"facecolor": "white", "edgecolor": BLUE},
    {"facecolor": "white", "edgecolor": GREEN, "hatch": "////"},
    {"facecolor": ORANGE, "edgecolor": "white", "hatch": "..."},
]


def plot_reconstruction(
    explanation: Explanation,
    frame: int | None = None,
    title: str = "",
    both: bool = False,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """One frame of a clip (None: the middle one), what D_n made of it, and the error map. Returns
    the Axes.

    With `both` in two rows: the frame, D_n and D_p; and below how far these two are apart, and
    their errors on one scale. The True pixels of `mask` (H, W) are outlined in the frame and in the
    maps of errors.
    """
    normal, pseudo = explanation, explanation.pseudo
    frame = len(normal.frames) // 2 if frame is None else frame
    axes = _grid(1 + both, 3, normal.seen.shape)
    draw_picture(axes[0, 0], normal.frames[frame], title or "frame")
    draw_picture(axes[0, 1], normal.rebuilt[frame], "rebuilt by D_n (hatched: nothing moves)")
    if not both:
        draw_heat(axes[0, 2], normal.error[frame], "squared error", heat_limit(normal.error[frame]))
        _outline(axes[0, [0, 2]], mask)
        return axes[0]
    draw_picture(axes[0, 2], pseudo.rebuilt[frame], "rebuilt by D_p")
    apart = np.abs(pseudo.rebuilt[frame] - normal.rebuilt[frame]).mean(-1)
    draw_heat(axes[1, 0], apart, "|D_p - D_n| (grey levels)")
    highest = heat_limit(normal.error[frame], pseudo.error[frame])
    draw_heat(axes[1, 1], normal.error[frame], "squared error of D_n", highest)
    draw_heat(axes[1, 2], pseudo.error[frame], "squared error of D_p", highest)
    _outline([axes[0, 0], *axes[1]], mask)
    return axes


def plot_reconstruction_over_time(explanation: Explanation, row: int | None = None) -> np.ndarray:
    """x-t slices: one row of pixels over time (downwards) of the clip, of D_n and D_p, and of their
    errors on one scale. Returns the Axes.

    Args:
        explanation: of a clip.
        row: of pixels, from the top; None takes the one with the largest error of D_n.
    """
    normal, pseudo = explanation, explanation.pseudo
    row = int(np.nansum(normal.error, (0, 2)).argmax()) if row is None else row
    columns = np.flatnonzero(normal.seen[row])
    _, axes = plt.subplots(5, 1, figsize=(9, 5.2), layout="constrained", sharex=True)
    draw_picture(axes[0], normal.frames[:, row], "frames")
    draw_picture(axes[1], normal.rebuilt[:, row], "D_n")
    draw_picture(axes[2], pseudo.rebuilt[:, row], "D_p")
    highest = heat_limit(normal.error[:, row], pseudo.error[:, row])
    draw_heat(axes[3], normal.error[:, row], "squared error of D_n", highest)
    draw_heat(axes[4], pseudo.error[:, row], "squared error of D_p", highest)
    for ax in axes:
        ax.set(aspect="auto", yticks=[0, len(normal.frames) - 1])
        ax.set_ylabel("frame", fontsize="small")
    if len(columns):
        axes[0].set_xlim(columns[0] - 0.5, columns[-1] + 0.5)
    axes[-1].set_xticks(np.arange(0, normal.seen.shape[1], 40))
    axes[-1].set_xlabel(f"x, in row {row} (hatched: nothing moves)", fontsize="small")
    return axes


def plot_attention(normal: Explanation, abnormal: Explanation) -> np.ndarray:
    """Where M_n finds no fitting slot (entropy of its addressing), and which slots are read.
    Returns the Axes.

    Args:
        normal: a clip without anomalies.
        abnormal: one with an anomaly, for comparison.
    """
    axes = _grid(1, 3, normal.seen.shape)[0]
    highest = heat_limit(normal.entropy, abnormal.entropy, share=1)
    for ax, clip, title in ((axes[0], normal, "normal clip"), (axes[1], abnormal, "abnormal clip")):
        draw_heat(ax, clip.entropy, f"{title}: entropy of M_n (nats)", highest)
    axes[0].set_xlabel("hatched: not rebuilt", fontsize="small")
    ranks = np.argsort(normal.usage)[::-1]
    axes[2].plot(normal.usage[ranks], color=BLUE, label="normal clip")
    axes[2].plot(abnormal.usage[ranks], ".", color=ORANGE, markersize=3, label="abnormal clip")
    axes[2].set_xlabel("slots, in the order of the normal clip", fontsize="small")
    axes[2].set_ylabel("share of the reads")
    axes[2].set_title("slots of M_n read", fontsize="small")
    axes[2].legend(fontsize="small")
    return axes


def plot_slot_maps(
    explanation: Explanation,
    slots: Sequence[int] | None = None,
    frame: int | None = None,
    count: int = 5,
) -> np.ndarray:
    """A frame, and where in it some slots are read: their mean weight over the clip, each on its
    own scale. Returns the Axes.

    Args:
        explanation: its memory is M_n; that of `explanation.pseudo` M_p.
        slots: their numbers; None takes the `count` most read.
        frame: number of the frame to show; None takes the middle one.
        count: see `slots`.
    """
    require(
        len(explanation.attention) > 0,
        "this model has no memory (ModelConfig.memories = 0), so no slots; use a run with a memory",
        "conflict",
        field="ModelConfig.memories",
    )
    slots = np.argsort(explanation.usage)[::-1][:count] if slots is None else slots
    frame = len(explanation.frames) // 2 if frame is None else frame
    columns = min(3, 1 + len(slots))
    axes = _grid(-(-(1 + len(slots)) // columns), columns, explanation.seen.shape)
    draw_picture(
        axes.flat[0], explanation.frames[frame], f"frame {frame} of the clip (hatched: not rebuilt)"
    )
    for ax, slot in zip(axes.flat[1:], slots, strict=False):
        draw_heat(
            ax,
            explanation.attention[slot],
            f"slot {slot}: {explanation.usage[slot]:.1%} of the reads",
        )
    for ax in axes.flat[1 + len(slots) :]:
        ax.axis("off")
    return axes


def plot_slot_usage(usages: Mapping[str, Mapping[str, np.ndarray]], count: int = 10) -> np.ndarray:
    """How much some kinds of clips read the slots that the first kind reads most. Returns the Axes,
    one a memory.

    The legend gives the share of all reads, also of slots not shown, that would have to move to
    other slots to be as the first kind's.

    Args:
        usages: kind of clip, up to four -> what `slot_usage` returned for it.
        count: slots shown.
    """
    first = next(iter(usages.values()))
    _, axes = plt.subplots(
        len(first), 1, figsize=(9, 2.6 * len(first)), layout="constrained", squeeze=False
    )
    for ax, memory in zip(axes[:, 0], first, strict=True):
        top = np.argsort(first[memory])[::-1][:count]
        moved = {
            kind: np.abs(usage[memory] - first[memory]).sum() / 2 for kind, usage in usages.items()
        }
        bars = {
            f"{kind} ({moved[kind]:.0%} moved)" if usage is not first else kind: usage[memory][top]
            for kind, usage in usages.items()
        }
        _bars(ax, bars, top)
        ax.set(xlabel=f"slot of {memory}", ylabel="share of the reads")
    return axes[:, 0]


def plot_slot_atlas(pages: Sequence[SlotPicture], clips: Sequence[Tensor]) -> np.ndarray:
    """What each slot decodes to (a bottleneck that holds nothing else), beside the middle frames of
    the clips whose middle reads it most.

    The square marks the middle. Returns the Axes, a row a slot.

    Args:
        pages: what `slot_atlas` returned.
        clips: those that it was given.
    """
    nearest = max(len(page.nearest) for page in pages)
    _, axes = plt.subplots(
        len(pages),
        1 + nearest,
        figsize=(1.35 * (1 + nearest), 1.5 * len(pages)),
        layout="constrained",
        squeeze=False,
    )
    for row, page in zip(axes, pages, strict=True):
        draw_picture(row[0], page.decoded[len(page.decoded) // 2], f"slot {page.slot}")
        for ax, number, weight in zip(row[1:], page.nearest, page.weights, strict=False):
            frames = to_frames(clips[number])
            draw_picture(ax, frames[len(frames) // 2], f"weight {weight:.2f}")
            height, width = frames.shape[1:3]
            corner = [-(-size // CELL) // 2 * CELL - 0.5 for size in (width, height)]
            ax.add_patch(
                plt.Rectangle(corner, CELL, CELL, fill=False, edgecolor=ORANGE, linewidth=1.5)
            )
    return axes


def plot_slot_removal(
    errors: Mapping[str, Mapping[str, np.ndarray]], apart: Sequence[str] = ()
) -> np.ndarray:
    """By how much the mean error of some kinds of clips changes when slots are removed. Returns the
    Axes, two with `apart`.

    Args:
        errors: kind of clip, up to four -> what `removal_errors` returned for it.
        apart: names in it that get a panel and a scale of their own, for much larger changes.
    """
    panels = [
        [name for name in next(iter(errors.values())) if name != "nothing" and name not in apart]
    ] + [list(apart)] * bool(apart)
    widths = [len(names) + 0.5 for names in panels]
    _, axes = plt.subplots(
        1, len(panels), figsize=(9, 3), layout="constrained", squeeze=False, width_ratios=widths
    )
    for ax, names in zip(axes[0], panels, strict=True):
        changes = {
            kind: [100 * (found[name].mean() / found["nothing"].mean() - 1) for name in names]
            for kind, found in errors.items()
        }
        _bars(ax, changes, names)
        ax.axhline(0, color=GREY, linewidth=0.8)
        ax.set_xlabel("slots removed")
    axes[0, 0].set_ylabel("change of the error (%)")
    for ax in axes[0, 1:]:
        ax.get_legend().remove()
    return axes[0]


def _bars(ax: Axes, groups: Mapping[str, Sequence[float]], names: Sequence) -> None:
    """A bar for each name in each group."""
    for k, ((group, heights), look) in enumerate(
        zip(groups.items(), LOOKS[: len(groups)], strict=True)
    ):
        ax.bar(
            np.arange(len(names)) + (k - (len(groups) - 1) / 2) * 0.2,
            heights,
            0.2,
            label=group,
            **look,
        )
    ax.set_xticks(np.arange(len(names)), names, fontsize="small")
    # above, not over the bars
    ax.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=len(groups), fontsize="small", frameon=False
    )


def _grid(rows: int, columns: int, shape: tuple[int, int]) -> np.ndarray:
    height = 8.0 / columns * shape[0] / shape[1] + 0.3
    return plt.subplots(
        rows, columns, figsize=(9, rows * height), layout="constrained", squeeze=False
    )[1]


def _outline(axes: Sequence[Axes], mask: np.ndarray | None) -> None:
    """The True pixels of a mask, outlined; an empty one has no outline, of which contour would
    warn.
    """
    for ax in axes if mask is not None and np.any(mask) else ():
        ax.contour(mask, [0.5], colors=ORANGE, linewidths=0.8)


def heat_limit(*maps: np.ndarray, share: float = 0.995) -> float | None:
    """Where the colours of some maps end, so that a few bright pixels do not leave the rest dark;
    None where all is NaN.
    """
    values = np.concatenate([values[~np.isnan(values)] for values in maps])
    return float(np.quantile(values, share)) if values.size else None


def draw_picture(ax: Axes, picture: np.ndarray, title: str) -> None:
    """A picture (H, W, C) in [0, 255]; hatched where it is NaN."""
    unseen = np.isnan(picture[..., :1])
    colours = np.broadcast_to(np.where(unseen, 0, picture), (*picture.shape[:2], 3))
    ax.imshow(
        np.dstack([colours, np.where(unseen, 0, 255)]).astype(np.uint8), interpolation="nearest"
    )
    _frame(ax, title)


def draw_heat(ax: Axes, values: np.ndarray, title: str, highest: float | None = None) -> None:
    """Values (H, W) as colours from 0 to `highest` (None: their own maximum); hatched where they
    are NaN.
    """
    # viridis: even in grey, and for every eye
    image = ax.imshow(values, cmap="viridis", vmin=0, vmax=highest, interpolation="nearest")
    _frame(ax, title)
    # takes no room from its panel, so that all panels stay equally large
    beside = ax.inset_axes([1.02, 0, 0.04, 1])
    ax.figure.colorbar(image, cax=beside).ax.tick_params(labelsize="x-small")


def _frame(ax: Axes, title: str) -> None:
    ax.patch.set(facecolor="0.9", hatch="////", edgecolor="0.6")
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize="small")
