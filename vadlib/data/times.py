"""When each frame of a video was taken, from the time stamps of its file, of which some may be
missing or wrong.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

# seconds, five years: right stamps are no farther from the middle one
FARTHEST = 5 * 366 * 24 * 3600


def frame_times(ticks: np.ndarray, tick: Fraction, rate: Fraction) -> tuple[np.ndarray, int]:
    """Find the time of each frame from the stamps of a file.

    As many stamps are right as increase, within years of each other; they keep their distances. Any
    other one is put evenly between its right neighbours, or at the usual step before or behind
    them. Stamps in the order of decoding, such as AVI's, are sorted.

    Args:
        ticks: float64 (T,), T > 0, the stamp of each frame; NaN where the file gives none.
        tick: seconds; above 0.
        rate: frames a second as the container tells; above 0. It counts where fewer than two stamps
            are right.

    Returns:
        seconds since the first frame, float64 (T,), strictly increasing; and how many stamps are
        missing or contradict the others, 0 where the file has none.
    """
    count = len(ticks)
    even = np.arange(count) / float(rate)
    if np.isnan(ticks).all():
        return even, 0
    distances = np.abs(ticks - np.nanquantile(ticks, 0.5, method="lower"))
    frames = np.flatnonzero(distances * float(tick) <= FARTHEST)
    ticks = ticks[frames]
    if np.count_nonzero(np.diff(ticks) < 0) > len(ticks) / 5:
        ticks.sort()
    right = _longest_increasing(ticks.tolist())
    steps = (frames - frames[0]) / float(rate * tick)
    # Ticks may be too coarse for the container's rate.
    is_coarse = len(right) < len(ticks) and np.abs(ticks - ticks[0] - steps).max() <= 1
    if is_coarse or len(right) < 2:
        return even, count - len(frames if is_coarse else right)
    frames, ticks = frames[right], ticks[right]
    usual = count * np.median(np.diff(ticks) / np.diff(frames))
    x = [frames[0] - count, *frames, frames[-1] + count]
    moved = np.interp(np.arange(count), x, [ticks[0] - usual, *ticks, ticks[-1] + usual])
    seconds = (moved - moved[0]) * tick.numerator / tick.denominator
    return seconds, count - len(right)


def frame_rate(seconds: np.ndarray, tick: Fraction, rate: Fraction) -> float:
    """Return the container's rate where the times of the frames follow it, else the mean one."""
    even = np.arange(len(seconds)) / float(rate)
    # Containers round times to ticks.
    is_constant = np.abs(seconds - even).max() <= 1.001 * float(tick)
    return float(rate) if is_constant else (len(seconds) - 1) / float(seconds[-1])


def _longest_increasing(values: Sequence[float]) -> list[int]:
    """Places of as many values as possible, each above the one before; of equals, the first."""
    ends: list[int] = []  # of chains of each length: the place of the lowest last value
    before: list[int] = []
    for i, value in enumerate(values):
        length = bisect_left(ends, value, key=values.__getitem__)
        before.append(ends[length - 1] if length else -1)
        if length == len(ends) or values[ends[length]] > value:
            ends[length : length + 1] = [i]
    chain = ends[-1:]
    while before[chain[-1]] >= 0:
        chain.append(before[chain[-1]])
    return chain[::-1]
