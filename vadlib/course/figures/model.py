"""Figures of the model: its parts, one memory read, and what the two paths make of a clip."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from vadlib.course.figures import style
from vadlib.data.clips import to_frames
from vadlib.errors import require
from vadlib.model.losses import squared_error
from vadlib.model.memory import address
from vadlib.model.network import DualPathAutoencoder
from vadlib.output.figure import BLUE, GREEN, GREY, ORANGE

PARTS = {
    "E": "encoder",
    "M_n": "normal_memory",
    "D_n": "normal_decoder",
    "M_p": "pseudo_memory",
    "D_p": "pseudo_decoder",
}
Shape = tuple[int, ...]
ARROW: style.Look = {"arrowstyle": "->", "shrinkA": 0, "shrinkB": 0}


def part_shapes(model: DualPathAutoencoder, clip_shape: Sequence[int]) -> dict[str, list[Shape]]:
    """Return the different shapes (C, T, H, W) of the outputs of each of `PARTS`, in order.

    Forward hooks record the shapes on a copy of the model on the meta device, so nothing is
    computed.

    Args:
        model: with two memories and two decoders.
        clip_shape: (C, T, H, W).

    Raises:
        InputError: the paths share a part, or have no memory.
    """
    model = copy.deepcopy(model).to("meta")
    is_whole = model.pseudo_memory is not None and model.pseudo_decoder is not None
    message = "expected a model with two memories and two decoders"
    require(is_whole, message, "conflict", field="ModelConfig.memories")
    shapes: dict[str, list[Shape]] = {name: [] for name in PARTS}
    for name, attribute in PARTS.items():
        part = getattr(model, attribute)
        for layer in part.modules():
            is_whole_part = layer is part and name != "E"
            if is_whole_part or isinstance(layer, (nn.Conv3d, nn.ConvTranspose3d)):
                layer.register_forward_hook(partial(_record_shape, shapes[name]))
    clips = torch.empty(1, *clip_shape, device="meta")
    features = model.encode(clips)
    for path in ("normal", "pseudo"):
        model.reconstruct(features, path, clips.shape)
    return shapes


def _record_shape(shapes: list[Shape], _layer: nn.Module, _inputs: Any, output: Any) -> None:
    """Append the shape of a layer's output, unless the layer before has the same."""
    tensor = output[0] if isinstance(output, tuple) else output
    shape = tuple(tensor.shape[1:])
    if shape not in shapes:
        shapes.append(shape)


def plot_method(normal: Tensor, broken: Tensor) -> Axes:
    """Draw the whole method: a normal clip x, the broken clip x', the two paths and their errors.

    Args:
        normal, broken: clips (C, T, H, W); their middle frames are drawn.
    """
    ax = style.one_panel(9, 4.2)
    ax.set(xlim=(0, 18), ylim=(0, 8.4), aspect="equal")
    ax.axis("off")
    _draw_input(ax, normal, 5.0, "x: a normal clip")
    _draw_input(ax, broken, 0.6, "x': the clip, broken on purpose")
    _draw_part(ax, (5.2, 4.2), "$E$\nencoder", GREY)
    _draw_arrow(ax, (3.1, 5.6), (4.3, 4.6))
    _draw_arrow(ax, (3.1, 2.6), (4.3, 3.8))
    _draw_arrow(ax, (6.1, 4.6), (7.1, 5.8))
    _draw_arrow(ax, (6.1, 3.8), (7.1, 2.6))
    _draw_path(ax, 6.2, "n", "normal path", "x", BLUE)
    _draw_path(ax, 2.2, "p", "pseudo-anomaly path", "x'", ORANGE)
    return ax


