"""Compare a detector with background subtraction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


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
