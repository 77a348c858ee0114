"""Our own encoder and decoder, for a CPU: the first level has half the resolution, the bottleneck a
quarter of the frames.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vadlib.model.layers import Conv, Network, conv_relu, group_block, pixel_shuffle_space, up


class Encoder(nn.Module):
    """(B, c, T, H, W) -> (B, 2r, T/2, H/4, W/4) and (B, 4r, T/4, H/8, W/8)."""

    def __init__(self, channels: int, r: int):
        super().__init__()
        first = Conv(channels, r, stride=(1, 2, 2))
        self.stem = nn.Sequential(first, nn.ReLU(), conv_relu(r, r))
        self.middle = nn.Sequential(Conv(r, 2 * r, stride=2), group_block(2 * r, 2 * r))
        down = Conv(2 * r, 4 * r, stride=2)
        self.bottom = nn.Sequential(down, group_block(4 * r, 4 * r), Conv(4 * r, 4 * r))

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
        self.top = nn.Sequential(up(2 * r, r), conv_relu(r, r))
        # One convolution at half the resolution writes the full one: four output pixels for each
        # position and channel.
        self.head = Conv(r, 4 * channels)

    def forward(self, read: Tensor, encoded: Tensor) -> tuple[Tensor, Tensor]:
        middle = self.up_middle(self.bottom(read))
        if self.skip:
            middle = torch.cat([middle, encoded], 1)
        last = self.top(self.middle(middle))
        return pixel_shuffle_space(self.head(last)), last


FAST = Network(Encoder, Decoder, strides=(4, 8, 8), bottleneck=4)
