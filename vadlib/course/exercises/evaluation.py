"""Keys of the exercises of notebooks 07 and 09 to 11: scores, and what they are worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vadlib.course.exercises.key import Key
from vadlib.evaluation.baselines import BEST
from vadlib.evaluation.metrics import Curves, micro_auc
from vadlib.evaluation.result import Result

# 07 Scores and AUC


def turned_round(raw: Curves, labels: Curves) -> Key:
    """The AUC of the negative scores."""
    area = micro_auc(labels, raw)
    wrong = {
        "a share of pairs is never negative": -area,
        "that is the AUC of the scores as they are": area,
    }
    return Key(1 - area, wrong, "what becomes of a pair that was in the right order?")


def false_alarms_at(found: np.ndarray, false: np.ndarray) -> Key:
    """The false-positive rate at which the ROC curve reaches a true-positive rate of 0.8."""
    first = int(np.argmax(found >= 0.8))
    wrong = {
        "that is the place in the array; look up false there": first,
        "that is the true-positive rate there; the other axis is asked for": found[first],
        "that is where the false-positive rate reaches 0.8": found[np.argmax(false >= 0.8)],
    }
    return Key(false[first], wrong, "find the first place where found is at least 0.8")


def without_the_future(result: Result) -> Key:
    """The calibrated micro AUC with averages that only look back."""
    area = {
        (s, c): micro_auc(result.labels, result.rescore(s, causal=c))
        for s in ("calibrated", "raw")
        for c in (True, False)
    }
    wrong = {
        "that is of centred averages, which look ahead": area["calibrated", False],
        "that is the raw score; ask for the scale 'calibrated'": area["raw", True],
        "raw, and centred: rescore('calibrated', causal=True)": area["raw", False],
    }
    return Key(
        area["calibrated", True], wrong, "rescore with the scale 'calibrated' and causal=True"
    )


# 09 Evaluation traps


def shift_that_mends() -> Key:
    """Scores stand at the first frame of a clip instead of at number 8 of 0 to 15: the shift of the
    labels that fits them.
    """
    wrong = {
        "scores come early, so labels must come early, too: which sign is that?": 8,
        "number 8 of 0 to 15 has eight frames before it": -7,
        "eight frames, and mind the sign": 7,
        "the score belongs to the middle of the clip, not to its end": -15,
    }
    return Key(-8, wrong, "where does the score of frame 8 stand, and where its label?")


def which_auc_changes() -> Key:
    """Each video's scores are shifted by a number of its own: which of "micro", "per_video",
    "macro" change.
    """
    wrong = {
        "min-max takes such a number away again": {"micro", "per_video"},
        "within a video the order of the frames stays, so its AUC does": {"micro", "macro"},
        "both macro and per_video look at one video at a time, at first": {
            "micro",
            "per_video",
            "macro",
        },
        "frames of different videos are compared by scores that were shifted differently": set(),
    }
    return Key(
        {"micro"},
        wrong,
        "which of them compare a frame of one video with a frame of another, by the scores as they are?",
    )


# 10 Ablations


def spread_of_a_difference(seeds: Sequence[float]) -> Key:
    """The standard deviation of the difference of two runs, each of which has the seeds' deviation."""
    s = float(np.std(seeds, ddof=1))
    wrong = {
        "that is the deviation of one run; in a difference both are lucky or not": s,
        "deviations do not add up, variances do": 2 * s,
        "that is the variance; take the root": 2 * s**2,
        "chance in two runs does not cancel out": 0.0,
        "sqrt(1 + 1/3) is of one run beside a mean of three; here are two single runs (or ddof=1 is missing)": float(
            np.sqrt(2) * np.std(seeds)
        ),
    }
    return Key(
        math.sqrt(2) * s,
        wrong,
        "the variance of a difference of independent numbers is the sum of their variances",
    )


def rows_without_contrast(rows: Mapping[str, Mapping[str, float]]) -> Key:
    """The trained rows that were scored by the error of D_n alone; `rows`: a row's name -> its
    numbers.
    """
    scored = {
        name: (row["micro_auc_calibrated"], row["plain_calibrated"])
        for name, row in rows.items()
        if row["plain_calibrated"] is not None
    }
    right = {name for name, (default, plain) in scored.items() if default == plain}
    wrong = {
        "those are the rows in which it plays a part": set(scored) - right,
        "those lose by the contrast, so they have it; look for two equal columns": {
            n for n, (d, plain) in scored.items() if d < plain
        },
        "the baseline is not trained, and D_n has no part in it": right | {BEST},
        "not only there: compare the columns of every row": {"p = 0"},
        "with one decoder but two memories there are two reads to compare; its columns differ": right
        | {"one decoder"},
    }
    return Key(
        right, wrong, "in which rows do the two columns of section 4 agree to the last digit?"
    )


def videos_for_half_the_interval() -> Key:
    """How many videos make an interval half as wide as twelve do."""
    wrong = {
        "twice as many make it narrower by the root of 2 only": 24,
        "fewer videos make it wider": 6,
        "that is for a quarter of the width": 192,
    }
    return Key(48, wrong, "the width falls with the root of the number of videos")


# 11 Your own video


def frames_apart() -> Key:
    """The frame_step at which clips of a camera of 30 frames a second last as long as at 10."""
    wrong = {
        "that is your camera's rate": 30,
        "take every third frame, not three frames for one": 1 / 3,
        "the clip's length in frames stays 16; how far apart are they?": 48,
        "neighbouring frames are a thirtieth of a second apart": 1,
    }
    return Key(3, wrong, "how many of your frames pass in a tenth of a second?")


def alarms(table: Path) -> Key:
    """How many alarms the column `abnormal` of a `scores.csv` holds: runs of 1."""
    abnormal = np.genfromtxt(table, delimiter=",", names=True)["abnormal"].astype(int)
    steps = np.diff(abnormal, prepend=0, append=0)
    right = int((steps == 1).sum())
    wrong = {
        "those are the frames; an alarm that lasts 50 frames counts once": int(np.sum(abnormal)),
        "each alarm has a beginning and an end; count one of them": 2 * right,
    }
    return Key(right, wrong, "an alarm begins where the column steps from 0 to 1")


def patient_threshold(calm: np.ndarray) -> Key:
    """The lowest threshold at which no ten frames in a row lie above it, without the film's last 16
    frames.
    """
    inner = calm[:-16]
    lowest = {
        n: float(np.lib.stride_tricks.sliding_window_view(inner, n).min(axis=1).max())
        for n in (1, 9, 10, 11)
    }
    wrong = {
        "leave the film's last 16 frames out": float(
            np.lib.stride_tricks.sliding_window_view(calm, 10).min(axis=1).max()
        ),
        "those ten frames lie anywhere in the film; ten in a row are asked for": float(
            np.sort(inner)[-10]
        ),
        "no frame at all lies above that one; up to nine in a row are allowed": lowest[1],
        "nine frames in a row may be above": lowest[9],
        "ten in a row are too many already": lowest[11],
    }
    return Key(
        lowest[10],
        wrong,
        "ten frames in a row are above a threshold exactly if the smallest of them is",
    )
