"""Pictures and numbers of the explorer: a frame, what the model makes of it, and its threshold."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vadlib.config import CELL, ClipConfig
from vadlib.course.figures.datasets import draw_frame
from vadlib.course.figures.memory import draw_heat, draw_picture, heat_limit
from vadlib.course.figures.style import Look, describe_place, draw_box, legend_above
from vadlib.course.inspection.explanation import Explanation, explain_clip
from vadlib.data.clips import scoring_starts
from vadlib.data.video import Video
from vadlib.errors import require, require_known
from vadlib.evaluation.metrics import intervals
from vadlib.evaluation.result import Result
from vadlib.model.run import Run
from vadlib.output.figure import BLUE, GREY, ORANGE

WIDTH = 8.2  # inches
LEFT, RIGHT = 0.075, 0.97  # ends of the curve, as shares of the width

Curves = Mapping[str, np.ndarray]
Explain = Callable[[Run, Video, int], Explanation]


class ExplorerView(NamedTuple):
    """The values of the explorer's controls."""

    video: str
    frame: int
    threshold: float


class FrameCounts(NamedTuple):
    """Frames by label and by alarm: a score *above* the threshold is an alarm."""

    hits: int
    false_alarms: int
    misses: int
    quiet: int

    @property
    def rates(self) -> np.ndarray:
        """Precision, recall and false-alarm rate; NaN where there is no frame to divide by."""
        parts = np.array([self.hits, self.hits, self.false_alarms])
        totals = parts + np.array([self.false_alarms, self.misses, self.quiet])
        rates: np.ndarray = np.divide(parts, totals, out=np.full(3, np.nan), where=totals > 0)
        return rates


def count_frames(scores: Curves, labels: Curves, threshold: float) -> FrameCounts:
    """Count the frames of all labelled videos.

    Args:
        scores: video -> (T,).
        labels: video -> (T,), 0 normal, 1 abnormal.
        threshold: on the scale of the scores.
    """
    counts = np.zeros(4, int)  # quiet, misses, false alarms, hits
    for name in scores.keys() & labels.keys():
        outcomes = (labels[name] > 0) + 2 * (scores[name] > threshold)
        counts += np.bincount(outcomes, minlength=4)
    return FrameCounts(*counts[::-1].tolist())


def next_wrong(
    scores: Curves, labels: Curves, threshold: float, kind: str, video: str, frame: int
) -> tuple[str, int] | None:
    """Find the next frame to look at that the threshold gets wrong.

    Each run of wrong frames has one: that farthest on the wrong side. The search begins after
    `frame`, continues through the videos after its own, and ends where it began.

    Args:
        scores, labels, threshold: see `count_frames`.
        kind: "false alarm" (normal, above) or "miss" (abnormal, not above).
        video: where to begin.
        frame: its number.

    Returns:
        (video, frame), or None where no frame is wrong.
    """
    names = list(scores)
    places = []
    for number, name in enumerate(names):
        if name in labels:
            is_alarm, is_abnormal = scores[name] > threshold, labels[name] > 0
            is_wrong, distance = is_alarm & ~is_abnormal, scores[name]
            if kind == "miss":
                is_wrong, distance = ~is_alarm & is_abnormal, -scores[name]
            for start, end in intervals(is_wrong):
                places.append((number, start + int(distance[start:end].argmax())))
    if not places:
        return None
    here = (names.index(video), frame)
    number, t = min(places, key=lambda place: (place <= here, place))
    return names[number], t


def clip_around(frame: int, length: int, config: ClipConfig) -> tuple[int, int]:
    """Find the clip of scoring whose middle is nearest to a frame.

    Args:
        frame: its number in the video.
        length: frames of the video.
        config: how the run's frames become clips.

    Returns:
        The clip's first frame, and the frame's place in it.
    """
    middle = (config.length - 1) / 2
    clips = []
    for start in scoring_starts(length, config.length, config.frame_step):
        place, rest = divmod(frame - start, config.frame_step)
        if rest == 0 and 0 <= place < config.length:
            clips.append((start, place))
    return min(clips, key=lambda clip: abs(clip[1] - middle))


