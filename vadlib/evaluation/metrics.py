"""Frame-level metrics. Labels: 0 normal, 1 abnormal. Scores: higher is more abnormal.

All functions take labels and scores as `(y_true, y_score)`. Both are `Curves`, dictionaries of
video name -> (T,), and cover the same videos and frames. Scores may be any finite numbers, lists
too, and labels any type that holds 0 and 1. Anything else raises the same `InputError` in every
metric, see `checked_pair`. AUCs are fractions in [0, 1].
"""

import math
from collections.abc import Mapping, Sequence, Sized
from typing import NamedTuple

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from vadlib.errors import InputError, require, require_known

ONE_SIDED = ("left_out", "counted", "padded")
Curves = Mapping[str, np.ndarray]  # video name -> (T,)
Kinds = Mapping[str, Sequence[str]]  # video name -> T kinds of anomaly, "" for normal frames


class MacroAUC(NamedTuple):
    """Mean of the AUCs of single videos (None if no video has one), and the number of one-sided
    videos, whose frames all have one label.
    """

    mean: float | None
    one_sided: int


class Interval(NamedTuple):
    """Bounds of a confidence interval."""

    low: float
    high: float


class AlarmMetrics(NamedTuple):
    """Events found and false alarms at one threshold.

    Attributes:
        events: runs of abnormal frames.
        events_found: events with at least one frame above the threshold.
        detection_delay: seconds from the first frame of an event to the first one above the
            threshold, the mean over the events found; None if none was found.
        false_alarms: runs of frames above the threshold without an abnormal frame.
        normal_frames_above: share of the normal frames above the threshold, in [0, 1], including
            those of alarms that touch an event; None without normal frames.
        false_alarms_per_hour: per hour of normal frames; None without normal frames.
    """

    events: int
    events_found: int
    detection_delay: float | None
    false_alarms: int
    normal_frames_above: float | None
    false_alarms_per_hour: float | None


def checked_pair(y_true: Curves, y_score: Curves) -> tuple[Curves, Curves]:
    """Return labels as uint8 and scores as float64, of the same videos in the order of the scores.

    Raises:
        InputError: what `checked_curves` refuses, labels other than 0 and 1, or other videos or
            lengths in `y_true` than in `y_score`.
    """
    scores = checked_curves(y_score, "y_score")
    labels = checked_curves(y_true, "y_true")
    require_frames(scores, labels, "y_true")
    return {name: labels[name] for name in scores}, scores


def checked_curves(curves: Curves, field: str) -> dict[str, np.ndarray]:
    """Return numbers as float64, or labels as uint8, (T,) by video; see `checked`.

    Args:
        curves: video name -> values (T,).
        field: their name in messages and `InputError.field`.

    Raises:
        InputError: not a mapping, no videos, or what `checked` refuses.
    """
    require(isinstance(curves, Mapping), f"{field}: not a mapping", "wrong-type", field=field)
    require(len(curves) > 0, f"{field}: no videos", "too-few", field=field)
    return {name: checked(values, name, field) for name, values in curves.items()}


def checked(values: np.ndarray, name: str, field: str) -> np.ndarray:
    """Return the values of one video as float64 (T,), T >= 1, or its labels as uint8 (T,).

    Args:
        values: finite numbers or labels (T,); lists, integers and booleans are converted.
        name: of the video.
        field: the name of the values in messages and `InputError.field`; "labels" and "y_true" are
            labels.

    Raises:
        InputError: another type or shape, numbers that are not finite or none, or labels other
            than 0 and 1.
    """
    video = f"{field} of video {name!r}"
    try:
        array = np.asarray(values)
    # ragged lists; tensors on a GPU or with gradients
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{video}: not an array ({error})", "wrong-type", field=field) from error
    require(array.ndim == 1, f"{video}: {array.shape}, not (T,)", "wrong-shape", field=field)
    is_numeric = array.dtype.kind in "biuf" and not np.ma.is_masked(values)
    require(is_numeric, f"{video}: not numbers, or masked", "wrong-type", field=field)
    if field in ("labels", "y_true"):
        is_label = bool(np.isin(array, (0, 1)).all())
        require(is_label, f"{video}: values other than 0 and 1", "label-values", field=field)
        return array.astype(np.uint8)
    require(len(array) > 0, f"{video}: no frames", "too-few", field=field)
    numbers = array.astype(np.float64)
    require(bool(np.isfinite(numbers).all()), f"{video}: not finite", "out-of-range", field=field)
    return numbers


