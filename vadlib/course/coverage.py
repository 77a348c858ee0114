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
    x0, y0, x1, y1 = np.round(box).astype(int)
    pixels = np.zeros((max(1, y1 - y0), max(1, x1 - x0)), bool)
    for left, top, right, bottom in np.round(others - np.tile(box[:2], 2)).astype(int):
        pixels[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = True
    return float(pixels.mean())
