"""The notebooks' exercises: the right answers, worked out anew, and what each known wrong answer shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise, permutations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from vadlib.config import require
from vadlib.data.clips import Clip
from vadlib.data.video import Video
from vadlib.evaluation.evaluate import Result
from vadlib.evaluation.metrics import Curves, micro_auc
from vadlib.evaluation.slots import removal_errors
from vadlib.model.run import Run
from vadlib.pseudo.mixer import PseudoAnomalyMixer


class Key(NamedTuple):
    """What `check_answer` compares with.

    right: a number, a name, or a set of names.
    wrong: a hint -> the wrong answer that calls for it; the first that fits is shown.
    hint: for every other answer.
    """

    right: object
    wrong: Mapping[str, object]
    hint: str


def check_answer(exercise: str, answer: object, **given: object) -> None:
    """Print what an answer is: not done yet, right, or not right yet, with a hint that fits the mistake.

    Args:
        exercise: its id, such as "07-2".
        answer: a number (a fraction is compared to four digits), a name or a set of names; None: not done yet.
        given: what the notebook has computed and the exercise is about; see the functions in `EXERCISES`.

    Raises:
        InputError: there is no such exercise.
    """
    require(exercise in EXERCISES, f"exercise {exercise!r} is unknown; expected one of: {', '.join(EXERCISES)}")
    print(f"{exercise}: {'not done yet' if answer is None else judge(answer, EXERCISES[exercise](**given))}")


def judge(answer: object, key: Key) -> str:
    """ "right", or "not yet: " and a hint."""
    expected, understand = "a number", _number
    if isinstance(key.right, set):
        expected, understand = "a set of names", _names
    elif isinstance(key.right, str):
        expected, understand = "a name", lambda given: given if isinstance(given, str) else None
    understood = understand(answer)
    if understood is None:
        return f"not yet: expected {expected}, found {answer!r:.60}"
    if _equal(understood, key.right):
        return "right"
    if isinstance(key.right, float) and 0 < key.right < 1 < understood and _equal(understood / 100, key.right):
        return "not yet: a share lies between 0 and 1; divide by 100"
    return "not yet: " + next((hint for hint, value in key.wrong.items() if _equal(understood, value)), key.hint)


def _number(answer: object) -> float | None:
    """A number of any library as a float; None where it is none."""
    if isinstance(answer, str):
        return None
    try:
        return float(answer.item() if hasattr(answer, "item") else answer)
    except (TypeError, ValueError, RuntimeError):
        return None


def _names(answer: object) -> set[str] | None:
    """One name, or a collection of names, as a set; None where it is neither."""
    if isinstance(answer, str):
        return {answer} if "," not in answer else None
    items = list(answer) if isinstance(answer, Iterable) else [None]
    return {str(item) for item in items} if all(isinstance(item, str) for item in items) else None


def _equal(answer: object, value: object) -> bool:
    if isinstance(value, float):
        return math.isclose(answer, value, rel_tol=1e-4)
    return answer == value


# 00 Quickstart


def auc_by_hand() -> Key:
    """Abnormal frames score 0.9 and 0.4, normal ones 0.5 and 0.1: the AUC."""
    wrong = {
        "an AUC is a share: divide by the number of pairs": 3,
        "that is the share of the pairs in the wrong order": 0.25,
        "compare each abnormal frame with each normal one: that makes four pairs": 0.5,
    }
    return Key(0.75, wrong, "in how many of the four pairs does the abnormal frame score higher?")


def false_alarm_rate(scores: np.ndarray, truth: np.ndarray, threshold: float) -> Key:
    """The share of the normal frames whose score is above the threshold."""
    above, normal = scores > threshold, truth == 0
    wrong = {
        "those are the normal frames that raise no alarm": 1 - above[normal].mean(),
        "that is the share of all frames; take the normal ones only": above.mean(),
        "divide by the number of normal frames, not by that of all frames": (above & normal).mean(),
        "that is the share of the alarms that are false; divide by the normal frames": normal[above].mean() if above.any() else -1.0,
        "that is the share of the abnormal frames that are found": above[~normal].mean(),
    }
    return Key(above[normal].mean(), wrong, "of the frames with truth 0, which share has a score above the threshold?")


# 01 Datasets


def small_anomalies(videos: Sequence[Video]) -> Key:
    """The share of the abnormal frames whose mask covers less than half a percent of the picture."""
    areas = np.concatenate([video.masks[:].mean((1, 2)) for video in videos])
    abnormal = np.concatenate([video.labels for video in videos]) == 1
    small = areas < 0.005
    wrong = {
        "those are the larger ones": 1 - small[abnormal].mean(),
        "a normal frame has an empty mask: count abnormal frames only": small.mean(),
        "divide by the number of abnormal frames, not of all": (small & abnormal).mean(),
        "half a percent is 0.005": (areas[abnormal] < 0.05).mean(),
    }
    return Key(small[abnormal].mean(), wrong, "over all test clips: masks[t].mean() < 0.005, of frames with label 1")


def labels_one_off(videos: Sequence[Video]) -> Key:
    """On how many frames labels that are rolled by one differ from the true ones, over all clips."""
    steps = [np.abs(np.diff(np.r_[video.labels[-1], video.labels].astype(int))).sum() for video in videos]
    edges, frames = int(sum(steps)), sum(map(len, videos))
    wrong = {
        "that is the number of events; each has a beginning and an end": edges / 2,
        "a number of frames is asked for, not a share": edges / frames,
        "np.roll(labels, 2) shifts by two frames": sum(int((np.roll(v.labels, 2) != v.labels).sum()) for v in videos),
    }
    return Key(edges, wrong, "compare np.roll(v.labels, 1) with v.labels, clip by clip, and add up")


# 02 Temporal pseudo-anomalies


def first_that_cannot_skip() -> Key:
    """120 frames, clips of 16 with stride 2: the first start at which one does not fit."""
    wrong = {
        "from 89 on it shows frames 89, 91, ..., 119, and 119 exists": 89,
        "that is for stride 1; with stride 2 the last frame is s + 30": 105,
        "16 frames at distance 2 span 31 frames, not 32": 120 - 32,
    }
    return Key(90, wrong, "the last frame shown is s + 2 * 15; which s makes it 120?")


def orders_without_neighbours() -> Key:
    """Orders of five frames in which no two neighbours stay together."""
    orders = list(permutations(range(5)))
    kept = [[b - a for a, b in pairwise(order)] for order in orders]
    right = sum(not {1, -1} & set(steps) for steps in kept)
    wrong = {
        "those are all orders": len(orders),
        "those are the orders that do keep neighbours": len(orders) - right,
        "4 and then 3 are neighbours in time, too": sum(1 not in steps for steps in kept),
        "a share is not asked for, but how many": right / len(orders),
    }
    return Key(right, wrong, "no two frames that follow each other in the order may be one apart in time")


def larger_change(clip: torch.Tensor, skipped: torch.Tensor, shuffled: torch.Tensor) -> Key:
    """Which changes the pixels more: "skip" or "shuffle"."""
    size = {name: float((other - clip).abs().mean()) for name, other in (("skip", skipped), ("shuffle", shuffled))}
    small, large = sorted(size, key=size.get)
    numbers = ", ".join(f"{name} {value:.4f}" for name, value in size.items())
    return Key(large, {f"compare (changed - clip.tensor).abs().mean() of both: {numbers}": small}, 'the answer is "skip" or "shuffle"')


# 03 Appearance pseudo-anomalies


def noise_in_grey_levels(clip: torch.Tensor) -> Key:
    """Sigma of noise of strength 0.5, in grey levels of 0 to 255."""
    sigma = 0.81 * 0.5 * float(clip.std())
    wrong = {
        "that is in units of the clip, in which the range is 2 wide: from -1 to 1": sigma,
        "that is twice too much: 255 levels are a range of 2, not of 1; and the strength is 0.5": 255 * sigma,
        "sigma is relative to the clip: multiply by its standard deviation": 127.5 * 0.81 * 0.5,
    }
    return Key(127.5 * sigma, wrong, "0.81 * strength * the clip's deviation; and how many grey levels are 1?")


def share_without_object(clips: Sequence[Clip]) -> Key:
    """The share of the clips in which no box has its centre in the window in the middle frame."""
    inside = []
    for clip in (clips[i] for i in range(len(clips))):
        length, height, width = clip.tensor.shape[1:]
        boxes = clip.boxes[length // 2]
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        inside.append(((centres >= 0) & (centres < (width, height))).all(axis=1).any())
    right = 1 - np.mean(inside)
    wrong = {
        "those are the clips with somebody to paste onto": 1 - right,
        "that is how many; a share lies between 0 and 1": len(inside) - sum(inside),
    }
    return Key(right, wrong, "count the clips for which the kind returns None, and divide by the number of clips")


# 04 The laboratory


def mixed_batch() -> Key:
    """The probability that a batch of two with p = 0.01 holds a normal clip and a pseudo-anomalous one."""
    p = 0.01
    wrong = {
        "the first or the second may be the one that is turned: two ways": p * (1 - p),
        "that is at least one; both may be turned": 1 - (1 - p) ** 2,
        "that is the probability that both are turned": p**2,
        "that is the mean number of turned clips; leave out the batches in which both are": 2 * p,
        "that is the probability that none is turned": (1 - p) ** 2,
    }
    return Key(2 * p * (1 - p), wrong, "exactly one of two, and there are two ways")


def seldom_made(clips: Sequence[Clip], kinds: Mapping[str, Callable]) -> Key:
    """The kind that most often cannot be made, when every clip is drawn with its number as the seed.

    `kinds`: a name -> what makes a kind of a strength.
    """
    mixer = PseudoAnomalyMixer([kind(1.0) for kind in kinds.values()], p=1.0)
    outcomes = [mixer(clips[i], torch.Generator().manual_seed(i)).outcome for i in range(len(clips))]
    counts = mixer.count(outcomes)
    failed = {kind.name: counts[f"not_made_{kind.name}"] for kind in mixer.kinds}
    right = max(failed, key=failed.get)
    others = {
        "skip": "skipping needs frames after the clip: here they are there more often than somebody to paste onto",
        "object": "pasting needs somebody: here that is found more often than frames to skip to",
        "shuffle": "the frames of a clip can always be shuffled",
        "noise": "noise can always be added",
    }
    return Key(right, {hint: kind for kind, hint in others.items() if kind != right}, "give the name of one of the mixer's kinds")


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
    return Key(paper - 2 * 1500 * width, wrong, "each of two memories loses 1500 slots of 256 values")


# 06 Training


def what_maximize_trains() -> Key:
    """The parts that learn from the errors of a batch of pseudo-anomalies only, with the objective `maximize`."""
    wrong = {
        "without a stop gradient the term reaches the encoder, too": {"pseudo_memory", "pseudo_decoder"},
        "D_p decodes what M_p returns, so the memory learns, too": {"encoder", "pseudo_decoder"},
        "those learn from normal clips, and there are none in this batch": {"encoder", "normal_memory", "normal_decoder"},
        "M_n and D_n learn from normal clips only, if nothing is to be restored": {
            "encoder",
            "normal_memory",
            "normal_decoder",
            "pseudo_memory",
            "pseudo_decoder",
        },
    }
    return Key(
        {"encoder", "pseudo_memory", "pseudo_decoder"}, wrong, "which terms of the table are made of pseudo-anomalies, with maximize?"
    )


def resumed_after() -> Key:
    """Epochs of 46 steps, killed within the first minute after step 137: the step of the last checkpoint."""
    wrong = {
        "a killed process saves nothing; when was the last checkpoint written?": 137,
        "the third epoch was not finished": 3 * 46,
        "the second epoch was finished, too": 46,
        "the first epoch's end came before": 0,
    }
    return Key(2 * 46, wrong, "a checkpoint is written at the end of each epoch, and once a minute")


# 07 Scores and AUC


def turned_round(raw: Curves, labels: Curves) -> Key:
    """The AUC of the negative scores."""
    area = micro_auc(raw, labels)
    wrong = {"a share of pairs is never negative": -area, "that is the AUC of the scores as they are": area}
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
    area = {(s, c): micro_auc(result.rescore(s, causal=c), result.labels) for s in ("calibrated", "raw") for c in (True, False)}
    wrong = {
        "that is of centred averages, which look ahead": area["calibrated", False],
        "that is the raw score; ask for the scale 'calibrated'": area["raw", True],
        "raw, and centred: rescore('calibrated', causal=True)": area["raw", False],
    }
    return Key(area["calibrated", True], wrong, "rescore with the scale 'calibrated' and causal=True")


# 08 Memory and attention


def idle_slots(usage: Mapping[str, Mapping[str, np.ndarray]]) -> Key:
    """Slots of M_n that get less than a thousandth of the reads of the normal windows."""
    idle = {(group, memory): int((shares < 0.001).sum()) for group, parts in usage.items() for memory, shares in parts.items()}
    right, slots = idle["normal", "M_n"], len(usage["normal"]["M_n"])
    wrong = {
        "those are the slots that are read": slots - right,
        "how many slots, not which share of them": right / slots,
        "that is M_p": idle["normal", "M_p"],
        "those are the reads of another group of windows": next((n for (g, m), n in idle.items() if g != "normal" and m == "M_n"), -1),
        "a thousandth is 0.001": int((usage["normal"]["M_n"] < 0.01).sum()),
    }
    return Key(right, wrong, "count in usage['normal']['M_n']")


def busy_slots(usage: Mapping[str, Mapping[str, np.ndarray]]) -> Key:
    """How many slots of M_n, the most read first, get 90% of the reads of the normal windows."""
    shares = np.sort(usage["normal"]["M_n"])
    right = int(np.searchsorted(np.cumsum(shares[::-1]), 0.9)) + 1
    wrong = {
        "places are counted from 0, slots from 1": right - 1,
        "take the most read first: np.sort sorts upwards": int(np.searchsorted(np.cumsum(shares), 0.9)) + 1,
        "sort before you add up": int(np.searchsorted(np.cumsum(usage["normal"]["M_n"]), 0.9)) + 1,
        "how many slots, not which share of them": right / len(shares),
    }
    return Key(right, wrong, "sort downwards, add up, stop at 0.9")


def without_the_busiest(run: Run, windows: Sequence[torch.Tensor], usage: Mapping[str, Mapping[str, np.ndarray]]) -> Key:
    """The mean error of D_p on the pseudo windows without the slot of M_p that they read most, over that with all slots."""
    slot = int(usage["pseudo"]["M_p"].argmax())
    found, of_normal_path = (removal_errors(run, windows, {"it": [slot]}, path) for path in ("pseudo", "normal"))
    ratio = float(found["it"].mean() / found["nothing"].mean())
    wrong = {
        "new error / old error, not the other way round": 1 / ratio,
        "that is by how much it rises; the ratio is asked for": ratio - 1,
        "that is the new error; divide it by the old one": float(found["it"].mean()),
        "take the mean errors first, then their ratio": float((found["it"] / found["nothing"]).mean()),
        'that is the error of D_n; removal_errors takes the path "pseudo"': float(
            of_normal_path["it"].mean() / of_normal_path["nothing"].mean()
        ),
    }
    return Key(ratio, wrong, "the mean of the errors without the slot, divided by the mean of those with all slots")


# 09 Evaluation traps


def shift_that_mends() -> Key:
    """Scores stand at the first frame of a clip instead of at number 8 of 0 to 15: the shift of the labels that fits them."""
    wrong = {
        "scores come early, so labels must come early, too: which sign is that?": 8,
        "number 8 of 0 to 15 has eight frames before it": -7,
        "eight frames, and mind the sign": 7,
        "the score belongs to the middle of the clip, not to its end": -15,
    }
    return Key(-8, wrong, "where does the score of frame 8 stand, and where its label?")


def which_auc_changes() -> Key:
    """Each video's scores are shifted by a number of its own: which of "micro", "per_video", "macro" change."""
    wrong = {
        "min-max takes such a number away again": {"micro", "per_video"},
        "within a video the order of the frames stays, so its AUC does": {"micro", "macro"},
        "both macro and per_video look at one video at a time, at first": {"micro", "per_video", "macro"},
        "frames of different videos are compared by scores that were shifted differently": set(),
    }
    return Key({"micro"}, wrong, "which of them compare a frame of one video with a frame of another, by the scores as they are?")


