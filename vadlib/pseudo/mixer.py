"""The mixer: turns each training sample into a pseudo-anomaly with probability p."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from vadlib.config import PseudoConfig
from vadlib.data.clips import Clip
from vadlib.errors import require, require_known
from vadlib.pseudo import kinds as builtin
from vadlib.pseudo.kinds import PseudoAnomaly, PseudoClip

# A kind in this table can be chosen by name. It joins no preset by that.
KINDS: dict[str, type[PseudoAnomaly]] = {
    "skip": builtin.SkipFrames,
    "shuffle": builtin.ShuffleMotion,
    "noise": builtin.AddNoise,
    "object": builtin.PasteObjects,
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


@dataclass(eq=False)
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

    kinds: Sequence[PseudoAnomaly]
    p: float = 0.5
    weights: Sequence[float] | None = None
    detector: str = "motion"

    def __post_init__(self) -> None:
        require(0 <= self.p <= 1, f"p = {self.p}; expected 0 to 1", "out-of-range", field="p")
        message = f"p = {self.p} without kinds of pseudo-anomaly; name one, or set p to 0"
        require(self.p == 0 or len(self.kinds) > 0, message, "conflict", field="kinds")
        weights = [1.0 for _ in self.kinds] if self.weights is None else self.weights
        self.weights = [float(weight) for weight in weights]
        fits = len(weights) == len(self.kinds) and min(weights, default=0) >= 0
        fits = fits and (0 < sum(weights) < np.inf or not weights)
        message = f"weights = {weights}; expected for each kind a number of at least 0, not all 0"
        require(fits, message, "out-of-range", field="weights")

    def __call__(self, clip: Clip, generator: torch.Generator) -> Mixed:
        """Make a pseudo-anomaly of the clip, or leave it normal: by chance, or since the kind that
        was drawn cannot change it.
        """
        turned, position = torch.rand(2, generator=generator).tolist()
        if turned >= self.p:
            return Mixed(None, Outcome())
        shares = np.cumsum(self.weights or ())
        kind = self.kinds[int(np.searchsorted(shares, position * shares[-1], side="right"))]
        pseudo = kind(clip, generator)
        success = pseudo is not None and bool(pseudo.mask.any())
        return Mixed(pseudo if success else None, Outcome(kind.name, success))

    def count(self, outcomes: Iterable[Outcome]) -> dict[str, int]:
        """Count the samples of each outcome: "made_KIND" and "not_made_KIND" -> a number."""
        totals = {f"{end}_{kind.name}": 0 for kind in self.kinds for end in ("made", "not_made")}
        for name, success in outcomes:
            if name is not None:
                totals[f"made_{name}" if success else f"not_made_{name}"] += 1
        return totals

    @property
    def config(self) -> PseudoConfig:
        """The mixer as a run's config.json holds it, without further settings of your own kinds."""
        strengths = tuple(kind.strength for kind in self.kinds)
        settings: dict[str, Any] = {"weights": tuple(self.weights or ()), "strengths": strengths}
        for kind in self.kinds:
            settings |= {name: getattr(kind, name) for name in kind.options}
        names = tuple(kind.name for kind in self.kinds)
        return PseudoConfig(names, self.p, self.detector, **settings)


def make_mixer(config: PseudoConfig) -> PseudoAnomalyMixer:
    """Make the mixer that a config describes.

    Raises:
        InputError: an unknown kind, strengths that do not fit, or what `PseudoAnomalyMixer`
            refuses.
    """
    strengths = [None for _ in config.kinds] if config.strengths is None else config.strengths
    message = f"strengths = {strengths}; expected (low, high) for each of {config.kinds}"
    require(len(strengths) == len(config.kinds), message, "conflict", field="strengths")
    kinds = []
    for name, strength in zip(config.kinds, strengths, strict=True):
        require_known(name, KINDS, "kind", field="kinds")
        options = {option: getattr(config, option) for option in KINDS[name].options}
        kinds.append(KINDS[name](strength=strength, **options))
    return PseudoAnomalyMixer(kinds, config.p, config.weights, config.detector)
