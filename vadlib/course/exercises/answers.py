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
from vadlib.course.inspection.slots import removal_errors
from vadlib.data.clips import Clip
from vadlib.data.video import Video
from vadlib.evaluation.baselines import BEST
from vadlib.evaluation.metrics import micro_auc
from vadlib.evaluation.result import Result
from vadlib.model.run import Run
from vadlib.pseudo.kinds import PseudoAnomaly
from vadlib.pseudo.mixer import PseudoAnomalyMixer

Value = float | str | set[str] | np.number | torch.Tensor
Values = dict[str, Value]
Curves = Mapping[str, np.ndarray]
Usage = Mapping[str, Mapping[str, np.ndarray]]  # group of windows -> memory -> share of each slot


def false_alarm_rate(scores: np.ndarray, truth: np.ndarray, threshold: float) -> Values:
    """Find the share of the normal frames whose score is above the threshold."""
    above = scores > threshold
    normal = truth == 0
    rate = above[normal].mean()
    values: Values = {"right": rate, "quiet": 1 - rate, "of all frames": above.mean()}
    values["false of all"] = (above & normal).mean()
    return values | {"hits": above[~normal].mean()}


def small_anomalies(videos: Sequence[Video]) -> Values:
    """Find the share of the abnormal frames whose mask covers less than 0.5% of the picture."""
    areas = np.concatenate([require_masks(video)[:].mean((1, 2)) for video in videos])
    abnormal = np.concatenate([require_labels(video) for video in videos]) == 1
    small = areas < 0.005
    share = small[abnormal].mean()
    values: Values = {"right": share, "large": 1 - share, "of all frames": small.mean()}
    values["abnormal of all"] = (small & abnormal).mean()
    values["5 percent"] = (areas[abnormal] < 0.05).mean()
    return values | {"count": small[abnormal].sum()}


def labels_one_off(videos: Sequence[Video]) -> Values:
    """Count the frames on which labels that are rolled by one differ from the true ones."""
    frames, count = 0, 0
    for video in videos:
        labels = require_labels(video)
        frames += len(labels)
        count += int((np.roll(labels, 1) != labels).sum())
    values: Values = {"right": count, "events": count / 2, "share": count / frames}
    return values | {"subtracted": 128 * count}  # 0 - 1 is 255 in labels, so a pair of ends is 256


