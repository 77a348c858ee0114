"""Training samples: normal clips and pseudo-anomalies made from them; the seed alone decides their
order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vadlib.data.clips import ClipDataset
from vadlib.pseudo.mixer import Outcome, PseudoAnomalyMixer

Keys = list[list[tuple[int, int]]]  # batches of (epoch, position)


class Batch(NamedTuple):
    """One training batch.

    Attributes:
        normal: float32 (B, C, T, H, W): the clips as they were.
        inputs: the same, pseudo-anomalous where `is_pseudo`.
        is_pseudo: bool (B,).
        outcomes: the mixer's, one for each clip.
    """

    normal: Tensor
    inputs: Tensor
    is_pseudo: Tensor
    outcomes: list[Outcome]


@dataclass(frozen=True)
class Samples(Dataset[tuple[Tensor, Tensor, Outcome]]):
    """Map (epoch, position) to one training sample.

    Its randomness (the window's shift, whether it becomes a pseudo-anomaly, and which) is derived
    from (seed, epoch, position), so it does not depend on workers, on batches, or on what was drawn
    before.
    """

    clips: ClipDataset
    positions: np.ndarray  # in `clips`, of those to train on
    mixer: PseudoAnomalyMixer | None
    seed: int

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor, Outcome]:
        epoch, position = key
        generator = derived_generator(self.seed, epoch, position)
        clip = self.clips.clip(int(self.positions[position]), generator)
        pseudo, outcome = self.mixer(clip, generator) if self.mixer else (None, Outcome())
        return clip.tensor, (pseudo or clip).tensor, outcome

    def batches(self, epoch: int, size: int, skip: int = 0, process: int = 0, of: int = 1) -> Keys:
        """Return the epoch's batches of keys, shuffled, without the first `skip` and without a
        last batch that is not full.

        Of several processes, `process` gets its share of each batch: every `of`-th sample.
        """
        generator = derived_generator(self.seed, epoch, -1)
        order = torch.randperm(len(self.positions), generator=generator).tolist()
        keys = [(epoch, position) for position in order]
        starts = range(skip * size, len(keys) - size + 1, size)
        return [keys[start + process : start + size : of] for start in starts]


def load_batches(samples: Samples, batches: Keys, workers: int, pin: bool) -> Iterator[Batch]:
    """Read the batches, in this process (workers = 0) or in others."""
    yield from DataLoader(
        samples, batch_sampler=batches, num_workers=workers, collate_fn=_collate, pin_memory=pin
    )


def derived_generator(*key: int) -> torch.Generator:
    """Return a generator whose state depends on the key alone, such as (seed, epoch, index); each
    number is at least -1.
    """
    # + 2: SeedSequence takes a shorter key for one that ends in zeros.
    state = np.random.SeedSequence([value + 2 for value in key]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> 1))


def _collate(samples: list[tuple[Tensor, Tensor, Outcome]]) -> Batch:
    columns = list(zip(*samples, strict=True))
    is_pseudo = torch.tensor([outcome.success for outcome in columns[2]])
    return Batch(torch.stack(columns[0]), torch.stack(columns[1]), is_pseudo, list(columns[2]))
