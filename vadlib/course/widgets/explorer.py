"""The explorer of scores: one frame, what the model made of it, and where the threshold would put
it. Controls around pure functions.
"""

from __future__ import annotations

import functools
import html
from collections.abc import Callable, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vadlib.config import CELL, ClipConfig
from vadlib.course.figures.datasets import draw_frame
from vadlib.course.figures.memory import draw_heat, draw_picture, heat_limit
from vadlib.course.inspection.explanation import Explanation, explain_clip
from vadlib.data.clips import scoring_starts
from vadlib.data.video import Video
from vadlib.errors import require, require_known
from vadlib.evaluation.metrics import Curves, intervals, per_video
from vadlib.evaluation.result import SCALES, Result
from vadlib.model.run import Run
from vadlib.output.figure import BLUE, GREY, ORANGE, image_tag, in_turn, load_ipywidgets

KEPT = 12  # clips whose explanation is kept: of 16 frames of Ped2 each takes 12 MB
WIDTH, LEFT, RIGHT = 8.2, 0.075, 0.97  # inches, and the ends of the curve as shares of them
PAD = 0.1  # inches that `image_tag` leaves around a figure


class ExplorerView(NamedTuple):
    """What the controls of the explorer say."""

    video: str
    frame: int
    threshold: float
    scale: str = "calibrated"


def count_frames(scores: Curves, labels: Curves, threshold: float) -> dict[str, float]:
    """Frames of all labelled videos by what they are and what they are called: a score *above* the
    threshold calls its frame abnormal.

    Args:
        scores: video -> (T,).
        labels: video -> (T,), 0 normal, 1 abnormal.
        threshold: on the scale of the scores.

    Returns:
        The four counts, then in [0, 1] "precision" (share of the alarms that are hits), "recall"
        (share of the abnormal frames) and "false-alarm rate" (share of the normal frames); NaN
        where there is no frame to take the share of.
    """
    pairs = [(scores[name] > threshold, labels[name] > 0) for name in scores if name in labels]
    kinds = ((True, True), (True, False), (False, True), (False, False))
    hits, false, missed, quiet = (
        sum(int(np.sum((above == a) & (truth == t))) for above, truth in pairs) for a, t in kinds
    )
    counts = {
        "hits (TP)": hits,
        "false alarms (FP)": false,
        "misses (FN)": missed,
        "quiet (TN)": quiet,
    }
    shares = {
        "precision": (hits, false),
        "recall": (hits, missed),
        "false-alarm rate": (false, quiet),
    }
    return counts | {
        name: part / (part + rest) if part + rest else float("nan")
        for name, (part, rest) in shares.items()
    }


def next_wrong(
    scores: Curves, labels: Curves, threshold: float, kind: str, video: str, frame: int
) -> tuple[str, int] | None:
    """The next frame to look at that the threshold gets wrong, as (video, frame); None where there
    is none.

    Of each run of wrong frames it is the one farthest on the wrong side. The search goes on behind
    `frame` through the rest of its video, through the videos after it, and round to where it began.

    Args:
        scores, labels, threshold: as of `count_frames`.
        kind: "false alarm" (normal, above) or "miss" (abnormal, not above).
        video: where to begin.
        frame: its number.
    """
    names, found = list(scores), []
    for place, name in enumerate(names):
        if name in labels:
            above, abnormal = scores[name] > threshold, labels[name] > 0
            wrong, off = (
                (above & ~abnormal, scores[name])
                if kind == "false alarm"
                else (~above & abnormal, -scores[name])
            )
            found += [
                (place, start + int(off[start:end].argmax())) for start, end in intervals(wrong)
            ]
    if not found:
        return None
    here = (names.index(video), frame)
    place, at = min(found, key=lambda spot: (spot <= here, spot))
    return names[place], at


def clip_around(frame: int, length: int, config: ClipConfig) -> tuple[int, int]:
    """The clip of those that scoring uses whose middle is nearest to a frame: its first frame, and
    the frame's place in it.

    Args:
        frame: its number in the video.
        length: frames of the video.
        config: how the run's frames become clips.
    """
    away = [
        (start, *divmod(frame - start, config.frame_step))
        for start in scoring_starts(length, config.length, config.frame_step)
    ]
    holding = [
        (start, place) for start, place, rest in away if rest == 0 and 0 <= place < config.length
    ]
    return min(holding, key=lambda clip: abs(clip[1] - (config.length - 1) / 2))


