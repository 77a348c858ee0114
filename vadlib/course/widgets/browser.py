"""The browser of datasets: controls around `plot_browser`."""

from __future__ import annotations

from typing import Any

from vadlib.course.display import image_tag
from vadlib.course.figures.browser import Datasets, plot_browser
from vadlib.course.widgets.controls import Panel, in_turn, load_ipywidgets
from vadlib.errors import require


class Browser(Panel):
    """Browse the frames of datasets, in a notebook with a running kernel.

    By keyboard, Tab reaches each control, the space bar chooses a dataset, and arrow keys move the
    video and the frame. JupyterLab takes the arrow keys from drop-down menus, so there is none. The
    alt text follows the picture.

    Raises:
        InputError: no datasets, or one without videos.
    """

    def __init__(self, datasets: Datasets):
        widgets = load_ipywidgets()
        has_videos = len(datasets) > 0 and all(datasets.values())
        require(
            has_videos, "expected at least one dataset, with videos", "too-few", field="datasets"
        )
        self._datasets = datasets
        narrow = {"description_width": "5em"}
        wide = {"style": narrow, "layout": widgets.Layout(width="32em"), "continuous_update": False}
        self.dataset = widgets.ToggleButtons(
            options=list(datasets), description="dataset", style=narrow
        )
        self.clip = widgets.SelectionSlider(
            options=self._video_names(), description="video", **wide
        )
        last = len(datasets[self.dataset.value][0]) - 1
        self.frame = widgets.IntSlider(0, 0, last, description="frame", **wide)
        self.overlay = widgets.Checkbox(True, description="outline abnormal pixels", indent=False)
        self.picture = widgets.HTML()
        self.box = widgets.VBox([self.dataset, self.clip, self.frame, self.overlay, self.picture])
        self.dataset.observe(self._enter_dataset, "value")
        self.clip.observe(self._enter_clip, "value")
        self.frame.observe(self._draw, "value")
        self.overlay.observe(self._draw, "value")
        self._draw()

    @in_turn
    def _enter_dataset(self, _change: Any) -> None:
        # this takes the first video; its handler runs only if the name differs
        self.clip.options = self._video_names()
        self._enter_clip()

    @in_turn
    def _enter_clip(self, _change: Any = None) -> None:
        for video in self._datasets[self.dataset.value]:
            if video.name == self.clip.value:
                last = len(video) - 1
        self.frame.value = min(self.frame.value, last)
        self.frame.max = last
        self._draw()

    @in_turn
    def _draw(self, _change: Any = None) -> None:
        figure, alt = plot_browser(
            self._datasets,
            self.dataset.value,
            self.clip.value,
            self.frame.value,
            self.overlay.value,
        )
        self.picture.value = image_tag(figure, alt)

    def _video_names(self) -> list[str]:
        return [video.name for video in self._datasets[self.dataset.value]]
