"""The laboratory of pseudo-anomalies: sliders around pure functions."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from matplotlib.figure import Figure

from vadlib.config import DEFAULT_KINDS
from vadlib.course.figures.pseudo import plot_pseudo, plot_training_batch, side_by_side
from vadlib.data.clips import Clip, ClipDataset
from vadlib.errors import require
from vadlib.output.figure import image_tag, in_turn, load_ipywidgets, video_tag
from vadlib.pseudo.kinds import PasteObjects, PseudoAnomaly, PseudoClip
from vadlib.pseudo.mixer import KINDS, PseudoAnomalyMixer
from vadlib.pseudo.patches import Patches, load_patches

Clips = Mapping[str, ClipDataset]  # detector -> the same clips with the boxes that it found


class LabSettings(NamedTuple):
    """What the controls of the laboratory say."""

    kind: str = "skip"
    strength: float = 0.5
    number: int = 0  # of the clip
    seed: int = 0
    detector: str = "motion"
    patches: str = "builtin"
    p: float = 0.2


def lab_pseudo(
    clips: Clips, sources: Mapping[str, Patches], choice: LabSettings
) -> tuple[Clip, PseudoClip | None, str]:
    """The chosen clip, the pseudo-anomaly made of it (None where it cannot be made), and what was
    made in words.

    Args:
        clips: detector -> clips.
        sources: name -> patch source.
        choice: what to make.
    """
    clip = clips[choice.detector][choice.number]
    pseudo = _kind(choice.kind, sources, choice)(clip, torch.Generator().manual_seed(choice.seed))
    where = f"clip {choice.number}, from frame {clip.start} of video {clip.video}"
    made = f"{choice.kind} at strength {choice.strength:g}, seed {choice.seed}"
    if choice.kind == "object":
        made += f", boxes of {choice.detector}, pictures of {choice.patches}"
    if pseudo is None:
        reasons = {
            "skip": "no frames left to skip to",
            "object": f"{choice.detector} found nobody in it",
        }
        reason = reasons.get(choice.kind, f"the kind {choice.kind} does not apply to this clip")
        return clip, None, f"{made} cannot be made of {where}: {reason}"
    drawn = ", ".join(
        f"{name} {value:.3g}"
        for name, value in pseudo.params.items()
        if isinstance(value, (int, float))
    )
    share = f"{pseudo.mask.float().mean():.0%} of its pixels changed"
    return clip, pseudo, f"{made}, on {where}: {share}" + (f" ({drawn})" if drawn else "")


def plot_lab(
    clips: Clips, sources: Mapping[str, Patches], choice: LabSettings
) -> tuple[Figure, str]:
    """The chosen pseudo-anomaly as strips, and its alt text; the clip as it is where none can be
    made.
    """
    clip, pseudo, text = lab_pseudo(clips, sources, choice)
    unchanged = PseudoClip(
        clip.tensor, torch.zeros(clip.tensor.shape[1:], dtype=torch.bool), "not possible", {}
    )
    return plot_pseudo(clip, pseudo or unchanged, columns=8)[0].figure, text


def play_lab(clips: Clips, sources: Mapping[str, Patches], choice: LabSettings) -> str:
    """The chosen clip, its pseudo-anomaly and the mask of what changed, side by side, as an HTML
    video; text if none is made.
    """
    clip, pseudo, text = lab_pseudo(clips, sources, choice)
    if pseudo is None:
        return f"<p>{html.escape(text)}</p>"
    fps = next(v.fps for v in clips[choice.detector].videos if v.name == clip.video)
    return video_tag(
        side_by_side(clip, pseudo), fps, f"normal clip, pseudo-anomaly and mask: {text}"
    )


def plot_lab_batch(
    clips: Clips, sources: Mapping[str, Patches], choice: LabSettings
) -> tuple[Figure, str]:
    """Which samples p turns, each kind of the default recipe at the chosen strength; see
    `plot_training_batch`.
    """
    mixer = PseudoAnomalyMixer([_kind(name, sources, choice) for name in DEFAULT_KINDS], choice.p)
    return plot_training_batch(clips[choice.detector], mixer, choice.seed)


def Lab(clips: Clips, patches: Sequence[str] = ("builtin",)):
    """The laboratory: an ipywidgets box, for a notebook with a running kernel.

    By keyboard: Tab reaches each control, the space bar presses a button, arrow keys move a slider.
    Alt texts follow the pictures.

    Args:
        clips: detector -> the same clips with its boxes: `ClipDataset(videos, config,
            find_boxes(videos, detector))`.
        patches: names of patch sources; see `load_patches`.

    Raises:
        InputError: no clips or no patches.
    """
    widgets = load_ipywidgets()

    require(
        len(clips) > 0 and len(patches) > 0,
        "nothing to show: expected clips of at least one detector, and a patch source",
        "too-few",
        field="clips",
    )
    sources = {name: load_patches(name) for name in patches}
    default, count = LabSettings(), len(next(iter(clips.values())))
    wide = {
        "style": {"description_width": "6em"},
        "layout": widgets.Layout(width="34em"),
        "continuous_update": False,
    }
    buttons = {"style": {"description_width": "6em", "button_width": "auto"}}
    controls = {
        "kind": widgets.ToggleButtons(options=list(KINDS), description="kind", **buttons),
        "strength": widgets.FloatSlider(
            default.strength, min=0, max=1, step=0.05, description="strength", **wide
        ),
        "number": widgets.IntSlider(default.number, 0, count - 1, description="clip", **wide),
        "seed": widgets.IntSlider(default.seed, 0, 99, description="seed", **wide),
        "detector": widgets.ToggleButtons(options=list(clips), description="detector", **buttons),
        "patches": widgets.ToggleButtons(options=list(sources), description="patches", **buttons),
        "p": widgets.FloatSlider(default.p, min=0, max=1, step=0.01, description="p", **wide),
    }
    film, strips, batch = widgets.HTML(), widgets.HTML(), widgets.HTML()

    @in_turn
    def draw(change=None) -> None:
        choice = LabSettings(**{name: control.value for name, control in controls.items()})
        moved = change and next(
            name for name, control in controls.items() if control is change["owner"]
        )
        if moved != "p":  # p says how often, not what
            film.value, strips.value = (
                play_lab(clips, sources, choice),
                image_tag(*plot_lab(clips, sources, choice)),
            )
        # the batch holds the default kinds, and clips of its own
        if moved not in ("kind", "number"):
            batch.value = image_tag(*plot_lab_batch(clips, sources, choice))

    for control in controls.values():
        control.observe(draw, "value")
    draw()
    *of_clip, p = controls.values()
    return widgets.VBox([*of_clip, film, strips, p, batch])


def _kind(name: str, sources: Mapping[str, Patches], choice: LabSettings) -> PseudoAnomaly:
    if name == "object":
        return PasteObjects(sources[choice.patches], choice.strength)
    return KINDS[name](choice.strength)
