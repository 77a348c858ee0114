"""What could betray a pseudo-anomaly without a look at what it shows: its range, its mean, its
noise.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


def noise_level(clip: Tensor) -> float:
    """Standard deviation of the camera's noise in a clip (C, T, H, W): from how its stillest pixels
    change from frame to frame.

    Only the stillest tenth is looked at, since a window around what moves may show little else.
    """
    return _least_change(clip) / _least_change_of_noise(*clip.shape[:2])


def _least_change(clip: Tensor) -> float:
    return float(clip.diff(dim=1).abs().mean(dim=(0, 1)).flatten().quantile(0.1))


@cache
def _least_change_of_noise(channels: int, frames: int) -> float:
    """The same for noise of deviation 1, which also has pixels that are still by chance."""
    return _least_change(
        torch.randn(channels, frames, 128, 128, generator=torch.Generator().manual_seed(0))
    )


def clip_statistics(clip: Tensor) -> dict[str, float]:
    """Numbers that tell nothing of objects, yet can tell a careless pseudo-anomaly from a normal
    clip.

    All but the last two are of single frames, so they tell nothing of motion either.

    Args:
        clip: float32 (C, T, H, W) in [-1, 1].

    Returns:
        "lowest" and "highest" pixel of a frame, on average; "mean" and "deviation" of all pixels;
        "grain", the noise inside its frames (from what a pixel has that its neighbours do not
        explain: J. Immerkaer, Fast Noise Variance Estimation, CVIU 1996); "change", `noise_level`;
        and "stillest", the smallest mean change between two neighbouring frames: 0 where a frame is
        repeated.
    """
    # blind to edges that are straight
    mask = torch.tensor([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]])
    residual = torch.nn.functional.conv2d(clip.flatten(0, 1)[:, None], mask[None, None])
    return {
        "lowest": float(clip.amin((0, 2, 3)).mean()),
        "highest": float(clip.amax((0, 2, 3)).mean()),
        "mean": float(clip.mean()),
        "deviation": float(clip.std()),
        "grain": float(residual.abs().median()) / (6 * 0.6745),
        "change": noise_level(clip),
        "stillest": float(clip.diff(dim=1).abs().mean(dim=(0, 2, 3)).min()),
    }
