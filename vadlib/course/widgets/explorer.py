"""The explorer of scores: controls around `plot_explorer`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from vadlib.course.display import image_tag
from vadlib.course.figures.explorer import (
    LEFT,
    RIGHT,
    WIDTH,
    ExplorerView,
    curves,
    describe_counts,
    next_wrong,
    plot_explorer,
    sample_views,
    start_threshold,
    videos_of_result,
)
from vadlib.course.inspection.explanation import Explanation, explain_clip
from vadlib.course.widgets.controls import Panel, in_turn, load_ipywidgets
from vadlib.data.video import Video
from vadlib.evaluation.result import SCALES, Result
from vadlib.model.run import Run

EXPLANATIONS = 12  # of clips, which the explorer keeps: with 16 frames of Ped2 each takes 12 MB
PAD = 0.1  # inches that `image_tag` leaves around a figure


class Explorer(Panel):
    """Explore the scores of a run, in a notebook with a running kernel.

    By keyboard, Tab reaches each control, arrow keys move a slider, and the space bar presses a
    button. The slider below the curve moves its cursor. The alt text follows the picture. The first
    look at a clip takes a moment, in which the model reconstructs it.

    Args:
        run: that made the result.
        result: of `evaluate`, protocol "all".
        videos: those of the result, or some of them.

    Raises:
        InputError: no videos, or a result of others.
    """

    def __init__(self, run: Run, result: Result, videos: Sequence[Video]):
        widgets = load_ipywidgets()
        self._videos = videos_of_result(result, videos)
        self._run, self._result = run, result
        self._explain = functools.lru_cache(EXPLANATIONS)(self._explain_clip)
        self._is_entering = False  # several controls move, but draw one picture
        view = sample_views(result)[0]
        if view.video not in self._videos:
            view = ExplorerView(videos[0].name, 0, view.threshold)
        self._make_controls(widgets, view)
        self.picture = widgets.HTML(layout=widgets.Layout(margin="0 0 -14px 0"))
        self.counts, self.note = widgets.HTML(), widgets.Label()
        # one slider a scale: the browser would cut the value of one whose bounds move
        self.threshold_box = widgets.Box([self.thresholds[self.scale.value]])
        jumps = widgets.HBox([*self.jumps.values(), self.note])
        self.box = widgets.VBox(
            [
                self.video,
                self.scale,
                self.picture,
                self.frame,
                self.threshold_box,
                jumps,
                self.counts,
            ]
        )
        # the picture's own width: beyond it the slider would be longer than the curve
        self.box.layout.max_width = f"{(WIDTH + 2 * PAD) * 110:.0f}px"
        for control in (self.video, self.scale, self.frame, *self.thresholds.values()):
            control.observe(self._follow, "value")
        for button in self.jumps.values():
            button.on_click(self._jump)
        self._draw()

    def _make_controls(self, widgets: Any, view: ExplorerView) -> None:
        wide = {"style": {"description_width": "6em"}, "layout": widgets.Layout(width="34em")}
        buttons = {
            "style": {"description_width": "6em", "button_width": "auto"},
            "layout": widgets.Layout(display="flex"),
        }
        videos = {"options": list(self._videos), "value": view.video, "description": "video"}
        if len(self._videos) <= 6:
            self.video = widgets.ToggleButtons(**videos, **buttons)
        else:
            self.video = widgets.SelectionSlider(**videos, **wide, continuous_update=False)
        scales = [(name.replace("_", " "), name) for name in SCALES]
        self.scale = widgets.ToggleButtons(
            options=scales, value=view.scale, description="scale", **buttons
        )
        # The ends of the track lie below those of the curve, which are shares of the picture. The
        # pixels are what ipywidgets leaves free around the track.
        width = WIDTH + 2 * PAD
        begin, end = (PAD + LEFT * WIDTH) / width, (PAD + RIGHT * WIDTH) / width
        self.frame = widgets.IntSlider(
            view.frame,
            max=len(self._videos[view.video]) - 1,
            description="frame",
            readout=False,
            style={"description_width": f"calc({begin / end:.2%} - 14px)"},
            layout=widgets.Layout(width=f"calc({end:.2%} + 6px)", margin="0"),
        )
        self.thresholds = {}
        for scale in SCALES:
            bounds = _threshold_bounds(self._result, list(self._videos), scale)
            self.thresholds[scale] = widgets.FloatSlider(description="threshold", **bounds, **wide)
        self.jumps = {}
        for kind in ("false alarm", "miss"):
            self.jumps[kind] = widgets.Button(description=f"next {kind}")

    @property
    def view(self) -> ExplorerView:
        """The values of the controls."""
        scale = self.scale.value
        threshold = self.thresholds[scale].value
        return ExplorerView(self.video.value, self.frame.value, threshold, scale)

    def _draw(self) -> None:
        videos = list(self._videos.values())
        self.counts.value = describe_counts(self._result, list(self._videos), self.view)
        figure, alt = plot_explorer(
            self._run,
            self._result,
            videos,
            self.view,
            lambda _, video, start: self._explain(video.name, start),
        )
        self.picture.value = image_tag(figure, alt)

    def _explain_clip(self, name: str, start: int) -> Explanation:
        clip = explain_clip(self._run, self._videos[name], start)
        # large, and not drawn
        return clip._replace(attention=np.zeros(0), pseudo=None)

    @in_turn
    def _follow(self, change: Any) -> None:
        """Draw again after a control moved."""
        if self._is_entering:
            return
        if change["owner"] is self.video:
            self._enter(self.video.value, self.frame.value)
        self.threshold_box.children = [self.thresholds[self.scale.value]]
        self.note.value = ""
        self._draw()

    @in_turn
    def _jump(self, button: Any) -> None:
        """Go to the next frame that the threshold gets wrong."""
        kind = button.description.removeprefix("next ")
        view, labels = self.view, self._result.labels
        all_scores = curves(self._result, view.scale)
        scores = {name: all_scores[name] for name in self._videos}
        place = next_wrong(scores, labels, view.threshold, kind, view.video, view.frame)
        if place is None and any(name in labels for name in scores):
            self.note.value = f"no {kind} at this threshold"
        elif place is None:
            self.note.value = f"no labels, so no {kind} is known"
        else:
            self._enter(*place)
            self.note.value = f"{kind}: video {place[0]}, frame {place[1]}"
            self._draw()

    def _enter(self, name: str, frame: int) -> None:
        """Go to a frame of a video, or its last one, without drawing."""
        last = len(self._videos[name]) - 1
        self._is_entering = True
        self.video.value = name
        # each of these is a message, after which the value must lie within the bounds
        self.frame.max = max(self.frame.max, last)
        self.frame.value = min(frame, last)
        self.frame.max = last
        self._is_entering = False


def _threshold_bounds(result: Result, names: Sequence[str], scale: str) -> dict[str, float]:
    """Return where a threshold slider begins and ends, and its step.

    At the ends all frames of these videos are above the threshold, and none. A slider moves in
    steps from its minimum, and the browser moves it to the nearest, so its start is one of them.
    """
    scores = curves(result, scale)
    values = np.concatenate([scores[name] for name in names])
    start = start_threshold(result, scale)
    step = float(10.0 ** np.floor(np.log10(max(np.ptp(values), 1e-6) / 50)))
    steps_down = max(np.ceil((start - values.min()) / step), 0) + 1
    steps_up = max(np.ceil((values.max() - start) / step), 0) + 1
    lowest, highest = start - steps_down * step, start + steps_up * step
    return {"value": start, "min": float(lowest), "max": float(highest), "step": step}
