"""The mixer: turns each training sample into a pseudo-anomaly with probability p."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import torch

from vadlib.config import PseudoConfig
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

# A kind in this table can be chosen by name. It joins no preset by that.
KINDS: dict[str, type[PseudoAnomaly]] = {
    "skip": SkipFrames,
    "shuffle": ShuffleMotion,
    "noise": AddNoise,
    "object": PasteObjects,
}


class Outcome(NamedTuple):
    """What became of a sample.

    Attributes:
        kind: the name of the kind that was drawn; None if the clip stays normal by chance.
        success: whether a pseudo-anomaly was made. False with a kind: it cannot be made of this
            clip, because there is nobody to paste onto or no frames to skip to.
    """

    kind: str | None = None
    success: bool = False


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
        detector: what found the boxes of the clips, noted in the run; see `find_boxes`.

    Raises:
        InputError: p outside [0, 1], p > 0 without kinds, or weights that do not fit.
    """

    def __init__(
        self,
        kinds: Sequence[PseudoAnomaly],
        p: float = 0.5,
        weights: Sequence[float] | None = None,
        detector: str = "motion",
    ):
        count = len(kinds)
        message = f"p = {p}; expected a probability in [0, 1]"
        require(0 <= p <= 1, message, "out-of-range", field="p")
        message = f"p = {p} without any kind of pseudo-anomaly; name at least one, or set p to 0"
        require(p == 0 or count > 0, message, "conflict", field="kinds")
        if weights is None:
            weights = [1.0 for _ in kinds]
        is_sound = all(weight >= 0 for weight in weights) and 0 < sum(weights) < math.inf
        expected = "expected one number of at least 0 for each kind, and not 0 for all"
        message = f"weights = {weights} for {count} kinds; {expected}"
        fits = len(weights) == count and (is_sound or count == 0)
        require(fits, message, "out-of-range", field="weights")
        self.kinds = list(kinds)
        self.p = float(p)
        self.weights = [float(weight) for weight in weights]
        self.detector = detector

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
        return Mixed(pseudo, Outcome(kind.name, success=True))

    def count(self, outcomes: Iterable[Outcome]) -> dict[str, int]:
        """Count the samples of each outcome: "made_KIND" and "not_made_KIND" -> a number."""
        totals = {}
        for kind in self.kinds:
            totals[f"made_{kind.name}"] = 0
            totals[f"not_made_{kind.name}"] = 0
        for name, success in outcomes:
            if name is not None:
                totals[f"made_{name}" if success else f"not_made_{name}"] += 1
        return totals

    @property
    def config(self) -> PseudoConfig:
        """The mixer as a run's config.json holds it, without further settings of your own kinds."""
        settings: dict[str, Any] = {}
        for kind in self.kinds:
            settings |= kind.settings()
        return PseudoConfig(
            kinds=tuple(kind.name for kind in self.kinds),
            p=self.p,
            detector=self.detector,
            patches=settings.get("patches", PseudoConfig.patches),
            weights=tuple(self.weights),
            strengths=tuple(kind.strength for kind in self.kinds),
            grain=settings.get("grain", PseudoConfig.grain),
        )


def make_mixer(config: PseudoConfig) -> PseudoAnomalyMixer:
    """Make the mixer that a config describes.

    Raises:
        InputError: an unknown kind, strengths that do not fit, or what `PseudoAnomalyMixer`
            refuses.
    """
    count = len(config.kinds)
    strengths: Sequence[tuple[float, float] | None] = [None for _ in config.kinds]
    if config.strengths is not None:
        strengths = config.strengths
    message = f"strengths = {strengths} for {count} kinds; expected (low, high) for each kind"
    require(len(strengths) == count, message, "conflict", field="strengths")
    kinds = []
    for name, strength in zip(config.kinds, strengths, strict=True):
        require_known(name, KINDS, "kind", field="kinds")
        kinds.append(KINDS[name].from_config(config, strength))
    return PseudoAnomalyMixer(kinds, config.p, config.weights, config.detector)
