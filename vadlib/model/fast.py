"""Our own encoder and decoder, for a CPU: the first level has half the resolution, the bottleneck a
quarter of the frames.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vadlib.model.layers import Conv, group_block, pixel_shuffle_space, up

STRIDES = (4, 8, 8)  # of the bottleneck, in time, height and width


def bottleneck_channels(r: int) -> int:
    """Channels of the bottleneck, and of a memory's slots."""
    return 4 * r


class Encoder(nn.Module):
    """(B, c, T, H, W) -> (B, 2r, T/2, H/4, W/4) and (B, 4r, T/4, H/8, W/8)."""

    def __init__(self, channels: int, r: int):
        super().__init__()
        self.stem = nn.Sequential(
            Conv(channels, r, stride=(1, 2, 2)), nn.ReLU(), group_block(r, r, norm=False)
        )
        self.middle = nn.Sequential(Conv(r, 2 * r, stride=2), group_block(2 * r, 2 * r))
        self.bottom = nn.Sequential(
            Conv(2 * r, 4 * r, stride=2), group_block(4 * r, 4 * r), Conv(4 * r, 4 * r)
        )

    def forward(self, clips: Tensor) -> list[Tensor]:
        middle = self.middle(self.stem(clips))
        return [middle, self.bottom(middle)]


class Decoder(nn.Module):
    """(B, 4r, T/4, H/8, W/8), and the encoder's (B, 2r, T/2, H/4, W/4) with a skip, -> (B, c, T, H,
    W) and its last r features.
    """

    def __init__(self, channels: int, r: int, skip: bool):
        super().__init__()
        self.skip = skip
        self.bottom = group_block(4 * r, 4 * r)
        self.up_middle = up(4 * r, 2 * r)
        self.middle = group_block(4 * r if skip else 2 * r, 2 * r)
        self.top = nn.Sequential(up(2 * r, r), group_block(r, r, norm=False))
        # The full resolution is written by one convolution at half of it: four output pixels a
        # position and channel.
        self.head = Conv(r, 4 * channels)

    def forward(self, read: Tensor, encoded: Tensor) -> tuple[Tensor, Tensor]:
        middle = self.up_middle(self.bottom(read))
        last = self.top(self.middle(torch.cat([middle, encoded], 1) if self.skip else middle))
        return pixel_shuffle_space(self.head(last)), last
