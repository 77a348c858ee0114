"""Frame-level metrics. Labels: 0 normal, 1 abnormal. Scores: higher = more abnormal. AUCs are
fractions in [0, 1].

`Curves` are dictionaries: video name -> (T,). Scores may be any finite numbers, lists too, and
labels any type that holds 0 and 1. Where both are given they cover the same videos and frames.
Everything else raises an `InputError`, the same one in every metric: see
`vadlib.evaluation.curves`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from vadlib.errors import InputError, require, require_known
from vadlib.evaluation.curves import (
    Curves,
    checked_numbers,
    checked_pair,
    checked_scores,
    checked_times,
    checked_zeros_and_ones,
    require_increasing,
    require_same_frames,
)

ONE_SIDED = ("left_out", "counted", "padded")


def pool(labels: Curves, scores: Curves) -> tuple[np.ndarray, np.ndarray]:
    """All frames of all videos one after the other: labels and scores.

    Raises:
        InputError: all frames are normal, or all abnormal, so that nothing can be measured.
    """
    labels, scores = checked_pair(labels, scores)
    truth = np.concatenate(list(labels.values()))
    if len(np.unique(truth)) < 2:
        what = "abnormal" if truth.any() else "normal"
        raise InputError(
            f"all {len(truth)} frames are {what}; the AUC needs test videos with normal and abnormal frames",
            "missing-labels",
            field="labels",
        )
    return truth, np.concatenate(list(scores.values()))


def micro_auc(labels: Curves, scores: Curves) -> float:
    """Area under the ROC curve of all frames of all videos together: one threshold serves them all.

    Raises:
        InputError: all frames are of one kind, so that there is no curve.
    """
    return float(roc_auc_score(*pool(labels, scores)))


def per_video(scores: Curves) -> dict[str, np.ndarray]:
    """Min-max scale each video's scores to [0, 1]; a constant curve becomes 0.

    This looks at the whole video, its future included, and forces a 0 and a 1 into each: common in
    papers, not usable live.
    """
    scaled = {}
    for name, values in checked_scores(scores).items():
        halves = values / 2  # the difference of two halves cannot overflow
        low = halves.min()
        spread = halves.max() - low
        scaled[name] = (halves - low) / spread if spread > 0 else np.zeros_like(values)
    return scaled


def macro_auc(
    labels: Curves, scores: Curves, one_sided: str = "left_out"
) -> tuple[float | None, int]:
    """Mean of the videos' own AUCs, and how many videos have frames of one kind only, so that they
    have no AUC.

    Args:
        scores, labels: of the videos.
        one_sided: what becomes of such videos. "left_out" of the mean; None is returned where every
            video is. "counted" as 1: nothing in them can be ranked wrongly. "padded": *every* video
            gets one more normal frame, which scores lowest, and one more abnormal frame, which
            scores highest, as several public evaluations do.

    Raises:
        InputError: another word for `one_sided`.
    """
    require_known(one_sided, ONE_SIDED, "one_sided")
    labels, scores = checked_pair(labels, scores)
    areas, without = [], 0
    for name, values in scores.items():
        truth, both = labels[name], len(np.unique(labels[name])) == 2
        without += not both
        if one_sided == "padded":
            truth, values = (
                np.append(truth, [0, 1]),
                np.append(values, [values.min(), values.max()]),
            )
        if both or one_sided == "padded":
            areas.append(roc_auc_score(truth, values))
        elif one_sided == "counted":
            areas.append(1.0)
    return (float(np.mean(areas)) if areas else None), without


def average_precision(labels: Curves, scores: Curves) -> float:
    """Mean precision over all recalls, all frames together; the share of abnormal frames is what
    random scores get.

    Raises:
        InputError: all frames are of one kind.
    """
    return float(average_precision_score(*pool(labels, scores)))


def equal_error_rate(labels: Curves, scores: Curves) -> float:
    """The false-positive rate where it equals the rate of misses (FPR + TPR = 1), on the straight
    line between two points of the ROC curve.

    Raises:
        InputError: all frames are of one kind.
    """
    false, true, _ = roc_curve(*pool(labels, scores), drop_intermediate=False)
    return float(np.interp(1.0, false + true, false))  # the sum never falls along the curve


def kind_aucs(
    labels: Curves, scores: Curves, kinds: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Measure each kind of anomaly against all normal frames: kind -> AUC.

    Args:
        scores, labels: of the videos.
        kinds: video name -> T strings, the kind of an abnormal frame and "" for a normal one.

    Raises:
        InputError: all frames are of one kind, or `kinds` lacks a video or a frame or contradicts
            the labels.
    """
    truth, pooled = pool(labels, scores)
    require_same_frames(scores, kinds, "kinds")
    of = np.concatenate([np.asarray(kinds[name], dtype=str) for name in scores])
    wrong = int(np.sum((of != "") != (truth == 1)))
    require(
        wrong == 0,
        f"kinds contradict the labels in {wrong} frames; expected a kind where the label is 1, and '' where it is 0",
        "conflict",
        field="kinds",
    )
    chosen = {str(kind): (truth == 0) | (of == kind) for kind in np.unique(of[truth == 1]) if kind}
    return {kind: float(roc_auc_score(truth[here], pooled[here])) for kind, here in chosen.items()}


