"""The dual-path autoencoder: one encoder, a memory and a decoder for normal clips, another pair for
pseudo-anomalies.
"""

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vadlib.config import ModelConfig
from vadlib.errors import require, require_known
from vadlib.model.layers import FAST, PUBLISHED
from vadlib.model.memory import Memory, pass_on

NETWORKS = {
    "fast": FAST,
    "published": PUBLISHED,
}


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
    """E, M_n and D_n reconstruct normal clips; E, M_p and D_p pseudo-anomalous ones (Wei et al.
    2026).

    Fully convolutional: it may train on windows and score frames of any size; inputs are padded to
    multiples of its `strides` in (time, height, width) and outputs cut back.

    With one memory or one decoder, the pseudo path has none of its own (the attribute is None) and
    uses the normal path's.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        require_known(config.network, NETWORKS, "ModelConfig.network")
        network = NETWORKS[config.network]
        self.config = config
        self.strides = network.strides
        self.encoder = network.encoder(config.channels, config.width)
        memory = (config.slots, network.bottleneck * config.width, config.sharpness, config.shrink)
        self.normal_memory = Memory(*memory) if config.memories >= 1 else None
        self.pseudo_memory = Memory(*memory) if config.memories == 2 else None
        self.normal_decoder = network.decoder(config.channels, config.width, config.skip)
        self.pseudo_decoder = copy.deepcopy(self.normal_decoder) if config.decoders == 2 else None
        # Layers are laid out as their inputs are, so that no convolution reorders anything.
        self.to(memory_format=torch.channels_last_3d)

    @property
    def two_paths(self) -> bool:
        """Whether the pseudo path has a memory or a decoder of its own."""
        return self.pseudo_memory is not None or self.pseudo_decoder is not None

    def forward(self, clips: Tensor, path: str = "normal") -> PathOutput:
        """Reconstruct clips (B, C, T, H, W) in [-1, 1] along the "normal" or the "pseudo" path."""
        return self.reconstruct(self.encode(clips), path, clips.shape)

    def encode(self, clips: Tensor) -> list[Tensor]:
        """Return the features of clips (B, C, T, H, W): the level that a skip joins, and the
        bottleneck.

        Raises:
            InputError: clips of another shape.
        """
        fits = clips.ndim == 5 and clips.shape[1] == self.config.channels
        message = f"clips {tuple(clips.shape)}; expected (B, {self.config.channels}, T, H, W)"
        require(fits, message, "wrong-shape", field="clips")
        padding = []  # `pad` begins with the last dimension
        for size, stride in zip(clips.shape[:1:-1], self.strides[::-1], strict=True):
            padding += [0, -size % stride]
        if any(padding):
            clips = nn.functional.pad(clips, padding, mode="replicate")
        clips = clips.contiguous(memory_format=torch.channels_last_3d)
        features: list[Tensor] = self.encoder(clips)
        return features

    def reconstruct(self, features: list[Tensor], path: str, shape: torch.Size) -> PathOutput:
        """Read a memory with the features and decode the result, cut to the clips' `shape`."""
        memory, decoder = self.parts(path)
        read = memory(features[-1]) if memory else pass_on(features[-1])
        clips, last = decoder(read.features, features[0])
        reconstruction = clips[:, :, : shape[2], : shape[3], : shape[4]].float()
        means = [part.float().mean((2, 3, 4)) for part in (read.features, last)]
        return PathOutput(reconstruction, read.weights, *means)

    def parts(self, path: str) -> tuple[Memory | None, nn.Module]:
        """Return the memory (None without one) and the decoder of the "normal" or the "pseudo"
        path.
        """
        if path == "normal":
            return self.normal_memory, self.normal_decoder
        memory = self.pseudo_memory or self.normal_memory
        return memory, self.pseudo_decoder or self.normal_decoder

    @torch.no_grad()
    def fill_memories(self, clips: Tensor, generator: torch.Generator) -> None:
        """Fill the memories with encoder features of some clips, before training; see
        `Memory.fill`.
        """
        features = self.encode(clips)[-1].float()
        for memory in filter(None, (self.normal_memory, self.pseudo_memory)):
            memory.fill(features, generator)
