"""How figures look, and how they are shown with a text for those who cannot see them."""

from __future__ import annotations

import base64
import html
import io
import tempfile
from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vadlib.data.encode import write_video
from vadlib.errors import require

# Okabe and Ito's palette: told apart with every common colour vision; line styles and markers
# repeat the difference.
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"


def show(figure: Figure | Axes | np.ndarray, alt: str) -> None:
    """Show a figure in a notebook as an image with alt text, which is also its caption, and close
    it.

    The image is emitted as HTML: nbconvert and myst-nb drop the alt text of matplotlib's own
    outputs. Who hears the alt text need not hear the caption, too.

    Args:
        figure: what to show: a figure, or the Axes that a plot returned.
        alt: what the figure shows, in a sentence: at least five words.
    """
    caption = (
        f'<figcaption aria-hidden="true" style="font-size: smaller">{html.escape(alt)}</figcaption>'
    )
    display(HTML(f'<figure style="margin: 0">{image_tag(figure, alt)}{caption}</figure>'))


def image_tag(figure: Figure | Axes | np.ndarray, alt: str) -> str:
    """The figure as an HTML image with alt text; the figure is closed. Arguments as of `show`."""
    require(
        len(alt.split()) >= 5,
        f"alt text {alt!r}; expected at least five words that say what the figure shows",
        "too-few",
        field="alt",
    )
    if not isinstance(figure, Figure):
        figure = np.ravel(figure)[0].figure
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    plt.close(figure)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{encoded}" style="max-width: 100%">'


def video_tag(frames: Iterable[np.ndarray], fps: float, text: str) -> str:
    """Frames as an HTML video that plays over and over and can be stopped.

    Args:
        frames: uint8 (H, W, C) each.
        fps: frames a second.
        text: what it shows, for those who cannot see it: at least five words.
    """
    require(
        len(text.split()) >= 5,
        f"text {text!r}; expected at least five words that say what the video shows",
        "too-few",
        field="text",
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_video(path, frames, fps)
        encoded = base64.b64encode(path.read_bytes()).decode()
    source = f"data:video/mp4;base64,{encoded}"
    return f'<video aria-label="{html.escape(text)}" src="{source}" controls loop autoplay muted playsinline style="max-width: 100%"></video>'
