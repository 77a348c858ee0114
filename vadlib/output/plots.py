"""Plots: results in, Axes out. None of them shows or saves; see `vadlib.output.figure.show`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from sklearn.metrics import roc_auc_score, roc_curve

from vadlib.data.video import Video
from vadlib.errors import require, require_known
from vadlib.evaluation.metrics import Curves, frame_edges, intervals, pool
from vadlib.evaluation.result import Result
from vadlib.output.figure import BLUE, GREEN, GREY, ORANGE, PINK


def plot_scores(
    result: Result,
    name: str,
    ax: Axes | None = None,
    rescored: Curves | None = None,
    threshold: float | None = None,
) -> Axes:
    """The calibrated score of one video over time; abnormal intervals are shaded and hatched, the
    threshold is dashed.

    Args:
        result: of the video.
        name: the video's.
        ax: where to draw.
        rescored: other scores of the same frames, to show instead; the run's threshold is not
            theirs.
        threshold: to draw instead of the run's.
    """
    require_known(name, result.scores, "video", field="name")
    ax = ax or plt.subplots(figsize=(8, 2.6), layout="constrained")[1]
    seconds = result.times[name]
    edges = frame_edges(seconds)
    ax.plot(seconds, (rescored or result.scores)[name], color=BLUE, label="score")
    if rescored is None and threshold is None:
        threshold = result.threshold
    if threshold is not None:
        ax.axhline(threshold, color=GREY, linestyle="--", linewidth=1, label="threshold")
    for i, (start, end) in enumerate(intervals(result.labels.get(name, np.zeros(0)))):
        look = {"facecolor": ORANGE, "alpha": 0.2, "hatch": "//", "edgecolor": ORANGE}
        ax.axvspan(edges[start], edges[end], **look, label="abnormal (truth)" if i == 0 else None)
    ax.set(xlabel="time (s)", ylabel="anomaly score", xlim=(0, seconds[-1]))
    ax.set_title(f"video {name}", loc="left")
    # above, where it hides no peak
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize="small", ncols=3, frameon=False)
    return ax


def plot_roc(labels: Curves, curves: Mapping[str, Curves], ax: Axes | None = None) -> Axes:
    """Plot the ROC curves of some scores, over all frames of all videos.

    Args:
        labels: video name -> uint8 (T,).
        curves: what the scores are called -> video name -> score (T,); at most 4.
        ax: where to draw.

    Raises:
        InputError: no labels, labels of other frames than the scores, or too many curves.
    """
    require(
        len(labels) > 0,
        "these videos have no labels, so there is no ROC curve",
        "missing-labels",
        field="labels",
    )
    looks = [(BLUE, "-"), (ORANGE, ":"), (GREEN, "-."), (PINK, "--")]
    require(
        len(curves) <= len(looks),
        f"{len(curves)} curves; expected at most {len(looks)}",
        "out-of-range",
        field="curves",
    )
    ax = ax or plt.subplots(figsize=(4.4, 4.2), layout="constrained")[1]
    for (name, scores), (colour, style) in zip(curves.items(), looks, strict=False):
        truth, pooled = pool(labels, scores)
        false, true, _ = roc_curve(truth, pooled)
        ax.plot(
            false,
            true,
            style,
            color=colour,
            label=f"{name}: AUC {roc_auc_score(truth, pooled):.3f}",
        )
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    ax.set(
        xlabel="false-positive rate",
        ylabel="true-positive rate",
        aspect="equal",
        title="ROC over all test frames",
    )
    ax.legend(loc="lower right", fontsize="small")
    return ax


def plot_frames(video: Video, frames: Sequence[int]) -> np.ndarray:
    """Some frames side by side, abnormal pixels outlined where the video has masks. Returns the
    Axes.
    """
    axes = _row(len(frames), video.frames.shape[1] / video.frames.shape[2])
    for ax, t in zip(axes, frames, strict=True):
        _picture(ax, video.frames[t], f"{video.name}, frame {t}")
        if video.masks is not None and video.masks[t].any():
            ax.contour(video.masks[t], [0.5], colors=ORANGE, linewidths=1.2)
    return axes


def _row(columns: int, aspect: float) -> np.ndarray:
    width = 9.0
    return plt.subplots(
        1,
        columns,
        figsize=(width, width / columns * aspect + 0.5),
        layout="constrained",
        squeeze=False,
    )[1][0]


def _picture(ax: Axes, frame: np.ndarray, title: str) -> None:
    ax.imshow(frame.squeeze(), cmap="gray", vmin=0, vmax=255)
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize="small")
