"""Ways to get a better or a worse number from the same scores. `evaluate` uses none of them.

`Curves` are dictionaries: video name -> (T,).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from vadlib.errors import require, require_known
from vadlib.evaluation.metrics import micro_auc

Curves = Mapping[str, np.ndarray]
Name = TypeVar("Name", bound=object)


def shift_labels(labels: Curves, by: int) -> dict[str, np.ndarray]:
    """Shift labels so that they come `by` frames late, or early if `by` is negative.

    Frame t gets the label of t - by, as where files are counted from 1 and scores from 0. Each
    video's first or last label continues at its end.
    """
    shifted = {}
    for name, truth in labels.items():
        frames = np.clip(np.arange(len(truth)) - by, 0, len(truth) - 1)
        shifted[name] = truth[frames]
    return shifted


def cut_into_pieces(curves: Curves, length: int) -> dict[str, np.ndarray]:
    """Cut curves into pieces of `length` frames, as if the camera began a new file more often.

    Returns:
        "NAME/NUMBER" -> part of the curve; each video's last piece may be shorter.
    """
    message = f"pieces of {length} frames; expected at least 1"
    require(length >= 1, message, "out-of-range", field="length")
    pieces = {}
    for name, curve in curves.items():
        for number, start in enumerate(range(0, len(curve), length)):
            pieces[f"{name}/{number}"] = curve[start : start + length]
    return pieces


def oracle_gap(
    candidates: Mapping[Name, Curves], labels: Curves, default: Name
) -> tuple[Name, float]:
    """Find the candidate with the largest micro AUC on these labels.

    Args:
        candidates: a name -> scores; the first of equals is taken.
        labels: of the videos.
        default: the candidate that was chosen without these labels.

    Returns:
        Its name, and by how much its AUC exceeds the default's (at least 0).

    Raises:
        InputError: the default is not a candidate, or all frames are of one kind.
    """
    areas = _areas(candidates, labels, default)
    best = max(areas, key=lambda candidate: areas[candidate])
    return best, areas[best] - areas[default]


def split_gains(
    candidates: Mapping[Name, Curves],
    labels: Curves,
    default: Name,
    splits: int = 50,
    seed: int = 0,
) -> np.ndarray:
    """Compare what choosing a candidate on labelled test videos claims to gain with what the same
    choice gains on other videos.

    Each split divides the videos into halves at random. The candidate that is best on one half has
    a *claimed* gain over the default's micro AUC on that half, and a *true* gain on the other half.
    Both are means over the two halves, each of which serves once for the choice. A claim is at
    least 0, and at least the true gain. What is lucky in one half is unlucky in the other, so the
    true gain is a cautious one.

    Args:
        candidates, labels, default: see `oracle_gap`.
        splits: how many; those with a half of one kind of frame only are left out.
        seed: of the splits.

    Returns:
        float64 (N, 2) with N <= splits: claimed and true gain.

    Raises:
        InputError: the default is not a candidate, or no split has both kinds of frame in each
            half.
    """
    generator = np.random.default_rng(seed)
    gains = []
    for _ in range(splits):
        halves = []
        for half in np.array_split(generator.permutation(list(labels)), 2):
            truth = {name: labels[name] for name in half}
            if half.size and len(np.unique(np.concatenate(list(truth.values())))) == 2:
                halves.append(_areas(candidates, truth, default))
        if len(halves) == 2:
            gain = [0.0, 0.0]
            for here, there in (halves, halves[::-1]):
                best = max(here, key=lambda candidate: here[candidate])
                gain[0] += (here[best] - here[default]) / 2
                gain[1] += (there[best] - there[default]) / 2
            gains.append(gain)
    message = "no half of the videos has both kinds of frame; expected more videos"
    require(len(gains) > 0, message, "too-few", field="labels")
    return np.array(gains)


def _areas(candidates: Mapping[Name, Curves], labels: Curves, default: Name) -> dict[Name, float]:
    require_known(default, candidates, "default")
    areas = {}
    for candidate, scores in candidates.items():
        areas[candidate] = micro_auc(labels, {name: scores[name] for name in labels})
    return areas