def intervals(labels: np.ndarray) -> list[tuple[int, int]]:
    """Return the runs of ones in labels (T,): (start, end), end exclusive.

    Raises:
        InputError: other values than 0 and 1, or another shape.
    """
    ones = checked_zeros_and_ones(labels, "labels", "labels").astype(np.int8)
    edges = np.flatnonzero(np.diff(ones, prepend=0, append=0))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def frame_edges(seconds: np.ndarray) -> np.ndarray:
    """Return when each frame begins, and when the last one ends: (T,) -> (T + 1,), in seconds.

    The last frame takes as long as the one before it.

    Raises:
        InputError: no times, or times that are not finite or decrease.
    """
    seconds = checked_numbers(seconds, "times", "times")
    require_increasing(seconds, "times", "times")
    return np.append(seconds, 2 * seconds[-1] - seconds[-min(2, len(seconds))])


def alarm_metrics(labels: Curves, scores: Curves, times: Curves, threshold: float) -> dict:
    """What somebody who watches would meet at one threshold.

    An alarm is a run of frames above it; it is false if no frame of it is abnormal. An event is a
    run of abnormal frames; it is found if one of them is above the threshold, and the delay goes
    from its first frame to the first such.

    Args:
        scores, labels: of the videos.
        times: seconds of each frame.
        threshold: alarms are above it.

    Returns:
        "events", "events_found", "detection_delay" (seconds, the mean over the events found; None
        if none), "false_alarms", "false_alarms_per_hour" and "normal_frames_above" (share of the
        normal frames above the threshold, in [0, 1], those in alarms that touch an event included);
        the last two None without normal frames.

    Raises:
        InputError: scores, labels or times that do not belong together, times that decrease, or a
            threshold that is not a number.
    """
    labels, scores = checked_pair(labels, scores)
    times = checked_times(times, scores)
    require(
        not math.isnan(threshold),
        "threshold is not a number; expected one on the scale of the scores",
        "out-of-range",
        field="threshold",
    )
    delays, events, false_alarms, normal_seconds, normal, above_normal = [], 0, 0, 0.0, 0, 0
    for name, values in scores.items():
        above, truth, seconds = values > threshold, labels[name], times[name]
        normal_seconds += float(np.diff(frame_edges(seconds))[truth == 0].sum())
        normal, above_normal = (
            normal + np.sum(truth == 0),
            above_normal + np.sum(above & (truth == 0)),
        )
        false_alarms += sum(not truth[start:end].any() for start, end in intervals(above))
        for start, end in intervals(truth):
            events += 1
            if above[start:end].any():
                delays.append(seconds[start + above[start:end].argmax()] - seconds[start])
    return {
        "events": events,
        "events_found": len(delays),
        "detection_delay": float(np.mean(delays)) if delays else None,
        "false_alarms": false_alarms,
        "normal_frames_above": float(above_normal / normal) if normal else None,
        "false_alarms_per_hour": false_alarms / normal_seconds * 3600 if normal_seconds else None,
    }


