"""Curves (one value per frame, by video) and the checks that every metric applies to them.

Labels: 0 normal, 1 abnormal. Scores: higher is more abnormal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from vadlib.errors import InputError, require

Curves = Mapping[str, np.ndarray]  # video name -> (T,)


def checked_scores(scores: Curves, noun: str = "scores") -> dict[str, np.ndarray]:
    """Return scores as float64 (T,), by video.

    Args:
        scores: video name -> finite numbers (T,), T >= 1; lists, integers and booleans are
            converted.
        noun: their name in messages and `InputError.field`.

    Raises:
        InputError: not a mapping, no videos, or values of another type or shape, or not finite.
    """
    return _checked(scores, noun, checked_numbers)


def checked_pair(
    y_true: Curves, y_score: Curves
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return labels as uint8 and scores as float64, of the same videos in the order of the scores.

    Raises:
        InputError: what `checked_scores` refuses, labels other than 0 and 1, or other videos or
            lengths in `y_true` than in `y_score`.
    """
    scores = checked_scores(y_score)
    labels = _checked(y_true, "labels", checked_zeros_and_ones)
    require_same_frames(scores, labels, "labels")
    return {name: labels[name] for name in scores}, scores


def require_same_frames(
    scores: Curves, others: Mapping[str, Sequence[str] | np.ndarray], noun: str
) -> None:
    """Refuse curves that do not cover the videos and frames of the scores.

    Args:
        scores: video name -> (T,).
        others: must have the same names and lengths.
        noun: the name of `others` in messages and `InputError.field`.

    Raises:
        InputError: a video that one side lacks, or another number of frames; the message names the
            video and both lengths.
    """
    for name in scores:
        absent = f"video {name!r} has scores, but no {noun}; give both"
        require(name in others, absent, "missing-labels", field=noun)
    for name, values in others.items():
        surplus = f"video {name!r} has {noun}, but no scores; give both, or leave it out"
        require(name in scores, surplus, "labels-without-frames", field=noun)
        require_length(values, len(scores[name]), name, noun)


def require_length(values: Sequence[str] | np.ndarray, length: int, name: str, noun: str) -> None:
    """Refuse values of a video that are not one for each of its `length` scores."""
    message = f"video {name!r}: {len(values)} {noun} for {length} scores; expected one per frame"
    require(len(values) == length, message, "label-length", field=noun)


def require_increasing(seconds: np.ndarray, name: str) -> None:
    """Refuse times (T,) of a video that decrease from one frame to the next."""
    early = np.flatnonzero(np.diff(seconds) < 0) + 1
    message = f"times of video {name!r}: frames {early[:5]} are earlier than the ones before them"
    message += "; expected times that never decrease"
    require(len(early) == 0, message, "out-of-range", field="times")


def checked_numbers(values: np.ndarray, subject: str, field: str) -> np.ndarray:
    """Return the values of one video as float64 (T,).

    Args:
        values: finite numbers (T,), T >= 1.
        subject: their name in messages, such as "scores of video '01'".
        field: `InputError.field`.

    Raises:
        InputError: another type or shape, no values, or values that are not finite.
    """
    numbers = _array(values, subject, field).astype(np.float64)
    require(len(numbers) > 0, f"{subject}: no frames; expected one or more", "too-few", field=field)
    others = np.flatnonzero(~np.isfinite(numbers))
    message = f"{subject}: {len(others)} of {len(numbers)} values are not finite, such as those of "
    message += f"the frames {others[:5]}; expected numbers"
    require(len(others) == 0, message, "out-of-range", field=field)
    return numbers


def checked_zeros_and_ones(values: np.ndarray, subject: str, field: str) -> np.ndarray:
    """Return the labels of one video as uint8 (T,); T may be 0. Arguments as of `checked_numbers`.

    Raises:
        InputError: another type or shape, or other values than 0 and 1.
    """
    numbers = _array(values, subject, field)
    others = np.unique(numbers[(numbers != 0) & (numbers != 1)])
    message = f"{subject}: values {others[:5]}; expected 0 (normal) and 1 (abnormal). Convert them"
    message += ", for example with `labels == 255`"
    require(len(others) == 0, message, "label-values", field=field)
    return numbers.astype(np.uint8)


def _checked(
    curves: Curves, noun: str, check: Callable[[np.ndarray, str, str], np.ndarray]
) -> dict[str, np.ndarray]:
    message = f"{noun}: {type(curves).__name__}; expected a dictionary of video name -> values (T,)"
    require(isinstance(curves, Mapping), message, "wrong-type", field=noun)
    require(len(curves) > 0, f"{noun}: no videos; expected one or more", "too-few", field=noun)
    checked = {}
    for name, values in curves.items():
        checked[name] = check(values, f"{noun} of video {name!r}", noun)
    return checked


def _array(values: np.ndarray, subject: str, field: str) -> np.ndarray:
    """Return values as a numeric array (T,)."""
    try:
        array = np.asarray(values)
    # ragged lists; tensors on a GPU or with gradients
    except (ValueError, TypeError, RuntimeError) as error:
        message = f"{subject}: not an array ({error}); expected numbers (T,)"
        raise InputError(message, "wrong-type", field=field) from error
    shape = f"{subject}: shape {array.shape}; expected (T,), one value per frame"
    require(array.ndim == 1, shape, "wrong-shape", field=field)
    numeric = array.dtype.kind in "biuf" and not np.ma.is_masked(values)
    kind = f"{subject}: values of type {array.dtype}, or masked; expected a number per frame"
    require(numeric, kind, "wrong-type", field=field)
    return array
