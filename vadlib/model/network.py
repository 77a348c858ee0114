"""The dual-path autoencoder: one encoder, a memory and a decoder for normal clips, another pair for
pseudo-anomalies.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vadlib.config import ModelConfig, require_known_field
from vadlib.errors import InputError
from vadlib.model import fast, published
from vadlib.model.memory import Memory, unread

NETWORKS = {"fast": fast, "published": published}


class PathOutput(NamedTuple):
    """One path through the network; T', H', W' are those of the bottleneck: divided by `strides`,
    rounded up.

    Attributes:
        reconstruction: (B, channels, T, H, W), in about [-1, 1].
        weights: (B, T', H', W', N), the addressing weights of the path's memory; N = 0 without a
            memory.
        read: (B, C'), the mean over all positions of what the memory returned.
        last: (B, width), the mean over all positions of the decoder's last features.
    """

    reconstruction: Tensor
    weights: Tensor
    read: Tensor
    last: Tensor


class DualPathAutoencoder(nn.Module):
    """E, M_n and D_n rebuild normal clips; E, M_p and D_p pseudo-anomalous ones (Wei et al. 2026).

    Fully convolutional: it may train on windows and score frames of any size; inputs are padded to
    multiples of its `strides` in (time, height, width) and outputs cut back.

    With one memory or one decoder, the pseudo path has none of its own (the attribute is None) and
    uses the normal path's.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        require_known_field(config, "network", NETWORKS)
        self.config = config
        network, r = NETWORKS[config.network], config.width
        self.strides = network.STRIDES
        self.encoder = network.Encoder(config.channels, r)
        memories = [
            Memory(config.slots, network.bottleneck_channels(r), config.sharpness, config.shrink)
            if config.memories > i
            else None
            for i in range(2)
        ]
        self.normal_memory, self.pseudo_memory = memories
        self.normal_decoder = network.Decoder(config.channels, r, config.skip)
        self.pseudo_decoder = copy.deepcopy(self.normal_decoder) if config.decoders == 2 else None
        # Layers are laid out as their inputs are, so that no convolution reorders anything.
        self.to(memory_format=torch.channels_last_3d)

    @property
    def two_paths(self) -> bool:
        """Whether the pseudo path has a memory or a decoder of its own."""
        return self.pseudo_memory is not None or self.pseudo_decoder is not None

    def forward(self, clips: Tensor, path: str = "normal") -> PathOutput:
        """Rebuild clips (B, C, T, H, W) in [-1, 1] along the "normal" or the "pseudo" path."""
        return self.rebuild(self.encode(clips), path, clips.shape)

    def encode(self, clips: Tensor) -> list[Tensor]:
        """Clips (B, C, T, H, W) -> features of the level that a skip joins, and of the bottleneck."""
        if clips.ndim != 5 or clips.shape[1] != self.config.channels:
            raise InputError(
                f"clips of shape {tuple(clips.shape)}; expected (B, {self.config.channels}, T, H, W)",
                "wrong-shape",
                field="clips",
            )
        padding = [
            pad
            for size, stride in zip(clips.shape[:1:-1], self.strides[::-1], strict=True)
            for pad in (0, -size % stride)
        ]
        clips = F.pad(clips, padding, mode="replicate") if any(padding) else clips
        return self.encoder(clips.contiguous(memory_format=torch.channels_last_3d))

    def parts(self, path: str) -> tuple[Memory | None, nn.Module]:
        """The memory (None without one) and the decoder of the "normal" or the "pseudo" path."""
        if path == "pseudo":
            return (
                self.pseudo_memory or self.normal_memory,
                self.pseudo_decoder or self.normal_decoder,
            )
        return self.normal_memory, self.normal_decoder

    def rebuild(self, features: list[Tensor], path: str, shape: torch.Size) -> PathOutput:
        """Read a memory with the features and decode what it returns, cut to the clips' `shape`."""
        memory, decoder = self.parts(path)
        read = memory(features[-1]) if memory else unread(features[-1])
        rebuilt, last = decoder(read.features, features[0])
        rebuilt = rebuilt[:, :, : shape[2], : shape[3], : shape[4]].float()
        return PathOutput(
            rebuilt,
            read.weights,
            *(level.float().mean((2, 3, 4)) for level in (read.features, last)),
        )

    @torch.no_grad()
    def fill_memories(self, clips: Tensor, generator: torch.Generator) -> None:
        """Fill the memories with encoder features of some clips, before training; see
        `Memory.fill`.
        """
        features = self.encode(clips)[-1].float()
        for memory in (self.normal_memory, self.pseudo_memory):
            if memory:
                memory.fill(features, generator)
