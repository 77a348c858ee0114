"""Keys of the exercises of notebooks 07 and 09 to 11: scores, and what they are worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from vadlib.course.exercises.key import Key
from vadlib.evaluation.baselines import BEST
from vadlib.evaluation.metrics import micro_auc
from vadlib.evaluation.result import Result

Curves = Mapping[str, np.ndarray]

# 07 Scores and AUC


def negated_scores(raw: Curves, labels: Curves) -> Key:
    """Find the AUC of the negative scores."""
    area = micro_auc(labels, raw)
    key = Key(1 - area, "what becomes of a pair that was in the right order?")
    key.mistake(-area, "a share of pairs is never negative")
    key.mistake(area, "that is the AUC of the scores as they are")
    return key


def false_alarms_at(found: np.ndarray, false: np.ndarray) -> Key:
    """Find the false-positive rate at which the ROC curve reaches a true-positive rate of 0.8."""
    first = int(np.argmax(found >= 0.8))
    key = Key(float(false[first]), "find the first place where found is at least 0.8")
    key.mistake(first, "that is the place in the array; look up false there")
    key.mistake(found[first], "that is the true-positive rate there; the other axis is asked for")
    key.mistake(found[np.argmax(false >= 0.8)], "that is where the false-positive rate reaches 0.8")
    return key


def without_the_future(result: Result) -> Key:
    """Find the calibrated micro AUC with averages that only look back."""

    def area(scale: str, causal: bool) -> float:
        return micro_auc(result.labels, result.rescore(scale, causal=causal))

    key = Key(area("calibrated", True), "rescore with the scale 'calibrated' and causal=True")
    key.mistake(area("calibrated", False), "that is of centred averages, which look ahead")
    key.mistake(area("raw", True), "that is the raw score; ask for the scale 'calibrated'")
    key.mistake(area("raw", False), "raw, and centred: rescore('calibrated', causal=True)")
    return key


# 09 Evaluation traps


def correcting_shift() -> Key:
    """Find the shift of the labels that fits scores at frame 0 of a clip instead of frame 8."""
    key = Key(-8, "where does the score of frame 8 stand, and where its label?")
    key.mistake(8, "scores come early, so labels must come early, too: which sign is that?")
    key.mistake(-7, "number 8 of 0 to 15 has eight frames before it")
    key.mistake(7, "eight frames, and mind the sign")
    key.mistake(-15, "the score belongs to the middle of the clip, not to its end")
    return key


def changing_aucs() -> Key:
    """Name the AUCs that change when each video's scores are shifted by a number of its own."""
    key = Key(
        {"micro"},
        "which of them compare a frame of one video with a frame of another, by the scores as "
        "they are?",
    )
    key.mistake({"micro", "per_video"}, "min-max takes such a number away again")
    key.mistake({"micro", "macro"}, "within a video the order of the frames stays, so its AUC does")
    key.mistake({"micro", "per_video", "macro"}, "macro and per_video look at one video at a time")
    key.mistake(set(), "frames of two videos are compared by scores that were shifted differently")
    return key


# 10 Ablations


def spread_of_a_difference(seeds: Sequence[float]) -> Key:
    """Find the standard deviation of the difference of two runs with the deviation of the seeds."""
    s = float(np.std(seeds, ddof=1))
    key = Key(
        math.sqrt(2) * s,
        "the variance of a difference of independent numbers is the sum of their variances",
    )
    key.mistake(s, "that is the deviation of one run; in a difference both are lucky or not")
    key.mistake(2 * s, "deviations do not add up, variances do")
    key.mistake(2 * s**2, "that is the variance; take the root")
    key.mistake(0.0, "chance in two runs does not cancel out")
    key.mistake(
        math.sqrt(2) * float(np.std(seeds)),
        "sqrt(1 + 1/3) is of one run beside a mean of three; here are two single runs "
        "(or ddof=1 is missing)",
    )
    return key


def rows_without_contrast(rows: Mapping[str, Mapping[str, float]]) -> Key:
    """Name the trained rows that were scored by the error of D_n alone.

    `rows`: a row's name -> its numbers.
    """
    equal, different = set(), set()
    lower = set()
    for name, row in rows.items():
        score, plain = row["micro_auc_calibrated"], row["plain_calibrated"]
        if plain is None:
            continue
        if score == plain:
            equal.add(name)
        else:
            different.add(name)
        if score < plain:
            lower.add(name)
    key = Key(equal, "in which rows do the two columns of section 4 agree to the last digit?")
    key.mistake(different, "those are the rows in which it plays a part")
    key.mistake(lower, "those lose by the contrast, so they have it; look for two equal columns")
    key.mistake(equal | {BEST}, "the baseline is not trained, and D_n has no part in it")
    key.mistake({"p = 0"}, "not only there: compare the columns of every row")
    key.mistake(equal | {"one decoder"}, "with two memories there are two reads to compare")
    return key


def videos_for_half_the_interval() -> Key:
    """Find how many videos make an interval half as wide as twelve do."""
    key = Key(48, "the width falls with the root of the number of videos")
    key.mistake(24, "twice as many make it narrower by the root of 2 only")
    key.mistake(6, "fewer videos make it wider")
    key.mistake(192, "that is for a quarter of the width")
    return key


# 11 Your own video


def frames_apart() -> Key:
    """Find the frame_step at which clips at 30 frames a second last as long as at 10."""
    key = Key(3, "how many of your frames pass in a tenth of a second?")
    key.mistake(30, "that is your camera's rate")
    key.mistake(1 / 3, "take every third frame, not three frames for one")
    key.mistake(48, "the clip's length in frames stays 16; how far apart are they?")
    key.mistake(1, "neighbouring frames are a thirtieth of a second apart")
    return key


def alarms(table: Path) -> Key:
    """Count the alarms, which are runs of 1, in the column `abnormal` of a `scores.csv`."""
    abnormal = np.genfromtxt(table, delimiter=",", names=True)["abnormal"].astype(int)
    steps = np.diff(abnormal, prepend=0, append=0)
    count = int((steps == 1).sum())
    key = Key(count, "an alarm begins where the column steps from 0 to 1")
    key.mistake(abnormal.sum(), "those are frames; an alarm of 50 frames counts once")
    key.mistake(2 * count, "each alarm has a beginning and an end; count one of them")
    return key


def patient_threshold(calm: np.ndarray) -> Key:
    """Find the lowest threshold with no ten frames in a row above it.

    The film's last 16 frames do not count.
    """
    inner = calm[:-16]
    key = Key(
        _highest_minimum(inner, 10),
        "ten frames in a row are above a threshold exactly if the smallest of them is",
    )
    key.mistake(_highest_minimum(calm, 10), "leave the film's last 16 frames out")
    key.mistake(np.sort(inner)[-10], "those ten are anywhere in the film, not in a row")
    key.mistake(
        _highest_minimum(inner, 1), "no frame at all is above that one; nine in a row are allowed"
    )
    key.mistake(_highest_minimum(inner, 9), "nine frames in a row may be above")
    key.mistake(_highest_minimum(inner, 11), "ten in a row are too many already")
    return key


def _highest_minimum(scores: np.ndarray, length: int) -> float:
    """Return the largest of the minima over that many frames in a row."""
    return float(sliding_window_view(scores, length).min(axis=1).max())
