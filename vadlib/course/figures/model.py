"""Plots of the model: shapes through the network, one memory read, and what the two paths make of a
clip. Axes out.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from vadlib.data.clips import to_frames
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
GAP = 2  # pixels between pictures


def part_shapes(
    model: DualPathAutoencoder, clip_shape: Sequence[int]
) -> dict[str, list[tuple[int, ...]]]:
    """The different shapes (C, T, H, W) that each part makes, in order: "E", "M_n", "D_n", "M_p",
    "D_p", where the model has them.

    Forward hooks record them on a copy of the model on the meta device: tensors have shapes and no
    values, nothing is computed.

    Args:
        model: of any configuration.
        clip_shape: (C, T, H, W).
    """
    model = copy.deepcopy(model).to("meta")
    parts = {
        name: part
        for name, attribute in PARTS.items()
        if (part := getattr(model, attribute)) is not None
    }
    # each a dict for an ordered set: the paths may share a part
    shapes: dict[str, dict] = {name: {} for name in parts}

    def record(name: str, made: Tensor | tuple) -> None:
        shapes[name][tuple((made[0] if isinstance(made, tuple) else made).shape[1:])] = None

    for name, part in parts.items():
        for layer in part.modules():
            if isinstance(layer, (nn.Conv3d, nn.ConvTranspose3d)) or (
                layer is part and name != "E"
            ):
                layer.register_forward_hook(
                    lambda _layer, _inputs, made, name=name: record(name, made)
                )
    clips = torch.empty(1, *clip_shape, device="meta")
    features = model.encode(clips)
    for path in ("normal", "pseudo"):
        model.reconstruct(features, path, clips.shape)
    return {name: list(made) for name, made in shapes.items()}


def plot_method(normal: Tensor, broken: Tensor) -> Axes:
    """The whole method in one drawing: a normal clip x, the broken clip x' made of it, the two
    paths, and their two errors.

    Args:
        normal, broken: clips (C, T, H, W); their middle frames are shown.
    """
    ax = plt.subplots(figsize=(9, 4.2), layout="constrained")[1]
    ax.set(xlim=(0, 18), ylim=(0, 8.4), aspect="equal")
    ax.axis("off")
    for clip, low, name in (
        (normal, 5.0, "x: a normal clip"),
        (broken, 0.6, "x': the clip, broken on purpose"),
    ):
        picture = to_frames(clip)[clip.shape[1] // 2].squeeze()
        ax.imshow(
            picture, cmap="gray", vmin=0, vmax=255, extent=(0.2, 3.0, low, low + 2.8), zorder=2
        )
        ax.text(1.6, low - 0.12, name, ha="center", va="top", fontsize=8)
    boxes = {
        "E": (5.2, 4.2, "encoder", GREY),
        "M_n": (8.0, 6.2, "memory", BLUE),
        "D_n": (10.8, 6.2, "decoder", BLUE),
        "M_p": (8.0, 2.2, "memory", ORANGE),
        "D_p": (10.8, 2.2, "decoder", ORANGE),
    }
    for name, (x, y, kind, colour) in boxes.items():
        look = (
            {"facecolor": "white", "hatch": "////"} if colour == ORANGE else {"facecolor": "white"}
        )
        ax.add_patch(
            plt.Rectangle((x - 0.9, y - 0.8), 1.8, 1.6, edgecolor=colour, linewidth=1.6, **look)
        )
        ax.text(
            x,
            y,
            f"${name}$\n{kind}",
            ha="center",
            va="center",
            fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    arrow = {"arrowstyle": "->", "shrinkA": 0, "shrinkB": 0}
    ends = [
        ((3.1, 5.6), (4.3, 4.6)),
        ((3.1, 2.6), (4.3, 3.8)),
        ((6.1, 4.6), (7.1, 5.8)),
        ((6.1, 3.8), (7.1, 2.6)),
    ]
    ends += [
        ((8.9, 6.2), (9.9, 6.2)),
        ((8.9, 2.2), (9.9, 2.2)),
        ((11.7, 6.2), (12.7, 6.2)),
        ((11.7, 2.2), (12.7, 2.2)),
    ]
    for start, end in ends:
        ax.annotate("", end, start, arrowprops=arrow)
    for y, path, target, colour in (
        (6.2, "normal path", "x", BLUE),
        (2.2, "pseudo-anomaly path", "x'", ORANGE),
    ):
        letter = "n" if colour == BLUE else "p"
        task = f"error: how far $D_{letter}$'s\nreconstruction is from {target}"
        ax.text(
            12.9,
            y,
            task,
            va="center",
            fontsize=9,
            bbox={"facecolor": "white", "edgecolor": colour, "boxstyle": "round"},
        )
        ax.text(9.4, y + 1.0, path, ha="center", fontsize=9, color=colour)
    return ax


def plot_network(
    model: DualPathAutoencoder, clip_shape: Sequence[int], ax: Axes | None = None
) -> Axes:
    """A clip (C, T, H, W) on its way through the network: the normal path above, the pseudo path
    (hatched) below.

    A box is as high as the pictures it holds, and the wider the more channels it has. Under it
    stand the channels and T x H x W; above each part its parameters. Dashed: the skip, if there is
    one.
    """
    shapes = {"clip": [tuple(clip_shape)], **part_shapes(model, clip_shape)}
    ax = ax or plt.subplots(figsize=(9, 5.4), layout="constrained")[1]
    # column of each part's first box
    first = {"c": 0, "E": 1, "M": 1 + len(shapes["E"]), "D": 2 + len(shapes["E"])}
    middle = {
        name: {"n": 1.0, "p": -1.0}.get(name[-1] if "_" in name else "", 0.0) for name in shapes
    }
    arrow, over = (
        {"arrowstyle": "->", "shrinkA": 0, "shrinkB": 0},
        {"facecolor": "white", "edgecolor": "none", "pad": 0.5},
    )
    # left and right edge of each box
    edges: dict[str, list[tuple[float, float]]] = {name: [] for name in shapes}
    for name, levels in shapes.items():
        look = (
            {"facecolor": "white", "edgecolor": ORANGE, "hatch": "////"}
            if name[-2:] == "_p"
            else {"facecolor": BLUE}
        )
        look = look if "_" in name else {"facecolor": GREY}
        for x, (channels, frames, height, width) in enumerate(levels, first[name[0]]):
            tall, wide = height / clip_shape[2], 0.1 + 0.07 * math.log2(channels)
            edges[name].append((x - wide / 2, x + wide / 2))
            ax.add_patch(plt.Rectangle((x - wide / 2, middle[name] - tall / 2), wide, tall, **look))
            ax.text(
                x,
                middle[name] - tall / 2 - 0.03,
                f"{channels}\n{frames} x {height} x {width}",
                ha="center",
                va="top",
                fontsize=6.5,
                bbox=over,
            )
        count = (
            sum(p.numel() for p in getattr(model, PARTS[name]).parameters()) if name in PARTS else 0
        )
        place = (
            np.mean(edges[name]),
            middle[name] + max(level[2] for level in levels) / clip_shape[2] / 2 + 0.04,
        )
        ax.text(*place, f"{name}\n{count:,}" if count else name, ha="center", fontsize=8, bbox=over)
    for path in "np":
        chain = [
            "E",
            *(
                next((n for n in (f"{part}_{path}", f"{part}_n") if n in shapes), None)
                for part in "MD"
            ),
        ]
        chain = [name for name in chain if name]
        for one, two in pairwise(chain):
            ax.annotate(
                "",
                (edges[two][0][0], middle[two]),
                (edges[one][-1][1], middle[one]),
                arrowprops=arrow,
                zorder=2,
            )
        if model.config.skip:
            joined = next(
                k for k, level in enumerate(shapes[chain[-1]]) if level[1:] == shapes["E"][-2][1:]
            )
            ends = (edges[chain[-1]][joined][0], middle[chain[-1]]), (edges["E"][-2][1], 0)
            ax.annotate("", *ends, arrowprops=arrow | {"linestyle": "--", "color": GREEN}, zorder=2)
    ax.set(xlim=(-0.6, first["D"] + len(shapes["D_n"]) - 0.4), ylim=(-1.85, 1.8))
    ax.axis("off")
    return ax


def plot_addressing(slots: Tensor, query: Tensor, sharpness: float, shrink: float) -> np.ndarray:
    """One read of a memory of slots (N, 2) with a query (2,): all as arrows, and the weights before
    and after the cut. Returns the Axes.
    """
    softmax, weights = (address(query, slots, sharpness, cut).numpy() for cut in (0.0, shrink))
    _, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    arrows = [(f"slot {i}", slot, BLUE, "-") for i, slot in enumerate(slots)] + [
        ("query", query, ORANGE, "--")
    ]
    for label, vector, colour, style in [*arrows, ("read", weights @ slots.numpy(), GREEN, ":")]:
        axes[0].annotate(
            "",
            vector.tolist(),
            (0, 0),
            arrowprops={"arrowstyle": "->", "color": colour, "linestyle": style, "linewidth": 1.6},
        )
        below = label == "read" or vector[1] < 0  # the read often has the query's direction
        axes[0].annotate(
            label,
            vector.tolist(),
            xytext=(4, -12 if below else 4),
            textcoords="offset points",
            color=colour,
            fontsize=9,
        )
    reach = 1.5 * float(torch.cat([slots, query[None]]).abs().max())
    axes[0].set(
        xlim=(-reach, reach),
        ylim=(-reach, reach),
        aspect="equal",
        title="slots, query and what is read",
    )
    places = np.arange(len(slots))
    axes[1].bar(
        places - 0.2, softmax, 0.4, facecolor="white", edgecolor=BLUE, hatch="///", label="softmax"
    )
    axes[1].bar(places + 0.2, weights, 0.4, color=GREEN, label="cut and rescaled")
    axes[1].axhline(
        shrink * float(softmax.max()), color=GREY, linestyle="--", linewidth=1, label="cut below"
    )
    axes[1].set(xticks=places, xticklabels=[f"slot {i}" for i in places], title="weights")
    axes[1].legend(fontsize="small")
    return axes


def plot_path_reconstructions(
    model: DualPathAutoencoder, clip: Tensor, columns: int = 8, highest: float = 0.3
) -> np.ndarray:
    """A clip (C, T, H, W), what D_n and D_p make of it, and their squared errors, as strips over
    time. Returns the Axes, (5,).

    The colours of the errors end at `highest`, in every figure alike.
    """
    chosen = np.linspace(0, clip.shape[1] - 1, columns).round().astype(int)
    strips = {"clip": _beside(to_frames(clip)[chosen])}
    for name, path in (("D_n", "normal"), ("D_p", "pseudo")):
        with torch.no_grad():
            rebuilt = model(clip[None], path).reconstruction[0]
        strips[name] = _beside(to_frames(rebuilt)[chosen])
        strips[f"error of {name}"] = _beside(
            squared_error(rebuilt, clip).mean(0)[chosen, ..., None].numpy(), np.nan
        )
    height, width = strips["clip"].shape[:2]
    figure, axes = plt.subplots(
        len(strips), 1, figsize=(9, 5 * (8 * height / width + 0.1)), layout="constrained"
    )
    for ax, (name, strip) in zip(axes, strips.items(), strict=True):
        scale = (
            {"cmap": "viridis", "vmin": 0, "vmax": highest}
            if "error" in name
            else {"cmap": "gray", "vmin": 0, "vmax": 255}
        )
        image = ax.imshow(strip.squeeze(), interpolation="nearest", **scale)
        ax.set(xticks=[], yticks=[])
        ax.set_ylabel(name, fontsize="small")
    figure.colorbar(image, ax=axes, shrink=0.5, extend="max", label="squared error")
    return axes


def _beside(pictures: np.ndarray, gap: float = 255) -> np.ndarray:
    """(N, H, W, C) -> (H, N * (W + GAP), C), with gaps between them."""
    return np.concatenate(
        list(np.pad(pictures, ((0, 0), (0, 0), (0, GAP), (0, 0)), constant_values=gap)), axis=1
    )
