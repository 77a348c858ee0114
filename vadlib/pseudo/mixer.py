"""The mixer: turns each training sample into a pseudo-anomaly with probability p."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from vadlib.config import require
from vadlib.data.clips import Clip
from vadlib.pseudo.kinds import AddNoise, PasteObjects, PseudoAnomaly, PseudoClip, ShuffleMotion, SkipFrames

KINDS = {"skip": SkipFrames, "shuffle": ShuffleMotion, "noise": AddNoise, "object": PasteObjects}


class PseudoAnomalyMixer:
    """Each sample draws on its own whether it becomes a pseudo-anomaly (probability p), and of which kind.

    Args:
        kinds: the kinds to draw from, all equally often; at least one, unless p is 0.
        p: in [0, 1]; 0 leaves every clip normal. The paper uses 0.01 and 0.02.

    Raises:
        InputError: p outside [0, 1], or p > 0 without kinds.
    """

    def __init__(self, kinds: Sequence[PseudoAnomaly], p: float = 0.2):
        require(0 <= p <= 1, f"p = {p}; expected a probability in [0, 1]")
        require(p == 0 or len(kinds) > 0, f"p = {p} without any kind of pseudo-anomaly; name at least one, or set p to 0")
        self.kinds, self.p = list(kinds), float(p)

    def __call__(self, clip: Clip, generator: torch.Generator) -> PseudoClip | None:
        """A pseudo-anomalous clip, or None where the clip stays normal: by chance, or since the kind cannot change it."""
        turned, which = torch.rand(2, generator=generator).tolist()
        if turned >= self.p:
            return None
        pseudo = self.kinds[int(which * len(self.kinds))](clip, generator)
        return pseudo if pseudo is not None and bool(pseudo.mask.any()) else None


def make_mixer(kinds: Sequence[str], p: float, patches: str = "builtin") -> PseudoAnomalyMixer:
    """A mixer of kinds by name ("skip", "shuffle", "noise", "object") at their default strengths.

    Raises:
        InputError: an unknown kind, or what `PseudoAnomalyMixer` refuses.
    """
    for kind in kinds:
        require(kind in KINDS, f"kind {kind!r} is unknown; expected some of: {', '.join(KINDS)}")
    return PseudoAnomalyMixer([PasteObjects(patches) if kind == "object" else KINDS[kind]() for kind in kinds], p)
