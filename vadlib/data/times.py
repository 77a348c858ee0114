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
    even = np.arange(count) * (rate.denominator / rate.numerator)
    positions = [i for i, stamp in enumerate(stamps) if stamp is not None]
    known = [stamps[i] for i in positions]
    usual = _usual_step(positions, known, max(1.0, float(1 / (rate * tick))))
    backward = sum(later < earlier for earlier, later in pairwise(known))
    if backward > SHUFFLED * len(known):
        known.sort()
    set_back = 0
    if len(set(known)) < len(known) and _within_a_tick(positions, known, 1 / (rate * tick)):
        # ticks too coarse to tell the frames apart
        return Times(even, float(rate), count - len(known))
    if any(later <= earlier for earlier, later in pairwise(known)):
        positions, known, set_back = _increasing(positions, known, usual)
    if len(known) < 2:
        return Times(even, float(rate), count - len(known) if known else 0)
    steps = np.array([later - earlier for earlier, later in pairwise(known)], np.float64)
    set_forward = steps > float(LONGEST / tick)
    steps = np.where(set_forward, usual * np.diff(positions), steps)
    first, last = positions[0], positions[-1]
    ticks = np.interp(np.arange(count), positions, np.append(0, steps.cumsum()))
    ticks[:first] = usual * np.arange(-first, 0)
    ticks[last:] += usual * np.arange(count - last)
    seconds = (ticks - ticks[0]) * tick.numerator / tick.denominator
    wrong = count - len(known) + set_back + int(set_forward.sum())
    # Containers round times to ticks of their own: at a constant rate, times are off by one at
    # most.
    if np.abs(seconds - even).max() <= 1.001 * float(tick):
        return Times(seconds, float(rate), wrong)
    return Times(seconds, (count - 1) / float(seconds[-1]), wrong)


def _within_a_tick(positions: Sequence[int], stamps: Sequence[int], step: Fraction) -> bool:
    """Return True if stamps are those of a constant step, in ticks, rounded to whole ticks."""
    origin = stamps[0] - positions[0] * step if stamps else 0
    return all(
        abs(stamp - origin - position * step) <= 1
        for position, stamp in zip(positions, stamps, strict=True)
    )


def _usual_step(positions: Sequence[int], stamps: Sequence[int], otherwise: float) -> float:
    """The median of the steps between neighbouring frames that do not go back, in ticks; without
    any, `otherwise`.
    """
    gaps = np.diff(positions)
    steps = [later - earlier for earlier, later in pairwise(stamps)]
    forward = [step for step, gap in zip(steps, gaps, strict=True) if gap == 1 and step >= 0]
    if not any(forward):
        return otherwise
    # Where most frames share their tick with the next one, the mean is what they take.
    return float(np.median(forward) or np.mean(forward))


def _increasing(
    positions: Sequence[int], stamps: Sequence[int], usual: float
) -> tuple[list[int], list[int], int]:
    """Positions and stamps without strays, strictly increasing, and how often the clock was set
    back.

    Stamps after such a place go on with the usual step.
    """
    kept_positions: list[int] = []
    kept: list[int] = []
    start = offset = set_back = 0
    for end in range(1, len(stamps) + 1):
        if end < len(stamps) and stamps[end] > stamps[end - 1]:
            continue
        run = [stamp + offset for stamp in stamps[start:end]]
        run_positions = positions[start:end]
        last, first = _fewest_strays(kept_positions, kept, run_positions, run, usual)
        if last + first > STRAYS:
            expected = kept[-1] + max(1, round(usual * (run_positions[0] - kept_positions[-1])))
            offset += expected - run[0]
            run = [stamp + expected - run[0] for stamp in run]
            last = first = 0
            set_back += 1
        del kept[len(kept) - last :]
        del kept_positions[len(kept_positions) - last :]
        kept += run[first:]
        kept_positions += run_positions[first:]
        start = end
    return kept_positions, kept, set_back


def _fewest_strays(
    kept_positions: Sequence[int],
    kept: Sequence[int],
    run_positions: Sequence[int],
    run: Sequence[int],
    usual: float,
) -> tuple[int, int]:
    """How many stamps to drop at the end of `kept` and at the beginning of `run`, so that all
    increase.

    As few as possible; of two such choices the one whose steps are nearer to the usual one.
    """

    def cost(choice: tuple[int, int]) -> tuple[int, float]:
        last, first = choice
        if last == len(kept) or first == len(run):
            return last + first, 0.0
        step = run[first] - kept[-1 - last]
        frames = run_positions[first] - kept_positions[-1 - last]
        return last + first, abs(step / frames - usual)

    choices = [
        (last, bisect_right(run, kept[-1 - last])) for last in range(min(STRAYS + 1, len(kept)))
    ]
    if len(kept) <= STRAYS:
        choices.append((len(kept), 0))
    return min(choices, key=cost)
