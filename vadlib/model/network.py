"""The dual-path autoencoder: one encoder, a memory and a decoder for normal clips, another pair for pseudo-anomalies."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vadlib.config import require
from vadlib.errors import InputError
from vadlib.model.memory import Memory


@dataclass(frozen=True)
class ModelConfig:
    """The network's shape. Stored with a run; a checkpoint loads only into the same shape."""

    channels: int = 1  # 1 grey, 3 RGB
    width: int = 16  # feature channels at the first level; they double at each of two further levels
    slots: int = 256  # slots in each memory
    sharpness: float = 10.0  # of the memory's addressing: cosine similarities are in [-1, 1], too flat for a softmax
    shrink: float = 0.05  # addressing weights below this share of the largest are cut off
    skip: bool = False  # join the encoder's middle features to the decoders': sharper, but anomalies pass around the memory

    def __post_init__(self):
        require(self.channels in (1, 3), f"ModelConfig.channels = {self.channels}; expected 1 (grey) or 3 (RGB)")
        require(8 <= self.width <= 512 and self.width % 8 == 0, f"ModelConfig.width = {self.width}; expected a multiple of 8, at most 512")
        require(1 <= self.slots <= 100_000, f"ModelConfig.slots = {self.slots}; expected 1 to 100000")
        require(self.sharpness >= 0, f"ModelConfig.sharpness = {self.sharpness}; expected at least 0")
        require(0 <= self.shrink < 1, f"ModelConfig.shrink = {self.shrink}; expected 0 <= shrink < 1")

    @classmethod
    def preset(cls, name: str, **changes) -> ModelConfig:
        """The named preset ("fast": ours, for a CPU), with some fields changed, such as `channels=3`."""
        require(name in PRESETS, f"preset {name!r} is unknown; expected one of: {', '.join(PRESETS)}")
        return cls(**PRESETS[name] | changes)


PRESETS: dict[str, dict] = {"fast": {}}


class PathOutput(NamedTuple):
    """One path through the network.

    Attributes:
        reconstruction: (B, channels, T, H, W), in about [-1, 1].
        weights: (B, T', H', W', N), the addressing weights of the path's memory; each position covers 4 frames of 8 x 8 pixels.
    """

    reconstruction: Tensor
    weights: Tensor


class DualPathAutoencoder(nn.Module):
    """E, M_n and D_n rebuild normal clips; E, M_p and D_p pseudo-anomalous ones (Wei et al. 2026).

    Fully convolutional: it may train on windows and score frames of any size; inputs are padded to multiples of its
    strides (4 in time, 8 in space) and outputs cut back. Three levels of width, 2 x width and 4 x width channels, group norm; a clip of
    16 frames has a bottleneck of depth 4 (a depth of 2 gives wrong bf16 gradients on some CPUs).
    """

    strides = (4, 8, 8)

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        r = config.width
        self.encoder = Encoder(config.channels, r)
        self.normal_memory = Memory(config.slots, 4 * r, config.sharpness, config.shrink)
        self.pseudo_memory = Memory(config.slots, 4 * r, config.sharpness, config.shrink)
        self.normal_decoder = Decoder(config.channels, r, config.skip)
        self.pseudo_decoder = copy.deepcopy(self.normal_decoder)

    def forward(self, clips: Tensor, path: str = "normal") -> PathOutput:
        """Rebuild clips (B, C, T, H, W) in [-1, 1] along the "normal" or the "pseudo" path."""
        return self.rebuild(self.encode(clips), path, clips.shape)

    def encode(self, clips: Tensor) -> list[Tensor]:
        """Clips (B, C, T, H, W) -> features of the middle level and of the bottleneck."""
        if clips.ndim != 5 or clips.shape[1] != self.config.channels:
            raise InputError(f"clips of shape {tuple(clips.shape)}; expected (B, {self.config.channels}, T, H, W)")
        padding = [pad for size, stride in zip(clips.shape[:1:-1], self.strides[::-1], strict=True) for pad in (0, -size % stride)]
        clips = F.pad(clips, padding, mode="replicate") if any(padding) else clips
        return self.encoder(clips.contiguous(memory_format=torch.channels_last_3d))

    def rebuild(self, features: list[Tensor], path: str, shape: torch.Size) -> PathOutput:
        """Read a memory with the features and decode what it returns, cut to the clips' `shape`."""
        memory, decoder = {
            "normal": (self.normal_memory, self.normal_decoder),
            "pseudo": (self.pseudo_memory, self.pseudo_decoder),
        }[path]
        read = memory(features[-1])
        rebuilt = decoder(read.features, features[0])
        return PathOutput(rebuilt[:, :, : shape[2], : shape[3], : shape[4]].float(), read.weights)

    @torch.no_grad()
    def fill_memories(self, clips: Tensor, generator: torch.Generator) -> None:
        """Fill both memories with encoder features of some clips, before training; see `Memory.fill`."""
        features = self.encode(clips)[-1].float()
        self.normal_memory.fill(features, generator)
        self.pseudo_memory.fill(features, generator)


