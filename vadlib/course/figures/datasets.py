"""Plots of datasets: what is normal and abnormal in them, when, where, and how much it moves.
Videos in, Axes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from vadlib.data.video import Video
from vadlib.errors import require
from vadlib.output.figure import BLUE, GREY, ORANGE
from vadlib.output.plots import intervals

NORMAL = "#DDDDDD"  # of timelines
ABNORMAL = {"facecolor": ORANGE, "hatch": "////", "edgecolor": "white", "linewidth": 0}


def event_frames(video: Video) -> list[int]:
    """Return one frame of each event: the one in which most abnormal pixels are visible, or,
    without masks, its middle one.

    Raises:
        InputError: a video without labels.
    """
    require(
        video.labels is not None,
        f"video {video.name}: no labels, so no events are known",
        "missing-labels",
        field="video",
    )
    frames = []
    for start, end in intervals(video.labels):
        if video.masks is None:
            frames.append((start + end - 1) // 2)
        else:
            visible = [int(video.masks[t].sum()) for t in range(start, end)]
            frames.append(start + int(np.argmax(visible)))
    return frames


def draw_frame(ax: Axes, video: Video, t: int, overlay: bool = True) -> None:
    """One frame of a video, its abnormal pixels outlined where it has masks and `overlay` is on."""
    frame = video.frames[t]
    ax.imshow(frame.squeeze(), cmap="gray", vmin=0, vmax=255)
    ax.set(xticks=[], yticks=[])
    state = "" if video.labels is None else ", abnormal" if video.labels[t] else ", normal"
    ax.set_title(f"video {video.name}, frame {t}{state}", fontsize="small")
    if overlay and video.masks is not None and (mask := video.masks[t]).any():
        # white under orange: seen on dark and on bright ground, in grey too
        ax.contour(mask, [0.5], colors="white", linewidths=2.6)
        ax.contour(mask, [0.5], colors=ORANGE, linewidths=1.3)


def plot_examples(datasets: Mapping[str, Sequence[Video]]) -> np.ndarray:
    """A normal and an abnormal frame of each dataset, one row each. Returns the Axes, (datasets,
    2).

    Both are of one video where one has both: the one with the largest share of the rarer kind.
    """
    chosen = {name: _pair(videos) for name, videos in datasets.items()}
    heights = [v.frames.shape[1] / v.frames.shape[2] for (v, _), _ in chosen.values()]
    _, axes = plt.subplots(
        len(chosen),
        2,
        figsize=(9, 4.5 * sum(heights) + 0.45 * len(chosen)),
        layout="constrained",
        squeeze=False,
        height_ratios=heights,
    )
    for row, (name, pair) in zip(axes, chosen.items(), strict=True):
        for ax, (video, t) in zip(row, pair, strict=True):
            draw_frame(ax, video, t)
            ax.set_title(f"{name}: {ax.get_title()}", fontsize="small")
    return axes


def plot_timelines(videos: Sequence[Video], title: str = "", ax: Axes | None = None) -> Axes:
    """When each video is abnormal: a bar a video, its abnormal spans filled and hatched, their
    share at the end.

    Raises:
        InputError: no video has labels.
    """
    labels = {v.name: v.labels for v in videos if v.labels is not None}
    require(
        len(labels) > 0,
        "these videos have no labels, so there are no timelines",
        "missing-labels",
        field="videos",
    )
    # ShanghaiTech has 107 clips
    row_height, size = (0.28, "small") if len(labels) <= 40 else (0.13, 5.5)
    ax = ax or plt.subplots(figsize=(8, row_height * len(labels) + 1), layout="constrained")[1]
    longest = max(map(len, labels.values()))
    for row, values in enumerate(labels.values()):
        ax.broken_barh([(0, len(values))], (row - 0.35, 0.7), facecolor=NORMAL)
        ax.broken_barh(spans(values), (row - 0.35, 0.7), **ABNORMAL)
        ax.text(longest * 1.01, row, f"{np.mean(values):.0%}", va="center", fontsize=size)
    ax.set(
        yticks=range(len(labels)),
        yticklabels=list(labels),
        xlabel="frame",
        ylabel="video",
        ylim=(len(labels) - 0.5, -0.5),
        xlim=(0, longest),
    )
    ax.tick_params("x", labelsize="small")
    ax.tick_params("y", labelsize=size)
    what = "abnormal frames are hatched; their share on the right"
    ax.set_title(f"{title}: {what}" if title else what, loc="left", fontsize="small")
    return ax


def plot_ground_truths(
    first: Mapping[str, np.ndarray],
    second: Mapping[str, np.ndarray],
    names: tuple[str, str],
    ax: Axes | None = None,
) -> Axes:
    """Two ground truths of the same videos, one above the other, and in between where they differ.

    Args:
        first, second: video -> labels (T,).
        names: what the two are called.
    """
    ax = ax or plt.subplots(figsize=(9, 0.5 * len(first) + 1), layout="constrained")[1]
    for row, name in enumerate(first):
        for labels, top, colour, hatch in (
            (first[name], 0.38, BLUE, ""),
            (second[name], -0.1, ORANGE, "////"),
        ):
            ax.broken_barh(
                spans(labels),
                (row - top, 0.28),
                facecolor=colour,
                hatch=hatch,
                edgecolor="white",
                linewidth=0,
            )
        differ = np.asarray(first[name]) != np.asarray(second[name])
        # a line: one frame shows too
        ax.broken_barh(
            spans(differ), (row - 0.1, 0.2), facecolor="black", edgecolor="black", linewidth=0.6
        )
        ax.plot([0, len(first[name])], [row + 0.45] * 2, color=GREY, linewidth=0.5)
    handles = [
        plt.Rectangle((0, 0), 1, 1, facecolor=c, hatch=h, edgecolor="white")
        for c, h in ((BLUE, ""), (ORANGE, "////"))
    ]
    handles.append(plt.Rectangle((0, 0), 1, 1, facecolor="black"))
    ax.legend(
        handles,
        [*names, "they differ"],
        ncols=3,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        frameon=False,
        fontsize="small",
    )
    ax.set(
        yticks=range(len(first)),
        yticklabels=list(first),
        xlabel="frame",
        ylabel="video",
        ylim=(len(first) - 0.4, -0.6),
    )
    return ax


def plot_frame_changes(
    changes: Mapping[str, Mapping[str, np.ndarray]], labels: Mapping[str, Mapping[str, np.ndarray]]
) -> np.ndarray:
    """How much normal and abnormal frames of each dataset change from the frame before, as
    distributions. Returns the Axes.

    The few largest values, one in 200, are counted in the last bin.

    Args:
        changes: dataset -> video -> values (T,), such as `frame_changes` gives.
        labels: the same, 0 normal, 1 abnormal.
    """
    _, axes = plt.subplots(
        1,
        len(changes),
        figsize=(max(4.0, 3.2 * len(changes)), 2.8),
        layout="constrained",
        squeeze=False,
    )
    looks = {
        "normal": {"histtype": "stepfilled", "color": BLUE, "alpha": 0.35},
        "abnormal": {"histtype": "step", "color": ORANGE, "linestyle": "--", "linewidth": 1.8},
    }
    for ax, (name, videos) in zip(axes[0], changes.items(), strict=True):
        values, truth = (
            np.concatenate(list(videos.values())),
            np.concatenate([labels[name][video] for video in videos]),
        )
        edges = np.linspace(0, np.quantile(values, 0.995), 31)
        for kind, (label, look) in enumerate(looks.items()):
            ax.hist(
                np.minimum(values[truth == kind], edges[-1]),
                edges,
                density=True,
                label=label,
                **look,
            )
        ax.set(title=name, xlabel="mean change (grey levels)", yticks=[])
        ax.legend(fontsize="small")
    axes[0, 0].set_ylabel("share of frames")
    return axes[0]


def spans(labels: np.ndarray | None) -> list[tuple[int, int]]:
    """(start, length) of each abnormal span, as `broken_barh` takes them; none without labels."""
    return [] if labels is None else [(start, end - start) for start, end in intervals(labels)]


def _pair(videos: Sequence[Video]) -> tuple[tuple[Video, int], tuple[Video, int]]:
    both = max(videos, key=lambda v: min(v.labels.mean(), 1 - v.labels.mean()))
    found = []
    for kind in (0, 1):
        video = (
            both
            if (both.labels == kind).any()
            else max(videos, key=lambda v, kind=kind: (v.labels == kind).sum())
        )
        frames = np.flatnonzero(video.labels == kind)
        require(
            len(frames) > 0,
            f"no {'abnormal' if kind else 'normal'} frame in any of these videos",
            "nothing-to-do",
            field="videos",
        )
        found.append((video, int(frames[len(frames) // 2])))
    return tuple(found)
