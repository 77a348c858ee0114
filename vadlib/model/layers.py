"""Convolutions and blocks of both networks."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


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


def group_block(inputs: int, outputs: int, norm: bool = True) -> nn.Sequential:
    """Convolution, group norm, ReLU. Group norm needs no batch: any batch size, any number of
    processes.

    The top level of `fast` goes without: there, in bf16 on a CPU, the norm takes longer than the
    convolution.
    """
    layers = [Conv(inputs, outputs), nn.GroupNorm(8, outputs) if norm else None, nn.ReLU()]
    return nn.Sequential(*(layer for layer in layers if layer is not None))


def double_conv(inputs: int, outputs: int) -> nn.Sequential:
    """Convolution, batch norm and ReLU, twice, as published."""
    # Right after a memory all positions are alike; the published epsilon of 1e-5 would blow up what
    # little they differ.
    norms = [nn.BatchNorm3d(outputs, eps=1e-3) for _ in range(2)]
    return nn.Sequential(
        Conv(inputs, outputs), norms[0], nn.ReLU(), Conv(outputs, outputs), norms[1], nn.ReLU()
    )


def up(inputs: int, outputs: int) -> nn.ConvTranspose3d:
    """Double time, height and width."""
    return nn.ConvTranspose3d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)


def pixel_shuffle_space(quarters: Tensor) -> Tensor:
    """(B, 4c, T, H, W) -> (B, c, T, 2H, 2W)."""
    # pixel_shuffle works on the last three dimensions
    return F.pixel_shuffle(quarters.movedim(2, 1), 2).movedim(1, 2)