class Encoder(nn.Module):
    """(B, c, T, H, W) -> (B, 2r, T/2, H/4, W/4) and (B, 4r, T/4, H/8, W/8)."""

    def __init__(self, channels: int, r: int):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv3d(channels, r, 3, stride=(1, 2, 2), padding=1), nn.ReLU(), conv_block(r, r, norm=False))
        self.middle = nn.Sequential(nn.Conv3d(r, 2 * r, 3, stride=2, padding=1), conv_block(2 * r, 2 * r))
        self.bottom = nn.Sequential(
            nn.Conv3d(2 * r, 4 * r, 3, stride=2, padding=1), conv_block(4 * r, 4 * r), nn.Conv3d(4 * r, 4 * r, 3, padding=1)
        )

    def forward(self, clips: Tensor) -> list[Tensor]:
        middle = self.middle(self.stem(clips))
        return [middle, self.bottom(middle)]


class Decoder(nn.Module):
    """(B, 4r, T/4, H/8, W/8), and the encoder's (B, 2r, T/2, H/4, W/4) with a skip, -> (B, c, T, H, W)."""

    def __init__(self, channels: int, r: int, skip: bool):
        super().__init__()
        self.skip = skip
        self.bottom = conv_block(4 * r, 4 * r)
        self.up_middle = up(4 * r, 2 * r)
        self.middle = conv_block(4 * r if skip else 2 * r, 2 * r)
        self.top = nn.Sequential(up(2 * r, r), conv_block(r, r, norm=False))
        # The full resolution is written by one convolution at half of it: four output pixels a position and channel.
        self.head = nn.Conv3d(r, 4 * channels, 3, padding=1)

    def forward(self, read: Tensor, encoded: Tensor) -> Tensor:
        middle = self.up_middle(self.bottom(read))
        middle = self.middle(torch.cat([middle, encoded], 1) if self.skip else middle)
        quarters = self.head(self.top(middle)).movedim(2, 1)  # pixel_shuffle works on the last three dimensions
        return F.pixel_shuffle(quarters, 2).movedim(1, 2)


def conv_block(inputs: int, outputs: int, norm: bool = True) -> nn.Sequential:
    """3 x 3 x 3 convolution, group norm, ReLU. Group norm needs no batch: any batch size, any number of processes.

    The top level goes without: there, in bf16 on a CPU, the norm takes longer than the convolution.
    """
    layers = [nn.Conv3d(inputs, outputs, 3, padding=1), nn.GroupNorm(8, outputs) if norm else None, nn.ReLU()]
    return nn.Sequential(*(layer for layer in layers if layer is not None))


def up(inputs: int, outputs: int) -> nn.ConvTranspose3d:
    """Double time, height and width."""
    return nn.ConvTranspose3d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