def curves(result: Result, scale: str) -> dict[str, np.ndarray]:
    """What `result.rescore(scale)` computes, of what the result holds already: video -> float64
    (T,).
    """
    require_known(scale, SCALES, "scale")
    return {"calibrated": result.scores, "raw": result.raw}.get(scale) or per_video(result.raw)


def start_threshold(result: Result, scale: str) -> float:
    """The run's threshold; on other scales the value that as many frames are above."""
    if scale == "calibrated":
        return result.threshold
    below = np.mean(np.concatenate(list(result.scores.values())) <= result.threshold)
    return float(np.quantile(np.concatenate(list(curves(result, scale).values())), below))


def plot_explorer(
    run: Run,
    result: Result,
    videos: Sequence[Video],
    view: ExplorerView,
    explain: Callable[[Run, Video, int], Explanation] = explain_clip,
) -> tuple[Figure, str]:
    """A frame, what the model made of it, and the score curve of its video; and the same in words.

    The frame's abnormal pixels are outlined where the video has masks, and a dashed square marks
    the worst place. The small pictures: D_n's reconstruction, its error and the mean entropy of
    M_n's addressing, of one clip around the frame; and the calibrated score by place.

    Args:
        run: that made the result.
        result: of `evaluate`, protocol "all".
        videos: those of the result, or some of them.
        view: what to show.
        explain: what makes explanations; a widget keeps some.

    Raises:
        InputError: a video or a frame that is not there, a result of other videos, or an unknown
            scale.
    """
    by_name = _require_fitting(result, videos)
    require_known(view.video, by_name, "video", field="ExplorerView.video")
    video = by_name[view.video]
    require(
        0 <= view.frame < len(video),
        f"video {video.name}: no frame {view.frame}; expected 0 to {len(video) - 1}",
        "out-of-range",
        field="ExplorerView.frame",
    )
    start, place = clip_around(view.frame, len(video), run.config.clips)
    clip, local = explain(run, video, start), _local_scores(result, view)
    # Inches: the small pictures and the gaps beside (for colour bars) and between them (for
    # titles).
    end = RIGHT - 0.035
    wide = (end - LEFT) * WIDTH / 4.9
    high, gap = wide * min(video.frames.shape[1] / video.frames.shape[2], 1), 0.32
    height = 2 * high + gap + 2.5
    figure = plt.figure(figsize=(WIDTH, height))
    # The figure is cut to what is on it: this keeps its margins, which the slider under the curve
    # is placed by.
    figure.add_artist(
        plt.Rectangle((0, 0), 1, 1, transform=figure.transFigure, facecolor="white", zorder=-1)
    )
    grid = figure.add_gridspec(
        2,
        4,
        left=LEFT,
        right=end,
        top=1 - 0.25 / height,
        bottom=2.25 / height,
        wspace=0.3,
        hspace=gap / high,
    )
    frame = figure.add_subplot(grid[:, :2])
    draw_frame(frame, video, view.frame)
    _mark_origin(frame, video, clip, result, local)
    # outlines may reach beyond it
    frame.set(xlim=(-0.5, video.frames.shape[2] - 0.5), ylim=(video.frames.shape[1] - 0.5, -0.5))
    panels = [figure.add_subplot(grid[row, column]) for row in (0, 1) for column in (2, 3)]
    draw_picture(panels[0], clip.rebuilt[place], "rebuilt by D_n")
    draw_heat(panels[1], clip.error[place], "squared error", heat_limit(clip.error) or 1)
    draw_heat(
        panels[2], clip.entropy, "entropy of M_n (nats)", heat_limit(clip.entropy, share=1) or 1
    )
    panels[2].set_xlabel("hatched: nothing moves", fontsize="small")
    draw_heat(
        panels[3], local, "calibrated score by place", max(result.scores[video.name].max(), 1)
    )
    _draw_curve(figure.add_axes([LEFT, 0.5 / height, RIGHT - LEFT, 1.2 / height]), result, view)
    return figure, describe_view(result, view, local)


