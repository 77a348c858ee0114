"""How figures look, and how they are shown with a text for those who cannot see them."""

from __future__ import annotations

import base64
import html
import io

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vadlib.config import require

# Okabe and Ito's palette: told apart with every common colour vision; line styles and markers repeat the difference.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"


def show(figure: Figure | Axes | np.ndarray, alt: str) -> None:
    """Show a figure in a notebook as an image with alt text, and close it.

    The image is emitted as HTML: nbconvert and myst-nb drop the alt text of matplotlib's own outputs.

    Args:
        figure: what to show: a figure, or the Axes that a plot returned.
        alt: what the figure shows, in a sentence: at least five words.
    """
    display(HTML(image_tag(figure, alt)))


def image_tag(figure: Figure | Axes | np.ndarray, alt: str) -> str:
    """The figure as an HTML image with alt text; the figure is closed. Arguments as of `show`."""
    require(len(alt.split()) >= 5, f"alt text {alt!r}; expected at least five words that say what the figure shows")
    if not isinstance(figure, Figure):
        figure = np.ravel(figure)[0].figure
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    plt.close(figure)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{encoded}" style="max-width: 100%">'
