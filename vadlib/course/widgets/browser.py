"""Browse datasets in a notebook: controls around one pure function that draws a frame and the
timeline of its clip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from vadlib.course.figures.datasets import ABNORMAL, NORMAL, draw_frame, spans
from vadlib.data.video import Video
from vadlib.errors import require, require_known
from vadlib.output.figure import GREY, image_tag, in_turn, load_ipywidgets

Datasets = Mapping[str, Sequence[Video]]


def plot_browser(
    datasets: Datasets, dataset: str, clip: str, frame: int, overlay: bool = True
) -> tuple[Figure, str]:
    """One frame with its mask, above the timeline of its clip, and what the picture shows in words.

    Args:
        datasets: name -> videos.
        dataset: which of them.
        clip: the name of a video in it.
        frame: its number, from 0; beyond the end the last one is shown.
        overlay: outline abnormal pixels where the clip has masks.

    Raises:
        InputError: an unknown dataset or clip.
    """
    require_known(dataset, datasets, "dataset")
    by_name = {video.name: video for video in datasets[dataset]}
    require_known(clip, by_name, "video", field="clip")
    video = by_name[clip]
    frame = min(max(frame, 0), len(video) - 1)
    aspect = video.frames.shape[1] / video.frames.shape[2]
    figure, (picture, line) = plt.subplots(
        2, figsize=(6, 6 * aspect + 1.1), height_ratios=[6 * aspect, 0.45], layout="constrained"
    )
    draw_frame(picture, video, frame, overlay)
    picture.set_title(f"{dataset}, {picture.get_title()}", fontsize="small")
    line.broken_barh([(0, len(video))], (0, 1), facecolor=NORMAL)
    line.broken_barh(spans(video.labels), (0, 1), **ABNORMAL)
    line.axvline(frame, color="black", linewidth=2)
    line.plot([frame], [1.25], marker="v", color="black", markersize=6, clip_on=False)
    line.set(
        yticks=[],
        xlim=(0, len(video)),
        ylim=(0, 1),
        xlabel="frame" if video.labels is None else "frame; abnormal ones are hatched",
    )
    line.spines[:].set_color(GREY)
    return figure, describe_frame(dataset, video, frame, overlay)


def describe_frame(dataset: str, video: Video, frame: int, overlay: bool = True) -> str:
    """The alt text of one frame."""
    text = f"{dataset}, video {video.name}, frame {frame} of {len(video)}"
    if video.labels is None:
        return f"{text}, unlabelled"
    text += ", abnormal" if video.labels[frame] else ", normal"
    if overlay and video.masks is not None and video.labels[frame]:
        y, x = np.nonzero(video.masks[frame])
        if len(y):
            across, down = x.mean() / video.frames.shape[2], y.mean() / video.frames.shape[1]
            text += f"; outlined at {across:.0%} from the left and {down:.0%} from the top"
    return text


def Browser(datasets: Datasets):
    """A browser of datasets, clips and frames: an ipywidgets box, for a notebook with a running
    kernel.

    By keyboard: Tab reaches each control, the space bar chooses a dataset, arrow keys move the clip
    and the frame. (JupyterLab takes the arrow keys from a drop-down menu, so there is none.) The
    picture has an alt text that follows.

    Raises:
        InputError: no datasets, or one without videos.
    """
    widgets = load_ipywidgets()

    require(
        len(datasets) > 0 and all(datasets.values()),
        "nothing to browse: expected at least one dataset with videos",
        "too-few",
        field="datasets",
    )
    wide = {"style": {"description_width": "5em"}, "layout": widgets.Layout(width="32em")}
    dataset = widgets.ToggleButtons(
        options=list(datasets), description="dataset", style={"description_width": "5em"}
    )
    clip = widgets.SelectionSlider(
        options=_names(datasets, dataset.value),
        description="video",
        continuous_update=False,
        **wide,
    )
    frame = widgets.IntSlider(
        0,
        0,
        len(datasets[dataset.value][0]) - 1,
        description="frame",
        continuous_update=False,
        **wide,
    )
    overlay = widgets.Checkbox(True, description="outline abnormal pixels", indent=False)
    picture = widgets.HTML()

    @in_turn
    def draw(_=None) -> None:
        figure, alt = plot_browser(datasets, dataset.value, clip.value, frame.value, overlay.value)
        picture.value = image_tag(figure, alt)

    @in_turn
    def enter_dataset(_) -> None:
        # takes the first clip, and so the next handler runs
        clip.options = _names(datasets, dataset.value)
        enter_clip(None)

    @in_turn
    def enter_clip(_) -> None:
        video = next(v for v in datasets[dataset.value] if v.name == clip.value)
        frame.value, frame.max = min(frame.value, len(video) - 1), len(video) - 1
        draw()

    dataset.observe(enter_dataset, "value")
    clip.observe(enter_clip, "value")
    for control in (frame, overlay):
        control.observe(draw, "value")
    draw()
    return widgets.VBox([dataset, clip, frame, overlay, picture])


def _names(datasets: Datasets, name: str) -> list[str]:
    return [video.name for video in datasets[name]]


def sample_frames(datasets: Datasets) -> list[tuple[str, str, int]]:
    """Three states of `plot_browser` for a static picture of it: of the last dataset's first clip
    with both kinds of frame, its first frame, the one in the middle of its first event, and its
    last one, as (dataset, clip, frame).
    """
    name = list(datasets)[-1]
    video = next(
        (v for v in datasets[name] if v.labels is not None and 0 < v.labels.mean() < 1),
        datasets[name][0],
    )
    events = spans(video.labels)
    middle = events[0][0] + events[0][1] // 2 if events else len(video) // 2
    return [(name, video.name, frame) for frame in dict.fromkeys((0, middle, len(video) - 1))]
