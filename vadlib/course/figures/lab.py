"""Pictures of the laboratory of pseudo-anomalies: a chosen one as strips, as a film, in a batch."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import NamedTuple

import torch
from matplotlib.figure import Figure

from vadlib.config import DEFAULT_KINDS
from vadlib.course.display import video_tag
from vadlib.course.figures.pseudo import plot_pseudo, plot_training_batch, side_by_side
from vadlib.data.clips import Clip, ClipDataset
from vadlib.pseudo.kinds import PasteObjects, PseudoAnomaly, PseudoClip
from vadlib.pseudo.mixer import KINDS, PseudoAnomalyMixer
from vadlib.pseudo.patches import Patches

Clips = Mapping[str, ClipDataset]  # detector -> the same clips with the boxes that it found
Sources = Mapping[str, Patches]  # name -> patch source


class LabSettings(NamedTuple):
    """The values of the laboratory's controls."""

    kind: str = "skip"
    strength: float = 0.5
    number: int = 0  # of the clip
    seed: int = 0
    detector: str = "motion"
    patches: str = "builtin"
    p: float = 0.2


class LabAnomaly(NamedTuple):
    """A clip, the pseudo-anomaly made of it (None where it cannot be made), and a description."""

    clip: Clip
    pseudo: PseudoClip | None
    text: str


def make_lab_anomaly(clips: Clips, sources: Sources, settings: LabSettings) -> LabAnomaly:
    """Make the chosen pseudo-anomaly of the chosen clip.

    Args:
        clips: detector -> clips.
        sources: name -> patch source.
        settings: what to make.
    """
    clip = clips[settings.detector][settings.number]
    generator = torch.Generator().manual_seed(settings.seed)
    pseudo = _make_kind(settings.kind, sources, settings)(clip, generator)
    place = f"clip {settings.number}, from frame {clip.start} of video {clip.video}"
    recipe = f"{settings.kind} at strength {settings.strength:g}, seed {settings.seed}"
    if settings.kind == "object":
        recipe += f", boxes of {settings.detector}, pictures of {settings.patches}"
    if pseudo is None:
        reason = _reason(settings)
        return LabAnomaly(clip, None, f"{recipe} cannot be made of {place}: {reason}")
    text = f"{recipe}, on {place}: {pseudo.mask.float().mean():.0%} of its pixels changed"
    parameters = []
    for name, value in pseudo.params.items():
        if isinstance(value, (int, float)):
            parameters.append(f"{name} {value:.3g}")
    if parameters:
        text += f" ({', '.join(parameters)})"
    return LabAnomaly(clip, pseudo, text)


def _reason(settings: LabSettings) -> str:
    """Say why a kind cannot be made of a clip."""
    if settings.kind == "skip":
        return "no frames left to skip to"
    if settings.kind == "object":
        return f"{settings.detector} found no person in it"
    return f"the kind {settings.kind} does not apply to this clip"


def plot_lab(clips: Clips, sources: Sources, settings: LabSettings) -> tuple[Figure, str]:
    """Draw the chosen pseudo-anomaly as strips; the clip as it is where none can be made.

    Arguments are those of `make_lab_anomaly`.

    Returns:
        The figure and its alt text.
    """
    anomaly = make_lab_anomaly(clips, sources, settings)
    clip, pseudo = anomaly.clip, anomaly.pseudo
    if pseudo is None:
        unchanged = torch.zeros(clip.tensor.shape[1:], dtype=torch.bool)
        pseudo = PseudoClip(clip.tensor, unchanged, "not possible", {})
    figure: Figure = plot_pseudo(clip, pseudo, columns=8)[0].figure
    return figure, anomaly.text


def play_lab(clips: Clips, sources: Sources, settings: LabSettings) -> str:
    """Return an HTML video: the chosen clip, its pseudo-anomaly and the mask, side by side.

    It is a text where no pseudo-anomaly can be made.
    """
    anomaly = make_lab_anomaly(clips, sources, settings)
    if anomaly.pseudo is None:
        return f"<p>{html.escape(anomaly.text)}</p>"
    rates = {video.name: video.fps for video in clips[settings.detector].videos}
    alt = f"normal clip, pseudo-anomaly and mask: {anomaly.text}"
    film = side_by_side(anomaly.clip, anomaly.pseudo)
    return video_tag(film, rates[anomaly.clip.video], alt)


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
