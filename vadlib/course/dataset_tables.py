"""Looking at datasets before any model does: which are here, how much moves in them, and where two
annotators differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vadlib.config import WORKING_SIDE
from vadlib.data.catalog import DATASETS, default_root, find_copy, load_videos
from vadlib.data.motion import grey
from vadlib.data.store import resize_frame, stored_shape
from vadlib.data.video import Video
from vadlib.errors import InputError
from vadlib.files import expand_home

WIDENED = 5  # frames on either side of an event


def load_test_videos(
    root: str | Path | None = None,
) -> tuple[dict[str, list[Video]], dict[str, str]]:
    """The test videos of every dataset that is here: labelled ones, some frames normal and some
    abnormal.

    Args:
        root: see `load_videos`. One's own videos ("folder") are left out.

    Returns:
        Dataset -> its videos, and dataset -> why it is not among them, one line.

    Raises:
        InputError: `VADLIB_DATA` names no folder.
    """
    root = expand_home(root) if root is not None else default_root()
    found, absent = {}, {}
    for name in DATASETS:
        if name == "folder":
            continue
        try:
            videos = load_videos(name, "test", root)
        except InputError as error:  # reported, not hidden: the caller decides whether to fix it
            absent[name] = str(error)
            continue
        kinds = {int(kind) for v in videos if v.labels is not None for kind in np.unique(v.labels)}
        if kinds == {0, 1}:
            found[name] = [v for v in videos if v.labels is not None]
        else:
            absent[name] = (
                f"{len(videos)} test videos, but not both normal and abnormal frames in them; get more of its clips"
            )
    return found, absent


def frame_changes(video: Video) -> np.ndarray:
    """How much each frame differs from the one before: mean absolute difference over all pixels, in
    grey levels, float64 (T,).

    Of frames whose shorter side has at most 240 pixels; the first frame takes the second's value.
    Reads the whole video and keeps nothing.
    """
    size = stored_shape(video, None, WORKING_SIDE)[1:3]
    changes, before = np.zeros(len(video)), None
    for t in range(len(video)):
        frame = grey(resize_frame(video.frames[t], size)[None])[0].astype(np.int16)
        if before is not None:
            changes[t] = np.abs(frame - before).mean()
        before = frame
    if len(changes) > 1:
        changes[0] = changes[1]
    return changes


def two_ground_truths(
    instead: Sequence[Video], root: str | Path | None = None
) -> dict[str, dict[str, np.ndarray]]:
    """Two ground truths of the same videos: what it is called -> video -> labels, uint8 (T,).

    Avenue's "vol" and "community", of the test clips whose masks are there. Where there is no copy
    with both: the labels of `instead`, and the same with each event "widened" by 5 frames on either
    side.

    Args:
        instead: labelled videos.
        root: see `load_videos`.
    """
    folder = expand_home(root) if root is not None else default_root()
    for name, card in DATASETS.items():
        if not card.ground_truths:
            continue
        try:
            copy = find_copy(name, folder)
        except InputError:  # it is not here
            continue
        if len(copy.ground_truths()) > 1:
            return copy.all_labels()
    return {
        instead[0].ground_truth or "given": {v.name: v.labels for v in instead},
        "widened": {v.name: widen_events(v.labels) for v in instead},
    }


def widen_events(labels: np.ndarray) -> np.ndarray:
    """Labels (T,) as a more generous annotator might have drawn them: each event goes on for 5
    frames more on either side; uint8 (T,).
    """
    return (np.convolve(labels, np.ones(2 * WIDENED + 1), "same") > 0).astype(np.uint8)