def _draw_input(ax: Axes, clip: Tensor, bottom: float, name: str) -> None:
    picture = to_frames(clip)[clip.shape[1] // 2].squeeze()
    extent = (0.2, 3.0, bottom, bottom + 2.8)
    ax.imshow(picture, cmap="gray", vmin=0, vmax=255, extent=extent, zorder=2)
    ax.text(1.6, bottom - 0.12, name, ha="center", va="top", fontsize=8)


def _draw_part(ax: Axes, centre: tuple[float, float], label: str, colour: str) -> None:
    x, y = centre
    look: style.Look = {"facecolor": "white", "edgecolor": colour, "linewidth": 1.6}
    if colour == ORANGE:
        look["hatch"] = "////"
    ax.add_patch(Rectangle((x - 0.9, y - 0.8), 1.8, 1.6, **look))
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    ax.text(x, y, label, ha="center", va="center", fontsize=9, bbox=ground)


def _draw_path(ax: Axes, y: float, letter: str, name: str, target: str, colour: str) -> None:
    _draw_part(ax, (8.0, y), f"$M_{letter}$\nmemory", colour)
    _draw_part(ax, (10.8, y), f"$D_{letter}$\ndecoder", colour)
    _draw_arrow(ax, (8.9, y), (9.9, y))
    _draw_arrow(ax, (11.7, y), (12.7, y))
    ax.text(9.4, y + 1.0, name, ha="center", fontsize=9, color=colour)
    task = f"error: how far $D_{letter}$'s\nreconstruction is from {target}"
    frame = {"facecolor": "white", "edgecolor": colour, "boxstyle": "round"}
    ax.text(12.9, y, task, va="center", fontsize=9, bbox=frame)


def _draw_arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], **look: Any
) -> None:
    ax.annotate("", end, start, arrowprops=ARROW | look, zorder=2)


def plot_network(model: DualPathAutoencoder, clip_shape: Sequence[int]) -> Axes:
    """Draw a clip (C, T, H, W) on its way through a network with two memories and two decoders.

    The normal path is above, the pseudo path (hatched) below. A box is as high as the pictures it
    holds, and wider for more channels. The text below it gives channels and T x H x W, the text
    above a part its number of parameters. A skip is dashed.
    """
    shapes = {"clip": [tuple(clip_shape)], **part_shapes(model, clip_shape)}
    encoder_end = 1 + len(shapes["E"])
    columns = {"c": 0, "E": 1, "M": encoder_end, "D": encoder_end + 1}
    ax = style.one_panel(9, 5.4)
    boxes = {}
    for name, levels in shapes.items():
        boxes[name] = _draw_levels(ax, name, levels, columns[name[0]], clip_shape[2])
        label = name
        if name in PARTS:
            parameters = sum(p.numel() for p in getattr(model, PARTS[name]).parameters())
            label += f"\n{parameters:,}"
        x = columns[name[0]] + (len(levels) - 1) / 2
        top = _middle(name) + max(box.get_height() for box in boxes[name]) / 2
        ax.text(x, top + 0.04, label, ha="center", fontsize=8, bbox=GROUND)
    for path in "np":
        memory, decoder = f"M_{path}", f"D_{path}"
        for one, two in (("E", memory), (memory, decoder)):
            _connect(ax, boxes[one][-1], boxes[two][0])
        if model.config.skip:
            sizes = [level[1:] for level in shapes[decoder]]
            joined = sizes.index(shapes["E"][-2][1:])
            look: style.Look = {"linestyle": "--", "color": GREEN}
            _connect(ax, boxes["E"][-2], boxes[decoder][joined], **look)
    ax.set(xlim=(-0.6, columns["D"] + len(shapes["D_n"]) - 0.4), ylim=(-1.85, 1.8))
    ax.axis("off")
    return ax


GROUND: style.Look = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}


def _draw_levels(
    ax: Axes, name: str, levels: Sequence[Shape], column: int, full: int
) -> list[Rectangle]:
    """Draw a part's boxes from a column on; `full` is the height of the clip's pictures."""
    look: style.Look = {"facecolor": GREY}
    if name.endswith("_n"):
        look = {"facecolor": BLUE}
    elif name.endswith("_p"):
        look = {"facecolor": "white", "edgecolor": ORANGE, "hatch": "////"}
    boxes = []
    for x, (channels, frames, height, width) in enumerate(levels, column):
        tall, wide = height / full, 0.1 + 0.07 * math.log2(channels)
        bottom = _middle(name) - tall / 2
        boxes.append(Rectangle((x - wide / 2, bottom), wide, tall, **look))
        ax.add_patch(boxes[-1])
        label = f"{channels}\n{frames} x {height} x {width}"
        ax.text(x, bottom - 0.03, label, ha="center", va="top", fontsize=6.5, bbox=GROUND)
    return boxes