def describe_view(result: Result, view: ExplorerView, local: np.ndarray | None = None) -> str:
    """The alt text of one view; with the calibrated score by place (H', W') also the worst place."""
    score = curves(result, view.scale)[view.video]
    above = score[view.frame] > view.threshold
    text = f"video {view.video}, frame {view.frame} of {len(score)}, {view.scale.replace('_', ' ')} score {score[view.frame]:.2f}, "
    text += f"{'above' if above else 'not above'} the threshold of {view.threshold:.2f}: "
    labels = result.labels.get(view.video)
    outcomes = {
        (1, 1): "a hit",
        (1, 0): "a false alarm",
        (0, 1): "a miss",
        (0, 0): "normal and quiet",
    }
    text += (
        ("an alarm" if above else "quiet") + ", unlabelled"
        if labels is None
        else outcomes[int(above), int(labels[view.frame])]
    )
    if local is not None and local.size > 1:
        down, across = (
            (at + 0.5) / size
            for at, size in zip(
                np.unravel_index(local.argmax(), local.shape), local.shape, strict=True
            )
        )
        text += f"; the worst place is {across:.0%} from the left and {down:.0%} from the top"
    return text


def describe_counts(result: Result, names: Sequence[str], view: ExplorerView) -> str:
    """`count_frames` of the view's video and of all the named ones as an HTML table; a sentence
    without labels.
    """
    scores = {
        name: curve
        for name, curve in curves(result, view.scale).items()
        if name in names and name in result.labels
    }
    if not scores:
        return (
            "<p>These videos have no labels: hits, misses and false alarms cannot be counted.</p>"
        )
    parts = (
        {f"video {view.video}": {view.video: scores[view.video]}} if view.video in scores else {}
    )
    rows = {
        name: count_frames(part, result.labels, view.threshold)
        for name, part in (parts | {"all videos": scores}).items()
    }
    table = _row("th", ["frames of", *rows["all videos"]])
    for name, values in rows.items():
        shown = [
            str(value) if isinstance(value, int) else "none" if np.isnan(value) else f"{value:.1%}"
            for value in values.values()
        ]
        table += _row("td", [name, *shown])
    note = "" if parts else f"<p>video {html.escape(view.video)} has no labels</p>"
    return f'<table style="border-spacing: 0.7em 0; line-height: 1.6; text-align: right; white-space: nowrap">{table}</table>{note}'


def sample_views(result: Result) -> list[ExplorerView]:
    """Three views for a static picture of the explorer, at the run's threshold: the clearest hit,
    false alarm and miss.

    What there is none of is left out; without labels it is the frame with the highest score.
    """
    found = []
    for abnormal, sign in ((1, 1), (0, 1), (1, -1)):
        # on the side that is asked for
        far = {name: sign * (result.scores[name] - result.threshold) for name in result.labels}
        found += _highest_frame(
            {
                name: np.where(result.labels[name] == abnormal, values, -np.inf)
                for name, values in far.items()
            },
            0,
        )
    return [
        ExplorerView(*spot, result.threshold)
        for spot in found or _highest_frame(result.scores, -np.inf)
    ]


