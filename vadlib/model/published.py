"""The published encoder and decoder (Wei et al. 2026), layer by layer: a 3-D U-Net of three stages
with one skip.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vadlib.model.layers import Conv, double_conv, up

STRIDES = (8, 8, 8)  # of the bottleneck, in time, height and width


def bottleneck_channels(r: int) -> int:
    """Channels of the bottleneck, and of a memory's slots."""
    return 8 * r


class Encoder(nn.Module):
    """(B, c, T, H, W) -> (B, 4r, T/4, H/4, W/4) and (B, 8r, T/8, H/8, W/8)."""

    def __init__(self, channels: int, r: int):
        super().__init__()
        self.top = double_conv(channels, r)
        # A stride-2 convolution, without norm and ReLU, doubles the channels.
        self.stages = nn.ModuleList(
            nn.Sequential(Conv(w, 2 * w, stride=2), double_conv(2 * w, 2 * w))
            for w in (r, 2 * r, 4 * r)
        )

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
        self.ups = nn.ModuleList(up(2 * w, w) for w in (4 * r, 2 * r, r))
        self.convs = nn.ModuleList(
            double_conv(2 * w if skip and w == 4 * r else w, w) for w in (4 * r, 2 * r, r)
        )
        self.head = nn.Conv3d(r, channels, 1)

    def forward(self, read: Tensor, encoded: Tensor) -> tuple[Tensor, Tensor]:
        last = read
        for level, (doubled, conv) in enumerate(zip(self.ups, self.convs, strict=True)):
            last = doubled(last)
            last = conv(torch.cat([last, encoded], 1) if self.skip and level == 0 else last)
        return self.head(last), last
