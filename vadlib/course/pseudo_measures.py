"""Measures of pseudo-anomalies: statistics that can give them away, and how well boxes cover what
moves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vadlib.pseudo.kinds import noise_level


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


def coverage(
    detected: Sequence[np.ndarray], moving: Sequence[np.ndarray], least: float = 0.5
) -> float:
    """Return the share in [0, 1] of moving things that a detector covers; NaN if nothing moves.

    Args:
        detected: the detector's boxes, T arrays (N, 4).
        moving: boxes of the detector "motion" for the same frames, T arrays (M, 4). One of them may
            hold several people who walk together.
        least: a moving thing counts as covered when the detected boxes cover this share of its box.
    """
    covered = []
    for boxes, things in zip(detected, moving, strict=True):
        covered += [_covered_share(thing, boxes) >= least for thing in things]
    return float(np.mean(covered)) if covered else float("nan")


def _covered_share(box: np.ndarray, others: np.ndarray) -> float:
    """Return the share of a box's pixels that lie in any of the others."""
    corners = np.round(box).astype(int)
    width, height = np.maximum(corners[2:] - corners[:2], 1)
    pixels = np.zeros((height, width), bool)
    # relative to the box; what begins before it is cut
    for other in np.round(others - np.tile(box[:2], 2)).clip(min=0).astype(int):
        pixels[other[1] : other[3], other[0] : other[2]] = True
    return float(pixels.mean())
