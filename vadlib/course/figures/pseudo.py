"""Figures of pseudo-anomalies: before and after, over time, at several strengths, in a batch; and
the pictures of the laboratory.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vadlib.config import DEFAULT_KINDS
from vadlib.course.display import video_tag
from vadlib.course.figures import style
from vadlib.data.clips import Clip, ClipDataset, to_frames
from vadlib.data.video import Video
from vadlib.output.figure import GREY, ORANGE
from vadlib.pseudo.kinds import PasteObjects, PseudoAnomaly, PseudoClip
from vadlib.pseudo.mixer import KINDS, Outcome, PseudoAnomalyMixer
from vadlib.pseudo.patches import Patches
from vadlib.training.samples import Samples

BATCH = 48  # samples of `plot_training_batch`, in rows of 12

Clips = Mapping[str, ClipDataset]  # detector -> the same clips with the boxes that it found
Sources = Mapping[str, Patches]  # name -> patch source


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
    axes: np.ndarray = style.panels(1, len(clips), 2.4 * len(clips), 2.6)[0]
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
    axes: np.ndarray = style.panels(1, len(boxes), 9, 9 / len(boxes) * height / width + 0.4)[0]
    for ax, (name, of_video) in zip(axes, boxes.items(), strict=True):
        style.draw_pixels(ax, video.frames[frame])
        for x0, y0, x1, y1 in of_video[frame]:
            # visible on dark and on bright ground
            style.draw_box(ax, (x0, y0), x1 - x0, y1 - y0, edgecolor="white", linewidth=2.4)
            style.draw_box(ax, (x0, y0), x1 - x0, y1 - y0, edgecolor=ORANGE, linewidth=1.2)
        ax.set(xlim=(0, width), ylim=(height, 0))
        ax.set_title(f"{name}: {len(of_video[frame])} boxes", fontsize="small")
    return axes


def plot_patches(sources: Mapping[str, Patches]) -> np.ndarray:
    """Draw twelve pictures of each patch source as squares. Return the Axes, (sources,)."""
    strips = {}
    for name, source in sources.items():
        squares = []
        for seed in range(12):
            squares.append(_square(source.draw(torch.Generator().manual_seed(seed))))
        strips[name] = np.stack(squares)
    return _draw_strips(strips, 12, titles=False)


def _square(picture: np.ndarray) -> np.ndarray:
    """Fit a picture, uint8 RGB or RGBA, into (64, 64, 3).

    RGB is stretched. RGBA, which is cut out, keeps its proportions and gets grey around it.
    """
    if picture.shape[2] == 3:
        return cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA)
    height, width = picture.shape[:2]
    canvas = np.full((64, 64, 3), style.GAP_GREY, np.float32)
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
    columns = min(12, size)
    pictures, outcomes = [], []
    for key in samples.batches(0, size)[0]:
        sample = samples[key]
        frames = to_frames(sample[1])
        pictures.append(frames[len(frames) // 2])
        outcomes.append(sample[2])
    while len(pictures) % columns:  # the last row is filled up with white
        pictures.append(np.full_like(pictures[0], 255))
    grid = np.stack(pictures).reshape(-1, columns, *pictures[0].shape)
    height, width = pictures[0].shape[:2]
    mosaic = np.concatenate([style.beside(row) for row in grid])
    ax = style.one_panel(9, 9 * mosaic.shape[0] / mosaic.shape[1] + 0.4)
    _draw_mosaic(ax, mosaic)
    for k, outcome in enumerate(outcomes):
        if outcome.kind is not None:
            corner = (k % columns * (width + style.GAP), k // columns * (height + style.GAP))
            _frame_sample(ax, corner, (height, width), outcome)
    text = _describe_batch(mixer, outcomes)
    ax.set_title(f"{text}; expected {mixer.p * size:.1f}", fontsize="small", loc="left")
    assert isinstance(ax.figure, Figure)
    return ax.figure, text


def _frame_sample(
    ax: Axes, corner: tuple[int, int], size: tuple[int, int], outcome: Outcome
) -> None:
    """Frame one sample of a batch, and write its kind below."""
    height, width = size
    kind = outcome.kind or ""
    colour = style.KIND_COLOURS.get(kind, GREY)
    outline: style.Look = {"linewidth": 2.5}
    label: style.Look = {"fontsize": 6, "color": "white", "backgroundcolor": colour}
    if not outcome.success:
        kind = f"no {kind}"
        outline = {"linewidth": 1.5, "linestyle": ":"}
        label |= {"color": "black", "backgroundcolor": "white"}
    style.draw_box(ax, corner, width, height, edgecolor=colour, **outline)
    place = (corner[0] + width / 2, corner[1] + height)
    ax.text(*place, kind, ha="center", va="bottom", **label)


def _describe_batch(mixer: PseudoAnomalyMixer, outcomes: Sequence[Outcome]) -> str:
    counts = mixer.count(outcomes)
    turned = [counts[f"made_{kind.name}"] for kind in mixer.kinds]
    missed = sum(counts[f"not_made_{kind.name}"] for kind in mixer.kinds)
    kinds = ", ".join(f"{n} {kind.name}" for n, kind in zip(turned, mixer.kinds, strict=True))
    total = f"{sum(turned)} of {len(outcomes)} samples turned"
    return f"p = {mixer.p:g}: {total} ({kinds}); {missed} could not be made"


def _mask_frames(pseudo: PseudoClip) -> np.ndarray:
    """Return the mask as frames, uint8 (T, H, W, 1), white where the clip changed."""
    return pseudo.mask.numpy()[..., None] * np.uint8(255)


def _draw_strips(strips: Mapping[str, np.ndarray], columns: int, titles: bool = True) -> np.ndarray:
    """Draw a row of evenly spaced pictures for each (T, H, W, C); return the Axes, (strips,)."""
    shape = next(iter(strips.values())).shape
    frames = style.evenly(shape[0], columns)
    height, width = shape[1:3]
    row_height = 9 * height / (width * len(frames)) + 0.08
    axes: np.ndarray = style.panels(len(strips), 1, 9, row_height * len(strips) + 0.3)[:, 0]
    for ax, (name, pictures) in zip(axes, strips.items(), strict=True):
        _draw_mosaic(ax, style.beside(pictures[frames]))
        ax.set_ylabel(name, fontsize="small")
    if titles:
        places = np.arange(len(frames)) * (width + style.GAP) + width / 2
        axes[0].xaxis.tick_top()
        axes[0].set_xticks(places, [f"t = {t}" for t in frames], fontsize="small")
        axes[0].tick_params(length=0)
    return axes


def _draw_mosaic(ax: Axes, picture: np.ndarray) -> None:
    style.draw_pixels(ax, picture, interpolation="nearest")
    ax.spines[:].set(color=GREY, linewidth=0.5)


class LabSettings(NamedTuple):
    """The values of the laboratory's controls."""

    kind: str = "skip"
    strength: float = 0.5
    number: int = 0  # of the clip
    seed: int = 0
    detector: str = "motion"
    patches: str = "builtin"
    p: float = 0.2


