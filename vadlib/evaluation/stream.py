"""Scores of one video while it is read: memory does not grow with its length, and nothing passes
through the frame store.
"""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from vadlib.config import CELL, ClipConfig
from vadlib.data.clips import too_short
from vadlib.data.store import prepare_frame, resize_frame, stored_shape
from vadlib.data.video import Video
from vadlib.device import pick_device
from vadlib.errors import require
from vadlib.evaluation.calibration import Calibration
from vadlib.evaluation.error_maps import ErrorMaps, cell_errors
from vadlib.model.run import Run

# pixels of the shorter side of the frames that are handed on, at most: some dozens of them are held
SHOWN_SIDE = 480


class ScoredFrame(NamedTuple):
    """One frame and what was made of it.

    Attributes:
        score: the frame's calibrated score.
        map: float64 (H', W'), where it comes from, one value for 8 x 8 pixels of the frame as the
            model sees it; `score` is the largest.
        frame: uint8 (H, W, C), the frame itself, shrunk to a shorter side of `SHOWN_SIDE` if it is
            larger.
    """

    score: float
    map: np.ndarray
    frame: np.ndarray


class PreparedFrames:
    """The frames of a video as a run's data config wants them, uint8 (T, H, W, C), for
    `cell_errors`, which only goes forward.

    Each frame of the video is read once, in order; only the last ones, as many as a clip spans, are
    held. `shown` collects all frames that were read, as they are to be handed on; who uses them
    takes them out.
    """

    def __init__(self, video: Video, config: ClipConfig, channels: int):
        self.source = video.frames
        self.shape = stored_shape(video, config.size, config.shorter_side, channels)
        self.held: deque[np.ndarray] = deque(maxlen=(config.length - 1) * config.frame_step + 1)
        self.shown: deque[np.ndarray] = deque()
        self.shown_size = stored_shape(video, None, SHOWN_SIDE)[1:3]
        self.read = 0

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, picked: slice | Sequence[int]) -> np.ndarray:
        numbers = (
            range(picked.start, picked.stop, picked.step) if isinstance(picked, slice) else picked
        )
        while self.read <= numbers[-1]:
            frame = self.source[self.read]
            self.held.append(prepare_frame(frame, self.shape))
            self.shown.append(resize_frame(frame, self.shown_size))
            self.read += 1
        first = self.read - len(self.held)
        assert numbers[0] >= first, "frames are read forward only"
        return np.stack([self.held[t - first] for t in numbers])


def find_scene(
    calibration: Calibration, config: ClipConfig, video: Video, asked: str | None = None
) -> str:
    """The scene that a video of unknown origin is judged by: the one asked for, else the only one
    that the run knows with frames of that size, since one's own camera most likely is the one that
    the run was trained on. "" if there is none, or if there are several: then the mean over all
    known scenes judges it.

    Raises:
        InputError: the run does not know the scene asked for.
    """
    known = ", ".join(map(repr, calibration.scenes))
    # A terminal may write an accent in another Unicode form than the folder of the videos.
    forms = {unicodedata.normalize("NFC", scene): scene for scene in calibration.scenes}
    if asked is not None and asked not in calibration.scenes:
        asked = forms.get(unicodedata.normalize("NFC", asked), asked)
    require(
        asked is None or asked in calibration.scenes,
        f"scene {asked!r} is unknown to the run; expected one of: {known}",
        "unknown-name",
        field="scene",
    )
    if asked is not None:
        return asked
    cells = tuple(
        -(-side // CELL) for side in stored_shape(video, config.size, config.shorter_side)[1:3]
    )
    key = (calibration.how.window, calibration.how.frames)
    alike = [
        scene
        for scene, statistics in calibration.scenes.items()
        if statistics[key].mean.shape[1:] == cells
    ]
    return alike[0] if len(alike) == 1 else ""


def stream_scores(
    run: Run, calibration: Calibration, video: Video, scene: str, device: str = "auto"
) -> Iterator[ScoredFrame]:
    """Score a video frame by frame while it is read, as `evaluate` does with the whole: to float
    precision the scores are the same.

    A frame's score looks ahead to the end of the clips that hold it, and half a clip further; so it
    comes some dozens of frames late.

    Args:
        run: its model, which moves to the device.
        calibration: the run's.
        video: read once, in order. Unlike in `evaluate`, colour becomes grey for a model of grey
            frames.
        scene: that it is judged by; see `find_scene`.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        InputError: at once, if the video is shorter than a clip, or its frames are smaller than the
            windows that the model sees; later, if a frame cannot be read.
    """
    config, target = run.config.clips, pick_device(device)
    frames = PreparedFrames(video, config, run.model.config.channels)
    if len(frames) < config.length * config.frame_step:
        raise too_short(video, len(frames), config.length * config.frame_step)
    size, least = frames.shape[1:3], config.crop or (1, 1)
    fits = size[0] >= least[0] and size[1] >= least[1]
    what = (
        f"frames of {size[0]}x{size[1]}, smaller than this run's windows of {least[0]}x{least[1]}"
    )
    require(
        fits,
        f"video {video.name}: {what}; record larger frames, or train a run with a smaller crop",
        "wrong-shape",
        field="ClipConfig.crop",
    )
    precision, both_paths = (
        run.config.training.precision,
        calibration.how.contrast > 0,
    )
    errors = cell_errors(
        run.model.to(target).eval(), frames, config, target, precision, both_paths=both_paths
    )
    return _score(errors, frames, calibration, scene)


def _score(
    errors: Iterator[tuple[int, np.ndarray]],
    frames: PreparedFrames,
    calibration: Calibration,
    scene: str,
) -> Iterator[ScoredFrame]:
    # Errors are averaged over `how.frames` frames around each: so many before and after the frames
    # to score are held with them.
    how, done, first = calibration.how, 0, 0
    held = None  # float16, as in ErrorMaps: (3, T', H', W'), of the frames from `first` on
    for _, new in errors:
        new = new.astype(np.float16)
        held = new if held is None else np.concatenate([held, new], axis=1)
        known = first + held.shape[1]
        ready = known if known == len(frames) else max(done, known - how.frames)
        if ready > done:
            for score_map in calibration.score_map(ErrorMaps(*held), scene, how, how.window)[
                done - first : ready - first
            ]:
                yield ScoredFrame(float(score_map.max()), score_map, frames.shown.popleft())
        done = ready
        drop = max(0, done - how.frames - first)
        held, first = held[:, drop:], first + drop
