"""Score a video while it is read: memory does not grow with its length, and nothing passes through
the frame store.
"""

import math
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from vadlib.config import CELL, ClipConfig
from vadlib.data.clips import too_short
from vadlib.data.layout import nfc
from vadlib.data.store import prepare_frame, resize_frame, stored_shape
from vadlib.data.video import Video
from vadlib.device import pick_device
from vadlib.errors import require, require_known
from vadlib.evaluation.calibration import Calibration
from vadlib.evaluation.error_maps import cell_errors
from vadlib.evaluation.scores import needed_errors
from vadlib.model.run import Run

# pixels of the shorter side of the frames that are passed on, at most: some dozens of them are held
SHOWN_SIDE = 480


class ScoredFrame(NamedTuple):
    """One frame and its score.

    Attributes:
        score: the frame's calibrated score.
        map: float64 (H', W'), the places that the score comes from, one value for 8 x 8 pixels of
            the frame as the model sees it; `score` is the largest, unless the run's score is
            smoothed or mixed with that of the whole frame.
        frame: uint8 (H, W, C), the frame itself, shrunk to a shorter side of `SHOWN_SIDE` if it is
            larger.
    """

    score: float
    map: np.ndarray
    frame: np.ndarray


class PreparedFrames:
    """The frames of a video as a run's clip config wants them, uint8 (T, H, W, C), for
    `cell_errors`, which only goes forward.

    Each frame of the video is read once, in order. Only those of one clip are held. `passed_on`
    collects all frames that were read, as they are passed on; the user removes them.
    """

    def __init__(self, video: Video, config: ClipConfig, channels: int):
        self.source = video.frames
        self.shape = stored_shape(video, config.size, config.shorter_side, channels)
        self.passed_on_size = stored_shape(video, None, SHOWN_SIDE)[1:3]
        self.held: deque[np.ndarray] = deque(maxlen=(config.length - 1) * config.frame_step + 1)
        self.passed_on: deque[np.ndarray] = deque()
        self.read = 0

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, picked: slice | list[int]) -> np.ndarray:
        numbers = range(len(self))[picked] if isinstance(picked, slice) else picked
        while self.read <= numbers[-1]:
            frame = self.source[self.read]
            self.held.append(prepare_frame(frame, self.shape))
            self.passed_on.append(resize_frame(frame, self.passed_on_size))
            self.read += 1
        first = self.read - len(self.held)
        return np.stack([self.held[t - first] for t in numbers])


def find_scene(
    calibration: Calibration, config: ClipConfig, video: Video, scene: str | None = None
) -> str:
    """Return the scene that a video of unknown origin is judged by.

    It is the one asked for, else the only scene that the run knows with frames of that size,
    because your own camera most likely is the one that the run was trained on. If there is none, or
    if there are several, it is "", and the mean over all known scenes judges the video.

    Raises:
        InputError: the run does not know the scene asked for.
    """
    if scene is not None:
        require_known(nfc(scene), calibration.scenes, "scene")  # terminals may write NFD
        return nfc(scene)
    height, width = stored_shape(video, config.size, config.shorter_side)[1:3]
    cells = (-(-height // CELL), -(-width // CELL))
    same_size = []
    for name, moments in calibration.scenes.items():
        if moments["plain", CELL, 1].mean.shape == cells:
            same_size.append(name)
    return same_size[0] if len(same_size) == 1 else ""


def stream_scores(
    run: Run, calibration: Calibration, video: Video, scene: str, device: str = "auto"
) -> Iterator[ScoredFrame]:
    """Score a video frame by frame while it is read. Up to rounding the scores are those of
    `evaluate`.

    A frame's score depends on the frames up to the end of the clips that hold it, and half a clip
    further, so it comes some dozens of frames late.

    Args:
        run: its model, which moves to the device.
        calibration: the run's.
        video: read once, in order. Unlike in `evaluate`, colour becomes grey for a model of grey
            frames.
        scene: the scene that judges it; see `find_scene`.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        InputError: at once, if the video is shorter than a clip, or its frames are smaller than the
            windows that the model sees; later, if a frame cannot be read.
    """
    config = run.config.clips
    score_config = calibration.score_config
    target = pick_device(device)
    frames = PreparedFrames(video, config, run.model.config.channels)
    if len(frames) < config.length * config.frame_step:
        raise too_short(video, len(frames), config.length * config.frame_step)
    height, width = frames.shape[1:3]
    tall, wide = config.crop or (1, 1)
    fits = height >= tall and width >= wide
    message = f"video {video.name}: {height}x{width}, smaller than the crop"
    require(fits, message, "wrong-shape", field="ClipConfig.crop")
    errors = needed_errors(score_config.shares)
    model = run.model.to(target).eval()
    parts = cell_errors(model, frames, config, target, errors, run.config.training.precision)
    # averages and smoothing use at most so many frames before and after each
    reach = score_config.frames + math.ceil(4 * score_config.smoothing)

    def scored_frames() -> Iterator[ScoredFrame]:
        scored = first = 0  # frames that were passed on, and the first one whose errors are held
        held = np.zeros((len(errors), 0, -(-height // CELL), -(-width // CELL)), np.float16)
        for part in parts:
            held = np.concatenate([held, part.astype(np.float16)], axis=1)  # as stored maps are
            end = first + held.shape[1]
            ready = end if end == len(frames) else max(scored, end - reach)
            maps = dict(zip(errors, held, strict=True))
            scores = calibration.score(maps, scene, score_config)
            score_maps = calibration.score_map(maps, scene, score_config)
            for t in range(scored - first, ready - first):
                yield ScoredFrame(float(scores[t]), score_maps[t], frames.passed_on.popleft())
            scored = ready
            surplus = max(0, scored - reach - first)
            held = held[:, surplus:]
            first += surplus

    return scored_frames()
