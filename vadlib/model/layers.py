"""The networks, encoder and decoder, and the convolutions and blocks that they share."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
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
    layers: list[nn.Module] = []
    for width in (inputs, outputs):
        # Right after a memory all positions are alike; the published epsilon of 1e-5 would magnify
        # their small differences.
        layers += [Conv(width, outputs), nn.BatchNorm3d(outputs, eps=1e-3), nn.ReLU()]
    return nn.Sequential(*layers)


def up(inputs: int, outputs: int) -> nn.ConvTranspose3d:
    """Double time, height and width."""
    return nn.ConvTranspose3d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)


def pixel_shuffle_space(quarters: Tensor) -> Tensor:
    """(B, 4c, T, H, W) -> (B, c, T, 2H, 2W)."""
    # pixel_shuffle works on the last three dimensions.
    return F.pixel_shuffle(quarters.movedim(2, 1), 2).movedim(1, 2)


class FastEncoder(nn.Module):
    """Our own encoder, for a CPU: the first level has half the resolution, the bottleneck a quarter
    of the frames.

    (B, c, T, H, W) -> (B, 2r, T/2, H/4, W/4) and (B, 4r, T/4, H/8, W/8)."""

    def __init__(self, channels: int, r: int):
        super().__init__()
        self.stem = nn.Sequential(Conv(channels, r, stride=(1, 2, 2)), nn.ReLU(), conv_relu(r, r))
        self.middle = nn.Sequential(Conv(r, 2 * r, stride=2), group_block(2 * r, 2 * r))
        down = Conv(2 * r, 4 * r, stride=2)
        self.bottom = nn.Sequential(down, group_block(4 * r, 4 * r), Conv(4 * r, 4 * r))

    def forward(self, clips: Tensor) -> list[Tensor]:
        middle = self.middle(self.stem(clips))
        return [middle, self.bottom(middle)]


class FastDecoder(nn.Module):
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


FAST = Network(FastEncoder, FastDecoder, strides=(4, 8, 8), bottleneck=4)


class PublishedEncoder(nn.Module):
    """The published encoder (Wei et al. 2026), layer by layer: with its decoder, a 3-D U-Net of
    three stages with one skip.

    (B, c, T, H, W) -> (B, 4r, T/4, H/4, W/4) and (B, 8r, T/8, H/8, W/8).
    """

    def __init__(self, channels: int, r: int):
        super().__init__()
        self.top = double_conv(channels, r)
        self.stages = nn.ModuleList()
        for width in (r, 2 * r, 4 * r):
            # halve the size without norm and ReLU
            down = Conv(width, 2 * width, stride=2)
            self.stages.append(nn.Sequential(down, double_conv(2 * width, 2 * width)))

    def forward(self, clips: Tensor) -> list[Tensor]:
        levels = [self.top(clips)]
        for stage in self.stages:
            levels.append(stage(levels[-1]))
        return levels[-2:]


class PublishedDecoder(nn.Module):
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


PUBLISHED = Network(PublishedEncoder, PublishedDecoder, strides=(8, 8, 8), bottleneck=8)
