"""Curves, one value per frame by video, and the checks that every metric makes of them before it
computes.

Labels: 0 normal, 1 abnormal. Scores: higher = more abnormal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vadlib.errors import InputError, require

Curves = Mapping[str, np.ndarray]  # video name -> (T,)


def checked_scores(scores: Curves, what: str = "scores") -> dict[str, np.ndarray]:
    """Return scores as float64 (T,), by video.

    Args:
        scores: video name -> finite numbers (T,), T >= 1; lists, integers and booleans become
            float64.
        what: what messages and `InputError.field` call them.

    Raises:
        InputError: not a mapping, no videos, or values of another type or shape, or not finite.
    """
    _require_videos(scores, what)
    return {
        name: checked_numbers(values, f"{what} of video {name!r}", what)
        for name, values in scores.items()
    }


def checked_labels(labels: Curves, what: str = "labels") -> dict[str, np.ndarray]:
    """Return labels as uint8 (T,), by video.

    Args:
        labels: video name -> 0 and 1 (T,), of any numeric type.
        what: what messages and `InputError.field` call them.

    Raises:
        InputError: not a mapping, no videos, or values of another type or shape, or other than 0
            and 1.
    """
    _require_videos(labels, what)
    return {
        name: checked_zeros_and_ones(values, f"{what} of video {name!r}", what)
        for name, values in labels.items()
    }


def checked_pair(
    labels: Curves, scores: Curves
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return labels as uint8 and scores as float64, of the same videos in the order of the scores.

    Raises:
        InputError: what `checked_scores` and `checked_labels` refuse, or labels that do not belong
            to the scores: see `require_same_frames`.
    """
    scores = checked_scores(scores)
    labels = checked_labels(labels)
    require_same_frames(scores, labels, "labels")
    return {name: labels[name] for name in scores}, scores


def checked_times(times: Curves, scores: Curves) -> dict[str, np.ndarray]:
    """Return the seconds of each frame as float64 (T,), by video.

    Raises:
        InputError: what `checked_scores` refuses, other videos or lengths than those of the scores,
            or times that decrease.
    """
    times = checked_scores(times, "times")
    require_same_frames(scores, times, "times")
    for name, seconds in times.items():
        require_increasing(seconds, f"times of video {name!r}", "times")
    return times


def require_same_frames(scores: Curves, others: Mapping[str, Sequence], what: str) -> None:
    """Refuse curves that do not cover the videos and frames of the scores.

    Args:
        scores: video name -> (T,).
        others: what must have the same names and lengths.
        what: what messages and `InputError.field` call `others`.

    Raises:
        InputError: a video that one side lacks, or another number of frames; the message names the
            video and both lengths.
    """
    for name in scores:
        require(
            name in others,
            f"video {name!r} has scores, but no {what}; give both",
            "missing-labels",
            field=what,
        )
    for name in others:
        require(
            name in scores,
            f"video {name!r} has {what}, but no scores; give both, or leave it out",
            "labels-without-frames",
            field=what,
        )
    for name, values in scores.items():
        require(
            len(others[name]) == len(values),
            f"video {name!r}: {len(others[name])} {what} for {len(values)} scores; expected one of each per frame",
            "label-length",
            field=what,
        )


def require_increasing(seconds: np.ndarray, what: str, field: str) -> None:
    """Refuse times (T,) that decrease from one frame to the next.

    Raises:
        InputError: the message names the first such frame.
    """
    backward = np.flatnonzero(np.diff(seconds) < 0)
    if len(backward):
        frame = int(backward[0]) + 1
        raise InputError(
            f"{what}: frame {frame} is at {seconds[frame]:g} s, before frame {frame - 1} at {seconds[frame - 1]:g} s; "
            "expected times that never decrease",
            "out-of-range",
            field=field,
        )


def checked_numbers(values: np.ndarray, what: str, field: str) -> np.ndarray:
    """Return one video's values as float64 (T,).

    Args:
        values: finite numbers (T,), T >= 1.
        what: what the message calls them.
        field: `InputError.field`.

    Raises:
        InputError: another type or shape, no values, or values that are not finite.
    """
    numbers = _array(values, what, field).astype(np.float64)
    require(len(numbers) > 0, f"{what}: no frames; expected at least one", "too-few", field=field)
    unusable = np.flatnonzero(~np.isfinite(numbers))
    if len(unusable):
        first = int(unusable[0])
        raise InputError(
            f"{what}: frame {first} is {numbers[first]} ({len(unusable)} of {len(numbers)} are not finite); expected finite numbers",
            "out-of-range",
            field=field,
        )
    return numbers


def checked_zeros_and_ones(values: np.ndarray, what: str, field: str) -> np.ndarray:
    """Return one video's labels as uint8 (T,); T may be 0.

    Args:
        values: 0 and 1 (T,), of any numeric type.
        what: what the message calls them.
        field: `InputError.field`.

    Raises:
        InputError: another type or shape, or other values.
    """
    numbers = _array(values, what, field)
    others = np.unique(numbers[(numbers != 0) & (numbers != 1)])
    if len(others):
        listed = ", ".join(str(value) for value in others[:5])
        raise InputError(
            f"{what}: values {listed}; expected 0 (normal) and 1 (abnormal), so convert them, such as `labels == 255`",
            "label-values",
            field=field,
        )
    return numbers.astype(np.uint8)


def _require_videos(curves: Curves, what: str) -> None:
    require(
        isinstance(curves, Mapping),
        f"{what}: {type(curves).__name__}; expected a dictionary of video name -> values (T,), such as {{'01': {what}}}",
        "wrong-type",
        field=what,
    )
    require(len(curves) > 0, f"{what}: no videos; expected at least one", "too-few", field=what)


def _array(values: np.ndarray, what: str, field: str) -> np.ndarray:
    """Return values as a numeric array (T,)."""
    try:
        array = np.asarray(values)
    # ragged lists; tensors on a GPU or with gradients
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{what}: not an array ({error}); expected numbers (T,)", "wrong-type", field=field
        ) from error
    require(
        array.ndim == 1,
        f"{what}: shape {array.shape}; expected (T,), one value per frame",
        "wrong-shape",
        field=field,
    )
    numeric = array.dtype.kind in "biuf"
    require(
        numeric,
        f"{what}: values of type {array.dtype}; expected numbers",
        "wrong-type",
        field=field,
    )
    require(
        not np.ma.is_masked(values),
        f"{what}: masked values; expected a number per frame",
        "wrong-type",
        field=field,
    )
    return array
