"""Abnormal windows of test videos, and normal ones that it is fair to compare them with."""

from __future__ import annotations

import cv2
import numpy as np

from vadlib.data.clips import Clip, ClipDataset
from vadlib.errors import require


def paired_windows(
    clips: ClipDataset, most: int = 120, share: float = 0.1
) -> dict[str, list[Clip]]:
    """Abnormal windows, each with normal partners at the same place of the same scene, so that the
    ground is no difference.

    Args:
        clips: of test videos with masks.
        most: abnormal windows to take, evenly over all.
        share: of the pixels of its middle frame, above which a window is abnormal.

    Returns:
        Four lists of one length; normal windows have no abnormal pixel in any frame: "abnormal";
        "normal", at the same places at another time; "normal again", at the same places at yet
        another time, so that what differs between these two is chance; "elsewhere", normal windows
        of any place.

    Raises:
        InputError: a video without masks, or no abnormal window with two partners.
    """
    middle, clean = _abnormal_shares(clips)
    places = [(clips.videos[v].scene, top, left) for v, _, top, left in clips.index.tolist()]
    partners: dict[tuple, list[int]] = {}
    for i in np.flatnonzero(clean):
        partners.setdefault(places[i], []).append(i)
    abnormal = [i for i in np.flatnonzero(middle > share) if len(partners.get(places[i], [])) > 1]
    require(
        len(abnormal) > 0,
        f"no abnormal window with two normal ones at its place, among {len(clips)}; lower clip_step or share",
        "nothing-to-do",
        field="share",
    )
    abnormal = [abnormal[k] for k in _evenly(len(abnormal), min(most, len(abnormal)))]
    found = [partners[places[i]] for i in abnormal]
    chosen = {
        "abnormal": abnormal,
        "normal": [same[n % len(same)] for n, same in enumerate(found)],
        "normal again": [same[(n + len(same) // 2) % len(same)] for n, same in enumerate(found)],
        "elsewhere": np.flatnonzero(clean)[_evenly(int(clean.sum()), len(abnormal))],
    }
    return {name: [clips[int(i)] for i in numbers] for name, numbers in chosen.items()}


def _evenly(length: int, count: int) -> np.ndarray:
    return np.linspace(0, length - 1, count).round().astype(int)


def _abnormal_shares(clips: ClipDataset) -> tuple[np.ndarray, np.ndarray]:
    """(N,) share of abnormal pixels in each window's middle frame, and bool (N,), whether none of
    its frames has any.
    """
    config, before = clips.config, None
    middle, clean = np.zeros(len(clips)), np.ones(len(clips), bool)
    for i, (v, start, top, left) in enumerate(clips.index.tolist()):
        video, (height, width) = clips.videos[v], clips.frames[v].shape[1:3]
        require(
            video.masks is not None,
            f"video {video.name}: no masks, which tell where it is abnormal; use videos with masks",
            "missing-labels",
            field="masks",
        )
        if before != (v, start):  # all windows of one clip follow each other
            before, numbers = (v, start), start + config.frame_step * np.arange(config.length)
            masks = [
                cv2.resize(
                    np.asarray(video.masks[t], np.uint8),
                    (width, height),
                    interpolation=cv2.INTER_NEAREST,
                )
                for t in numbers.tolist()
            ]
            ever = np.any(masks, axis=0)
        tall, wide = config.crop or (height, width)
        area = np.s_[top : top + tall, left : left + wide]
        middle[i], clean[i] = masks[config.length // 2][area].mean(), not ever[area].any()
    return middle, clean