def make_lab_anomaly(
    clips: Clips, sources: Sources, settings: LabSettings
) -> tuple[PseudoClip | None, str]:
    """Make the chosen pseudo-anomaly of the chosen clip.

    Args:
        clips: detector -> clips.
        sources: name -> patch source.
        settings: what to make.

    Returns:
        The pseudo-anomaly, None where it cannot be made, and a description.
    """
    clip = clips[settings.detector][settings.number]
    generator = torch.Generator().manual_seed(settings.seed)
    pseudo = _make_kind(settings.kind, sources, settings)(clip, generator)
    place = f"clip {settings.number}, from frame {clip.start} of video {clip.video}"
    recipe = f"{settings.kind} at strength {settings.strength:g}, seed {settings.seed}"
    if settings.kind == "object":
        recipe += f", boxes of {settings.detector}, pictures of {settings.patches}"
    if pseudo is None:
        reasons = {"skip": "no frames left to skip to"}
        reasons["object"] = f"{settings.detector} found no person in it"
        reason = reasons.get(settings.kind, "the kind does not apply to this clip")
        return None, f"{recipe} cannot be made of {place}: {reason}"
    text = f"{recipe}, on {place}: {pseudo.mask.float().mean():.0%} of its pixels changed"
    parameters = []
    for name, value in pseudo.params.items():
        if isinstance(value, (int, float)):
            parameters.append(f"{name} {value:.3g}")
    if parameters:
        text += f" ({', '.join(parameters)})"
    return pseudo, text


def plot_lab(clips: Clips, sources: Sources, settings: LabSettings) -> tuple[Figure, str]:
    """Draw the chosen pseudo-anomaly as strips; the clip as it is where none can be made.

    Arguments are those of `make_lab_anomaly`.

    Returns:
        The figure and its alt text.
    """
    clip = clips[settings.detector][settings.number]
    pseudo, text = make_lab_anomaly(clips, sources, settings)
    if pseudo is None:
        unchanged = torch.zeros(clip.tensor.shape[1:], dtype=torch.bool)
        pseudo = PseudoClip(clip.tensor, unchanged, "not possible", {})
    figure: Figure = plot_pseudo(clip, pseudo, columns=8)[0].figure
    return figure, text


def play_lab(clips: Clips, sources: Sources, settings: LabSettings) -> str:
    """Return an HTML video: the chosen clip, its pseudo-anomaly and the mask, side by side.

    The frames are enlarged by a whole number to about 224 rows. Where no pseudo-anomaly can be
    made, it is a text.
    """
    clip = clips[settings.detector][settings.number]
    pseudo, text = make_lab_anomaly(clips, sources, settings)
    if pseudo is None:
        return f"<p>{html.escape(text)}</p>"
    normal, changed = to_frames(clip.tensor), to_frames(pseudo.tensor)
    masks = np.broadcast_to(_mask_frames(pseudo), normal.shape)
    scale = max(1, round(224 / masks.shape[1]))
    film = []
    for pictures in zip(normal, changed, masks, strict=True):
        row = style.beside(np.stack(pictures))
        rgb = np.broadcast_to(row, (*row.shape[:2], 3))
        film.append(rgb.repeat(scale, axis=0).repeat(scale, axis=1))
    rates = {video.name: video.fps for video in clips[settings.detector].videos}
    return video_tag(film, rates[clip.video], f"normal clip, pseudo-anomaly and mask: {text}")


def plot_lab_batch(clips: Clips, sources: Sources, settings: LabSettings) -> tuple[Figure, str]:
    """Draw which samples p turns, with the default kinds at the chosen strength.

    See `plot_training_batch`.
    """
    kinds = [_make_kind(name, sources, settings) for name in DEFAULT_KINDS]
    mixer = PseudoAnomalyMixer(kinds, settings.p)
    return plot_training_batch(clips[settings.detector], mixer, settings.seed)


def _make_kind(name: str, sources: Sources, settings: LabSettings) -> PseudoAnomaly:
    if name == "object":
        return PasteObjects(sources[settings.patches], settings.strength)
    kind: PseudoAnomaly = KINDS[name](settings.strength)
    return kind