def plot_explorer(
    run: Run,
    result: Result,
    videos: Sequence[Video],
    view: ExplorerView,
    explain: Explain = explain_clip,
) -> tuple[Figure, str]:
    """Draw a frame, what the model makes of it, and the score curve of its video.

    The frame's abnormal pixels are outlined where the video has masks, and a dashed square marks
    the worst place. The small pictures are D_n's reconstruction, its error and the mean entropy of
    M_n's addressing, of one clip around the frame, and the calibrated score by place.

    Args:
        run: that made the result.
        result: of `evaluate`, protocol "all".
        videos: those of the result, or some of them.
        view: what to draw.
        explain: what makes explanations; a widget keeps some.

    Returns:
        The figure and its alt text.

    Raises:
        InputError: an unknown video or frame, or a result of other videos.
    """
    by_name = videos_of_result(result, videos)
    require_known(view.video, by_name, "video", field="View.video")
    video = by_name[view.video]
    message = f"video {video.name}: no frame {view.frame}; expected 0 to {len(video) - 1}"
    require(0 <= view.frame < len(video), message, "out-of-range", field="View.frame")
    start, place = clip_around(view.frame, len(video), run.config.clips)
    clip = explain(run, video, start)
    local = result.score_map(video.name)[view.frame]
    height, width = video.frames.shape[1:3]
    figure = plt.figure()
    axes = _explorer_panels(figure, min(height / width, 1))
    draw_frame(axes[0], video, view.frame)
    scale = (height / clip.seen.shape[0], width / clip.seen.shape[1])
    _mark_worst_place(axes[0], scale, result.calibration.score_config.window, local)
    # outlines may reach beyond it
    axes[0].set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    draw_picture(axes[1], clip.reconstruction[place], "reconstructed by D_n")
    draw_heat(axes[2], clip.error[place], "squared error", heat_limit(clip.error) or 1)
    highest = heat_limit(clip.entropy, share=1) or 1
    draw_heat(axes[3], clip.entropy, "entropy of M_n (nats)", highest)
    axes[3].set_xlabel("hatched: nothing moves", fontsize="small")
    highest = max(result.scores[video.name].max(), 1)
    draw_heat(axes[4], local, "calibrated score by place", highest)
    _draw_curve(axes[5], result, view)
    return figure, describe_view(result, view, local)


def videos_of_result(result: Result, videos: Sequence[Video]) -> dict[str, Video]:
    """Return the videos by name.

    Raises:
        InputError: no videos, a result without a score for each of their frames, or one of another
            protocol than "all".
    """
    require(len(videos) > 0, "expected at least one video", "too-few", field="videos")
    message = f'a result of protocol "{result.protocol}"; evaluate again with "all"'
    require(result.protocol == "all", message, "conflict", field="protocol")
    for video in videos:
        scored = len(result.scores.get(video.name, ()))
        message = f"video {video.name}: {len(video)} frames, but {scored} scores in the result"
        require(scored == len(video), message, "conflict", field="videos")
    return {video.name: video for video in videos}


def _explorer_panels(figure: Figure, aspect: float) -> list[Axes]:
    """Add the panels: the frame, four small pictures of height / width `aspect`, the curve.

    All sizes are in inches. Beside the pictures is room for colour bars, between them for titles.
    """
    end = RIGHT - 0.035
    picture_height = (end - LEFT) * WIDTH / 4.9 * aspect
    gap = 0.32
    height = 2 * picture_height + gap + 2.5
    figure.set_size_inches(WIDTH, height)
    # The figure is cut to its content when shown. This background keeps the margins, by which the
    # slider below the curve is placed.
    background: Look = {"transform": figure.transFigure, "facecolor": "white", "zorder": -1}
    figure.add_artist(Rectangle((0, 0), 1, 1, **background))
    edges = {"left": LEFT, "right": end, "top": 1 - 0.25 / height, "bottom": 2.25 / height}
    grid = figure.add_gridspec(2, 4, wspace=0.3, hspace=gap / picture_height, **edges)
    frame = figure.add_subplot(grid[:, :2])
    small = [figure.add_subplot(grid[row, column]) for row in (0, 1) for column in (2, 3)]
    curve = figure.add_axes((LEFT, 0.5 / height, RIGHT - LEFT, 1.2 / height))
    return [frame, *small, curve]


