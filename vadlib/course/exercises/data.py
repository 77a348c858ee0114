"""Keys of the exercises of notebooks 00 to 04: data and pseudo-anomalies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import permutations

import numpy as np
import torch

from vadlib.course.dataset_tables import require_labels, require_masks
from vadlib.course.exercises.key import Key
from vadlib.data.clips import Clip
from vadlib.data.video import Video
from vadlib.pseudo.kinds import PseudoAnomaly
from vadlib.pseudo.mixer import PseudoAnomalyMixer

# 00 Quickstart


def auc_by_hand() -> Key:
    """Find the AUC of abnormal frames with scores 0.9 and 0.4, normal ones with 0.5 and 0.1."""
    key = Key(0.75, "in how many of the four pairs does the abnormal frame score higher?")
    key.mistake(3, "an AUC is a share: divide by the number of pairs")
    key.mistake(0.25, "that is the share of the pairs in the wrong order")
    key.mistake(0.5, "compare each abnormal frame with each normal one: that makes four pairs")
    return key


def false_alarm_rate(scores: np.ndarray, truth: np.ndarray, threshold: float) -> Key:
    """Find the share of the normal frames whose score is above the threshold."""
    above = scores > threshold
    normal = truth == 0
    rate = float(above[normal].mean())
    key = Key(rate, "of the frames with truth 0, which share has a score above the threshold?")
    key.mistake(1 - rate, "those are the normal frames that raise no alarm")
    key.mistake(above.mean(), "that is the share of all frames; take the normal ones only")
    key.mistake((above & normal).mean(), "divide by the number of normal frames, not of all")
    if above.any():
        key.mistake(normal[above].mean(), "that is the share of the alarms that are false")
    key.mistake(above[~normal].mean(), "that is the share of the abnormal frames that are found")
    return key


# 01 Datasets


def small_anomalies(videos: Sequence[Video]) -> Key:
    """Find the share of the abnormal frames whose mask covers less than 0.5% of the picture."""
    areas = np.concatenate([require_masks(video)[:].mean((1, 2)) for video in videos])
    abnormal = np.concatenate([require_labels(video) for video in videos]) == 1
    small = areas < 0.005
    share = float(small[abnormal].mean())
    key = Key(share, "over all test videos: masks[t].mean() < 0.005, of frames with label 1")
    key.mistake(1 - share, "those are the larger ones")
    key.mistake(small.mean(), "a normal frame has an empty mask: count abnormal frames only")
    key.mistake((small & abnormal).mean(), "divide by the number of abnormal frames, not of all")
    key.mistake((areas[abnormal] < 0.05).mean(), "half a percent is 0.005")
    key.mistake(small[abnormal].sum(), "that is how many; divide by the number of abnormal frames")
    return key


def labels_one_off(videos: Sequence[Video]) -> Key:
    """Count the frames on which labels that are rolled by one differ from the true ones."""
    frames, by_one = 0, 0
    by_two, by_subtraction = 0, 0
    for video in videos:
        labels = require_labels(video)
        rolled = np.roll(labels, 1)
        frames += len(labels)
        by_one += int((rolled != labels).sum())
        by_two += int((np.roll(labels, 2) != labels).sum())
        by_subtraction += int(np.abs(rolled - labels).sum())
    key = Key(by_one, "compare np.roll(v.labels, 1) with v.labels, video by video, and add up")
    key.mistake(by_one / 2, "that is the number of events; each has a beginning and an end")
    key.mistake(by_one / frames, "a number of frames is asked for, not a share")
    key.mistake(
        by_subtraction,
        "labels are unsigned, and 0 - 1 is 255 there: compare with !=",
    )
    key.mistake(by_two, "np.roll(labels, 2) shifts by two frames")
    return key


# 02 Temporal pseudo-anomalies


def first_start_without_skip() -> Key:
    """Find the first start at which a clip of 16 with stride 2 does not fit into 120 frames."""
    key = Key(90, "the last frame shown is s + 2 * 15; which s makes it 120?")
    key.mistake(89, "from 89 on it shows frames 89, 91, ..., 119, and 119 exists")
    key.mistake(105, "that is for stride 1; with stride 2 the last frame is s + 30")
    key.mistake(120 - 32, "16 frames at distance 2 span 31 frames, not 32")
    return key


def orders_without_neighbours() -> Key:
    """Count the orders of five frames in which no two neighbours stay together."""
    orders = 0
    without, without_rising = 0, 0
    for order in permutations(range(5)):
        steps = np.diff(order)
        orders += 1
        without += int((abs(steps) != 1).all())
        without_rising += int((steps != 1).all())
    key = Key(without, "no two frames that follow each other in the order may be one apart in time")
    key.mistake(orders, "those are all orders")
    key.mistake(orders - without, "those are the orders that do keep neighbours")
    key.mistake(without_rising, "4 and then 3 are neighbours in time, too")
    key.mistake(without / orders, "a share is not asked for, but how many")
    return key


def change_by_skipping(clip: torch.Tensor, skipped: torch.Tensor, shuffled: torch.Tensor) -> Key:
    """Divide the mean absolute change of the pixels by skipping by that by shuffling."""
    skip = skipped - clip
    shuffle = shuffled - clip
    by_skip, by_shuffle = float(skip.abs().mean()), float(shuffle.abs().mean())
    ratio = by_skip / by_shuffle
    key = Key(ratio, "(changed - clip.tensor).abs().mean() of both, one divided by the other")
    key.mistake(1 / ratio, "the other way round: skipping divided by shuffling")
    key.mistake(ratio - 1, "how many times as much, not by how much more")
    key.mistake(by_skip - by_shuffle, "divide one mean by the other; do not subtract")
    squared = skip.square().mean() / shuffle.square().mean()
    key.mistake(squared, "absolute changes, not squared ones")
    key.mistake(
        skip.mean() / shuffle.mean(), "take the absolute change before the mean: changes cancel out"
    )
    return key


# 03 Appearance pseudo-anomalies


def noise_in_grey_levels(clip: torch.Tensor) -> Key:
    """Convert sigma of noise of strength 0.5 to grey levels of 0 to 255."""
    sigma = 0.81 * 0.5 * float(clip.std())
    key = Key(
        127.5 * sigma, "0.81 * strength * the clip's deviation; and how many grey levels are 1?"
    )
    key.mistake(sigma, "that is in units of the clip, in which the range is 2 wide: from -1 to 1")
    key.mistake(255 * sigma, "that is twice too much: 255 levels are a range of 2, not of 1")
    key.mistake(127.5 * 0.81 * 0.5, "sigma is relative to the clip: multiply by its deviation")
    return key


def share_without_object(clips: Sequence[Clip]) -> Key:
    """Find the share of the clips with no box that has its centre in the window at mid-clip."""
    without = 0
    for i in range(len(clips)):
        length = clips[i].tensor.shape[1]
        height, width = clips[i].tensor.shape[2:]
        boxes_of_clip = clips[i].boxes
        assert boxes_of_clip is not None
        boxes = boxes_of_clip[length // 2]
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        inside = ((centres >= 0) & (centres < (width, height))).all(axis=1)
        without += int(not inside.any())
    share = without / len(clips)
    key = Key(
        share, "count the clips for which the kind returns None, and divide by the number of clips"
    )
    key.mistake(1 - share, "those are the clips with someone to paste onto")
    key.mistake(without, "that is how many; a share lies between 0 and 1")
    return key


# 04 The laboratory


def mixed_batch() -> Key:
    """Find the probability of one normal and one pseudo clip in a batch of two with p = 0.01."""
    p = 0.01
    key = Key(2 * p * (1 - p), "exactly one of two, and there are two ways")
    key.mistake(p * (1 - p), "the first or the second may be the one that is turned: two ways")
    key.mistake(1 - (1 - p) ** 2, "that is at least one; if both are turned, none is normal")
    key.mistake(p**2, "that is the probability that both are turned")
    key.mistake(2 * p, "that is the mean number of turned clips; leave out the batches with both")
    key.mistake((1 - p) ** 2, "that is the probability that none is turned")
    return key


def least_possible_kind(
    clips: Sequence[Clip], kinds: Mapping[str, Callable[[float], PseudoAnomaly]]
) -> Key:
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
    key = Key(right, "give the name of one of the mixer's kinds")
    hints = {
        "skip": "skipping needs frames after the clip: here they are there more often than someone "
        "to paste onto",
        "object": "pasting needs someone: here that is found more often than frames to skip to",
        "shuffle": "the frames of a clip can always be shuffled",
        "noise": "noise can always be added",
    }
    for name, hint in hints.items():
        if name != right:
            key.mistake(name, hint)
    return key
