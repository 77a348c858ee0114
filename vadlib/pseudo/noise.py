"""The noise of the camera, measured in a clip."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


def noise_level(clip: Tensor) -> float:
    """Estimate the standard deviation of the camera's noise in a clip (C, T, H, W).

    It is measured where the clip changes least from frame to frame: in the stillest tenth of the
    pixels, since a window around moving people may show little else.
    """
    return _least_change(clip) / _least_change_of_noise(*clip.shape[:2])


def _least_change(clip: Tensor) -> float:
    return float(clip.diff(dim=1).abs().mean(dim=(0, 1)).flatten().quantile(0.1))


@cache
def _least_change_of_noise(channels: int, frames: int) -> float:
    """Return `_least_change` of noise of deviation 1, where some pixels are still by chance."""
    generator = torch.Generator().manual_seed(0)
    return _least_change(torch.randn(channels, frames, 128, 128, generator=generator))
