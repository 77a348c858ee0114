"""Ways to get a better or a worse number from the same scores, each small enough to be run and
seen. None of them is used by `evaluate`.

`Curves` are dictionaries: video name -> (T,), as in `vadlib.evaluation.metrics`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np

from vadlib.errors import InputError, require, require_known
from vadlib.evaluation.metrics import Curves, micro_auc


def shift_labels(labels: Curves, by: int) -> dict[str, np.ndarray]:
    """Labels that come `by` frames late, or, negative, early; each video's first or last label goes
    on at its end.

    Frame t gets the label of t - by, as where files are counted from 1 and scores from 0.
    """
    return {
        name: truth[np.clip(np.arange(len(truth)) - by, 0, len(truth) - 1)]
        for name, truth in labels.items()
    }


def cut_into_pieces(curves: Curves, length: int) -> dict[str, np.ndarray]:
    """The same frames as more and shorter videos of `length` frames, the last ones shorter:
    "NAME/NUMBER" -> part of the curve.

    As if the camera began a new file more often: a score that a frame has of its own does not
    notice.
    """
    require(
        length >= 1,
        f"pieces of {length} frames; expected at least 1",
        "out-of-range",
        field="length",
    )
    return {
        f"{name}/{i}": curve[start : start + length]
        for name, curve in curves.items()
        for i, start in enumerate(range(0, len(curve), length))
    }


def oracle_gap(
    candidates: Mapping[Hashable, Curves], labels: Curves, default: Hashable
) -> tuple[Hashable, float]:
    """Which candidate has the largest micro AUC on these labels, and by how much it exceeds the
    default's: never less than 0.

    Args:
        candidates: what they are called -> scores; the first of equals is taken.
        labels: of the videos.
        default: the candidate that was chosen without these labels.

    Raises:
        InputError: the default is no candidate, or all frames are of one kind.
    """
    areas = _areas(candidates, labels, default)
    best = max(areas, key=areas.get)
    return best, areas[best] - areas[default]


def split_gains(
    candidates: Mapping[Hashable, Curves],
    labels: Curves,
    default: Hashable,
    splits: int = 50,
    seed: int = 0,
) -> np.ndarray:
    """What choosing on labelled test videos claims to gain, and what the same choice gains on
    videos that it did not see.

    The videos are split into halves at random, again and again. Over the default's micro AUC, the
    candidate that is best on one half gains its *claim* there and its *true* gain on the other
    half; both are means over the two halves, each of which serves once for the choice. No claim is
    below 0, and none below the true gain: a half's own winner is at least as good there as the
    other half's. The halves are each other's rest, so that what is lucky in one is unlucky in the
    other, and the true gain is a cautious one. Both are gains of half as many videos: what choosing
    on all of them claims is `oracle_gap`.

    Args:
        candidates, labels, default: see `oracle_gap`.
        splits: how many; those with a half of one kind of frame only are left out.
        seed: of the splits.

    Returns:
        float64 (N, 2) with N <= splits: claimed and true gain.

    Raises:
        InputError: the default is no candidate, or no split has both kinds of frame in each half.
    """
    generator, gains = np.random.default_rng(seed), []
    for _ in range(splits):
        names = generator.permutation(list(labels))
        halves = [{name: labels[name] for name in half} for half in np.array_split(names, 2)]
        if any(
            len(half) == 0 or len(np.unique(np.concatenate(list(half.values())))) < 2
            for half in halves
        ):
            continue
        areas = [_areas(candidates, half, default) for half in halves]
        winners = [max(area, key=area.get) for area in areas]
        gains.append(
            [
                np.mean([a[w] - a[default] for a, w in zip(areas, order, strict=True)])
                for order in (winners, winners[::-1])
            ]
        )
    if not gains:
        raise InputError(
            f"no split of {len(labels)} videos into halves has normal and abnormal frames in both; expected more videos",
            "too-few",
            field="labels",
        )
    return np.array(gains)


def _areas(
    candidates: Mapping[Hashable, Curves], labels: Curves, default: Hashable
) -> dict[Hashable, float]:
    require_known(default, candidates, "default")
    return {
        key: micro_auc(labels, {name: scores[name] for name in labels})
        for key, scores in candidates.items()
    }
