"""The explorer of scores: controls around `plot_explorer`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from vadlib.course.display import image_tag
from vadlib.course.figures import explorer
from vadlib.course.inspection.explanation import Explanation, explain_clip
from vadlib.course.widgets.controls import Panel, in_turn, load_ipywidgets
from vadlib.data.video import Video
from vadlib.evaluation.result import Result
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
        self._videos = explorer.videos_of_result(result, videos)
        self._run, self._result = run, result
        self._explain = functools.lru_cache(EXPLANATIONS)(self._explain_clip)
        self._is_entering = False  # several controls move, but draw one picture
        view = explorer.sample_views(result)[0]
        if view.video not in self._videos:
            view = explorer.ExplorerView(videos[0].name, 0, view.threshold)
        narrow = {"description_width": "6em"}
        wide = {"style": narrow, "layout": widgets.Layout(width="34em")}
        choice = {"options": list(self._videos), "value": view.video, "description": "video"}
        self.video = widgets.SelectionSlider(**choice, **wide, continuous_update=False)
        self.frame = _frame_slider(widgets, view.frame, len(self._videos[view.video]))
        bounds = _threshold_bounds(result, list(self._videos))
        self.threshold = widgets.FloatSlider(description="threshold", **bounds, **wide)
        self.jumps = {}
        for kind in ("false alarm", "miss"):
            self.jumps[kind] = widgets.Button(description=f"next {kind}")
            self.jumps[kind].on_click(self._jump)
        self.picture = widgets.HTML(layout=widgets.Layout(margin="0 0 -14px 0"))
        self.counts, self.note = widgets.HTML(), widgets.Label()
        jumps = widgets.HBox([*self.jumps.values(), self.note])
        above, below = [self.video, self.picture], [jumps, self.counts]
        self.box = widgets.VBox([*above, self.frame, self.threshold, *below])
        # the picture's own width: beyond it the slider would be longer than the curve
        self.box.layout.max_width = f"{(explorer.WIDTH + 2 * PAD) * 110:.0f}px"
        for control in (self.video, self.frame, self.threshold):
            control.observe(self._follow, "value")
        self._draw()

    @property
    def view(self) -> explorer.ExplorerView:
        """The values of the controls."""
        return explorer.ExplorerView(self.video.value, self.frame.value, self.threshold.value)

    def _draw(self) -> None:
        names, videos = list(self._videos), list(self._videos.values())
        self.counts.value = explorer.describe_counts(self._result, names, self.view)

        def explain(run: Run, video: Video, start: int) -> Explanation:
            return self._explain(video.name, start)

        figure, alt = explorer.plot_explorer(self._run, self._result, videos, self.view, explain)
        self.picture.value = image_tag(figure, alt)

    def _explain_clip(self, name: str, start: int) -> Explanation:
        clip = explain_clip(self._run, self._videos[name], start)
        return clip._replace(attention=np.zeros(0), pseudo=None)  # large, and not drawn

    @in_turn
    def _follow(self, change: Any) -> None:
        """Draw again after a control moved."""
        if self._is_entering:
            return
        if change["owner"] is self.video:
            self._enter(self.video.value, self.frame.value)
        self.note.value = ""
        self._draw()

    @in_turn
    def _jump(self, button: Any) -> None:
        """Go to the next frame that the threshold gets wrong."""
        kind = button.description.removeprefix("next ")
        view, labels = self.view, self._result.labels
        scores = {name: self._result.scores[name] for name in self._videos}
        place = explorer.next_wrong(scores, labels, view.threshold, kind, view.video, view.frame)
        if place is None:
            self.note.value = f"no {kind} is known at this threshold"
            return
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


def _frame_slider(widgets: Any, frame: int, length: int) -> Any:
    """Make a slider whose track has its ends below those of the curve."""
    # These are shares of the picture. The pixels are what ipywidgets leaves free around the track.
    width = explorer.WIDTH + 2 * PAD
    begin = (PAD + explorer.LEFT * explorer.WIDTH) / width
    end = (PAD + explorer.RIGHT * explorer.WIDTH) / width
    style = {"description_width": f"calc({begin / end:.2%} - 14px)"}
    layout = widgets.Layout(width=f"calc({end:.2%} + 6px)", margin="0")
    look = {"readout": False, "style": style, "layout": layout}
    return widgets.IntSlider(frame, max=length - 1, description="frame", **look)


def _threshold_bounds(result: Result, names: Sequence[str]) -> dict[str, float]:
    """Return where the threshold slider begins and ends, and its step.

    At the ends all frames of these videos are above the threshold, and none. A slider moves in
    steps from its minimum, and the browser moves it to the nearest, so its start is one of them.
    """
    values = np.concatenate([result.scores[name] for name in names])
    start = float(result.threshold)
    step = float(10.0 ** np.floor(np.log10(max(np.ptp(values), 1e-6) / 50)))
    steps_down = max(np.ceil((start - values.min()) / step), 0) + 1
    steps_up = max(np.ceil((values.max() - start) / step), 0) + 1
    lowest, highest = start - steps_down * step, start + steps_up * step
    return {"value": start, "min": float(lowest), "max": float(highest), "step": step}
