"""The right answers of exercises and known mistakes, computed from the notebook's data.

Each returns "right" and the names of mistakes in `exercises.toml` -> values. Its arguments are what
the notebook gives `check_answer`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

from vadlib.course.dataset_tables import require_labels, require_masks
from vadlib.course.exercises.key import Value
from vadlib.course.inspection.slots import removal_errors
from vadlib.data.clips import Clip
from vadlib.data.video import Video
from vadlib.evaluation.baselines import BEST
from vadlib.evaluation.metrics import micro_auc
from vadlib.evaluation.result import Result
from vadlib.model.run import Run
from vadlib.pseudo.kinds import PseudoAnomaly
from vadlib.pseudo.mixer import PseudoAnomalyMixer

Values = dict[str, Value | list[Value]]
Curves = Mapping[str, np.ndarray]
Usage = Mapping[str, Mapping[str, np.ndarray]]  # group of windows -> memory -> share of each slot


def false_alarm_rate(scores: np.ndarray, truth: np.ndarray, threshold: float) -> Values:
    """Find the share of the normal frames whose score is above the threshold."""
    above = scores > threshold
    normal = truth == 0
    values: Values = {"right": above[normal].mean(), "quiet": 1 - above[normal].mean()}
    values["of all frames"] = above.mean()
    values["false of all"] = (above & normal).mean()
    if above.any():
        values["false of alarms"] = normal[above].mean()
    values["hits"] = above[~normal].mean()
    return values


def small_anomalies(videos: Sequence[Video]) -> Values:
    """Find the share of the abnormal frames whose mask covers less than 0.5% of the picture."""
    areas = np.concatenate([require_masks(video)[:].mean((1, 2)) for video in videos])
    abnormal = np.concatenate([require_labels(video) for video in videos]) == 1
    small = areas < 0.005
    values: Values = {"right": small[abnormal].mean(), "large": 1 - small[abnormal].mean()}
    values["of all frames"] = small.mean()
    values["abnormal of all"] = (small & abnormal).mean()
    values["5 percent"] = (areas[abnormal] < 0.05).mean()
    values["count"] = small[abnormal].sum()
    return values


def labels_one_off(videos: Sequence[Video]) -> Values:
    """Count the frames on which labels that are rolled by one differ from the true ones."""
    frames, by_one = 0, 0
    by_two, subtracted = 0, 0
    for video in videos:
        labels = require_labels(video)
        rolled = np.roll(labels, 1)
        frames += len(labels)
        by_one += int((rolled != labels).sum())
        by_two += int((np.roll(labels, 2) != labels).sum())
        subtracted += int(np.abs(rolled - labels).sum())
    values: Values = {"right": by_one, "events": by_one / 2, "share": by_one / frames}
    return values | {"subtracted": subtracted, "by two": by_two}


def change_by_skipping(clip: torch.Tensor, skipped: torch.Tensor, shuffled: torch.Tensor) -> Values:
    """Divide the mean absolute change of the pixels by skipping by that by shuffling."""
    skip, shuffle = skipped - clip, shuffled - clip
    by_skip, by_shuffle = float(skip.abs().mean()), float(shuffle.abs().mean())
    ratio = by_skip / by_shuffle
    values: Values = {"right": ratio, "inverse": 1 / ratio, "more": ratio - 1}
    values["difference"] = by_skip - by_shuffle
    values["squared"] = skip.square().mean() / shuffle.square().mean()
    values["signed"] = skip.mean() / shuffle.mean()
    return values


def noise_in_grey_levels(clip: torch.Tensor) -> Values:
    """Convert sigma of noise of strength 0.5 to grey levels of 0 to 255."""
    relative = 0.81 * 0.5
    sigma = relative * float(clip.std())
    values: Values = {"right": 127.5 * sigma, "in clip units": sigma}
    return values | {"twice": 255 * sigma, "relative": 127.5 * relative}


def share_without_object(clips: Sequence[Clip]) -> Values:
    """Find the share of the clips with no box that has its centre in the window at mid-clip."""
    without = 0
    for i in range(len(clips)):
        clip = clips[i]
        height, width = clip.tensor.shape[2:]
        assert clip.boxes is not None
        boxes = clip.boxes[clip.tensor.shape[1] // 2]
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        inside = ((centres >= 0) & (centres < (width, height))).all(axis=1)
        without += int(not inside.any())
    share = without / len(clips)
    return {"right": share, "with": 1 - share, "count": without}


def least_possible_kind(
    clips: Sequence[Clip], kinds: Mapping[str, Callable[[float], PseudoAnomaly]]
) -> Values:
    """Find the kind that most often cannot be made, with each clip's number as the seed.

    `kinds`: a name -> what makes a kind of a strength.
    """
    mixer = PseudoAnomalyMixer([kind(1.0) for kind in kinds.values()], p=1.0)
    outcomes = []
    for i in range(len(clips)):
        outcomes.append(mixer(clips[i], torch.Generator().manual_seed(i)).outcome)
    counts = mixer.count(outcomes)
    names = [kind.name for kind in mixer.kinds]
    right = max(names, key=lambda name: counts[f"not_made_{name}"])
    values: Values = {name: name for name in names if name != right}
    return values | {"right": right}


def negated_scores(raw: Curves, labels: Curves) -> Values:
    """Find the AUC of the negative scores."""
    area = micro_auc(labels, raw)
    return {"right": 1 - area, "negative": -area, "unchanged": area}


def false_alarms_at(found: np.ndarray, false: np.ndarray) -> Values:
    """Find the false-positive rate at which the ROC curve reaches a true-positive rate of 0.8."""
    first = int(np.argmax(found >= 0.8))
    values: Values = {"right": false[first], "place": first, "true rate": found[first]}
    return values | {"axes swapped": found[np.argmax(false >= 0.8)]}


def without_the_future(result: Result) -> Values:
    """Find the calibrated micro AUC with averages that only look back."""

    def area(scale: str, causal: bool) -> float:
        return micro_auc(result.labels, result.rescore(scale, causal=causal))

    values: Values = {"right": area("calibrated", True), "centred": area("calibrated", False)}
    return values | {"raw": area("raw", True), "raw and centred": area("raw", False)}


def idle_slots(usage: Usage) -> Values:
    """Count the slots of M_n that get less than a thousandth of the reads of normal windows."""
    shares = usage["normal"]["M_n"]
    idle = (shares < 0.001).sum()
    values: Values = {"right": idle, "read": len(shares) - idle, "share": idle / len(shares)}
    values["of M_p"] = (usage["normal"]["M_p"] < 0.001).sum()
    others = [group for group in usage if group != "normal"]
    values["of other groups"] = [(usage[group]["M_n"] < 0.001).sum() for group in others]
    values["hundredth"] = (shares < 0.01).sum()
    values["never read"] = (shares <= 0).sum()
    return values


def busy_slots(usage: Usage) -> Values:
    """Count the slots of M_n, the most read first, that get 90% of the reads of normal windows."""
    shares = usage["normal"]["M_n"]
    upwards = np.sort(shares)
    slots = _slots_for_most_reads(upwards[::-1])
    values: Values = {"right": slots, "one less": slots - 1, "share": slots / len(shares)}
    values["upwards"] = _slots_for_most_reads(upwards)
    values["unsorted"] = _slots_for_most_reads(shares)
    return values


def _slots_for_most_reads(shares: np.ndarray) -> int:
    return int(np.searchsorted(np.cumsum(shares), 0.9)) + 1


def without_the_busiest(run: Run, windows: Sequence[torch.Tensor], usage: Usage) -> Values:
    """Divide D_p's mean error on pseudo windows without M_p's most read slot by that with it."""
    busiest = {name: int(shares.argmax()) for name, shares in usage["pseudo"].items()}

    def errors(path: str, memory: str, step: int = 1) -> tuple[np.ndarray, np.ndarray]:
        removed = {"it": [busiest[memory]]}
        measured = removal_errors(run, windows[::step], removed, path)
        return measured["nothing"], measured["it"]

    def ratio(before: np.ndarray, without: np.ndarray) -> float:
        return float(without.mean() / before.mean())

    before, without = errors("pseudo", "M_p")
    right = ratio(before, without)
    values: Values = {"right": right, "inverse": 1 / right, "more": right - 1}
    values["new error"] = without.mean()
    values["mean ratio"] = (without / before).mean()
    values["of D_n"] = ratio(*errors("normal", "M_p"))
    values["every second"] = ratio(*errors("pseudo", "M_p", step=2))
    values["slot of M_n"] = ratio(*errors("pseudo", "M_n"))
    return values


def spread_of_a_difference(seeds: Sequence[float]) -> Values:
    """Find the standard deviation of the difference of two runs with the deviation of the seeds."""
    s = float(np.std(seeds, ddof=1))
    values: Values = {"right": math.sqrt(2) * s, "one run": s, "added": 2 * s, "none": 0.0}
    return values | {"variance": 2 * s**2, "ddof = 0": math.sqrt(2) * float(np.std(seeds))}


def rows_without_contrast(rows: Mapping[str, Mapping[str, float]]) -> Values:
    """Name the trained rows that were scored by the error of D_n alone.

    `rows`: a row's name -> its numbers.
    """
    trained = {name: row for name, row in rows.items() if row["plain_calibrated"] is not None}
    gains = {}
    for name, row in trained.items():
        gains[name] = row["micro_auc_calibrated"] - row["plain_calibrated"]
    equal = {name for name, gain in gains.items() if gain == 0}
    values: Values = {"right": equal, "different": gains.keys() - equal}
    values["lower"] = {name for name, gain in gains.items() if gain < 0}
    values["with baseline"] = equal | {BEST}
    values["p = 0 alone"] = {"p = 0"}
    values["with one decoder"] = equal | {"one decoder"}
    return values


def alarms(table: Path) -> Values:
    """Count the alarms, which are runs of 1, in the column `abnormal` of a `scores.csv`."""
    abnormal = np.genfromtxt(table, delimiter=",", names=True)["abnormal"].astype(int)
    steps = np.diff(abnormal, prepend=0, append=0)
    count = int((steps == 1).sum())
    return {"right": count, "frames": abnormal.sum(), "steps": 2 * count}


def patient_threshold(calm: np.ndarray) -> Values:
    """Find the lowest threshold with no ten frames in a row above it.

    The film's last 16 frames do not count.
    """

    def highest_minimum(scores: np.ndarray, length: int) -> float:
        return float(sliding_window_view(scores, length).min(axis=1).max())

    inner = calm[:-16]
    values: Values = {"right": highest_minimum(inner, 10), "anywhere": np.sort(inner)[-10]}
    values["whole film"] = highest_minimum(calm, 10)
    for name, length in (("no frame", 1), ("nine", 9), ("eleven", 11)):
        values[name] = highest_minimum(inner, length)
    return values
