"""Find the moving people of a dataset once, and keep their boxes in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from tqdm.auto import tqdm

from vadlib.config import require
from vadlib.data.motion import foreground_components, grey, scene_background
from vadlib.data.store import WORKING_SIDE, keep_arrays, store_frames
from vadlib.data.video import Video


class Detector(Protocol):
    """Finds objects in the stored frames of the videos of one scene."""

    def identity(self) -> list:
        """JSON-able description; detectors with the same identity find the same boxes."""

    def detect(self, videos: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """uint8 (T, H, W, C) each -> for each video T arrays (N, 4) float32: x0, y0, x1, y1 in pixels."""


class MotionDetector:
    """Background subtraction for fixed cameras: what differs from the scene's median frame. Needs nothing, works offline."""

    def identity(self) -> list:
        return ["motion", 1]

    def detect(self, videos: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        empty = scene_background(videos)
        return [[foreground_components(grey(frame[None])[0], empty)[0] for frame in v] for v in videos]


def find_boxes(videos: Sequence[Video], detector: str | Detector = "motion", progress: bool = True) -> dict[str, list[np.ndarray]]:
    """Object boxes of every frame, by video name; found once and then read from the cache.

    Args:
        videos: all videos of the set; those of one scene share a background.
        detector: "motion", "boxes" (the dataset's own), or an object with `identity` and `detect`.
        progress: show a bar.

    Returns:
        video name -> T arrays (N, 4) float32: x0, y0, x1, y1 in native pixels, ends exclusive.

    Raises:
        InputError: an unknown detector, or "boxes" where the dataset brings none.
    """
    if detector == "boxes":
        for video in videos:
            require(video.boxes is not None, f"video {video.name}: the dataset brings no boxes; use the detector 'motion'")
        return {video.name: list(video.boxes) for video in videos}
    if isinstance(detector, str):
        require(detector == "motion", f"detector {detector!r} is unknown; expected 'motion' or 'boxes'")
        detector = MotionDetector()
    found = {}
    scenes = {video.scene: [v for v in videos if v.scene == video.scene] for video in videos}
    for members in tqdm(scenes.values(), "finding objects once", unit="scene", disable=not progress or len(scenes) < 2):
        found |= _scene_boxes(members, detector, progress)
    return found


def _scene_boxes(videos: Sequence[Video], detector: Detector, progress: bool) -> dict[str, list[np.ndarray]]:
    identity = [detector.identity(), WORKING_SIDE, [[v.name, v.frames.identity()] for v in videos]]

    def detect() -> dict[str, np.ndarray]:
        arrays, stored = {}, store_frames(videos, progress=progress, shorter_side=WORKING_SIDE)
        for i, (video, frames, found) in enumerate(zip(videos, stored, detector.detect(stored), strict=True)):
            to_native = np.array([video.frames.shape[2] / frames.shape[2], video.frames.shape[1] / frames.shape[1]] * 2, np.float32)
            arrays |= {f"box_{i}": np.concatenate(found) * to_native, f"count_{i}": np.array([len(frame) for frame in found])}
        return arrays

    stored = keep_arrays("boxes", hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32], detect)
    return {v.name: np.split(stored[f"box_{i}"], np.cumsum(stored[f"count_{i}"])[:-1]) for i, v in enumerate(videos)}
