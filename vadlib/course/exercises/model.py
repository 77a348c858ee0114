"""Keys of the exercises of notebooks 05, 06 and 08: the model, its training, its memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from vadlib.course.exercises.key import Key
from vadlib.course.inspection.slots import removal_errors
from vadlib.model.run import Run

Usage = Mapping[str, Mapping[str, np.ndarray]]  # group of windows -> memory -> share of each slot

# 05 The dual-path model


def slots_for_an_empty_read() -> Key:
    """Find the number of slots from which on a read can be empty with a cut at 0.0025."""
    key = Key(400, "N weights that sum to 1 have a largest one of at least 1/N")
    key.mistake(399, "at 399 the largest weight is at least 1/399, above 0.0025")
    key.mistake(401, "a weight of exactly 0.0025 is cut, too")
    key.mistake(2000, "2000 slots are the paper's: there it can happen, but does it take so many?")
    return key


def paper_with_500_slots() -> Key:
    """Count the parameters of the paper's network with 500 instead of 2000 slots a memory."""
    paper, width = 12_394_722, 256
    key = Key(
        paper - 2 * 1500 * width,
        "how many parameters does one slot have, and how many slots fewer are there?",
    )
    key.mistake(paper - 1500 * width, "there are two memories")
    key.mistake(paper - 2 * 500 * width, "500 slots stay; 1500 go")
    key.mistake(paper - 2 * 1500, "a slot has 256 values, not one")
    key.mistake(2 * 1500 * width, "that is what goes; how many are left?")
    return key


# 06 Training


def parts_that_maximize_trains() -> Key:
    """Name the parts that learn from a batch of pseudo-anomalies with the objective `maximize`."""
    normal = {"encoder", "normal_memory", "normal_decoder"}
    pseudo = {"pseudo_memory", "pseudo_decoder"}
    key = Key(
        {"encoder", *pseudo},
        "which terms of the table are made of pseudo-anomalies, with maximize?",
    )
    key.mistake(pseudo, "is there a stop gradient (sg) in the row of maximize?")
    key.mistake({"E", "M_p", "D_p"}, "use the names that are given, such as encoder")
    key.mistake({"encoder", "pseudo_decoder"}, "D_p decodes what M_p returns, so M_p learns")
    key.mistake(normal, "those learn from normal clips, and there are none in this batch")
    key.mistake(normal | pseudo, "M_n and D_n learn from normal clips only, without inpainting")
    return key


def resumed_after() -> Key:
    """Find the last checkpoint of epochs of 46 steps, killed after step 137 in the first minute."""
    key = Key(2 * 46, "a checkpoint is written at the end of each epoch, and once a minute")
    key.mistake(137, "a killed process saves nothing; when was the last checkpoint written?")
    key.mistake(3 * 46, "the third epoch was not finished")
    key.mistake(46, "the second epoch was finished, too")
    key.mistake(0, "the first epoch's end came before")
    return key


# 08 Memory and attention


def idle_slots(usage: Usage) -> Key:
    """Count the slots of M_n that get less than a thousandth of the reads of normal windows."""
    shares = usage["normal"]["M_n"]
    idle = int((shares < 0.001).sum())
    key = Key(idle, "count the shares below 0.001 in usage['normal']['M_n']")
    key.mistake(len(shares) - idle, "those are the slots that are read")
    key.mistake(idle / len(shares), "how many slots, not which share of them")
    key.mistake((usage["normal"]["M_p"] < 0.001).sum(), "that is M_p")
    for group, memories in usage.items():
        if group != "normal":
            key.mistake(
                (memories["M_n"] < 0.001).sum(), "those are the reads of another group of windows"
            )
    key.mistake((shares < 0.01).sum(), "a thousandth is 0.001")
    key.mistake((shares <= 0).sum(), "less than 0.001, not only those that are never read")
    return key


def busy_slots(usage: Usage) -> Key:
    """Count the slots of M_n, the most read first, that get 90% of the reads of normal windows."""
    shares = usage["normal"]["M_n"]
    upwards = np.sort(shares)
    slots = _slots_for_most_reads(upwards[::-1])
    key = Key(slots, "sort downwards, add up, stop at 0.9")
    key.mistake(slots - 1, "places are counted from 0, slots from 1")
    key.mistake(_slots_for_most_reads(upwards), "take the most read first: np.sort sorts upwards")
    key.mistake(_slots_for_most_reads(shares), "sort before you add up")
    key.mistake(slots / len(shares), "how many slots, not which share of them")
    return key


def _slots_for_most_reads(shares: np.ndarray) -> int:
    return int(np.searchsorted(np.cumsum(shares), 0.9)) + 1


def without_the_busiest(run: Run, windows: Sequence[torch.Tensor], usage: Usage) -> Key:
    """Divide D_p's mean error on pseudo windows without M_p's most read slot by that with it."""
    slot = int(usage["pseudo"]["M_p"].argmax())
    errors = removal_errors(run, windows, {"it": [slot]}, "pseudo")
    before, without = errors["nothing"], errors["it"]
    ratio = float(without.mean() / before.mean())
    key = Key(
        ratio,
        "the mean of the errors without the slot, divided by the mean of those with all slots",
    )
    key.mistake(1 / ratio, "new error / old error, not the other way round")
    key.mistake(ratio - 1, "that is by how much it rises; the ratio is asked for")
    key.mistake(without.mean(), "that is the new error; divide it by the old one")
    key.mistake((without / before).mean(), "take the mean errors first, then their ratio")
    key.mistake(
        _ratio_without(run, windows, "normal", slot),
        'that is the error of D_n; removal_errors takes the path "pseudo"',
    )
    key.mistake(
        _ratio_without(run, windows[::2], "pseudo", slot),
        "of all pseudo windows, not of every second one",
    )
    busiest_of_normal = int(usage["pseudo"]["M_n"].argmax())
    key.mistake(
        _ratio_without(run, windows, "pseudo", busiest_of_normal),
        "the slot of M_p that is read most, not that of M_n",
    )
    return key


def _ratio_without(run: Run, windows: Sequence[torch.Tensor], path: str, slot: int) -> float:
    """Return the mean error without a slot, divided by that with all slots."""
    errors = removal_errors(run, windows, {"it": [slot]}, path)
    return float(errors["it"].mean() / errors["nothing"].mean())
