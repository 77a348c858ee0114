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
from vadlib.course.figures.style import Look, draw_box, legend_above
from vadlib.course.inspection.explanation import Explanation, explain_clip
from vadlib.data.clips import scoring_starts
from vadlib.data.video import Video
from vadlib.errors import require, require_known
from vadlib.evaluation.metrics import intervals, per_video
from vadlib.evaluation.result import SCALES, Result
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
    scale: str = "calibrated"


class FrameCounts(NamedTuple):
    """Frames by label and by alarm: a score *above* the threshold is an alarm."""

    hits: int
    false_alarms: int
    misses: int
    quiet: int

    @property
    def rates(self) -> list[float]:
        """Precision, recall and false-alarm rate; NaN where there is no frame to divide by."""
        precision = _share(self.hits, self.false_alarms)
        recall = _share(self.hits, self.misses)
        return [precision, recall, _share(self.false_alarms, self.quiet)]


def _share(part: int, rest: int) -> float:
    return part / (part + rest) if part + rest else float("nan")


def count_frames(scores: Curves, labels: Curves, threshold: float) -> FrameCounts:
    """Count the frames of all labelled videos.

    Args:
        scores: video -> (T,).
        labels: video -> (T,), 0 normal, 1 abnormal.
        threshold: on the scale of the scores.
    """
    counts = np.zeros((2, 2), int)  # by label and by alarm
    for name, score in scores.items():
        if name in labels:
            np.add.at(counts, (labels[name].astype(int), (score > threshold).astype(int)), 1)
    quiet, misses = counts[:, 0].tolist()
    false_alarms, hits = counts[:, 1].tolist()
    return FrameCounts(hits, false_alarms, misses, quiet)


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
        if name not in labels:
            continue
        is_alarm, is_abnormal = scores[name] > threshold, labels[name] > 0
        if kind == "false alarm":
            wrong, distance = is_alarm & ~is_abnormal, scores[name]
        else:
            wrong, distance = ~is_alarm & is_abnormal, -scores[name]
        for start, end in intervals(wrong):
            places.append((number, start + int(distance[start:end].argmax())))
    here = (names.index(video), frame)
    after = [place for place in places if place > here]
    if not places:
        return None
    number, t = min(after or places)
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


def curves(result: Result, scale: str) -> dict[str, np.ndarray]:
    """Return the scores of `result.rescore(scale)` without computing them again."""
    require_known(scale, SCALES, "scale")
    if scale == "calibrated":
        return dict(result.scores)
    return dict(result.raw) if scale == "raw" else per_video(result.raw)


