"""How to train, in plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vadlib.config import require_field, require_known_field
from vadlib.device import PRECISIONS
from vadlib.errors import require_known
from vadlib.model.losses import MARGIN, OBJECTIVES


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Stored with the run."""

    epochs: int = 6  # passes over the clips: about 20 minutes for Ped2 on two CPU cores
    seed: int = 0
    # of all processes together; small: more steps for the same clips bring the error down faster
    batch_size: int = 8
    # of Adam; rises over the first steps, then falls to 0 along a cosine
    learning_rate: float = 1e-3
    # "inpaint"; "maximize", the paper's; "none": rebuild normal clips only
    objective: str = "inpaint"
    margin: float = MARGIN  # error up to which "maximize" drives the pseudo path
    # of the entropy of the memory's addressing; 0 is off, the paper's is 2e-4
    sparsity_weight: float = 0.0
    # of the distances between the two paths; 0 is off, the paper's is 2e-4
    separation_weight: float = 0.0
    max_gradient: float = 1.0  # longer gradients are cut to this norm
    device: str = "auto"  # "auto", "cpu", "cuda" or "mps"
    # "auto": bf16 where the hardware has it, else float32; "fp32" or "bf16"
    precision: str = "auto"
    # processes that read clips ahead; 0: the training process reads; None: 0 on a CPU, up to 4 for
    # a GPU
    workers: int | None = None
    # torch.compile: a minute at the beginning; steps were slower on a CPU, and are unmeasured on a
    # GPU
    compile: bool = False

    def __post_init__(self):
        for name in ("epochs", "batch_size"):
            require_field(self, name, getattr(self, name) >= 1, "at least 1")
        for name in ("seed", "workers", "sparsity_weight", "separation_weight"):
            value = getattr(self, name)
            require_field(self, name, value is None or value >= 0, "at least 0")
        for name in ("learning_rate", "max_gradient", "margin"):
            require_field(self, name, getattr(self, name) > 0, "more than 0")
        for name in (
            "learning_rate",
            "max_gradient",
            "margin",
            "sparsity_weight",
            "separation_weight",
        ):
            require_field(self, name, math.isfinite(getattr(self, name)), "a finite number")
        require_field(
            self, "workers", self.workers is None or self.workers <= 64, "at most 64, or None"
        )
        require_known_field(self, "precision", PRECISIONS)
        require_field(self, "seed", self.seed < 2**63, "less than 2**63")
        require_known_field(self, "objective", OBJECTIVES)

    @classmethod
    def preset(cls, name: str) -> TrainConfig:
        """How the model preset of that name is trained; the published ones with the paper's
        objective, rate and epochs.

        Batches stay ours: the published ones hold 2 clips.
        """
        require_known(name, PRESETS, "preset")
        return cls(**PRESETS[name])


_PUBLISHED = {
    "objective": "maximize",
    "sparsity_weight": 2e-4,
    "separation_weight": 2e-4,
    "learning_rate": 1e-4,
    "epochs": 30,
}
PRESETS: dict[str, dict] = {
    "fast": {},
    "short": {"epochs": 2, "batch_size": 4},
    "compact": _PUBLISHED,
    "paper": _PUBLISHED,
}