def require_frames(scores: Curves, others: Mapping[str, Sized], field: str) -> None:
    """Refuse values that do not cover the videos and frames of the scores.

    Args:
        scores: video name -> (T,).
        others: must have the same names and lengths.
        field: the name of `others` in messages and `InputError.field`.

    Raises:
        InputError: a video that one side lacks, or another number of frames; the message names the
            video and both lengths.
    """
    for name in [*scores, *others]:
        require(name in others, f"video {name!r}: no {field}", "missing-labels", field=field)
        require(name in scores, f"video {name!r}: no scores", "labels-without-frames", field=field)
        expected = len(scores[name])
        message = f"video {name!r}: {len(others[name])} {field} for {expected} scores"
        require(len(others[name]) == expected, message, "label-length", field=field)


def pool(y_true: Curves, y_score: Curves) -> tuple[np.ndarray, np.ndarray]:
    """Concatenate the frames of all videos: labels uint8 (N,) and scores float64 (N,).

    Raises:
        InputError: all frames have one label, so that no AUC exists.
    """
    labels, scores = checked_pair(y_true, y_score)
    truth = np.concatenate(list(labels.values()))
    message = f"all frames have label {truth[:1]}; an AUC needs normal and abnormal frames"
    require(len(np.unique(truth)) == 2, message, "missing-labels", field="y_true")
    return truth, np.concatenate(list(scores.values()))


def micro_auc(y_true: Curves, y_score: Curves) -> float:
    """Compute the area under the ROC curve of all frames of all videos together, as if one
    threshold served them all.

    Raises:
        InputError: all frames have one label.
    """
    return float(roc_auc_score(*pool(y_true, y_score)))


def per_video(y_score: Curves) -> dict[str, np.ndarray]:
    """Min-max scale the scores of each video to [0, 1]; constant scores become 0.

    The scaling uses the whole video, including its future, and forces a 0 and a 1 into each. It is
    common in papers and cannot be used live.
    """
    scaled = {}
    for name, values in checked_curves(y_score, "y_score").items():
        halves = values / 2  # the difference of two halves cannot overflow
        low = halves.min()
        spread = halves.max() - low
        scaled[name] = (halves - low) / spread if spread > 0 else np.zeros_like(values)
    return scaled


def macro_auc(y_true: Curves, y_score: Curves, one_sided: str = "left_out") -> MacroAUC:
    """Compute the mean of the AUCs of single videos.

    Args:
        y_true, y_score: labels and scores.
        one_sided: the treatment of videos whose frames all have one label. "left_out" leaves them
            out of the mean. "counted" counts them as 1, because nothing in them can be ranked
            wrongly. "padded" adds to *every* video one normal frame that scores lowest and one
            abnormal frame that scores highest, as several public evaluations do.

    Raises:
        InputError: another word for `one_sided`.
    """
    require_known(one_sided, ONE_SIDED, "one_sided")
    labels, scores = checked_pair(y_true, y_score)
    areas = []
    one_sided_videos = 0
    for name, values in scores.items():
        truth = labels[name]
        one_sided_videos += len(np.unique(truth)) < 2
        if one_sided == "padded":
            truth = np.append(truth, [0, 1])
            values = np.append(values, [values.min(), values.max()])
        if len(np.unique(truth)) == 2:
            areas.append(roc_auc_score(truth, values))
        elif one_sided == "counted":
            areas.append(1.0)
    return MacroAUC(float(np.mean(areas)) if areas else None, one_sided_videos)