def found_pixels(score_map: np.ndarray, mask: np.ndarray, share: float = 0.4) -> float:
    """The highest threshold at which a frame counts as found by its pixels: at least `share` of the
    abnormal ones reach it.

    Ranked with the largest value of each normal frame, for which a single pixel is a false alarm,
    these give UCSD's pixel AUC.

    Args:
        score_map: (H', W'), spread over the picture; any size.
        mask: bool (H, W), True = abnormal. Without abnormal pixels, the largest value of all.
        share: of the abnormal pixels, in (0, 1].

    Raises:
        InputError: a map or a mask of another shape or type, values that are not finite, or a share
            outside its range.
    """
    map_fits = score_map.ndim == 2 and score_map.size > 0 and np.isfinite(score_map).all()
    require(
        map_fits,
        f"score map of shape {score_map.shape}; expected finite values (H', W')",
        "wrong-shape",
        field="score_map",
    )
    mask_fits = mask.ndim == 2 and mask.dtype == bool
    require(
        mask_fits,
        f"mask {mask.dtype} {mask.shape}; expected bool (H, W)",
        "wrong-shape",
        field="mask",
    )
    require(
        0 < share <= 1, f"share {share}; expected 0 < share <= 1", "out-of-range", field="share"
    )
    if not mask.any():
        return float(score_map.max())
    y, x = np.nonzero(mask)
    values = score_map[
        y * score_map.shape[0] // mask.shape[0], x * score_map.shape[1] // mask.shape[1]
    ]
    return float(np.sort(values)[::-1][int(np.ceil(share * len(values))) - 1])


def bootstrap(
    labels: Curves,
    scores: Curves,
    base: Curves | None = None,
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> list[float] | None:
    """Interval of the micro AUC, had other videos of the same kind been filmed: as many videos are
    drawn with replacement, again and again.

    Frames of one video are alike, so that drawing frames would give far too narrow an interval.
    Drawings without both kinds of frame are left out. With few videos the interval is itself
    uncertain, and too narrow.

    Args:
        scores, labels: of the videos.
        base: other scores of the same videos. With them the interval is that of the difference of
            the AUCs, `scores` minus `base`, both on the same drawings: what makes a drawing hard
            for both cancels out.
        draws: how often.
        seed: of the drawing; the same videos are drawn for every score.
        level: share of the drawings inside.

    Returns:
        Lower and upper bound; None where there are fewer than two videos, or no drawing has both
        kinds of frame.

    Raises:
        InputError: scores, labels or `base` that do not belong together, or draws or a level
            outside their range.
    """
    require(draws >= 1, f"{draws} draws; expected at least 1", "out-of-range", field="draws")
    require(0 < level < 1, f"level {level}; expected 0 < level < 1", "out-of-range", field="level")
    labels, scores = checked_pair(labels, scores)
    if base is not None:
        base = checked_scores(base, "base")
        require_same_frames(scores, base, "base")
    names = list(scores)
    if len(names) < 2:
        return None
    times = np.random.default_rng(seed).multinomial(
        len(names), np.full(len(names), 1 / len(names)), draws
    )
    areas = _drawn_areas(labels, scores, names, times)
    if base is not None:
        areas -= _drawn_areas(labels, base, names, times)
    return np.quantile(areas, [(1 - level) / 2, (1 + level) / 2]).tolist() if len(areas) else None


def _drawn_areas(labels: Curves, scores: Curves, names: list[str], times: np.ndarray) -> np.ndarray:
    """The micro AUC of each drawing that has both kinds of frame; `times`, (draws, videos): how
    often each video was drawn.
    """
    abnormal, normal = (
        {name: np.sort(scores[name][labels[name] == kind]) for name in names} for kind in (1, 0)
    )
    # The AUC counts pairs of an abnormal and a normal frame; those of each two videos are counted
    # once, and serve all drawings.
    right = np.array([[_pairs(abnormal[a], normal[n]) for n in names] for a in names])
    pairs = (times @ [len(abnormal[n]) for n in names]) * (times @ [len(normal[n]) for n in names])
    return (np.einsum("da,an,dn->d", times, right, times)[pairs > 0]) / pairs[pairs > 0]


def _pairs(abnormal: np.ndarray, normal: np.ndarray) -> float:
    """Pairs of values, sorted each, in which the abnormal one is larger; ties count half."""
    return (
        np.searchsorted(normal, abnormal, "left") + np.searchsorted(normal, abnormal, "right")
    ).sum() / 2
