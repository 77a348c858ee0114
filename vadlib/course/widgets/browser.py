"""The browser of datasets: controls around `plot_browser`."""

from __future__ import annotations

from typing import Any

from vadlib.course.display import image_tag
from vadlib.course.figures.datasets import Datasets, plot_browser
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
        message = "expected at least one dataset, with videos"
        require(has_videos, message, "too-few", field="datasets")
        self._datasets = datasets
        narrow = {"description_width": "5em"}
        wide = {"style": narrow, "layout": widgets.Layout(width="32em"), "continuous_update": False}
        buttons = {"options": list(datasets), "description": "dataset", "style": narrow}
        self.dataset = widgets.ToggleButtons(**buttons)
        names = [video.name for video in datasets[self.dataset.value]]
        self.clip = widgets.SelectionSlider(options=names, description="video", **wide)
        self.frame = widgets.IntSlider(0, 0, 0, description="frame", **wide)
        self.overlay = widgets.Checkbox(True, description="outline abnormal pixels", indent=False)
        self.picture = widgets.HTML()
        controls = (self.dataset, self.clip, self.frame, self.overlay)
        self.box = widgets.VBox([*controls, self.picture])
        for control in controls:
            control.observe(self._follow, "value")
        self._follow()

    @in_turn
    def _follow(self, _change: Any = None) -> None:
        """Draw again after a control moved."""
        dataset = self.dataset.value
        videos = {video.name: video for video in self._datasets[dataset]}
        if self.clip.options != tuple(videos):
            self.clip.options = tuple(videos)  # this takes the first one
        last = len(videos[self.clip.value]) - 1
        self.frame.value = min(self.frame.value, last)
        self.frame.max = last
        view = (dataset, self.clip.value, self.frame.value, self.overlay.value)
        self.picture.value = image_tag(*plot_browser(self._datasets, *view))
