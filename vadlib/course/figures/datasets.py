"""Figures of datasets: what is normal and abnormal in them, when, where, and how much it moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from vadlib.course.dataset_tables import require_labels
from vadlib.course.figures.style import (
    ABNORMAL,
    NORMAL,
    Look,
    draw_pixels,
    legend_above,
    list_downwards,
    one_panel,
    panels,
    spans,
)
from vadlib.data.video import Video
from vadlib.errors import require
from vadlib.evaluation.metrics import intervals
from vadlib.output.figure import BLUE, GREY, ORANGE

Labels = Mapping[str, np.ndarray]  # video -> (T,)


def event_frames(video: Video) -> list[int]:
    """Return one frame of each event: that with most abnormal pixels, or without masks its middle.

    Raises:
        InputError: a video without labels.
    """
    frames = []
    for start, end in intervals(require_labels(video)):
        if video.masks is None:
            frames.append((start + end - 1) // 2)
        else:
            pixels = [int(video.masks[t].sum()) for t in range(start, end)]
            frames.append(start + int(np.argmax(pixels)))
    return frames


def draw_frame(ax: Axes, video: Video, t: int, overlay: bool = True) -> None:
    """Draw a frame of a video; with `overlay`, outline its abnormal pixels if it has masks."""
    draw_pixels(ax, video.frames[t])
    title = f"video {video.name}, frame {t}"
    if video.labels is not None:
        title += ", abnormal" if video.labels[t] else ", normal"
    ax.set_title(title, fontsize="small")
    if overlay and video.masks is not None:
        mask = video.masks[t]
        if mask.any():
            # white under orange: visible on dark and on bright ground, in grey too
            ax.contour(mask, [0.5], colors="white", linewidths=2.6)
            ax.contour(mask, [0.5], colors=ORANGE, linewidths=1.3)


def plot_examples(datasets: Mapping[str, Sequence[Video]]) -> np.ndarray:
    """Draw a normal and an abnormal frame of each dataset, a row per dataset.

    Both are from one video if one has both: that with the largest share of the rarer kind.

    Returns:
        The Axes, (datasets, 2).
    """
    pairs = {}
    for name, videos in datasets.items():
        pairs[name] = [_example(videos, kind) for kind in (0, 1)]
    aspects = [normal.frames.shape[1] / normal.frames.shape[2] for (normal, _), _ in pairs.values()]
    height = 4.5 * sum(aspects) + 0.45 * len(pairs)
    axes = panels(len(pairs), 2, 9, height, height_ratios=aspects)
    for row, (name, pair) in zip(axes, pairs.items(), strict=True):
        for ax, (video, t) in zip(row, pair, strict=True):
            draw_frame(ax, video, t)
            ax.set_title(f"{name}: {ax.get_title()}", fontsize="small")
    return axes


def _example(videos: Sequence[Video], kind: int) -> tuple[Video, int]:
    """Return a video, and the middle one of its frames of one kind (0 normal, 1 abnormal)."""

    def share_of_rarer_kind(video: Video) -> float:
        share = float(require_labels(video).mean())
        return min(share, 1 - share)

    def frames_of_kind(video: Video) -> int:
        return int((require_labels(video) == kind).sum())

    video = max(videos, key=share_of_rarer_kind)
    if frames_of_kind(video) == 0:
        video = max(videos, key=frames_of_kind)
    frames = np.flatnonzero(require_labels(video) == kind)
    message = f"no {'abnormal' if kind else 'normal'} frame in any of these videos"
    require(len(frames) > 0, message, "nothing-to-do", field="videos")
    return video, int(frames[len(frames) // 2])


def plot_timelines(videos: Sequence[Video], title: str) -> Axes:
    """Draw a bar per video, with its abnormal spans filled and hatched and their share at the end.

    Raises:
        InputError: no video has labels.
    """
    labels = {video.name: video.labels for video in videos if video.labels is not None}
    require(len(labels) > 0, "no video has labels", "missing-labels", field="videos")
    row_height, size = 0.28, 8.33
    if len(labels) > 40:  # ShanghaiTech has 107 clips
        row_height, size = 0.13, 5.5
    ax = one_panel(8, row_height * len(labels) + 1)
    longest = max(len(truth) for truth in labels.values())
    for row, truth in enumerate(labels.values()):
        ax.broken_barh([(0, len(truth))], (row - 0.35, 0.7), **NORMAL)
        ax.broken_barh(spans(truth), (row - 0.35, 0.7), **ABNORMAL)
        ax.text(longest * 1.01, row, f"{np.mean(truth):.0%}", va="center", fontsize=size)
    list_downwards(ax, list(labels))
    ax.set(xlabel="frame", ylabel="video", xlim=(0, longest))
    ax.tick_params("x", labelsize="small")
    ax.tick_params("y", labelsize=size)
    legend = "abnormal frames are hatched; their share on the right"
    ax.set_title(f"{title}: {legend}", loc="left", fontsize="small")
    return ax


def plot_ground_truths(first: Labels, second: Labels, names: tuple[str, str]) -> Axes:
    """Draw two ground truths of the same videos, and between them where they differ.

    Args:
        first, second: video -> labels (T,).
        names: of the two.
    """
    ax = one_panel(9, 0.5 * len(first) + 1)
    look_first: Look = {"facecolor": BLUE, "edgecolor": "white", "linewidth": 0}
    # a line in black: a single frame remains visible
    look_differ: Look = {"facecolor": "black", "edgecolor": "black", "linewidth": 0.6}
    for row, name in enumerate(first):
        differ = np.asarray(first[name]) != np.asarray(second[name])
        ax.broken_barh(spans(first[name]), (row - 0.38, 0.28), **look_first)
        ax.broken_barh(spans(second[name]), (row + 0.1, 0.28), **ABNORMAL)
        ax.broken_barh(spans(differ), (row - 0.1, 0.2), **look_differ)
        ax.plot([0, len(first[name])], [row + 0.45] * 2, color=GREY, linewidth=0.5)
    handles = [Rectangle((0, 0), 1, 1, **look) for look in (look_first, ABNORMAL, look_differ)]
    labels = [*names, "they differ"]
    legend_above(ax, 3, right=True, handles=handles, labels=labels)
    list_downwards(ax, list(first))
    ax.set(xlabel="frame", ylabel="video", ylim=(len(first) - 0.4, -0.6))
    return ax


def plot_frame_changes(changes: Mapping[str, Labels], labels: Mapping[str, Labels]) -> np.ndarray:
    """Draw how much normal and abnormal frames of each dataset change from the frame before.

    The last bin of each distribution also counts the largest values, one in 200.

    Args:
        changes: dataset -> video -> values (T,), such as `frame_changes` gives.
        labels: dataset -> video -> labels (T,), 0 normal, 1 abnormal.

    Returns:
        The Axes, (datasets,).
    """
    axes: np.ndarray = panels(1, len(changes), max(4.0, 3.2 * len(changes)), 2.8)[0]
    normal: Look = {"histtype": "stepfilled", "color": BLUE, "alpha": 0.35, "label": "normal"}
    abnormal: Look = {"histtype": "step", "color": ORANGE, "label": "abnormal"}
    abnormal |= {"linestyle": "--", "linewidth": 1.8}
    for ax, (name, videos) in zip(axes, changes.items(), strict=True):
        values = np.concatenate(list(videos.values()))
        truth = np.concatenate([labels[name][video] for video in videos])
        edges = np.linspace(0, np.quantile(values, 0.995), 31)
        values = np.minimum(values, edges[-1])
        ax.hist(values[truth == 0], edges, density=True, **normal)
        ax.hist(values[truth == 1], edges, density=True, **abnormal)
        ax.set(title=name, xlabel="mean change (grey levels)", yticks=[])
        ax.legend(fontsize="small")
    axes[0].set_ylabel("share of frames")
    return axes
