"""When each frame of a video was taken, from the time stamps of its file, of which some may be
missing or wrong.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np

# stamps in a row that count as wrong; where more contradict those before them, the clock was set
# back
STRAYS = 4
# seconds between two frames; more means that the clock was set, such as from 1970 to today
LONGEST = 366 * 24 * 3600
# share of steps back: more means that the stamps tell the order of decoding, as AVI's do
SHUFFLED = 0.2


class Times(NamedTuple):
    """When the frames of a video were taken.

    Attributes:
        seconds: float64 (T,), since the first frame, strictly increasing.
        fps: frames a second: the container's rate where it is constant, else the mean one, (T - 1)
            / seconds[-1].
        wrong: how many stamps are missing or contradict the others, and how often the clock was
            set; 0 where the file has no stamps.
    """

    seconds: np.ndarray
    fps: float
    wrong: int


class _Stamp(NamedTuple):
    frame: int
    ticks: int


def frame_times(stamps: Sequence[int | None], tick: Fraction, rate: Fraction) -> Times:
    """Find the time of each frame from the stamps of a file.

    Right stamps keep their distances. A missing or wrong one is put evenly between its neighbours.
    Where the clock was set, forward by more than a year or back, the time goes on with the usual
    step. Stamps in the order of decoding are sorted.

    Args:
        stamps: of each frame in ticks, T of them, at least one; None where the file gives none.
        tick: seconds; above 0.
        rate: frames a second as the container tells; above 0. It counts where fewer than two stamps
            are right.
    """
    count = len(stamps)
    even = np.arange(count) / float(rate)
    right = [_Stamp(i, stamp) for i, stamp in enumerate(stamps) if stamp is not None]
    missing = count - len(right) if right else 0
    usual = _usual_step(right, max(1.0, float(1 / (rate * tick))))
    right = _in_order(right)
    if _are_too_coarse(right, 1 / (rate * tick)):
        return Times(even, float(rate), missing)
    right, set_back = _increasing(right, usual)
    if len(right) < 2:
        return Times(even, float(rate), count - len(right) if right else 0)
    frames = [stamp.frame for stamp in right]
    steps = np.array([later.ticks - stamp.ticks for stamp, later in pairwise(right)], np.float64)
    set_forward = steps > float(LONGEST / tick)
    steps = np.where(set_forward, usual * np.diff(frames), steps)
    ticks = np.interp(np.arange(count), frames, np.append(0, steps.cumsum()))
    # Before the first right stamp and behind the last one, the usual step holds.
    first, last = frames[0], frames[-1]
    ticks[:first] = usual * np.arange(-first, 0)
    ticks[last:] += usual * np.arange(count - last)
    seconds = (ticks - ticks[0]) * tick.numerator / tick.denominator
    wrong = count - len(right) + set_back + int(set_forward.sum())
    # Containers round times to ticks of their own: at a constant rate, times are off by one at
    # most.
    if np.abs(seconds - even).max() <= 1.001 * float(tick):
        return Times(seconds, float(rate), wrong)
    return Times(seconds, (count - 1) / float(seconds[-1]), wrong)


def _usual_step(stamps: Sequence[_Stamp], otherwise: float) -> float:
    """The median step between neighbouring frames, in ticks; without any, `otherwise`."""
    forward = []
    for stamp, later in pairwise(stamps):
        if later.frame == stamp.frame + 1 and later.ticks >= stamp.ticks:
            forward.append(later.ticks - stamp.ticks)
    if not any(forward):
        return otherwise
    # Where most frames share their tick with the next one, the mean is what they take.
    return float(np.median(forward) or np.mean(forward))


def _in_order(stamps: list[_Stamp]) -> list[_Stamp]:
    """Stamps in the order of decoding are sorted; others stay."""
    backward = sum(later.ticks < stamp.ticks for stamp, later in pairwise(stamps))
    if backward <= SHUFFLED * len(stamps):
        return stamps
    ordered = sorted(stamp.ticks for stamp in stamps)
    return [_Stamp(stamp.frame, ticks) for stamp, ticks in zip(stamps, ordered, strict=True)]


def _are_too_coarse(stamps: Sequence[_Stamp], step: Fraction) -> bool:
    """True if frames share their ticks, and all stamps are those of a constant step, rounded."""
    if len({stamp.ticks for stamp in stamps}) == len(stamps):
        return False
    origin = stamps[0].ticks - stamps[0].frame * step
    return all(abs(stamp.ticks - origin - stamp.frame * step) <= 1 for stamp in stamps)


def _increasing(stamps: Sequence[_Stamp], usual: float) -> tuple[list[_Stamp], int]:
    """The stamps without strays, strictly increasing, and how often the clock was set back.

    Stamps after such a place go on with the usual step.
    """
    right: list[_Stamp] = []
    start = offset = set_back = 0
    for end in range(1, len(stamps) + 1):
        if end < len(stamps) and stamps[end].ticks > stamps[end - 1].ticks:
            continue
        run = [_Stamp(stamp.frame, stamp.ticks + offset) for stamp in stamps[start:end]]
        last, first = _fewest_strays(right, run, usual)
        if last + first > STRAYS:
            frames = run[0].frame - right[-1].frame
            shift = right[-1].ticks + max(1, round(usual * frames)) - run[0].ticks
            run = [_Stamp(stamp.frame, stamp.ticks + shift) for stamp in run]
            offset += shift
            last = first = 0
            set_back += 1
        right = right[: len(right) - last] + run[first:]
        start = end
    return right, set_back


def _fewest_strays(right: list[_Stamp], run: list[_Stamp], usual: float) -> tuple[int, int]:
    """How many stamps to drop at the end of `right` and at the beginning of `run`, so that all
    increase: as few as possible, and then so that the step is near to the usual one.
    """
    ticks = [stamp.ticks for stamp in run]
    best, least = (0, 0), (len(right) + len(run) + 1, 0.0)
    for last in range(min(STRAYS + 1, len(right))):
        before = right[-1 - last]
        first = bisect_right(ticks, before.ticks)
        cost = (last + first, 0.0)
        if first < len(run):
            step = (run[first].ticks - before.ticks) / (run[first].frame - before.frame)
            cost = (last + first, abs(step - usual))
        if cost < least:
            best, least = (last, first), cost
    if len(right) <= STRAYS and (len(right), 0.0) < least:
        return len(right), 0
    return best