# 10 Ablations


def spread_of_a_difference(seeds: Sequence[float]) -> Key:
    """The standard deviation of the difference of two runs, each of which has the seeds' deviation."""
    s = float(np.std(seeds, ddof=1))
    wrong = {
        "that is the deviation of one run; in a difference both are lucky or not": s,
        "deviations do not add up, variances do": 2 * s,
        "that is the variance; take the root": 2 * s**2,
        "chance in two runs does not cancel out": 0.0,
        "three seeds are few: divide by n - 1 (ddof=1)": float(np.sqrt(2) * np.std(seeds)),
    }
    return Key(math.sqrt(2) * s, wrong, "the variance of a difference of independent numbers is the sum of their variances")


def rows_without_contrast(rows: Mapping[str, Mapping[str, float]]) -> Key:
    """The trained rows that were scored by the error of D_n alone; `rows`: a row's name -> its numbers."""
    scored = {
        name: (row["micro_auc_calibrated"], row["plain_calibrated"]) for name, row in rows.items() if row["plain_calibrated"] is not None
    }
    right = {name for name, (default, plain) in scored.items() if default == plain}
    wrong = {
        "those are the rows in which it plays a part": set(scored) - right,
        "those lose by the contrast, so they have it; look for two equal columns": {n for n, (d, plain) in scored.items() if d < plain},
        "the yardstick is not trained, and D_n has no part in it": right | {"yardstick"},
        "not only there: compare the columns of every row": {"p = 0"},
        "with one decoder but two memories there are two reads to compare; its columns differ": right | {"one decoder"},
    }
    return Key(right, wrong, "in which rows do the two columns of section 4 agree to the last digit?")


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
    """The lowest threshold at which no ten frames in a row lie above it."""
    lowest = {n: float(np.lib.stride_tricks.sliding_window_view(calm, n).min(axis=1).max()) for n in (1, 9, 10, 11)}
    wrong = {
        "no frame at all lies above that one; up to nine in a row are allowed": lowest[1],
        "nine frames in a row may be above": lowest[9],
        "ten in a row are too many already": lowest[11],
    }
    return Key(lowest[10], wrong, "ten frames in a row are above a threshold exactly if the smallest of them is")


EXERCISES: dict[str, Callable[..., Key]] = {
    "00-1": auc_by_hand,
    "00-2": false_alarm_rate,
    "01-1": small_anomalies,
    "01-2": labels_one_off,
    "02-1": first_that_cannot_skip,
    "02-2": orders_without_neighbours,
    "02-3": larger_change,
    "03-1": noise_in_grey_levels,
    "03-2": share_without_object,
    "04-1": mixed_batch,
    "04-2": seldom_made,
    "05-1": slots_for_an_empty_read,
    "05-2": paper_with_500_slots,
    "06-1": what_maximize_trains,
    "06-2": resumed_after,
    "07-1": turned_round,
    "07-2": false_alarms_at,
    "07-3": without_the_future,
    "08-1": idle_slots,
    "08-2": busy_slots,
    "08-3": without_the_busiest,
    "09-1": shift_that_mends,
    "09-2": which_auc_changes,
    "10-1": spread_of_a_difference,
    "10-2": rows_without_contrast,
    "10-3": videos_for_half_the_interval,
    "11-1": frames_apart,
    "11-2": alarms,
    "11-3": patient_threshold,
}
