"""Training samples: normal clips and the pseudo-anomalies made of them, in an order that depends on
the seed alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vadlib.data.clips import ClipDataset
from vadlib.pseudo.mixer import Mixed, Outcome, PseudoAnomalyMixer


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


class Samples(torch.utils.data.Dataset):
    """Maps (epoch, position) to one training sample.

    Its randomness (the window's shift, whether it becomes a pseudo-anomaly, and which) is derived
    from (seed, epoch, position), so it does not depend on workers, on batches, or on what was drawn
    before.
    """

    def __init__(
        self, clips: ClipDataset, chosen: np.ndarray, mixer: PseudoAnomalyMixer | None, seed: int
    ):
        self.clips, self.chosen, self.mixer, self.seed = clips, chosen, mixer, seed

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor, Outcome]:
        epoch, position = key
        generator = derived_generator(self.seed, epoch, position)
        clip = self.clips.clip(int(self.chosen[position]), generator)
        mixed = self.mixer(clip, generator) if self.mixer else Mixed(None, Outcome())
        inputs = mixed.pseudo.tensor if mixed.pseudo else clip.tensor
        return clip.tensor, inputs, mixed.outcome

    def batches(
        self, epoch: int, size: int, skip: int = 0, process: int = 0, of: int = 1
    ) -> list[list[tuple[int, int]]]:
        """The epoch's batches of keys, shuffled, the first `skip` left out; a last batch that is
        not full is dropped.

        Of several processes, `process` gets its share of each batch: every `of`-th sample.
        """
        order = torch.randperm(
            len(self.chosen), generator=derived_generator(self.seed, epoch, -1)
        ).tolist()
        starts = range(skip * size, len(order) - size + 1, size)
        return [
            [(epoch, position) for position in order[start + process : start + size : of]]
            for start in starts
        ]


def load_batches(
    samples: Samples, batches: list[list[tuple[int, int]]], workers: int, pin: bool
) -> Iterator[Batch]:
    """Read the batches, in this process (workers = 0) or in others."""
    loader = torch.utils.data.DataLoader(
        samples, batch_sampler=batches, num_workers=workers, collate_fn=_collate, pin_memory=pin
    )
    yield from loader


def derived_generator(*key: int) -> torch.Generator:
    """A generator whose state depends on the key alone, such as (seed, epoch, index); each at least
    -1.
    """
    # + 2: SeedSequence takes a shorter key for one that ends in zeros.
    state = np.random.SeedSequence([value + 2 for value in key]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> 1))


def _collate(samples: list[tuple[Tensor, Tensor, Outcome]]) -> Batch:
    normal = torch.stack([sample[0] for sample in samples])
    inputs = torch.stack([sample[1] for sample in samples])
    outcomes = [sample[2] for sample in samples]
    return Batch(normal, inputs, torch.tensor([o.made for o in outcomes]), outcomes)