def change_by_skipping(clip: torch.Tensor, skipped: torch.Tensor, shuffled: torch.Tensor) -> Values:
    """Divide the mean absolute change of the pixels by skipping by that by shuffling."""
    by_skip = float((skipped - clip).abs().mean())
    by_shuffle = float((shuffled - clip).abs().mean())
    ratio = by_skip / by_shuffle
    values: Values = {"right": ratio, "inverse": 1 / ratio, "more": ratio - 1}
    return values | {"difference": by_skip - by_shuffle}


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
        length, *size = clip.tensor.shape[1:]
        assert clip.boxes is not None
        boxes = clip.boxes[length // 2]
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        inside = ((centres >= 0) & (centres < size[::-1])).all(axis=1)
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
    values: Values = {kind.name: kind.name for kind in mixer.kinds}
    return values | {"right": max(values, key=lambda name: counts[f"not_made_{name}"])}


def negated_scores(raw: Curves, labels: Curves) -> Values:
    """Find the AUC of the negative scores."""
    area = micro_auc(labels, raw)
    return {"right": 1 - area, "negative": -area, "unchanged": area}


def false_alarms_at(found: np.ndarray, false: np.ndarray) -> Values:
    """Find the false-positive rate at which the ROC curve reaches a true-positive rate of 0.8."""
    first = int(np.argmax(found >= 0.8))
    return {"right": false[first], "place": first, "true rate": found[first]}


def without_the_future(result: Result) -> Values:
    """Find the calibrated micro AUC with averages that only look back."""
    values: Values = {}
    cases = {"right": ("calibrated", True), "centred": ("calibrated", False)}
    cases |= {"raw": ("raw", True), "raw and centred": ("raw", False)}
    for name, (scale, causal) in cases.items():
        values[name] = micro_auc(result.labels, result.rescore(scale, causal=causal))
    return values


def idle_slots(usage: Usage) -> Values:
    """Count the slots of M_n that get less than a thousandth of the reads of normal windows."""
    shares = usage["normal"]["M_n"]
    idle = (shares < 0.001).sum()
    values: Values = {"right": idle, "read": len(shares) - idle, "share": idle / len(shares)}
    return values | {"of M_p": (usage["normal"]["M_p"] < 0.001).sum()}


def busy_slots(usage: Usage) -> Values:
    """Count the slots of M_n, the most read first, that get 90% of the reads of normal windows."""
    shares = usage["normal"]["M_n"]
    upwards = np.sort(shares)
    counts = []
    for order in (upwards[::-1], upwards, shares):
        counts.append(int(np.searchsorted(np.cumsum(order), 0.9)) + 1)
    values: Values = {"right": counts[0], "one less": counts[0] - 1, "upwards": counts[1]}
    return values | {"unsorted": counts[2], "share": counts[0] / len(shares)}


def without_the_busiest(run: Run, windows: Sequence[torch.Tensor], usage: Usage) -> Values:
    """Divide D_p's mean error on pseudo windows without M_p's most read slot by that with it."""
    removed = {name: [int(shares.argmax())] for name, shares in usage["pseudo"].items()}
    errors = removal_errors(run, windows, removed, "pseudo")
    before, without = errors["nothing"], errors["M_p"]
    of_normal = removal_errors(run, windows, {"M_p": removed["M_p"]}, "normal")
    ratio = without.mean() / before.mean()
    values: Values = {"right": ratio, "inverse": 1 / ratio, "more": ratio - 1}
    values["new error"] = without.mean()
    values["of D_n"] = of_normal["M_p"].mean() / of_normal["nothing"].mean()
    return values | {"slot of M_n": errors["M_n"].mean() / before.mean()}


def spread_of_a_difference(seeds: Sequence[float]) -> Values:
    """Find the standard deviation of the difference of two runs with the deviation of the seeds."""
    s = float(np.std(seeds, ddof=1))
    values: Values = {"right": math.sqrt(2) * s, "one run": s, "added": 2 * s, "none": 0.0}
    return values | {"variance": 2 * s**2, "ddof = 0": math.sqrt(2) * float(np.std(seeds))}


def rows_without_contrast(rows: Mapping[str, Mapping[str, float]]) -> Values:
    """Name the trained rows that were scored by the error of D_n alone.

    `rows`: a row's name -> its numbers.
    """
    equal, different = set[str](), set[str]()
    for name, row in rows.items():
        if row["plain_calibrated"] is not None:
            is_equal = row["micro_auc_calibrated"] == row["plain_calibrated"]
            (equal if is_equal else different).add(name)
    values: Values = {"right": equal, "different": different, "p = 0 alone": {"p = 0"}}
    return values | {"with baseline": equal | {BEST}}


def alarms(table: Path) -> Values:
    """Count the alarms, which are runs of 1, in the column `abnormal` of a `scores.csv`."""
    abnormal = np.genfromtxt(table, delimiter=",", names=True)["abnormal"].astype(int)
    count = int((np.diff(abnormal, prepend=0) == 1).sum())
    return {"right": count, "frames": abnormal.sum(), "steps": 2 * count}


def patient_threshold(calm: np.ndarray) -> Values:
    """Find the lowest threshold with no ten frames in a row above it.

    The film's last 16 frames do not count.
    """
    inner = calm[:-16]
    values: Values = {"anywhere": np.sort(inner)[-10], "no frame": inner.max()}
    for name, scores in (("right", inner), ("whole film", calm)):
        values[name] = sliding_window_view(scores, 10).min(axis=1).max()
    return values
