"""Keys of the exercises of notebooks 05, 06 and 08: the model, its training, its memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from vadlib.course.exercises.key import Key
from vadlib.course.inspection.slots import removal_errors
from vadlib.model.run import Run

# 05 The dual-path model


def slots_for_an_empty_read() -> Key:
    """From how many slots on a read can be empty with a cut at 0.0025."""
    wrong = {
        "at 399 the largest weight is at least 1/399, above 0.0025": 399,
        "a weight of exactly 0.0025 is cut, too": 401,
        "2000 slots are the paper's: there it can happen, but does it take so many?": 2000,
    }
    return Key(400, wrong, "N weights that sum to 1 have a largest one of at least 1/N")


def paper_with_500_slots() -> Key:
    """Parameters of the paper's network with 500 instead of 2000 slots in each memory."""
    paper, width = 12_394_722, 256
    wrong = {
        "there are two memories": paper - 1500 * width,
        "500 slots stay; 1500 go": paper - 2 * 500 * width,
        "a slot has 256 values, not one": paper - 2 * 1500,
        "that is what goes; how many are left?": 2 * 1500 * width,
    }
    return Key(
        paper - 2 * 1500 * width,
        wrong,
        "how many parameters does one slot have, and how many slots fewer are there?",
    )


# 06 Training


def what_maximize_trains() -> Key:
    """The parts that learn from the errors of a batch of pseudo-anomalies only, with the objective
    `maximize`.
    """
    wrong = {
        "is there a stop gradient (sg) in the row of maximize?": {
            "pseudo_memory",
            "pseudo_decoder",
        },
        "use the names that are given, such as encoder": {"E", "M_p", "D_p"},
        "D_p decodes what M_p returns, so the memory learns, too": {"encoder", "pseudo_decoder"},
        "those learn from normal clips, and there are none in this batch": {
            "encoder",
            "normal_memory",
            "normal_decoder",
        },
        "M_n and D_n learn from normal clips only, if nothing is to be restored": {
            "encoder",
            "normal_memory",
            "normal_decoder",
            "pseudo_memory",
            "pseudo_decoder",
        },
    }
    return Key(
        {"encoder", "pseudo_memory", "pseudo_decoder"},
        wrong,
        "which terms of the table are made of pseudo-anomalies, with maximize?",
    )


def resumed_after() -> Key:
    """Epochs of 46 steps, killed within the first minute after step 137: the step of the last
    checkpoint.
    """
    wrong = {
        "a killed process saves nothing; when was the last checkpoint written?": 137,
        "the third epoch was not finished": 3 * 46,
        "the second epoch was finished, too": 46,
        "the first epoch's end came before": 0,
    }
    return Key(2 * 46, wrong, "a checkpoint is written at the end of each epoch, and once a minute")


# 08 Memory and attention


def idle_slots(usage: Mapping[str, Mapping[str, np.ndarray]]) -> Key:
    """Slots of M_n that get less than a thousandth of the reads of the normal windows."""
    idle = {
        (group, memory): int((shares < 0.001).sum())
        for group, parts in usage.items()
        for memory, shares in parts.items()
    }
    right, slots = idle["normal", "M_n"], len(usage["normal"]["M_n"])
    wrong = {
        "those are the slots that are read": slots - right,
        "how many slots, not which share of them": right / slots,
        "that is M_p": idle["normal", "M_p"],
        "those are the reads of another group of windows": next(
            (n for (g, m), n in idle.items() if g != "normal" and m == "M_n"), -1
        ),
        "a thousandth is 0.001": int((usage["normal"]["M_n"] < 0.01).sum()),
        "less than 0.001, not only those that are never read": int(
            (usage["normal"]["M_n"] <= 0).sum()
        ),
    }
    return Key(right, wrong, "count the shares below 0.001 in usage['normal']['M_n']")


def busy_slots(usage: Mapping[str, Mapping[str, np.ndarray]]) -> Key:
    """How many slots of M_n, the most read first, get 90% of the reads of the normal windows."""
    shares = np.sort(usage["normal"]["M_n"])
    right = int(np.searchsorted(np.cumsum(shares[::-1]), 0.9)) + 1
    wrong = {
        "places are counted from 0, slots from 1": right - 1,
        "take the most read first: np.sort sorts upwards": int(
            np.searchsorted(np.cumsum(shares), 0.9)
        )
        + 1,
        "sort before you add up": int(np.searchsorted(np.cumsum(usage["normal"]["M_n"]), 0.9)) + 1,
        "how many slots, not which share of them": right / len(shares),
    }
    return Key(right, wrong, "sort downwards, add up, stop at 0.9")


def without_the_busiest(
    run: Run, windows: Sequence[torch.Tensor], usage: Mapping[str, Mapping[str, np.ndarray]]
) -> Key:
    """The mean error of D_p on the pseudo windows without the slot of M_p that they read most, over
    that with all slots.
    """
    slot = int(usage["pseudo"]["M_p"].argmax())

    def removed(
        windows: Sequence[torch.Tensor], path: str, slot: int
    ) -> tuple[float, dict[str, np.ndarray]]:
        found = removal_errors(run, windows, {"it": [slot]}, path)
        return float(found["it"].mean() / found["nothing"].mean()), found

    right, found = removed(windows, "pseudo", slot)
    of_normal_path = 'that is the error of D_n; removal_errors takes the path "pseudo"'
    wrong = {
        "new error / old error, not the other way round": 1 / right,
        "that is by how much it rises; the ratio is asked for": right - 1,
        "that is the new error; divide it by the old one": float(found["it"].mean()),
        "take the mean errors first, then their ratio": float(
            (found["it"] / found["nothing"]).mean()
        ),
        of_normal_path: removed(windows, "normal", slot)[0],
        "of all pseudo windows, not of every second one": removed(windows[::2], "pseudo", slot)[0],
        "the slot of M_p that is read most, not that of M_n": removed(
            windows, "pseudo", int(usage["pseudo"]["M_n"].argmax())
        )[0],
    }
    return Key(
        right,
        wrong,
        "the mean of the errors without the slot, divided by the mean of those with all slots",
    )