def average_precision(y_true: Curves, y_score: Curves) -> float:
    """Compute the mean precision over all recalls, all frames together; random scores reach the
    share of abnormal frames.

    Raises:
        InputError: all frames have one label.
    """
    return float(average_precision_score(*pool(y_true, y_score)))


def equal_error_rate(y_true: Curves, y_score: Curves) -> float:
    """Compute the false-positive rate where it equals the rate of misses (FPR + TPR = 1), by
    linear interpolation between points of the ROC curve.

    Raises:
        InputError: all frames have one label.
    """
    false, true = roc_curve(*pool(y_true, y_score), drop_intermediate=False)[:2]
    return float(np.interp(1.0, false + true, false))  # the sum never falls along the curve


def kind_aucs(y_true: Curves, y_score: Curves, kinds: Kinds) -> dict[str, float]:
    """Compute the AUC of each kind of anomaly against all normal frames: kind -> AUC.

    Args:
        y_true, y_score: labels and scores.
        kinds: the kind of anomaly of each frame.

    Raises:
        InputError: all frames have one label, or `kinds` lacks a video or a frame or contradicts
            the labels.
    """
    truth, pooled = pool(y_true, y_score)
    require_frames(y_score, kinds, "kinds")
    names = np.concatenate([np.asarray(kinds[video], dtype=str) for video in y_score])
    is_consistent = np.array_equal(names != "", truth == 1)
    require(is_consistent, "kinds contradict the labels", "conflict", field="kinds")
    areas = {}
    for kind in np.unique(names[truth == 1]):
        compared = (truth == 0) | (names == kind)
        areas[str(kind)] = float(roc_auc_score(truth[compared], pooled[compared]))
    return areas


