"""Simple statistics of a dataset's frames, for looking at the data before any model does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vadlib.data.avenue import both_truths, find_avenue
from vadlib.data.catalog import default_root
from vadlib.data.motion import grey
from vadlib.data.store import WORKING_SIDE, store_frames
from vadlib.data.video import Video
from vadlib.errors import InputError

BLOCK = 256  # frames read at a time


def frame_changes(video: Video) -> np.ndarray:
    """How much each frame differs from the one before: mean absolute difference over all pixels, in grey levels, float64 (T,).

    Of frames whose shorter side has at most 240 pixels; the first frame takes the second's value.
    """
    [frames] = store_frames([video], shorter_side=WORKING_SIDE, progress=False)
    changes = np.zeros(len(frames))
    for first in range(1, len(frames), BLOCK):
        block = grey(frames[first - 1 : first + BLOCK]).astype(np.int16)
        changes[first : first + BLOCK] = np.abs(np.diff(block, axis=0)).mean((1, 2))
    changes[:1] = changes[1:2]
    return changes


def two_truths(instead: Sequence[Video], root: str | Path | None = None) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Avenue's two ground truths, "vol" and "community": video -> labels (T,) each, of the test clips whose masks are there.

    Where a copy with both is not there: the labels of `instead`, and the same with each event widened by 5 frames on either side.

    Args:
        instead: labelled videos.
        root: see `load_videos`.
    """
    root = Path(root) if root is not None else default_root()
    try:
        here = len(find_avenue(root).ground_truths) == 2
    except InputError:
        here = False
    if here:
        both = {f"{number:02d}": pair for number, pair in both_truths(root).items()}
    else:
        both = {v.name: (v.labels, (np.convolve(v.labels, np.ones(11), "same") > 0).astype(np.uint8)) for v in instead}
    return {name: pair[0] for name, pair in both.items()}, {name: pair[1] for name, pair in both.items()}
