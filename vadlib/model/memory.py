"""A memory of prototype features, read by attention (after MemAE: Gong et al., ICCV 2019, section
3.2).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from vadlib.device import autocast

# Added to squared norms: an all-zero query, as ReLU can leave it, then has a gradient of at most
# 1e2, not 1e12.
EPSILON = 1e-4


class Read(NamedTuple):
    """What one memory returned.

    Attributes:
        features: (B, C, T, H, W), each position a weighted mean of slots.
        weights: (B, T, H, W, N) addressing weights; non-negative, they sum to 1 over the N slots.
    """

    features: Tensor
    weights: Tensor


def address(query: Tensor, slots: Tensor, sharpness: float, shrink: float) -> Tensor:
    """Compute addressing weights: a softmax over cosine similarities, small weights set to 0, the
    rest rescaled to sum to 1.

    The published threshold is absolute (0.0025 with 2000 slots) and empties most reads at
    initialisation, where every weight is near 1/N. Here it is a share of the largest weight of the
    same query, so a read is never empty.

    Args:
        query: (..., C).
        slots: (N, C).
        sharpness: factor of the cosine similarity before the softmax; 0 weighs all slots alike.
        shrink: in [0, 1): weights below this share of the query's largest weight become 0.

    Returns:
        (..., N), in [0, 1].
    """
    weights = torch.softmax(sharpness * _unit(query) @ _unit(slots).T, dim=-1)
    threshold = shrink * weights.amax(-1, keepdim=True)
    weights = weights * (weights >= threshold)
    return weights / weights.sum(-1, keepdim=True)


def entropy(weights: Tensor) -> Tensor:
    """Compute the Shannon entropy in nats of addressing weights (..., N) -> (...).

    It is 0 when one slot is read and ln N when all are read alike.
    """
    return torch.special.entr(weights.clamp_min(1e-12)).sum(-1)  # type: ignore[no-any-return]


def _unit(vectors: Tensor) -> Tensor:
    return vectors * torch.rsqrt(vectors.square().sum(-1, keepdim=True) + EPSILON)


class Memory(nn.Module):
    """N slots of C values; each position of a feature map is replaced by a mixture of the slots
    most like it.

    Args:
        slots: N, at least 1.
        channels: C.
        sharpness, shrink: see `address`.
    """

    def __init__(self, slots: int, channels: int, sharpness: float, shrink: float):
        super().__init__()
        self.sharpness = sharpness
        self.shrink = shrink
        self.slots = nn.Parameter(torch.empty(slots, channels))
        nn.init.uniform_(self.slots, -(channels**-0.5), channels**-0.5)

    def forward(self, features: Tensor) -> Read:
        """Read with features (B, C, T, H, W), in float32 even under autocast: similarities need the
        digits.
        """
        with autocast(features.device, None):
            slots = self.slots.float()
            query = features.float().movedim(1, -1)
            weights = address(query, slots, self.sharpness, self.shrink)
            return Read((weights @ slots).movedim(-1, 1), weights)

    @torch.no_grad()
    def fill(self, features: Tensor, generator: torch.Generator) -> None:
        """Set the slots to encoder features (B, C, T, H, W) drawn at random positions.

        Random slots are all alike to the encoder: every position then reads nearly the same
        mixture, and the decoders behind see no variance. Slots that start as real features differ
        as the features do. Equal slots would stay equal for ever, so no position is drawn twice
        while there are others.
        """
        vectors = features.movedim(1, -1).reshape(-1, features.shape[1])
        order = torch.randperm(len(vectors), generator=generator)
        positions = order[torch.arange(len(self.slots)) % len(vectors)]
        self.slots.copy_(vectors[positions.to(vectors.device)])


def pass_on(features: Tensor) -> Read:
    """Return the features themselves, with weights over no slots: the read without a memory."""
    shape = (len(features), *features.shape[2:], 0)
    return Read(features, features.new_zeros(shape, dtype=torch.float32))