def Explorer(run: Run, result: Result, videos: Sequence[Video]):
    """The explorer: an ipywidgets box, for a notebook with a running kernel.

    By keyboard: Tab reaches each control, arrow keys move a slider, the space bar presses a button.
    The slider below the curve moves its cursor. The picture has an alt text that follows. The first
    look at a clip takes a moment, in which the model rebuilds it.

    Args:
        run: that made the result.
        result: of `evaluate`, protocol "all".
        videos: those of the result, or some of them.

    Raises:
        InputError: no videos, or a result of others.
    """
    widgets = load_ipywidgets()

    by_name = _require_fitting(result, videos)
    names = list(by_name)

    @functools.lru_cache(KEPT)
    def kept(name: str, start: int) -> Explanation:
        # which are large, and not shown
        return explain_clip(run, by_name[name], start)._replace(attention=None, pseudo=None)

    first, few = sample_views(result)[0], len(names) <= 6
    first = first if first.video in by_name else ExplorerView(names[0], 0, first.threshold)
    wide = {"style": {"description_width": "6em"}, "layout": widgets.Layout(width="34em")}
    buttons = {
        "style": {"description_width": "6em", "button_width": "auto"},
        "layout": widgets.Layout(display="flex"),
    }
    video = (widgets.ToggleButtons if few else widgets.SelectionSlider)(
        options=names,
        value=first.video,
        description="video",
        **(buttons if few else wide | {"continuous_update": False}),
    )
    scales = [(name.replace("_", " "), name) for name in SCALES]
    scale = widgets.ToggleButtons(
        options=scales, value="calibrated", description="scale", **buttons
    )
    # of the curve, as shares of the picture
    left, right = ((PAD + share * WIDTH) / (WIDTH + 2 * PAD) for share in (LEFT, RIGHT))
    frame = widgets.IntSlider(
        first.frame,
        max=len(by_name[first.video]) - 1,
        description="frame",
        readout=False,
        # The pixels are what ipywidgets leaves free around the track, so that its ends lie below
        # those of the curve.
        style={"description_width": f"calc({left / right:.2%} - 14px)"},
        layout=widgets.Layout(width=f"calc({right:.2%} + 6px)", margin="0"),
    )
    thresholds = {
        kind: widgets.FloatSlider(description="threshold", **_bounds(result, names, kind), **wide)
        for kind in SCALES
    }
    # one slider a scale: the browser would cut the value of one whose bounds move
    shown = widgets.Box([thresholds[scale.value]])
    jumps = {kind: widgets.Button(description=f"next {kind}") for kind in ("false alarm", "miss")}
    picture, counts, said = (
        widgets.HTML(layout=widgets.Layout(margin="0 0 -14px 0")),
        widgets.HTML(),
        widgets.Label(),
    )
    entering = False  # then several controls move, but draw one picture

    def draw() -> None:
        view = ExplorerView(video.value, frame.value, thresholds[scale.value].value, scale.value)
        counts.value = describe_counts(result, names, view)
        picture.value = image_tag(
            *plot_explorer(
                run, result, videos, view, lambda _, video, start: kept(video.name, start)
            )
        )

    def enter(name: str, t: int) -> None:
        nonlocal entering
        entering, last = True, len(by_name[name]) - 1
        video.value = name
        # each of these is a message, after which the value must lie within the bounds
        frame.max = max(frame.max, last)
        frame.value, frame.max = min(t, last), last
        entering = False

    @in_turn
    def follow(change) -> None:
        if entering:
            return
        if change["owner"] is video:
            enter(video.value, frame.value)
        shown.children = [thresholds[scale.value]]
        said.value = ""
        draw()

    @in_turn
    def jump(kind: str) -> None:
        scores = {name: curves(result, scale.value)[name] for name in names}
        found = next_wrong(
            scores, result.labels, thresholds[scale.value].value, kind, video.value, frame.value
        )
        if found is None:
            known = any(name in result.labels for name in names)
            said.value = (
                f"no {kind} at this threshold" if known else f"no labels, so no {kind} is known"
            )
            return
        enter(*found)
        said.value = f"{kind}: video {found[0]}, frame {found[1]}"
        draw()

    for control in (video, scale, frame, *thresholds.values()):
        control.observe(follow, "value")
    for kind, button in jumps.items():
        button.on_click(lambda _, kind=kind: jump(kind))
    draw()
    box = widgets.VBox(
        [video, scale, picture, frame, shown, widgets.HBox([*jumps.values(), said]), counts]
    )
    # the picture's own: beyond it the slider would be longer than the curve
    box.layout.max_width = f"{(WIDTH + 2 * PAD) * 110:.0f}px"
    return box


def _bounds(result: Result, names: Sequence[str], scale: str) -> dict[str, float]:
    """Where a threshold slider begins, and its ends, at which all frames of these videos are above
    and none.

    A slider moves in steps from its minimum, and the browser moves it to the nearest: the beginning
    is one of them.
    """
    values = np.concatenate([curves(result, scale)[name] for name in names])
    start, step = (
        start_threshold(result, scale),
        10.0 ** np.floor(np.log10(max(np.ptp(values), 1e-6) / 50)),
    )
    down, up = (
        max(np.ceil(far / step), 0) + 1 for far in (start - values.min(), values.max() - start)
    )
    return {"value": start, "min": start - down * step, "max": start + up * step, "step": step}


