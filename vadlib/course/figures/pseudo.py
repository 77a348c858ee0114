"""Figures of pseudo-anomalies: before and after, over time, at several strengths, in a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import cv2
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vadlib.course.figures.style import (
    GAP,
    GAP_GREY,
    KIND_COLOURS,
    Look,
    beside,
    draw_box,
    draw_pixels,
    evenly,
    panels,
)
from vadlib.data.clips import Clip, ClipDataset, to_frames
from vadlib.data.video import Video
from vadlib.output.figure import GREY, ORANGE
from vadlib.pseudo.kinds import PseudoAnomaly, PseudoClip
from vadlib.pseudo.mixer import Outcome, PseudoAnomalyMixer
from vadlib.pseudo.patches import Patches
from vadlib.training.samples import Samples

BATCH = 48  # samples of `plot_training_batch`, in rows of 12


def plot_pseudo(clip: Clip, pseudo: PseudoClip, columns: int = 6) -> np.ndarray:
    """Draw a clip, the pseudo-anomaly made of it, their difference and the mask, over time.

    White in the difference is the change, in grey levels, that 99% of the changed pixels do not
    exceed. The label names it.

    Returns:
        The Axes, (4,).
    """
    normal, changed = to_frames(clip.tensor), to_frames(pseudo.tensor)
    difference = np.abs(changed.astype(np.int16) - normal).max(-1, keepdims=True).astype(np.uint8)
    white = 255
    if difference.any():
        white = int(np.percentile(difference[difference > 0], 99, method="higher"))
    # stretched to 0 to 255 only when drawn, so that the gaps keep their grey
    stretched = np.minimum(difference * (255 / white), 255)
    strips = {
        "normal": normal,
        pseudo.kind: changed,
        f"difference\n(white: {white})": stretched,
        "changed": _mask_frames(pseudo),
    }
    return _draw_strips(strips, columns)


def plot_kinds(clip: Clip, pseudos: Sequence[PseudoClip]) -> np.ndarray:
    """Draw a clip and the pseudo-anomalies made of it over time.

    Returns:
        The Axes, one more than pseudo-anomalies.
    """
    strips = {"normal": to_frames(clip.tensor)}
    for pseudo in pseudos:
        strips[pseudo.kind] = to_frames(pseudo.tensor)
    return _draw_strips(strips, 8)


def plot_strengths(
    clip: Clip,
    kind: Callable[..., PseudoAnomaly],
    strengths: Sequence[float] = (0.0, 0.5, 1.0),
    seed: int = 0,
) -> np.ndarray:
    """Draw one kind at several strengths, all with the same seed.

    Args:
        clip: to change.
        kind: a class such as `SkipFrames`, called with `strength=`.
        strengths: in [0, 1].
        seed: of the random parameters.

    Returns:
        The Axes, (strengths,).
    """
    strips = {}
    for strength in strengths:
        pseudo = kind(strength=strength)(clip, torch.Generator().manual_seed(seed))
        if pseudo is None:
            strips[f"{strength:g}: not possible"] = to_frames(clip.tensor)
        else:
            strips[f"{strength:g}"] = to_frames(pseudo.tensor)
    axes = _draw_strips(strips, 6)
    axes[0].figure.supylabel("strength", fontsize="small")
    return axes


def plot_xt_slices(clips: Mapping[str, torch.Tensor], row: int | None = None) -> np.ndarray:
    """Draw x-t slices: one row of pixels of each clip, as it changes over time, downwards.

    A walking person leaves a slanted line, flatter if faster. What does not move leaves an upright
    line.

    Args:
        clips: a name -> float32 (C, T, H, W) in [-1, 1].
        row: of pixels, from the top; None takes the one that changes most in the first clip.

    Returns:
        The Axes, (clips,).
    """
    if row is None:
        first = next(iter(clips.values()))
        row = int(first.std(dim=1).mean(dim=(0, 2)).argmax())
    axes: np.ndarray = panels(1, len(clips), 2.4 * len(clips), 2.6)[0]
    for ax, (name, clip) in zip(axes, clips.items(), strict=True):
        pixels = to_frames(clip)[:, row].squeeze()
        ax.imshow(pixels, cmap="gray", vmin=0, vmax=255, aspect="auto")
        ax.set_title(name, fontsize="small")
        ax.set_xlabel(f"x, in row {row}", fontsize="small")
        ax.tick_params(labelsize="small")
    axes[0].set_ylabel("frame", fontsize="small")
    return axes


def plot_boxes(video: Video, frame: int, boxes: Mapping[str, Sequence[np.ndarray]]) -> np.ndarray:
    """Draw the boxes of several detectors onto one frame.

    Args:
        video: of the frame.
        frame: its number.
        boxes: detector -> the video's T arrays of boxes (N, 4).

    Returns:
        The Axes, (detectors,).
    """
    height, width = video.frames.shape[1:3]
    axes: np.ndarray = panels(1, len(boxes), 9, 9 / len(boxes) * height / width + 0.4)[0]
    for ax, (name, of_video) in zip(axes, boxes.items(), strict=True):
        draw_pixels(ax, video.frames[frame])
        for x0, y0, x1, y1 in of_video[frame]:
            # visible on dark and on bright ground
            draw_box(ax, (x0, y0), x1 - x0, y1 - y0, edgecolor="white", linewidth=2.4)
            draw_box(ax, (x0, y0), x1 - x0, y1 - y0, edgecolor=ORANGE, linewidth=1.2)
        ax.set(xlim=(0, width), ylim=(height, 0))
        ax.set_title(f"{name}: {len(of_video[frame])} boxes", fontsize="small")
    return axes


def plot_patches(sources: Mapping[str, Patches]) -> np.ndarray:
    """Draw twelve pictures of each patch source as squares. Return the Axes, (sources,)."""
    strips = {}
    for name, source in sources.items():
        patches = [source.draw(torch.Generator().manual_seed(seed)) for seed in range(12)]
        strips[name] = np.stack([_square(patch) for patch in patches])
    return _draw_strips(strips, 12, titles=False)


def _square(picture: np.ndarray) -> np.ndarray:
    """Fit a picture, uint8 RGB or RGBA, into (64, 64, 3).

    RGB is stretched. RGBA, which is cut out, keeps its proportions and gets grey around it.
    """
    if picture.shape[2] == 3:
        return cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA)
    height, width = picture.shape[:2]
    canvas = np.full((64, 64, 3), GAP_GREY, np.float32)
    y, x = max(0, (64 - height) // 2), max(0, (64 - width) // 2)
    ground = canvas[y : y + height, x : x + width]
    patch = picture[: ground.shape[0], : ground.shape[1]].astype(np.float32)
    ground += (patch[..., :3] - ground) * patch[..., 3:] / 255
    return canvas.round().astype(np.uint8)


def plot_training_batch(
    clips: ClipDataset, mixer: PseudoAnomalyMixer, seed: int = 0
) -> tuple[Figure, str]:
    """Draw the first 48 samples of an epoch over all clips, and which of them the mixer turned.

    A turned sample has a frame in the colour of its kind. A sample that could not be turned has a
    dotted frame and remains normal.

    Returns:
        The figure and its alt text.
    """
    samples = Samples(clips, np.arange(len(clips)), mixer, seed)
    size = min(BATCH, len(clips))
    batch = [samples[key] for key in samples.batches(0, size)[0]]
    pictures = np.stack([to_frames(inputs)[inputs.shape[1] // 2] for _, inputs, _ in batch])
    outcomes = [outcome for _, _, outcome in batch]
    # as a grid, whose last row is filled up with white
    columns = min(12, size)
    rows = -(-size // columns)
    height, width = pictures.shape[1:3]
    grid = np.full((rows * columns, *pictures.shape[1:]), 255, np.uint8)
    grid[:size] = pictures
    strips = [beside(row, GAP_GREY, GAP) for row in np.split(grid, rows)]
    size_in_inches = (9, 9 * rows * (height + GAP) / (columns * (width + GAP)) + 0.4)
    figure, ax = plt.subplots(figsize=size_in_inches, layout="constrained")
    _draw_mosaic(ax, np.concatenate(strips))
    for k, outcome in enumerate(outcomes):
        if outcome.kind is not None:
            corner = (k % columns * (width + GAP), k // columns * (height + GAP))
            _frame_sample(ax, corner, (height, width), outcome.kind, outcome.success)
    text = _describe_batch(mixer, outcomes)
    title = f"{text}; expected {mixer.p * size:.1f}"
    ax.set_title(title, fontsize="small", loc="left")
    return figure, text


def _frame_sample(
    ax: Axes, corner: tuple[int, int], size: tuple[int, int], kind: str, was_turned: bool
) -> None:
    """Frame one sample of a batch, and write its kind below."""
    (x, y), (height, width) = corner, size
    colour = KIND_COLOURS.get(kind, GREY)
    outline: Look = {"linewidth": 2.5}
    label: Look = {"color": "white", "backgroundcolor": colour}
    if not was_turned:
        kind = f"no {kind}"
        outline = {"linewidth": 1.5, "linestyle": ":"}
        label = {"color": "black", "backgroundcolor": "white"}
    draw_box(ax, corner, width, height, edgecolor=colour, **outline)
    ax.text(x + width / 2, y + height, kind, fontsize=6, ha="center", va="bottom", **label)


def _describe_batch(mixer: PseudoAnomalyMixer, outcomes: Sequence[Outcome]) -> str:
    counts = mixer.count(outcomes)
    turned = {kind.name: counts[f"made_{kind.name}"] for kind in mixer.kinds}
    missed = sum(counts[f"not_made_{name}"] for name in turned)
    kinds = ", ".join(f"{count} {name}" for name, count in turned.items())
    total = f"{sum(turned.values())} of {len(outcomes)} samples turned"
    return f"p = {mixer.p:g}: {total} ({kinds}); {missed} could not be made"


def side_by_side(clip: Clip, pseudo: PseudoClip) -> list[np.ndarray]:
    """Return frames of a video, uint8 (H, W, 3): the clip, the pseudo-anomaly, and the mask.

    They are enlarged by a whole number to about 224 rows.
    """
    masks = _mask_frames(pseudo)
    scale = max(1, round(224 / masks.shape[1]))
    film = []
    for pictures in zip(to_frames(clip.tensor), to_frames(pseudo.tensor), masks, strict=True):
        rgb = [np.broadcast_to(picture, (*picture.shape[:2], 3)) for picture in pictures]
        row = beside(np.stack(rgb), GAP_GREY, GAP)
        film.append(row.repeat(scale, axis=0).repeat(scale, axis=1))
    return film


def _mask_frames(pseudo: PseudoClip) -> np.ndarray:
    """Return the mask as frames, uint8 (T, H, W, 1), white where the clip changed."""
    return pseudo.mask.numpy()[..., None] * np.uint8(255)


def _draw_strips(strips: Mapping[str, np.ndarray], columns: int, titles: bool = True) -> np.ndarray:
    """Draw a row of evenly spaced pictures for each (T, H, W, C); return the Axes, (strips,)."""
    first = next(iter(strips.values()))
    length = len(first)
    height, width = first.shape[1:3]
    frames = evenly(length, columns)
    row_height = 9 * height / (width * len(frames)) + 0.08
    axes: np.ndarray = panels(len(strips), 1, 9, row_height * len(strips) + 0.3)[:, 0]
    for ax, (name, pictures) in zip(axes, strips.items(), strict=True):
        _draw_mosaic(ax, beside(pictures[frames], GAP_GREY, GAP))
        ax.set_ylabel(name, fontsize="small")
    if titles:
        places = np.arange(len(frames)) * (width + GAP) + width / 2
        axes[0].xaxis.tick_top()
        axes[0].set_xticks(places, [f"t = {t}" for t in frames], fontsize="small")
        axes[0].tick_params(length=0)
    return axes


def _draw_mosaic(ax: Axes, picture: np.ndarray) -> None:
    ax.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_color(GREY)
    ax.spines[:].set_linewidth(0.5)
