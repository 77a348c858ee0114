"""Figures of datasets: what is normal and abnormal in them, when, where, and how much it moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vadlib.course.dataset_tables import require_labels
from vadlib.course.figures import style
from vadlib.data.video import Video
from vadlib.errors import require, require_known
from vadlib.evaluation.metrics import intervals
from vadlib.output.figure import BLUE, GREY, ORANGE

Datasets = Mapping[str, Sequence[Video]]
Labels = Mapping[str, np.ndarray]  # video -> (T,)


def event_frames(video: Video) -> list[int]:
    """Return one frame of each event: that with most abnormal pixels, or without masks its middle.

    Raises:
        InputError: a video without labels.
    """
    frames = []
    for start, end in intervals(require_labels(video)):
        frame = (start + end - 1) // 2
        if video.masks is not None:
            frame = start + int(video.masks[start:end].sum((1, 2)).argmax())
        frames.append(frame)
    return frames


def draw_frame(ax: Axes, video: Video, t: int, overlay: bool = True) -> None:
    """Draw a frame of a video; with `overlay`, outline its abnormal pixels if it has masks."""
    style.draw_pixels(ax, video.frames[t])
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


def plot_examples(datasets: Datasets) -> np.ndarray:
    """Draw a normal and an abnormal frame of each dataset, a row per dataset.

    Both are from one video: that with the largest share of the rarer kind.

    Returns:
        The Axes, (datasets, 2).

    Raises:
        InputError: a dataset without a video that has both kinds of frame.
    """
    examples = {name: max(videos, key=_share_of_rarer_kind) for name, videos in datasets.items()}
    aspects = [video.frames.shape[1] / video.frames.shape[2] for video in examples.values()]
    height = 4.5 * sum(aspects) + 0.45 * len(examples)
    axes = style.panels(len(examples), 2, 9, height, height_ratios=aspects)
    for row, (name, video) in zip(axes, examples.items(), strict=True):
        message = f"{name}: no video has normal and abnormal frames"
        require(_share_of_rarer_kind(video) > 0, message, "nothing-to-do", field="videos")
        for kind, ax in enumerate(row):
            frames = np.flatnonzero(require_labels(video) == kind)
            draw_frame(ax, video, int(frames[len(frames) // 2]))
            ax.set_title(f"{name}: {ax.get_title()}", fontsize="small")
    return axes


def _share_of_rarer_kind(video: Video) -> float:
    share = float(require_labels(video).mean())
    return min(share, 1 - share)


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
    ax = style.one_panel(8, row_height * len(labels) + 1)
    longest = max(map(len, labels.values()))
    for row, truth in enumerate(labels.values()):
        ax.broken_barh([(0, len(truth))], (row - 0.35, 0.7), **style.NORMAL)
        ax.broken_barh(style.spans(truth), (row - 0.35, 0.7), **style.ABNORMAL)
        ax.text(longest * 1.01, row, f"{np.mean(truth):.0%}", va="center", fontsize=size)
    style.list_downwards(ax, list(labels))
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
    ax = style.one_panel(9, 0.5 * len(first) + 1)
    look_first: style.Look = {"facecolor": BLUE, "edgecolor": "white", "linewidth": 0}
    # a line in black: a single frame remains visible
    look_differ: style.Look = {"facecolor": "black", "edgecolor": "black", "linewidth": 0.6}
    for row, name in enumerate(first):
        differ = np.asarray(first[name]) != np.asarray(second[name])
        ax.broken_barh(style.spans(first[name]), (row - 0.38, 0.28), **look_first)
        ax.broken_barh(style.spans(second[name]), (row + 0.1, 0.28), **style.ABNORMAL)
        ax.broken_barh(style.spans(differ), (row - 0.1, 0.2), **look_differ)
        ax.plot([0, len(first[name])], [row + 0.45] * 2, color=GREY, linewidth=0.5)
    looks = (look_first, style.ABNORMAL, look_differ)
    handles = [Rectangle((0, 0), 1, 1, **look) for look in looks]
    style.legend_above(ax, 3, right=True, handles=handles, labels=[*names, "they differ"])
    style.list_downwards(ax, list(first))
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
    axes: np.ndarray = style.panels(1, len(changes), max(4.0, 3.2 * len(changes)), 2.8)[0]
    normal: style.Look = {"histtype": "stepfilled", "color": BLUE, "alpha": 0.35, "label": "normal"}
    abnormal: style.Look = {"histtype": "step", "color": ORANGE, "label": "abnormal"}
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


def plot_browser(
    datasets: Datasets, dataset: str, clip: str, frame: int, overlay: bool = True
) -> tuple[Figure, str]:
    """Draw one frame with its mask above the timeline of its video.

    Args:
        datasets: name -> videos.
        dataset: which of them.
        clip: the name of a video in it.
        frame: its number, from 0; beyond the end the last one is drawn.
        overlay: outline abnormal pixels where the video has masks.

    Returns:
        The figure and its alt text.

    Raises:
        InputError: an unknown dataset or video.
    """
    require_known(dataset, datasets, "dataset")
    videos = {video.name: video for video in datasets[dataset]}
    require_known(clip, videos, "video", field="clip")
    video = videos[clip]
    frame = min(max(frame, 0), len(video) - 1)
    height = 6 * video.frames.shape[1] / video.frames.shape[2]
    axes: np.ndarray = style.panels(2, 1, 6, height + 1.1, height_ratios=[height, 0.45])[:, 0]
    picture, timeline = axes
    draw_frame(picture, video, frame, overlay)
    picture.set_title(f"{dataset}, {picture.get_title()}", fontsize="small")
    timeline.broken_barh([(0, len(video))], (0, 1), **style.NORMAL)
    timeline.broken_barh(style.spans(video.labels), (0, 1), **style.ABNORMAL)
    timeline.axvline(frame, color="black", linewidth=2)
    timeline.plot([frame], [1.25], marker="v", color="black", markersize=6, clip_on=False)
    note = "frame" if video.labels is None else "frame; abnormal ones are hatched"
    timeline.set(yticks=[], xlim=(0, len(video)), ylim=(0, 1), xlabel=note)
    timeline.spines[:].set_color(GREY)
    return picture.figure, f"{dataset}, {_describe_frame(video, frame, overlay)}"


def _describe_frame(video: Video, frame: int, overlay: bool) -> str:
    text = f"video {video.name}, frame {frame} of {len(video)}"
    if video.labels is None:
        return f"{text}, unlabelled"
    if not video.labels[frame]:
        return f"{text}, normal"
    text += ", abnormal"
    if overlay and video.masks is not None and video.masks[frame].any():
        place = np.argwhere(video.masks[frame]).mean(0) / video.frames.shape[1:3]
        text += f"; outlined at {style.describe_place(*place)}"
    return text


def sample_frames(datasets: Datasets) -> list[tuple[str, str, int]]:
    """Choose frames for a static picture of the browser.

    They are the first frame, the middle of the first event and the last frame of the last dataset's
    first video that has both kinds of frame.

    Returns:
        (dataset, video, frame) each.
    """
    name, videos = list(datasets.items())[-1]
    video = next((video for video in videos if _share_of_rarer_kind(video) > 0), videos[0])
    middle = len(video) // 2
    for start, length in style.spans(video.labels)[:1]:
        middle = start + length // 2
    return [(name, video.name, frame) for frame in (0, middle, len(video) - 1)]
