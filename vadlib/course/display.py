"""Display of figures and videos in notebooks, with a text for people who cannot see them."""

from __future__ import annotations

import base64
import html
import io
import tempfile
from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vadlib.data.encode import write_video
from vadlib.data.video import Video
from vadlib.errors import require
from vadlib.output.annotation import annotate


def show(figure: Figure | Axes | np.ndarray, alt: str) -> None:
    """Show a figure in a notebook as an image with alt text, which is also its caption, and close
    it.

    The image is emitted as HTML, because nbconvert and myst-nb drop the alt text of matplotlib's
    own outputs. The caption is hidden from screen readers, which read the alt text.

    Args:
        figure: a figure, or the Axes that a plot returned.
        alt: what the figure shows, in a sentence of at least five words.
    """
    style = 'aria-hidden="true" style="font-size: smaller"'
    caption = f"<figcaption {style}>{html.escape(alt)}</figcaption>"
    show_html(f'<figure style="margin: 0">{image_tag(figure, alt)}{caption}</figure>')


def show_html(text: str) -> None:
    """Show HTML in a notebook."""
    from IPython.display import HTML, display  # of the extra vadlib[notebooks]

    display(HTML(text))  # type: ignore[no-untyped-call]


def image_tag(figure: Figure | Axes | np.ndarray, alt: str) -> str:
    """Return the figure as an HTML image with alt text, and close it. Arguments as of `show`."""
    _require_words(alt, "alt")
    canvas = figure if isinstance(figure, Figure) else np.ravel(np.array(figure))[0].figure
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    plt.close(canvas)
    source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return f'<img alt="{html.escape(alt)}" src="{source}" style="max-width: 100%">'


def video_tag(frames: Iterable[np.ndarray], fps: float, text: str) -> str:
    """Return frames as an HTML video that repeats and can be stopped.

    Args:
        frames: uint8 (H, W, C) each.
        fps: frames per second.
        text: what the video shows, in at least five words.
    """
    _require_words(text, "text")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_video(path, frames, fps)
        source = f"data:video/mp4;base64,{base64.b64encode(path.read_bytes()).decode()}"
    options = 'controls loop autoplay muted playsinline style="max-width: 100%"'
    return f'<video aria-label="{html.escape(text)}" src="{source}" {options}></video>'


def show_annotated(video: Video, score_map: np.ndarray, threshold: float, text: str) -> None:
    """Play a scored video in a notebook, each frame annotated; see `annotate`.

    Args:
        video: to show.
        score_map: (T, H', W') of at least 0; the largest value of a frame is its score.
        threshold: above it a frame is an alarm.
        text: what the video shows, in at least five words, for people who cannot see it.
    """
    frames = []
    for t, shares in enumerate(score_map / threshold):
        seconds = float(video.seconds[t])
        frames.append(annotate(video.frames[t], shares, float(shares.max()), 1.0, seconds))
    show_html(video_tag(frames, video.fps, text))


def _require_words(text: str, field: str) -> None:
    message = f"{field} {text!r}; expected at least five words that say what there is to see"
    require(len(text.split()) >= 5, message, "too-few", field=field)
