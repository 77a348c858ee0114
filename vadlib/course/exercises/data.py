"""Keys of the exercises of notebooks 00 to 04: data and pseudo-anomalies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise, permutations

import numpy as np
import torch

from vadlib.course.exercises.key import Key
from vadlib.data.clips import Clip
from vadlib.data.video import Video
from vadlib.pseudo.mixer import PseudoAnomalyMixer

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
        "that is the share of the alarms that are false; divide by the normal frames": normal[
            above
        ].mean()
        if above.any()
        else -1.0,
        "that is the share of the abnormal frames that are found": above[~normal].mean(),
    }
    return Key(
        above[normal].mean(),
        wrong,
        "of the frames with truth 0, which share has a score above the threshold?",
    )


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
        "that is how many; divide by the number of abnormal frames": small[abnormal].sum(),
    }
    return Key(
        small[abnormal].mean(),
        wrong,
        "over all test videos: masks[t].mean() < 0.005, of frames with label 1",
    )


def labels_one_off(videos: Sequence[Video]) -> Key:
    """On how many frames labels that are rolled by one differ from the true ones, over all videos."""
    steps = [
        np.abs(np.diff(np.r_[video.labels[-1], video.labels].astype(int))).sum() for video in videos
    ]
    edges, frames = int(sum(steps)), sum(map(len, videos))
    wrong = {
        "that is the number of events; each has a beginning and an end": edges / 2,
        "a number of frames is asked for, not a share": edges / frames,
        "labels are unsigned numbers, and 0 - 1 is 255 there: compare with != instead of subtracting": sum(
            int(np.abs(np.roll(v.labels, 1) - v.labels).sum()) for v in videos
        ),
        "np.roll(labels, 2) shifts by two frames": sum(
            int((np.roll(v.labels, 2) != v.labels).sum()) for v in videos
        ),
    }
    return Key(
        edges, wrong, "compare np.roll(v.labels, 1) with v.labels, video by video, and add up"
    )


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
    return Key(
        right, wrong, "no two frames that follow each other in the order may be one apart in time"
    )


def skipping_beside_shuffling(
    clip: torch.Tensor, skipped: torch.Tensor, shuffled: torch.Tensor
) -> Key:
    """How many times as much skipping changes the pixels as shuffling does: mean absolute changes."""
    skip, shuffle = skipped - clip, shuffled - clip
    ratio = float(skip.abs().mean() / shuffle.abs().mean())
    wrong = {
        "the other way round: skipping divided by shuffling": 1 / ratio,
        "how many times as much, not by how much more": ratio - 1,
        "divide one mean by the other; do not subtract": float(
            skip.abs().mean() - shuffle.abs().mean()
        ),
        "absolute changes, not squared ones": float(skip.square().mean() / shuffle.square().mean()),
        "take the absolute change before the mean, or what grows and what falls cancel out": float(
            skip.mean() / shuffle.mean()
        ),
    }
    return Key(
        ratio, wrong, "(changed - clip.tensor).abs().mean() of both, one divided by the other"
    )


# 03 Appearance pseudo-anomalies


def noise_in_grey_levels(clip: torch.Tensor) -> Key:
    """Sigma of noise of strength 0.5, in grey levels of 0 to 255."""
    sigma = 0.81 * 0.5 * float(clip.std())
    wrong = {
        "that is in units of the clip, in which the range is 2 wide: from -1 to 1": sigma,
        "that is twice too much: 255 levels are a range of 2, not of 1; and the strength is 0.5": 255
        * sigma,
        "sigma is relative to the clip: multiply by its standard deviation": 127.5 * 0.81 * 0.5,
    }
    return Key(
        127.5 * sigma,
        wrong,
        "0.81 * strength * the clip's deviation; and how many grey levels are 1?",
    )


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
    return Key(
        right,
        wrong,
        "count the clips for which the kind returns None, and divide by the number of clips",
    )


# 04 The laboratory


def mixed_batch() -> Key:
    """The probability that a batch of two with p = 0.01 holds a normal clip and a pseudo-anomalous
    one.
    """
    p = 0.01
    wrong = {
        "the first or the second may be the one that is turned: two ways": p * (1 - p),
        "that is at least one; if both are turned, no normal clip is left": 1 - (1 - p) ** 2,
        "that is the probability that both are turned": p**2,
        "that is the mean number of turned clips; leave out the batches in which both are": 2 * p,
        "that is the probability that none is turned": (1 - p) ** 2,
    }
    return Key(2 * p * (1 - p), wrong, "exactly one of two, and there are two ways")


def seldom_made(clips: Sequence[Clip], kinds: Mapping[str, Callable]) -> Key:
    """The kind that most often cannot be made, when every clip is drawn with its number as the
    seed.

    `kinds`: a name -> what makes a kind of a strength.
    """
    mixer = PseudoAnomalyMixer([kind(1.0) for kind in kinds.values()], p=1.0)
    outcomes = [
        mixer(clips[i], torch.Generator().manual_seed(i)).outcome for i in range(len(clips))
    ]
    counts = mixer.count(outcomes)
    failed = {kind.name: counts[f"not_made_{kind.name}"] for kind in mixer.kinds}
    right = max(failed, key=failed.get)
    others = {
        "skip": "skipping needs frames after the clip: here they are there more often than somebody to paste onto",
        "object": "pasting needs somebody: here that is found more often than frames to skip to",
        "shuffle": "the frames of a clip can always be shuffled",
        "noise": "noise can always be added",
    }
    return Key(
        right,
        {hint: kind for kind, hint in others.items() if kind != right},
        "give the name of one of the mixer's kinds",
    )
