"""Plots: results in, Axes out. None of them shows or saves; see `vadlib.course.display.show`."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from sklearn.metrics import roc_curve

from vadlib.data.video import Video
from vadlib.errors import require, require_known
from vadlib.evaluation.metrics import Curves, frame_edges, intervals, micro_auc, pool
from vadlib.evaluation.result import Result
from vadlib.output.figure import BLUE, GREEN, GREY, ORANGE, PINK


def plot_scores(
    result: Result,
    name: str,
    ax: Axes | None = None,
    rescored: Curves | None = None,
    threshold: float | None = None,
) -> Axes:
    """Plot the calibrated score of one video over time; abnormal intervals are shaded and hatched,
    the threshold is dashed.

    Args:
        result: of the video.
        name: of the video.
        ax: where to draw.
        rescored: other scores of the same frames, to show instead, without the run's threshold.
        threshold: to draw instead of the run's.
    """
    require_known(name, result.videos, "video", field="name")
    video = result.videos[name]
    ax = ax or plt.subplots(figsize=(8, 2.6), layout="constrained")[1]
    if rescored is None:
        rescored = result.scores
        threshold = result.threshold if threshold is None else threshold
    ax.plot(video.times, rescored[name], color=BLUE, label="score")
    if threshold is not None:
        ax.axhline(threshold, color=GREY, linestyle="--", linewidth=1, label="threshold")
    labels = np.zeros(0) if video.labels is None else video.labels
    edges = frame_edges(video.times)
    text = "abnormal (truth)"
    for start, end in intervals(labels):
        ax.axvspan(edges[start], edges[end], color=ORANGE, alpha=0.2, hatch="//", label=text)
        text = "_"  # once in the legend
    ax.set(xlabel="time (s)", ylabel="anomaly score", xlim=(0, video.times[-1]))
    ax.set_title(f"video {name}", loc="left")
    # above the axes, so that it hides no peak
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize="small", ncols=3, frameon=False)
    return ax


def plot_roc(labels: Curves, curves: Mapping[str, Curves], ax: Axes | None = None) -> Axes:
    """Plot the ROC curves of some scores, over all frames of all videos.

    Args:
        labels: video name -> uint8 (T,).
        curves: label in the legend -> video name -> score (T,); at most 4.
        ax: where to draw.

    Raises:
        InputError: no labels, labels of other frames than the scores, or too many curves.
    """
    require(len(curves) <= 4, f"{len(curves)} curves, not 1 to 4", "out-of-range", field="curves")
    ax = ax or plt.subplots(figsize=(4.4, 4.2), layout="constrained")[1]
    ax.set_prop_cycle(color=[BLUE, ORANGE, GREEN, PINK], linestyle=["-", ":", "-.", "--"])
    for name, scores in curves.items():
        false, true = roc_curve(*pool(labels, scores))[:2]
        ax.plot(false, true, label=f"{name}: AUC {micro_auc(labels, scores):.3f}")
    ax.plot([0, 1], [0, 1], "-", color=GREY, linewidth=0.8)
    ax.set(xlabel="false-positive rate", ylabel="true-positive rate", aspect="equal")
    ax.set_title("ROC over all test frames")
    ax.legend(loc="lower right", fontsize="small")
    return ax


def plot_frames(video: Video, frames: Sequence[int]) -> np.ndarray:
    """Plot some frames side by side, abnormal pixels outlined where the video has masks. Return the
    Axes.
    """
    height, width = video.frames.shape[1:3]
    size = (9, 9 / len(frames) * height / width + 0.5)
    figure = plt.figure(figsize=size, layout="constrained")
    axes: np.ndarray = figure.subplots(1, len(frames), squeeze=False)[0]
    for ax, t in zip(axes, frames, strict=True):
        ax.imshow(video.frames[t].squeeze(), cmap="gray", vmin=0, vmax=255)
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"{video.name}, frame {t}", fontsize="small")
        if video.masks is not None and video.masks[t].any():
            ax.contour(video.masks[t], [0.5], colors=ORANGE, linewidths=1.2)
    return axes
