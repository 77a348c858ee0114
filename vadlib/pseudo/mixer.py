"""The mixer: turns each training sample into a pseudo-anomaly with probability p."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import torch

from vadlib.data.clips import Clip
from vadlib.errors import require, require_known
from vadlib.pseudo.kinds import (
    AddNoise,
    PasteObjects,
    PseudoAnomaly,
    PseudoClip,
    ShuffleMotion,
    SkipFrames,
)

KINDS = {"skip": SkipFrames, "shuffle": ShuffleMotion, "noise": AddNoise, "object": PasteObjects}


class Outcome(NamedTuple):
    """What became of a sample.

    Attributes:
        kind: the name of the kind that was drawn; None if the clip stays normal by chance.
        made: whether a pseudo-anomaly was made. False with a kind: it cannot be made of this clip,
            because there is nobody to paste onto or no frames to skip to.
    """

    kind: str | None = None
    made: bool = False


class Mixed(NamedTuple):
    """A clip that went through the mixer.

    Attributes:
        pseudo: the pseudo-anomalous clip; None if the clip stays normal.
        outcome: which kind was drawn, and whether it was made.
    """

    pseudo: PseudoClip | None
    outcome: Outcome


class PseudoAnomalyMixer:
    """Each sample draws on its own whether it becomes a pseudo-anomaly (probability p), and of
    which kind.

    Args:
        kinds: the kinds to draw from; at least one, unless p is 0.
        p: in [0, 1]; 0 leaves every clip normal. The paper uses 0.01 and 0.02.
        weights: how often each kind is drawn, compared with the others: one number of at least 0 a
            kind; None draws all equally often.

    Raises:
        InputError: p outside [0, 1], p > 0 without kinds, or weights that do not fit.
    """

    def __init__(
        self, kinds: Sequence[PseudoAnomaly], p: float = 0.5, weights: Sequence[float] | None = None
    ):
        require(
            0 <= p <= 1,
            f"p = {p}; expected a probability in [0, 1]",
            "out-of-range",
            field="p",
        )
        require(
            p == 0 or len(kinds) > 0,
            f"p = {p} without any kind of pseudo-anomaly; name at least one, or set p to 0",
            "conflict",
            field="kinds",
        )
        weights = [1.0] * len(kinds) if weights is None else [float(w) for w in weights]
        fits = (
            len(weights) == len(kinds)
            and all(w >= 0 for w in weights)
            and (0 < sum(weights) < math.inf or not kinds)
        )
        require(
            fits,
            f"weights = {weights} for {len(kinds)} kinds; expected one number of at least 0 for each kind, and not 0 for all",
            "out-of-range",
            field="weights",
        )
        self.kinds, self.p, self.weights = list(kinds), float(p), weights

    def __call__(self, clip: Clip, generator: torch.Generator) -> Mixed:
        """Make a pseudo-anomaly of the clip, or leave it normal: by chance, or since the kind that
        was drawn cannot change it.
        """
        turned, position = torch.rand(2, generator=generator).tolist()
        if turned >= self.p:
            return Mixed(None, Outcome())
        shares = list(accumulate(self.weights))
        kind = self.kinds[bisect(shares, position * shares[-1])]
        pseudo = kind(clip, generator)
        if pseudo is None or not bool(pseudo.mask.any()):
            return Mixed(None, Outcome(kind.name))
        return Mixed(pseudo, Outcome(kind.name, made=True))

    def count(self, outcomes: Iterable[Outcome]) -> dict[str, int]:
        """Count the samples of each outcome: "made_KIND" and "not_made_KIND" -> a number."""
        totals = {}
        for kind in self.kinds:
            totals[f"made_{kind.name}"] = 0
            totals[f"not_made_{kind.name}"] = 0
        for name, made in outcomes:
            if name is not None:
                totals[f"made_{name}" if made else f"not_made_{name}"] += 1
        return totals

    def settings(self) -> dict:
        """Return what makes this mixer what it is; see `mixer_part`."""
        return mixer_part(
            self.p, self.weights, [(kind.name, kind.settings()) for kind in self.kinds]
        )


def mixer_part(p: float, weights: Sequence[float], kinds: Sequence[tuple[str, Mapping]]) -> dict:
    """Return the part "mixer" of a run's config.json: a mixer as JSON, in the shape of
    `PseudoConfig`.

    Args:
        p, weights: see `PseudoAnomalyMixer`.
        kinds: the name and the settings of each kind, see `PseudoAnomaly.settings`.

    Returns:
        p, the kinds' names, weights and strengths, and further settings by their own names, such as
        "grain". A setting in which two kinds differ is the list of its values: a run is only
        resumed with the same ones, but `--config`, which knows one value for all, refuses it.
    """
    settings: dict[str, list] = {"strength": []}
    for _, setting in kinds:
        for name, value in setting.items():
            settings.setdefault(name, []).append(value)
    strengths = settings.pop("strength")
    names = [name for name, _ in kinds]
    part = {"p": p, "kinds": names, "weights": list(weights), "strengths": strengths}
    for name, values in settings.items():
        same = all(value == values[0] for value in values)
        part.setdefault(name, values[0] if same else values)
    return part


def make_mixer(
    kinds: Sequence[str],
    p: float,
    patches: str = "builtin",
    weights: Sequence[float] | None = None,
    strengths: Sequence[tuple[float, float]] | None = None,
    grain: int = 1,
) -> PseudoAnomalyMixer:
    """A mixer of kinds by name.

    Args:
        kinds: names in `KINDS`.
        p, weights: see `PseudoAnomalyMixer`.
        patches: see `PasteObjects`.
        strengths: a range (low, high) for each kind; None takes their defaults.
        grain: of the noise; see `AddNoise`.

    Raises:
        InputError: an unknown kind, strengths that do not fit, or what `PseudoAnomalyMixer`
            refuses.
    """
    for kind in kinds:
        require_known(kind, KINDS, "kind", field="kinds")
    given = strengths is not None
    require(
        not given or len(strengths) == len(kinds),
        f"strengths = {strengths} for {len(kinds)} kinds; expected (low, high) for each kind",
        "conflict",
        field="strengths",
    )
    settings = [{"strength": tuple(s)} for s in strengths] if given else [{}] * len(kinds)
    further = {"object": {"patches": patches}, "noise": {"grain": grain}}
    made = []
    for kind, setting in zip(kinds, settings, strict=True):
        made.append(KINDS[kind](**setting, **further.get(kind, {})))
    return PseudoAnomalyMixer(made, p, weights)