def _require_fitting(result: Result, videos: Sequence[Video]) -> dict[str, Video]:
    require(
        len(videos) > 0,
        "nothing to explore: expected at least one video",
        "too-few",
        field="videos",
    )
    require(
        result.protocol == "all",
        f'a result of protocol "{result.protocol}"; evaluate again with "all", which scores every frame',
        "conflict",
        field="protocol",
    )
    for video in videos:
        known = len(result.scores.get(video.name, ()))
        require(
            known == len(video),
            f"video {video.name}: {len(video)} frames, {known} of them in the result; expected a score for each",
            "conflict",
            field="videos",
        )
    return {video.name: video for video in videos}


def _local_scores(result: Result, view: ExplorerView) -> np.ndarray:
    """The calibrated score by place at the view's frame, (H', W'), of the frames around it, which
    are all that it depends on.
    """
    score_config = result.calibration.score_config
    first = max(0, view.frame - score_config.frames)
    around = slice(first, view.frame + score_config.frames + 1)
    video = result.videos[view.video]
    maps = {name: errors[around] for name, errors in video.maps.items()}
    local = result.calibration.score_map(maps, video.scene, score_config, score_config.window)
    return local[view.frame - first]


def _mark_origin(
    ax: Axes, video: Video, clip: Explanation, result: Result, local: np.ndarray
) -> None:
    """Draw the window with the largest calibrated score onto a frame."""
    if local.size == 1:
        return
    (height, width), cells = clip.seen.shape, result.calibration.score_config.window // CELL
    # the model's frames may be smaller than the video's
    down, across = video.frames.shape[1] / height, video.frames.shape[2] / width
    y, x = ((at - cells // 2) * CELL for at in np.unravel_index(local.argmax(), local.shape))
    for look in (
        {"edgecolor": "white", "linewidth": 2.6},
        {"edgecolor": BLUE, "linewidth": 1.5, "linestyle": (0, (3, 2))},
    ):
        ax.add_patch(
            plt.Rectangle(
                (x * across, y * down),
                cells * CELL * across,
                cells * CELL * down,
                fill=False,
                **look,
            )
        )
    truth = "outlined: the truth; " if ax.collections else ""
    ax.set_xlabel(f"{truth}dashed: the worst place", fontsize="small")


def _draw_curve(ax: Axes, result: Result, view: ExplorerView) -> None:
    score = curves(result, view.scale)[view.video]
    for i, (start, end) in enumerate(intervals(result.labels.get(view.video, np.zeros(0)))):
        look = {"facecolor": ORANGE, "alpha": 0.2, "hatch": "//", "edgecolor": ORANGE}
        ax.axvspan(start - 0.5, end - 0.5, **look, label="abnormal (truth)" if i == 0 else None)
    ax.plot(score, color=BLUE, label=f"{view.scale.replace('_', ' ')} score")
    ax.axhline(
        view.threshold,
        color=GREY,
        linestyle="--",
        linewidth=1.2,
        label=f"threshold {view.threshold:.2f}",
    )
    ax.axvline(view.frame, color="black", linewidth=1.5)
    ax.plot(
        [view.frame],
        [score[view.frame]],
        "o",
        color="black",
        markersize=5,
        label=f"frame {view.frame}: {score[view.frame]:.2f}",
    )
    ax.set(xlim=(0, len(score) - 1), xlabel="frame")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize="small", ncols=4, frameon=False)


def _highest_frame(values: Curves, least: float) -> list[tuple[str, int]]:
    """Where values are highest, as (video, frame); nothing where none is above `least`."""
    best = max(values, key=lambda name: values[name].max(), default=None)
    return (
        [(best, int(values[best].argmax()))]
        if best is not None and values[best].max() > least
        else []
    )


def _row(kind: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{kind}>{html.escape(cell)}</{kind}>' for cell in cells)}</tr>"
