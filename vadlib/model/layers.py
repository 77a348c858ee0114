"""Convolutions and blocks that the networks share, and what makes a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Network:
    """An encoder and a decoder that fit together. B is the batch, c the clips' channels, r the
    config's `width`.

    Attributes:
        encoder: (c, r) -> module: clips (B, c, T, H, W) -> a list of two feature maps: the level
            that a skip joins, and the bottleneck.
        decoder: (c, r, skip) -> module: (a bottleneck, the encoder's other level) -> clips
            (B, c, T, H, W) and the last r features. The other level is used only with `skip`.
        strides: of the bottleneck, in time, height and width.
        bottleneck: its channels, in multiples of r.
    """

    encoder: Callable[[int, int], nn.Module]
    decoder: Callable[[int, int, bool], nn.Module]
    strides: tuple[int, int, int]
    bottleneck: int


class Conv(nn.Conv3d):
    """A 3 x 3 x 3 convolution that keeps the size, or divides it by `stride`; its bf16 gradients
    are right on every CPU.

    On CPUs with AVX-512 bf16 the weight gradients of such a convolution are garbage, at random,
    when its input is exactly 2 frames deep (measured with torch 2.14). Padded to 4 frames
    beforehand, the same sums are right.
    """

    def __init__(self, inputs: int, outputs: int, stride: int | tuple[int, int, int] = 1):
        super().__init__(inputs, outputs, 3, stride, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        if features.shape[2] != 2:
            return super().forward(features)
        deeper = F.pad(features, (0, 0, 0, 0, 1, 1))
        return F.conv3d(deeper, self.weight, self.bias, self.stride, padding=(0, 1, 1))


def conv_relu(inputs: int, outputs: int) -> nn.Sequential:
    """Convolution and ReLU, for the top level of `fast`: in bf16 on a CPU, group norm takes longer
    there than the convolution.
    """
    return nn.Sequential(Conv(inputs, outputs), nn.ReLU())


def group_block(inputs: int, outputs: int) -> nn.Sequential:
    """Convolution, group norm, ReLU. Group norm needs no batch: any batch size, any number of
    processes.
    """
    return nn.Sequential(Conv(inputs, outputs), nn.GroupNorm(8, outputs), nn.ReLU())


def double_conv(inputs: int, outputs: int) -> nn.Sequential:
    """Convolution, batch norm and ReLU, twice, as published."""
    return nn.Sequential(*_batch_block(inputs, outputs), *_batch_block(outputs, outputs))


def _batch_block(inputs: int, outputs: int) -> list[nn.Module]:
    # Right after a memory all positions are alike; the published epsilon of 1e-5 would magnify
    # their small differences.
    return [Conv(inputs, outputs), nn.BatchNorm3d(outputs, eps=1e-3), nn.ReLU()]


def up(inputs: int, outputs: int) -> nn.ConvTranspose3d:
    """Double time, height and width."""
    return nn.ConvTranspose3d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)


def pixel_shuffle_space(quarters: Tensor) -> Tensor:
    """(B, 4c, T, H, W) -> (B, c, T, 2H, 2W)."""
    # pixel_shuffle works on the last three dimensions.
    return F.pixel_shuffle(quarters.movedim(2, 1), 2).movedim(1, 2)
