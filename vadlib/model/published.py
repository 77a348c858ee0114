"""The published encoder and decoder (Wei et al. 2026), layer by layer: a 3-D U-Net of three stages
with one skip.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vadlib.model.layers import Conv, Network, double_conv, up


class Encoder(nn.Module):
    """(B, c, T, H, W) -> (B, 4r, T/4, H/4, W/4) and (B, 8r, T/8, H/8, W/8)."""

    def __init__(self, channels: int, r: int):
        super().__init__()
        self.top = double_conv(channels, r)
        self.stages = nn.ModuleList(_down(width) for width in (r, 2 * r, 4 * r))

    def forward(self, clips: Tensor) -> list[Tensor]:
        levels = [self.top(clips)]
        for stage in self.stages:
            levels.append(stage(levels[-1]))
        return levels[-2:]


class Decoder(nn.Module):
    """(B, 8r, T/8, H/8, W/8), and the encoder's (B, 4r, T/4, H/4, W/4) with the skip, -> (B, c, T,
    H, W) and its last r features.
    """

    def __init__(self, channels: int, r: int, skip: bool):
        super().__init__()
        self.skip = skip
        self.ups = nn.ModuleList(up(2 * width, width) for width in (4 * r, 2 * r, r))
        first = double_conv(8 * r if skip else 4 * r, 4 * r)
        self.convs = nn.ModuleList([first, double_conv(2 * r, 2 * r), double_conv(r, r)])
        self.head = nn.Conv3d(r, channels, 1)

    def forward(self, read: Tensor, encoded: Tensor) -> tuple[Tensor, Tensor]:
        last = read
        for level, (double, conv) in enumerate(zip(self.ups, self.convs, strict=True)):
            last = double(last)
            if self.skip and level == 0:
                last = torch.cat([last, encoded], 1)
            last = conv(last)
        return self.head(last), last


def _down(width: int) -> nn.Sequential:
    """Halve the size and double the channels, by a convolution without norm and ReLU, then two
    convolutions.
    """
    return nn.Sequential(Conv(width, 2 * width, stride=2), double_conv(2 * width, 2 * width))


PUBLISHED = Network(Encoder, Decoder, strides=(8, 8, 8), bottleneck=8)