def _middle(name: str) -> float:
    """Return the height at which a part is drawn."""
    return {"_n": 1.0, "_p": -1.0}.get(name[-2:], 0.0)


def _connect(ax: Axes, one: Rectangle, two: Rectangle, **look: Any) -> None:
    """Draw an arrow from the right edge of a box to the left edge of another."""
    start = (one.get_x() + one.get_width(), one.get_y() + one.get_height() / 2)
    end = (two.get_x(), two.get_y() + two.get_height() / 2)
    _draw_arrow(ax, start, end, **look)


def plot_addressing(slots: Tensor, query: Tensor, sharpness: float, shrink: float) -> np.ndarray:
    """Draw one read of a memory of slots (N, 2) with a query (2,).

    Returns:
        The Axes, (2,): all vectors as arrows, and the weights before and after the cut.
    """
    softmax = address(query, slots, sharpness, 0.0)
    weights = address(query, slots, sharpness, shrink)
    axes: np.ndarray = style.panels(1, 2, 9, 3.4)[0]
    for i, slot in enumerate(slots):
        _draw_vector(axes[0], f"slot {i}", slot, color=BLUE)
    _draw_vector(axes[0], "query", query, color=ORANGE, linestyle="--")
    _draw_vector(axes[0], "read", weights @ slots, color=GREEN, linestyle=":")
    reach = 1.5 * float(torch.cat([slots, query[None]]).abs().max())
    limits = (-reach, reach)
    axes[0].set(xlim=limits, ylim=limits, aspect="equal")
    axes[0].set_title("slots, query and what is read")
    places = np.arange(len(slots))
    white: style.Look = {"facecolor": "white", "edgecolor": BLUE, "hatch": "///"}
    axes[1].bar(places - 0.2, softmax, 0.4, label="softmax", **white)
    axes[1].bar(places + 0.2, weights, 0.4, color=GREEN, label="cut and rescaled")
    cut = shrink * float(softmax.max())
    axes[1].axhline(cut, color=GREY, linestyle="--", linewidth=1, label="cut below")
    axes[1].set_xticks(places, [f"slot {i}" for i in places])
    axes[1].set_title("weights")
    axes[1].legend(fontsize="small")
    return axes


def _draw_vector(ax: Axes, label: str, vector: Tensor, **look: Any) -> None:
    end = (float(vector[0]), float(vector[1]))
    ax.annotate("", end, (0, 0), arrowprops={"arrowstyle": "->", "linewidth": 1.6, **look})
    # the read often has the query's direction, so its label is below
    offset = (4, -12 if label == "read" or end[1] < 0 else 4)
    text: style.Look = {"textcoords": "offset points", "color": look["color"], "fontsize": 9}
    ax.annotate(label, end, offset, **text)


def plot_path_reconstructions(model: DualPathAutoencoder, clip: Tensor) -> np.ndarray:
    """Draw a clip (C, T, H, W), its reconstructions by D_n and D_p, and their errors over time.

    The colours of the squared errors end at 0.3 in every figure.

    Returns:
        The Axes, (5,).
    """
    frames = style.evenly(clip.shape[1], 8)
    strips = {"clip": style.beside(to_frames(clip)[frames], 255, 0)}
    for name, path in (("D_n", "normal"), ("D_p", "pseudo")):
        with torch.no_grad():
            reconstruction = model(clip[None], path).reconstruction[0]
        error = squared_error(reconstruction, clip).mean(0)[frames, ..., None].numpy()
        strips[name] = style.beside(to_frames(reconstruction)[frames], 255, 0)
        strips[f"error of {name}"] = style.beside(error, np.nan, 0)
    height, width = strips["clip"].shape[:2]
    axes: np.ndarray = style.panels(len(strips), 1, 9, 5 * (8 * height / width + 0.1))[:, 0]
    for ax, (name, strip) in zip(axes, strips.items(), strict=True):
        colours: style.Look = {"cmap": "viridis", "vmax": 0.3} if "error" in name else {}
        style.draw_pixels(ax, strip, interpolation="nearest", **colours)
        ax.set_ylabel(name, fontsize="small")
    look: style.Look = {"shrink": 0.5, "extend": "max", "label": "squared error"}
    plt.colorbar(axes[-1].images[0], ax=list(axes), **look)
    return axes
