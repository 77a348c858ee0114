"""Pictures of the browser of datasets: a frame above the timeline of its video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from vadlib.course.figures.datasets import draw_frame
from vadlib.course.figures.style import ABNORMAL, NORMAL, panels, spans
from vadlib.data.video import Video
from vadlib.errors import require_known
from vadlib.output.figure import GREY

Datasets = Mapping[str, Sequence[Video]]


def plot_browser(
    datasets: Datasets, dataset: str, clip: str, frame: int, overlay: bool = True
) -> tuple[Figure, str]:
    """Draw one frame with its mask above the timeline of its video.

    Args:
        datasets: name -> videos.
        dataset: which of them.
        clip: the name of a video in it.
        frame: its number, from 0; beyond the end the last one is drawn.
        overlay: outline abnormal pixels where the video has masks.

    Returns:
        The figure and its alt text.

    Raises:
        InputError: an unknown dataset or video.
    """
    require_known(dataset, datasets, "dataset")
    videos = {video.name: video for video in datasets[dataset]}
    require_known(clip, videos, "video", field="clip")
    video = videos[clip]
    frame = min(max(frame, 0), len(video) - 1)
    height = 6 * video.frames.shape[1] / video.frames.shape[2]
    axes: np.ndarray = panels(2, 1, 6, height + 1.1, height_ratios=[height, 0.45])[:, 0]
    draw_frame(axes[0], video, frame, overlay)
    axes[0].set_title(f"{dataset}, {axes[0].get_title()}", fontsize="small")
    # the timeline, with a cursor
    axes[1].broken_barh([(0, len(video))], (0, 1), **NORMAL)
    axes[1].broken_barh(spans(video.labels), (0, 1), **ABNORMAL)
    axes[1].axvline(frame, color="black", linewidth=2)
    axes[1].plot([frame], [1.25], marker="v", color="black", markersize=6, clip_on=False)
    axes[1].set(yticks=[], xlim=(0, len(video)), ylim=(0, 1))
    note = "frame" if video.labels is None else "frame; abnormal ones are hatched"
    axes[1].set_xlabel(note)
    axes[1].spines[:].set_color(GREY)
    return axes[0].figure, _describe_frame(dataset, video, frame, overlay)


def _describe_frame(dataset: str, video: Video, frame: int, overlay: bool) -> str:
    text = f"{dataset}, video {video.name}, frame {frame} of {len(video)}"
    if video.labels is None:
        return f"{text}, unlabelled"
    if not video.labels[frame]:
        return f"{text}, normal"
    text += ", abnormal"
    if overlay and video.masks is not None:
        y, x = np.nonzero(video.masks[frame])
        if len(y):
            across = x.mean() / video.frames.shape[2]
            down = y.mean() / video.frames.shape[1]
            text += f"; outlined at {across:.0%} from the left and {down:.0%} from the top"
    return text


def sample_frames(datasets: Datasets) -> list[tuple[str, str, int]]:
    """Choose three frames for a static picture of the browser.

    They are the first frame, the middle of the first event and the last frame of the last dataset's
    first video that has both kinds of frame.

    Returns:
        (dataset, video, frame) each.
    """
    name, videos = list(datasets.items())[-1]
    video = videos[0]
    for candidate in videos:
        if candidate.labels is not None and 0 < candidate.labels.mean() < 1:
            video = candidate
            break
    middle = len(video) // 2
    events = spans(video.labels)
    if events:
        start, length = events[0]
        middle = start + length // 2
    frames = sorted({0, middle, len(video) - 1})
    return [(name, video.name, frame) for frame in frames]
