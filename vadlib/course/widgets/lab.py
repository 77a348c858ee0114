"""The laboratory of pseudo-anomalies: controls around the pictures of `figures.pseudo`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vadlib.course.display import image_tag
from vadlib.course.figures.pseudo import Clips, LabSettings, play_lab, plot_lab, plot_lab_batch
from vadlib.course.widgets.controls import Panel, in_turn, load_ipywidgets
from vadlib.errors import require
from vadlib.pseudo.mixer import KINDS
from vadlib.pseudo.patches import load_patches


class Lab(Panel):
    """Try out pseudo-anomalies, in a notebook with a running kernel.

    By keyboard, Tab reaches each control, the space bar presses a button, and arrow keys move a
    slider. Alt texts follow the pictures.

    Args:
        clips: detector -> the same clips with its boxes: `ClipDataset(videos, config,
            find_boxes(videos, detector))`.
        patches: names of patch sources; see `load_patches`.

    Raises:
        InputError: no clips or no patches.
    """

    def __init__(self, clips: Clips, patches: Sequence[str] = ("builtin",)):
        widgets = load_ipywidgets()
        message = "nothing to show: expected clips of at least one detector, and a patch source"
        require(len(clips) > 0 and len(patches) > 0, message, "too-few", field="clips")
        self._clips = clips
        self._sources = {name: load_patches(name) for name in patches}
        options = {"kind": KINDS, "detector": clips, "patches": patches}
        last = len(next(iter(clips.values()))) - 1
        limits = {"strength": (1.0, 0.05), "number": (last, 1), "seed": (99, 1), "p": (1.0, 0.01)}
        narrow = {"description_width": "6em"}
        wide = {"layout": widgets.Layout(width="34em"), "continuous_update": False}
        self.controls = {}
        for field, start in LabSettings()._asdict().items():
            label = {"description": "clip" if field == "number" else field}
            if field in options:
                style = narrow | {"button_width": "auto"}
                control = widgets.ToggleButtons(options=list(options[field]), style=style, **label)
            else:
                slider = widgets.FloatSlider if isinstance(start, float) else widgets.IntSlider
                most, step = limits[field]
                look = label | wide | {"style": narrow}
                control = slider(start, min=0, max=most, step=step, **look)
            control.observe(self._follow, "value")
            self.controls[field] = control
        self.film, self.strips = widgets.HTML(), widgets.HTML()
        self.batch = widgets.HTML()
        *of_clip, p = self.controls.values()
        self.box = widgets.VBox([*of_clip, self.film, self.strips, p, self.batch])
        self._draw_clip()
        self._draw_batch()

    @property
    def settings(self) -> LabSettings:
        """The values of the controls."""
        return LabSettings(**{name: control.value for name, control in self.controls.items()})

    @in_turn
    def _follow(self, change: Any) -> None:
        """Draw what the moved control changes."""
        controls = self.controls
        if change["owner"] is not controls["p"]:
            self._draw_clip()
        # the batch has the default kinds, and clips of its own
        if change["owner"] not in (controls["kind"], controls["number"]):
            self._draw_batch()

    def _draw_clip(self) -> None:
        self.film.value = play_lab(self._clips, self._sources, self.settings)
        self.strips.value = image_tag(*plot_lab(self._clips, self._sources, self.settings))

    def _draw_batch(self) -> None:
        self.batch.value = image_tag(*plot_lab_batch(self._clips, self._sources, self.settings))
