"""Facts about datasets before any model sees them: which are available, how much moves in them, and
where two ground truths differ.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vadlib.config import WORKING_SIDE
from vadlib.data.catalog import DATASETS, default_root, find_copy, load_videos
from vadlib.data.motion import grey
from vadlib.data.store import resize_frame, target_shape
from vadlib.data.video import Stack, Video
from vadlib.errors import InputError

WIDENING = 5  # frames on either side of an event


def require_labels(video: Video) -> np.ndarray:
    """Return the labels of a video, uint8 (T,).

    Raises:
        InputError: it has none.
    """
    if video.labels is None:
        raise InputError(f"video {video.name}: no labels", "missing-labels", field="video")
    return video.labels


def require_masks(video: Video) -> Stack:
    """Return the masks of a video, bool (T, H, W).

    Raises:
        InputError: it has none.
    """
    if video.masks is None:
        raise InputError(f"video {video.name}: no masks", "missing-labels", field="masks")
    return video.masks


def load_test_videos() -> tuple[dict[str, list[Video]], dict[str, str]]:
    """Load the labelled test videos of every dataset that is available.

    Your own videos ("folder") are left out.

    Returns:
        Dataset -> its videos, with normal and abnormal frames; and dataset -> one line that says
        why it is not among them.

    Raises:
        InputError: `VADLIB_DATA` names no folder.
    """
    root = default_root()
    available: dict[str, list[Video]] = {}
    absent: dict[str, str] = {}
    for name in DATASETS:
        if name == "folder":
            continue
        try:
            videos = load_videos(name, "test", root)
        except InputError as error:  # reported, not hidden: the caller decides whether to fix it
            absent[name] = str(error)
            continue
        labelled = [video for video in videos if video.labels is not None]
        shares = [require_labels(video).mean() for video in labelled]
        if labelled and min(shares) < 1 and max(shares) > 0:
            available[name] = labelled
        else:
            absent[name] = f"{len(videos)} test videos without both normal and abnormal frames"
    return available, absent


def frame_changes(video: Video) -> np.ndarray:
    """Return how much each frame differs from the one before.

    The whole video is read, at a shorter side of at most 240 pixels.

    Returns:
        float64 (T,), the mean absolute difference over all pixels in grey levels. The first frame
        takes the second's value.
    """
    size = target_shape(video.frames.shape, None, WORKING_SIDE)[1:3]
    changes = np.zeros(len(video))
    before = np.zeros(0)
    for t in range(len(video)):
        frame = grey(resize_frame(video.frames[t], size)[None])[0].astype(np.int16)
        if t > 0:
            changes[t] = np.abs(frame - before).mean()
        before = frame
    changes[0] = changes[min(1, t)]
    return changes


def two_ground_truths(instead: Sequence[Video]) -> dict[str, dict[str, np.ndarray]]:
    """Return two ground truths of the same videos: its name -> video -> labels, uint8 (T,).

    They are Avenue's "vol" and "community", of the test clips that have masks. Where no dataset has
    two, they are the labels of `instead`, and the same labels "widened".

    Args:
        instead: labelled videos.
    """
    root = default_root()
    for name, card in DATASETS.items():
        if card.ground_truths:
            try:
                copy = find_copy(name, root)
            except InputError:  # it is not available
                continue
            if len(copy.ground_truths()) > 1:
                return copy.all_labels()
    labels = {video.name: require_labels(video) for video in instead}
    widened = {name: widen_events(truth) for name, truth in labels.items()}
    return {instead[0].ground_truth or "given": labels, "widened": widened}


def widen_events(labels: np.ndarray) -> np.ndarray:
    """Extend each event in labels (T,) by 5 frames on either side; uint8 (T,)."""
    widened = np.convolve(labels, np.ones(2 * WIDENING + 1), "same") > 0
    return widened.astype(np.uint8)