def _mark_worst_place(
    ax: Axes, scale: tuple[float, float], window: int | None, local: np.ndarray
) -> None:
    """Draw the window with the largest calibrated score onto a frame.

    `scale` is (height, width) of the video's frames divided by those of the model's frames.
    """
    if local.size == 1 or window is None:
        return
    cells, side = window // CELL, np.array(scale) * CELL
    place = np.array(np.unravel_index(local.argmax(), local.shape))
    y, x = (place - cells // 2) * side
    height, width = cells * side
    dashed: Look = {"edgecolor": BLUE, "linewidth": 1.5, "linestyle": (0, (3, 2))}
    draw_box(ax, (x, y), width, height, edgecolor="white", linewidth=2.6)
    draw_box(ax, (x, y), width, height, **dashed)
    note = "dashed: the worst place"
    if ax.collections:  # the mask's outline
        note = f"outlined: the truth; {note}"
    ax.set_xlabel(note, fontsize="small")


def _draw_curve(ax: Axes, result: Result, view: ExplorerView) -> None:
    score = result.scores[view.video]
    shade: Look = {"facecolor": ORANGE, "alpha": 0.2, "hatch": "//", "edgecolor": ORANGE}
    shade["label"] = "abnormal (truth)"
    if view.video in result.labels:
        for start, end in intervals(result.labels[view.video]):
            ax.axvspan(start - 0.5, end - 0.5, **shade)
            shade["label"] = None  # once in the legend
    ax.plot(score, color=BLUE, label="calibrated score")
    dashed: Look = {"color": GREY, "linestyle": "--", "linewidth": 1.2}
    ax.axhline(view.threshold, label=f"threshold {view.threshold:.2f}", **dashed)
    ax.axvline(view.frame, color="black", linewidth=1.5)
    value = score[view.frame]
    dot: Look = {"color": "black", "markersize": 5}
    ax.plot(view.frame, value, "o", label=f"frame {view.frame}: {value:.2f}", **dot)
    ax.set(xlim=(0, len(score) - 1), xlabel="frame")
    legend_above(ax, 4, right=True)


def describe_view(result: Result, view: ExplorerView, local: np.ndarray) -> str:
    """Return the alt text of a view, with the worst place of the calibrated score (H', W')."""
    score = result.scores[view.video]
    value = score[view.frame]
    is_alarm = int(value > view.threshold)
    outcomes = ("quiet, unlabelled", "an alarm, unlabelled")
    if view.video in result.labels:
        is_abnormal = result.labels[view.video][view.frame]
        outcomes = ("a miss", "a hit") if is_abnormal else ("normal and quiet", "a false alarm")
    text = f"video {view.video}, frame {view.frame} of {len(score)}, "
    text += f"calibrated score {value:.2f}, "
    text += f"{'above' if is_alarm else 'not above'} the threshold of {view.threshold:.2f}: "
    text += outcomes[is_alarm]
    if local.size > 1:
        row, column = np.unravel_index(local.argmax(), local.shape)
        place = describe_place((row + 0.5) / local.shape[0], (column + 0.5) / local.shape[1])
        text += f"; the worst place is {place}"
    return text


def describe_counts(result: Result, names: Sequence[str], view: ExplorerView) -> str:
    """Return the counts of the view's video and of all the named ones as an HTML table.

    Videos without labels are left out.
    """
    scores = {name: result.scores[name] for name in names if name in result.labels}
    one = {name: score for name, score in scores.items() if name == view.video}
    groups = {f"video {view.video}": one, "all videos": scores}
    header = "frames of|hits (TP)|false alarms (FP)|misses (FN)|quiet (TN)"
    header += "|precision|recall|false-alarm rate"
    rows = _table_row("th", header.split("|"))
    for name, group in groups.items():
        if not group:
            continue
        counts = count_frames(group, result.labels, view.threshold)
        rates = ["none" if np.isnan(share) else f"{share:.1%}" for share in counts.rates]
        rows += _table_row("td", [name, *map(str, counts), *rates])
    style = "border-spacing: 0.7em 0; line-height: 1.6; text-align: right; white-space: nowrap"
    return f'<table style="{style}">{rows}</table>'


def _table_row(tag: str, cells: Sequence[str]) -> str:
    content = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
    return f"<tr>{content}</tr>"


def sample_views(result: Result) -> list[ExplorerView]:
    """Choose three views for a static picture: the clearest hit, false alarm and miss.

    The threshold is the run's. What does not occur is left out. Without labels, it is the frame
    with the highest score.
    """
    views = []
    for label, sign in ((1, 1), (0, 1), (1, -1)):
        best, farthest = None, 0.0
        for name, labels in result.labels.items():
            distance = sign * (result.scores[name] - result.threshold)
            distance = np.where(labels == label, distance, 0)
            if distance.max() > farthest:
                best, farthest = (name, int(distance.argmax())), distance.max()
        if best is not None:
            views.append(ExplorerView(*best, result.threshold))
    if not views:
        name = max(result.scores, key=lambda name: float(result.scores[name].max()))
        views.append(ExplorerView(name, int(result.scores[name].argmax()), result.threshold))
    return views