def start_threshold(result: Result, scale: str) -> float:
    """Return the run's threshold; on other scales the value with as many frames above it."""
    if scale == "calibrated":
        return float(result.threshold)
    below = np.mean(np.concatenate(list(result.scores.values())) <= result.threshold)
    return float(np.quantile(np.concatenate(list(curves(result, scale).values())), below))


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
        InputError: an unknown video, frame or scale, or a result of other videos.
    """
    by_name = videos_of_result(result, videos)
    require_known(view.video, by_name, "video", field="View.video")
    video = by_name[view.video]
    message = f"video {video.name}: no frame {view.frame}; expected 0 to {len(video) - 1}"
    require(0 <= view.frame < len(video), message, "out-of-range", field="View.frame")
    start, place = clip_around(view.frame, len(video), run.config.clips)
    clip = explain(run, video, start)
    local = result.score_map(video.name)[view.frame]
    aspect = video.frames.shape[1] / video.frames.shape[2]
    axes = _explorer_panels(min(aspect, 1))
    frame, curve = axes[0], axes[-1]
    small = axes[1:-1]
    draw_frame(frame, video, view.frame)
    _mark_worst_place(frame, video, clip.seen.shape, result.calibration.score_config.window, local)
    # outlines may reach beyond it
    frame.set(xlim=(-0.5, video.frames.shape[2] - 0.5), ylim=(video.frames.shape[1] - 0.5, -0.5))
    highest = heat_limit(clip.entropy, share=1) or 1
    draw_picture(small[0], clip.reconstruction[place], "reconstructed by D_n")
    draw_heat(small[1], clip.error[place], "squared error", heat_limit(clip.error) or 1)
    draw_heat(small[2], clip.entropy, "entropy of M_n (nats)", highest)
    small[2].set_xlabel("hatched: nothing moves", fontsize="small")
    highest = max(result.scores[video.name].max(), 1)
    draw_heat(small[3], local, "calibrated score by place", highest)
    _draw_curve(curve, result, view)
    figure = frame.figure
    assert isinstance(figure, Figure)
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


def _explorer_panels(aspect: float) -> list[Axes]:
    """Make the panels: the frame, four small pictures of height / width `aspect`, the curve.

    All sizes are in inches. Beside the pictures is room for colour bars, between them for titles.
    """
    end = RIGHT - 0.035
    picture_height = (end - LEFT) * WIDTH / 4.9 * aspect
    gap = 0.32
    height = 2 * picture_height + gap + 2.5
    figure = plt.figure(figsize=(WIDTH, height))
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
    ax: Axes, video: Video, size: tuple[int, ...], window: int | None, local: np.ndarray
) -> None:
    """Draw the window with the largest calibrated score onto a frame.

    `size` is that of the model's frames, which may be smaller than the video's.
    """
    if local.size == 1 or window is None:
        return
    down = video.frames.shape[1] / size[0]
    across = video.frames.shape[2] / size[1]
    row, column = np.unravel_index(local.argmax(), local.shape)
    cells = window // CELL
    corner = ((column - cells // 2) * CELL * across, (row - cells // 2) * CELL * down)
    width, height = cells * CELL * across, cells * CELL * down
    dashed: Look = {"edgecolor": BLUE, "linewidth": 1.5, "linestyle": (0, (3, 2))}
    draw_box(ax, corner, width, height, edgecolor="white", linewidth=2.6)
    draw_box(ax, corner, width, height, **dashed)
    note = "dashed: the worst place"
    if ax.collections:  # the mask's outline
        note = f"outlined: the truth; {note}"
    ax.set_xlabel(note, fontsize="small")


def _draw_curve(ax: Axes, result: Result, view: ExplorerView) -> None:
    score = curves(result, view.scale)[view.video]
    shade: Look = {"facecolor": ORANGE, "alpha": 0.2, "hatch": "//", "edgecolor": ORANGE}
    shade["label"] = "abnormal (truth)"
    if view.video in result.labels:
        for start, end in intervals(result.labels[view.video]):
            ax.axvspan(start - 0.5, end - 0.5, **shade)
            shade["label"] = None  # once in the legend
    ax.plot(score, color=BLUE, label=f"{view.scale.replace('_', ' ')} score")
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
    score = curves(result, view.scale)[view.video]
    value = score[view.frame]
    is_alarm = value > view.threshold
    side = "above" if is_alarm else "not above"
    text = (
        f"video {view.video}, frame {view.frame} of {len(score)}, "
        f"{view.scale.replace('_', ' ')} score {value:.2f}, "
        f"{side} the threshold of {view.threshold:.2f}: "
    )
    if view.video not in result.labels:
        text += "an alarm, unlabelled" if is_alarm else "quiet, unlabelled"
    elif result.labels[view.video][view.frame]:
        text += "a hit" if is_alarm else "a miss"
    else:
        text += "a false alarm" if is_alarm else "normal and quiet"
    if local.size > 1:
        row, column = np.unravel_index(local.argmax(), local.shape)
        down, across = (row + 0.5) / local.shape[0], (column + 0.5) / local.shape[1]
        text += f"; the worst place is {across:.0%} from the left and {down:.0%} from the top"
    return text


def describe_counts(result: Result, names: Sequence[str], view: ExplorerView) -> str:
    """Return the counts of the view's video and of all the named ones as an HTML table.

    It is a sentence where none of them has labels.
    """
    scores = {}
    for name, score in curves(result, view.scale).items():
        if name in names and name in result.labels:
            scores[name] = score
    if not scores:
        text = "These videos have no labels: hits, misses and false alarms cannot be counted."
        return f"<p>{text}</p>"
    header = "frames of|hits (TP)|false alarms (FP)|misses (FN)|quiet (TN)"
    header += "|precision|recall|false-alarm rate"
    rows, note = [_table_row("th", header.split("|"))], ""
    if view.video in scores:
        one = {view.video: scores[view.video]}
        rows.append(_count_row(f"video {view.video}", one, result.labels, view.threshold))
    else:
        note = f"<p>video {html.escape(view.video)} has no labels</p>"
    rows.append(_count_row("all videos", scores, result.labels, view.threshold))
    style = "border-spacing: 0.7em 0; line-height: 1.6; text-align: right; white-space: nowrap"
    return f'<table style="{style}">{"".join(rows)}</table>{note}'


def _count_row(name: str, scores: Curves, labels: Curves, threshold: float) -> str:
    counts = count_frames(scores, labels, threshold)
    cells = [name, *(str(count) for count in counts)]
    for share in counts.rates:
        cells.append("none" if np.isnan(share) else f"{share:.1%}")
    return _table_row("td", cells)


def _table_row(tag: str, cells: Sequence[str]) -> str:
    content = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
    return f"<tr>{content}</tr>"


def sample_views(result: Result) -> list[ExplorerView]:
    """Choose three views for a static picture: the clearest hit, false alarm and miss.

    The threshold is the run's. What does not occur is left out. Without labels, it is the frame
    with the highest score.
    """
    distances: list[dict[str, np.ndarray]] = [{}, {}, {}]  # hits, false alarms, misses
    for name, labels in result.labels.items():
        above = result.scores[name] - result.threshold
        for of_kind, label, sign in zip(distances, (1, 0, 1), (1, 1, -1), strict=True):
            of_kind[name] = np.where(labels == label, sign * above, -np.inf)
    views = []
    for of_kind in distances:
        place = _highest_frame(of_kind)
        if place is not None and of_kind[place[0]][place[1]] > 0:
            views.append(ExplorerView(*place, result.threshold))
    place = _highest_frame(result.scores)
    if not views and place is not None:
        views.append(ExplorerView(*place, result.threshold))
    return views


def _highest_frame(values: Curves) -> tuple[str, int] | None:
    if not values:
        return None
    best = max(values, key=lambda name: float(values[name].max()))
    return best, int(values[best].argmax())