def intervals(y_true: np.ndarray) -> list[tuple[int, int]]:
    """Return the runs of ones in labels (T,): (start, end), end exclusive.

    Raises:
        InputError: other values than 0 and 1, or another shape.
    """
    ones = checked(y_true, "", "y_true").astype(np.int8)
    edges = np.flatnonzero(np.diff(ones, prepend=0, append=0)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def frame_edges(seconds: np.ndarray) -> np.ndarray:
    """Return the time at which each frame begins and the last one ends, in seconds: (T,) ->
    (T + 1,). The last frame lasts as long as the one before it.
    """
    return np.append(seconds, 2 * seconds[-1] - seconds[-min(2, len(seconds))])


def require_increasing(seconds: np.ndarray, name: str) -> None:
    """Refuse times (T,) of a video that decrease from one frame to the next."""
    increases = bool((np.diff(seconds) >= 0).all())
    require(increases, f"times of video {name!r} decrease", "out-of-range", field="times")


def alarm_metrics(y_true: Curves, y_score: Curves, times: Curves, threshold: float) -> AlarmMetrics:
    """Count events found and false alarms at one threshold.

    An alarm is a run of frames above it. An event is a run of abnormal frames.

    Args:
        y_true, y_score: labels and scores.
        times: seconds of each frame.
        threshold: frames with a higher score are above it.

    Raises:
        InputError: scores, labels or times that do not belong together, times that decrease, or a
            threshold that is not a number.
    """
    labels, scores = checked_pair(y_true, y_score)
    times = checked_curves(times, "times")
    require_frames(scores, times, "times")
    require(not math.isnan(threshold), "not a number", "out-of-range", field="threshold")
    delays: list[float] = []
    events = false_alarms = 0
    normal_seconds = 0.0
    for name, values in scores.items():
        seconds = times[name]
        require_increasing(seconds, name)
        above = values > threshold
        truth = labels[name]
        normal_seconds += float(np.diff(frame_edges(seconds))[truth == 0].sum())
        for start, end in intervals(above):
            false_alarms += not truth[start:end].any()
        for start, end in intervals(truth):
            events += 1
            reached = seconds[start:end][above[start:end]]
            delays += (reached[:1] - seconds[start]).tolist()
    normal = np.concatenate([scores[name][labels[name] == 0] for name in scores])
    delay = float(np.mean(delays)) if delays else None
    share = float(np.mean(normal > threshold)) if len(normal) else None
    per_hour = false_alarms / normal_seconds * 3600 if normal_seconds else None
    return AlarmMetrics(events, len(delays), delay, false_alarms, share, per_hour)


def found_pixels(score_map: np.ndarray, mask: np.ndarray) -> float:
    """Return the highest threshold that at least 40% of the abnormal pixels reach.

    Ranked with the largest value of each normal frame, where a single pixel is a false alarm, these
    values give the pixel AUC of UCSD.

    Args:
        score_map: (H', W') of any size, stretched over the frame.
        mask: bool (H, W), True is abnormal. Without abnormal pixels, the largest value of all.
    """
    if not mask.any():
        return float(score_map.max())
    y, x = np.nonzero(mask)
    rows = y * score_map.shape[0] // mask.shape[0]
    columns = x * score_map.shape[1] // mask.shape[1]
    descending = np.sort(score_map[rows, columns])[::-1]
    return float(descending[math.ceil(0.4 * len(descending)) - 1])


def bootstrap(
    y_true: Curves, y_score: Curves, base: Curves | None = None, draws: int = 2000, seed: int = 0
) -> Interval | None:
    """Estimate the 95% confidence interval of the micro AUC by resampling videos with replacement.

    Frames of one video are alike, so that resampling frames would give far too narrow an interval.
    Resamples without both labels are left out. With few videos the interval is itself uncertain,
    and too narrow.

    Args:
        y_true, y_score: labels and scores.
        base: other scores of the same videos. With them the interval is that of the difference of
            the AUCs, `y_score` minus `base`, both evaluated on the same resamples, so that
            difficulty that both share cancels.
        draws: the number of resamples.
        seed: of the resampling; every score is evaluated on the same resamples.

    Returns:
        The interval; None with fewer than two videos, or if no resample has both labels.

    Raises:
        InputError: scores, labels or `base` that do not belong together, or no draws.
    """
    require(draws >= 1, f"{draws} draws, not 1 or more", "out-of-range", field="draws")
    labels, scores = checked_pair(y_true, y_score)
    if base is not None:
        base = checked_curves(base, "base")
        require_frames(scores, base, "base")
    videos = len(scores)
    # counts (draws, videos): how often a resample contains each video
    counts = np.random.default_rng(seed).multinomial(videos, np.full(videos, 1 / videos), draws)
    areas = _resampled_areas(labels, scores, counts)
    if base is not None:
        areas = areas - _resampled_areas(labels, base, counts)
    if videos < 2 or len(areas) == 0:
        return None
    return Interval(*np.quantile(areas, [(1 - 0.95) / 2, (1 + 0.95) / 2]).tolist())


def _resampled_areas(labels: Curves, scores: Curves, counts: np.ndarray) -> np.ndarray:
    """Return the micro AUC of each resample that has both labels."""
    abnormal = [np.sort(scores[name][labels[name] == 1]) for name in labels]
    normal = [np.sort(scores[name][labels[name] == 0]) for name in labels]
    # The AUC is the share of pairs of an abnormal and a normal frame that are ranked correctly,
    # where ties count half. The pairs of each two videos are counted once, and serve all resamples.
    correct = np.zeros((len(abnormal), len(normal)))
    for a, n in np.ndindex(correct.shape):
        below = np.searchsorted(normal[n], abnormal[a], "left")
        below_or_equal = np.searchsorted(normal[n], abnormal[a], "right")
        correct[a, n] = (below + below_or_equal).sum() / 2
    pairs = (counts @ list(map(len, abnormal))) * (counts @ list(map(len, normal)))
    ranked = np.einsum("da,an,dn->d", counts, correct, counts)
    return np.asarray(ranked[pairs > 0] / pairs[pairs > 0])
