"""Plots of pseudo-anomalies: before and after, over time, at several strengths, and in a training
batch. Axes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import cv2
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vadlib.data.clips import Clip, ClipDataset, to_frames
from vadlib.data.video import Video
from vadlib.output.figure import BLUE, GREEN, GREY, ORANGE, PINK
from vadlib.pseudo.kinds import PseudoAnomaly, PseudoClip
from vadlib.pseudo.mixer import PseudoAnomalyMixer
from vadlib.pseudo.patches import Patches
from vadlib.training.samples import Samples

GAP, GAP_GREY = 2, 170  # pixels between pictures; masks may be white, and differences black
COLOURS = {"skip": BLUE, "shuffle": ORANGE, "noise": GREEN, "object": PINK}


def plot_pseudo(clip: Clip, pseudo: PseudoClip, columns: int = 6) -> np.ndarray:
    """A clip, the pseudo-anomaly made of it, their difference and the mask of what changed, as
    strips over time. Returns the Axes, (4,).

    In the difference, white is the change that 99 of 100 changed pixels do not exceed, in grey
    levels; its label names it.
    """
    normal, changed = to_frames(clip.tensor), to_frames(pseudo.tensor)
    difference = np.abs(changed.astype(np.int16) - normal).max(-1, keepdims=True).astype(np.uint8)
    masks = pseudo.mask.numpy()[..., None] * np.uint8(255)
    white = (
        int(np.percentile(difference[difference > 0], 99, method="higher"))
        if difference.any()
        else 255
    )
    strips = {"normal": normal, pseudo.kind: changed, "difference": difference, "changed": masks}
    axes = _strips(strips, columns, gaps={"difference": round(white * GAP_GREY / 255)})
    axes[2].get_images()[0].set_clim(0, white)
    axes[2].set_ylabel(f"difference\n(white: {white})", fontsize="small")
    return axes


def plot_kinds(clip: Clip, pseudos: Sequence[PseudoClip], columns: int = 8) -> np.ndarray:
    """A clip and the pseudo-anomalies made of it, a strip over time each. Returns the Axes, one
    more than pseudo-anomalies.
    """
    strips = {"normal": to_frames(clip.tensor)}
    for pseudo in pseudos:
        strips[pseudo.kind] = to_frames(pseudo.tensor)
    return _strips(strips, columns)


def plot_strengths(
    clip: Clip,
    kind: Callable[..., PseudoAnomaly],
    strengths: Sequence[float] = (0.0, 0.5, 1.0),
    seed: int = 0,
    columns: int = 6,
) -> np.ndarray:
    """A contact sheet: one kind at several strengths, drawn with the same seed, a strip each.
    Returns the Axes.

    Args:
        clip: to change.
        kind: a class such as `SkipFrames`, called with `strength=`.
        strengths: in [0, 1].
        seed: of what is drawn.
        columns: frames shown.
    """
    strips = {}
    for strength in strengths:
        pseudo = kind(strength=strength)(clip, torch.Generator().manual_seed(seed))
        strips[f"{strength:g}" if pseudo else f"{strength:g}: not possible"] = to_frames(
            pseudo.tensor if pseudo else clip.tensor
        )
    axes = _strips(strips, columns)
    axes[0].figure.supylabel("strength", fontsize="small")
    return axes


def plot_xt_slices(clips: Mapping[str, torch.Tensor], row: int | None = None) -> np.ndarray:
    """x-t slices: one row of pixels of each clip, as it changes over time, downwards. Returns the
    Axes.

    What walks leaves a slanted line; the faster, the flatter. What stands still leaves an upright
    one.

    Args:
        clips: what they are called -> float32 (C, T, H, W) in [-1, 1].
        row: of pixels, from the top; None takes the one that changes most in the first clip.
    """
    first = next(iter(clips.values()))
    row = int(first.std(dim=1).mean(dim=(0, 2)).argmax()) if row is None else row
    _, axes = plt.subplots(
        1, len(clips), figsize=(2.4 * len(clips), 2.6), layout="constrained", squeeze=False
    )
    for ax, (name, clip) in zip(axes[0], clips.items(), strict=True):
        ax.imshow(
            to_frames(clip)[:, row].squeeze(-1) if len(clip) == 1 else to_frames(clip)[:, row],
            cmap="gray",
            vmin=0,
            vmax=255,
            aspect="auto",
        )
        ax.set_title(name, fontsize="small")
        ax.set_xlabel(f"x, in row {row}", fontsize="small")
        ax.tick_params(labelsize="small")
    axes[0, 0].set_ylabel("frame", fontsize="small")
    return axes[0]


def plot_boxes(video: Video, frame: int, boxes: Mapping[str, Sequence[np.ndarray]]) -> np.ndarray:
    """What several detectors found in one frame. Returns the Axes.

    Args:
        video: its frames are shown.
        frame: its number.
        boxes: detector -> the video's T arrays of boxes (N, 4).
    """
    aspect = video.frames.shape[1] / video.frames.shape[2]
    _, axes = plt.subplots(
        1,
        len(boxes),
        figsize=(9, 9 / len(boxes) * aspect + 0.4),
        layout="constrained",
        squeeze=False,
    )
    for ax, (name, found) in zip(axes[0], boxes.items(), strict=True):
        ax.imshow(video.frames[frame].squeeze(), cmap="gray", vmin=0, vmax=255)
        for x0, y0, x1, y1 in found[frame]:
            # seen on dark and on bright ground
            for colour, width in (("white", 2.4), (ORANGE, 1.2)):
                ax.add_patch(
                    plt.Rectangle(
                        (x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=width
                    )
                )
        ax.set(
            xticks=[], yticks=[], xlim=(0, video.frames.shape[2]), ylim=(video.frames.shape[1], 0)
        )
        ax.set_title(f"{name}: {len(found[frame])} boxes", fontsize="small")
    return axes[0]


def plot_patches(sources: Mapping[str, Patches], count: int = 12, seed: int = 0) -> np.ndarray:
    """Some pictures of each patch source, as squares. Returns the Axes."""
    strips = {}
    for name, source in sources.items():
        drawn = [source.draw(torch.Generator().manual_seed(seed + k)) for k in range(count)]
        strips[name] = np.stack([_square(picture) for picture in drawn])
    return _strips(strips, count, titles=False)


def _square(picture: np.ndarray, side: int = 64) -> np.ndarray:
    """A picture, uint8 RGB or RGBA, as (side, side, 3): stretched, or, cut out, in its own
    proportions on grey.
    """
    if picture.shape[2] == 3:
        return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    height, width = picture.shape[:2]
    canvas = np.full((side, side, 3), GAP_GREY, np.float32)
    top, left = max(0, (side - height) // 2), max(0, (side - width) // 2)
    under = canvas[top : top + height, left : left + width]
    shown = picture[: under.shape[0], : under.shape[1]].astype(np.float32)
    under += (shown[..., :3] - under) * shown[..., 3:] / 255
    return canvas.round().astype(np.uint8)


def plot_training_batch(
    clips: ClipDataset, mixer: PseudoAnomalyMixer, seed: int = 0, count: int = 48
) -> tuple[Figure, str]:
    """The first `count` samples of an epoch over all clips, and which of them the mixer turned.
    Returns the figure and its alt text.

    What was turned has a frame in the colour of its kind, and its name; what could not be made has
    a dotted frame, and stays normal.
    """
    samples, size = Samples(clips, np.arange(len(clips)), mixer, seed), min(count, len(clips))
    drawn = [samples[key] for key in samples.batches(0, size)[0]]
    pictures = np.stack([to_frames(inputs)[inputs.shape[1] // 2] for _, inputs, _ in drawn])
    columns = min(12, size)
    rows, (height, width) = -(-size // columns), pictures.shape[1:3]
    figure, ax = plt.subplots(
        figsize=(9, 9 * rows * (height + GAP) / (columns * (width + GAP)) + 0.4),
        layout="constrained",
    )
    filler = np.full((rows * columns - size, *pictures.shape[1:]), 255, np.uint8)
    grid = np.concatenate([pictures, filler]).reshape(rows, columns, *pictures.shape[1:])
    _mosaic(ax, np.concatenate([_beside(row) for row in grid]))
    for k, (_, _, (name, success)) in enumerate(drawn):
        if name is not None:
            at = (k % columns * (width + GAP), k // columns * (height + GAP))
            colour = COLOURS.get(name, GREY)
            look = {"linewidth": 2.5} if success else {"linewidth": 1.5, "linestyle": ":"}
            ax.add_patch(plt.Rectangle(at, width, height, fill=False, edgecolor=colour, **look))
            label = (
                {"color": "white", "backgroundcolor": colour}
                if success
                else {"color": "black", "backgroundcolor": "white"}
            )
            ax.text(
                at[0] + width / 2,
                at[1] + height,
                name if success else f"no {name}",
                fontsize=6,
                ha="center",
                va="bottom",
                **label,
            )
    counts, turned = (
        mixer.count(outcome for _, _, outcome in drawn),
        sum(outcome.success for _, _, outcome in drawn),
    )
    kinds = ", ".join(
        f"{n} {name.removeprefix('made_')}"
        for name, n in counts.items()
        if name.startswith("made_")
    )
    missed = sum(n for name, n in counts.items() if name.startswith("not_made_"))
    text = (
        f"p = {mixer.p:g}: {turned} of {size} samples turned ({kinds}); {missed} could not be made"
    )
    ax.set_title(f"{text}; expected {mixer.p * size:.1f}", fontsize="small", loc="left")
    return figure, text


def side_by_side(clip: Clip, pseudo: PseudoClip, height: int = 224) -> list[np.ndarray]:
    """Frames of a video, uint8 (H, W, 3): the clip, the pseudo-anomaly, and the mask of what
    changed.
    """
    parts = [
        to_frames(clip.tensor),
        to_frames(pseudo.tensor),
        pseudo.mask.numpy()[..., None] * np.uint8(255),
    ]
    scale, film = max(1, round(height / parts[0].shape[1])), []
    for pictures in zip(*parts, strict=True):
        rgb = np.stack([np.broadcast_to(picture, (*picture.shape[:2], 3)) for picture in pictures])
        film.append(_beside(rgb).repeat(scale, axis=0).repeat(scale, axis=1))
    return film


def _strips(
    strips: Mapping[str, np.ndarray],
    columns: int,
    titles: bool = True,
    gaps: Mapping[str, int] | None = None,
) -> np.ndarray:
    """A row of pictures for each of some uint8 (T, H, W, C), of evenly chosen T; some with another
    grey in their gaps.
    """
    length, height, width = next(iter(strips.values())).shape[:3]
    chosen = np.linspace(0, length - 1, min(columns, length)).round().astype(int)
    tall = 9 * height / (width * len(chosen))
    _, axes = plt.subplots(
        len(strips),
        1,
        figsize=(9, (tall + 0.08) * len(strips) + 0.3),
        layout="constrained",
        squeeze=False,
    )
    for ax, (name, frames) in zip(axes[:, 0], strips.items(), strict=True):
        _mosaic(ax, _beside(frames[chosen], (gaps or {}).get(name, GAP_GREY)))
        ax.set_ylabel(name, fontsize="small")
    if titles:
        axes[0, 0].xaxis.tick_top()
        places = np.arange(len(chosen)) * (width + GAP) + width / 2
        axes[0, 0].set_xticks(places, [f"t = {t}" for t in chosen], fontsize="small")
        axes[0, 0].tick_params(length=0)
    return axes[:, 0]


def _beside(pictures: np.ndarray, grey: int = GAP_GREY) -> np.ndarray:
    """uint8 (N, H, W, C) -> (H + GAP, N * (W + GAP), C), with grey between them."""
    padded = np.pad(pictures, ((0, 0), (0, GAP), (0, GAP), (0, 0)), constant_values=grey)
    return np.concatenate(list(padded), axis=1)


def _mosaic(ax: Axes, picture: np.ndarray) -> None:
    ax.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_color(GREY)
    ax.spines[:].set_linewidth(0.5)
