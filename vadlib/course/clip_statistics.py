"""Numbers that can give a careless pseudo-anomaly away without a look at its objects."""

from __future__ import annotations

import torch
from torch import Tensor

from vadlib.pseudo.noise import noise_level


def clip_statistics(clip: Tensor) -> dict[str, float]:
    """Measure what says nothing about objects, yet can tell a careless pseudo-anomaly from a normal
    clip.

    All values but the last two are of single frames, so they say nothing about motion either.

    Args:
        clip: float32 (C, T, H, W) in [-1, 1].

    Returns:
        "lowest" and "highest" pixel of a frame, on average; "mean" and "deviation" of all pixels;
        "grain", the noise inside its frames (from the part of a pixel that its neighbours do not
        explain: J. Immerkaer, Fast Noise Variance Estimation, CVIU 1996); "change", `noise_level`;
        and "stillest", the smallest mean change between two neighbouring frames: 0 where a frame is
        repeated.
    """
    # The mask does not respond to straight edges.
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
