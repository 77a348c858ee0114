"""Clips: short stacks of frames cut from videos, whole or as windows around what moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from vadlib.config import ClipConfig
from vadlib.data.motion import RollingBlur, motion_windows, moving_pixels
from vadlib.data.store import open_frames, store_frames, stored_shape
from vadlib.data.video import Video
from vadlib.errors import InputError, require

# clip lengths of later frames that a clip can reach: enough to skip with a stride of up to 5
LOOKAHEAD = 4


class Clip(NamedTuple):
    """A clip and what is known about it.

    Attributes:
        tensor: float32 (C, T, H, W) in [-1, 1].
        video: the name of its video.
        start: the number of its first frame in the video.
        lookahead: uint8 (L, H, W, C): the frames after the clip, at its own frame step, as a
            memory-mapped view that costs nothing until read; L may be 0 at a video's end.
        boxes: T arrays (N, 4), x0, y0, x1, y1 in the clip's own pixels (parts may lie outside);
            None where no detector ran.
        corner: (top, left) of the clip's window in the frame.
    """

    tensor: Tensor
    video: str
    start: int
    lookahead: Tensor
    boxes: list[np.ndarray] | None
    corner: tuple[int, int] = (0, 0)


def clip_starts(n_frames: int, length: int, frame_step: int = 1, clip_step: int = 1) -> list[int]:
    """First frames of the training clips of a video: 0, clip_step, 2 clip_step, ... while a whole
    clip fits.

    Empty when no clip fits: (length - 1) * frame_step + 1 frames are needed.
    """
    return list(range(0, n_frames - (length - 1) * frame_step, clip_step))


def scoring_starts(n_frames: int, length: int, frame_step: int = 1) -> list[int]:
    """First frames of half-overlapping clips that together hold every frame of a video, the last
    one too.

    With `frame_step` s the frames are s interleaved videos, each covered on its own; s * length
    frames are needed, else the list is empty.
    """
    if n_frames < length * frame_step:
        return []
    starts = set()
    for phase in range(frame_step):
        frames_in_phase = -(-(n_frames - phase) // frame_step)
        last = frames_in_phase - length
        starts |= {
            phase + frame_step * start for start in [*range(0, last, max(1, length // 2)), last]
        }
    return sorted(starts)


_VALUES = (torch.arange(256) / 127.5 - 1).numpy()


def to_tensor(frames: np.ndarray | Tensor) -> Tensor:
    """uint8 (T, H, W, C) -> float32 (C, T, H, W) in [-1, 1]; 0 becomes -1 and 255 becomes 1."""
    pixels = np.ascontiguousarray(frames)
    # A table makes one pass over the pixels where arithmetic makes three, and reading is all that a
    # stored clip costs.
    values = (
        cv2.LUT(pixels.reshape(len(pixels), -1), _VALUES)
        if pixels.size
        else np.zeros(0, np.float32)
    )
    return torch.from_numpy(values.reshape(pixels.shape)).permute(3, 0, 1, 2)


def to_frames(tensor: Tensor) -> np.ndarray:
    """The inverse of `to_tensor`: float (C, T, H, W) -> uint8 (T, H, W, C); values outside [-1, 1]
    are clamped.
    """
    pixels = tensor.detach().float().cpu().add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(1, 2, 3, 0).numpy()


class ClipDataset(torch.utils.data.Dataset):
    """The training clips of some videos, read from the frame store: `clips[i]` is a `Clip`.

    With `config.crop` there is one clip for each start and each window that holds motion
    (`motion_windows`), so that training spends its time on what moves; without, one for each start.

    Example: a video of 180 frames, length 16 and clip_step 1 gives 165 clips of whole frames.

    Args:
        videos: what `load_videos` returned.
        config: how to cut them.
        boxes: video name -> its T arrays of object boxes in native pixels, as `find_boxes` returns;
            default: the boxes that the dataset itself brings, if any.
        progress: show a bar while frames are decoded and motion is looked for.

    Raises:
        InputError: no videos, a video shorter than a clip, frames smaller than the crop, or nothing
            that moves.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        config: ClipConfig,
        boxes: Mapping[str, Sequence[np.ndarray]] | None = None,
        progress: bool = True,
    ):
        require(len(videos) > 0, "no videos: expected at least one", "too-few", field="videos")
        self.videos, self.config, self.progress = list(videos), config, progress
        self.frames = stored_frames(self.videos, config, progress)
        boxes = (
            boxes if boxes is not None else {v.name: v.boxes for v in videos if v.boxes is not None}
        )
        self.boxes = [
            _scale_boxes(boxes.get(v.name), v, f)
            for v, f in zip(self.videos, self.frames, strict=True)
        ]
        self.index = self._list_clips()  # rows: video, start, top, left

    def __getstate__(self) -> dict:
        # A process that is spawned to read clips maps the same files; NumPy would send it a copy of
        # all frames.
        return self.__dict__ | {"frames": [Path(frames.filename) for frames in self.frames]}

    def __setstate__(self, state: dict) -> None:
        self.__dict__ |= state | {"frames": [open_frames(path) for path in state["frames"]]}

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, i: int) -> Clip:
        return self.clip(i)

    def clip(self, i: int, generator: torch.Generator | None = None) -> Clip:
        """Clip i; with a generator its window is moved by up to a quarter of its size, a different
        way each time.
        """
        video, start, top, left = (int(value) for value in self.index[i])
        height, width = self.frames[video].shape[1:3]
        tall, wide = self.config.crop or (height, width)
        if generator is not None and self.config.crop:
            shift = [
                int(torch.randint(-(side // 4), side // 4 + 1, (1,), generator=generator))
                for side in (tall, wide)
            ]
            top, left = (
                min(max(top + shift[0], 0), height - tall),
                min(max(left + shift[1], 0), width - wide),
            )
        return cut_clip(
            self.frames[video],
            self.videos[video].name,
            start,
            self.config,
            (top, left),
            self.boxes[video],
        )

    def _list_clips(self) -> np.ndarray:
        config, rows = self.config, []
        videos = zip(self.videos, self.frames, strict=True)
        for v, (video, frames) in enumerate(
            tqdm(
                videos,
                "looking for motion",
                len(self.videos),
                disable=not (self.progress and config.crop),
            )
        ):
            starts = clip_starts(len(frames), config.length, config.frame_step, config.clip_step)
            if not starts:
                raise too_short(video, len(frames), (config.length - 1) * config.frame_step + 1)
            if config.crop is None:
                rows += [(v, start, 0, 0) for start in starts]
                continue
            blurred = RollingBlur(frames)
            for start in starts:
                windows = motion_windows(moving_pixels(blurred[_span(start, config)]), config.crop)
                rows += [(v, start, top, left) for top, left in windows]
        if not rows:
            raise InputError(
                f"nothing moves in {len(self.videos)} videos, so no window could be cut; set crop to null to train on whole frames",
                "nothing-to-do",
                field="ClipConfig.crop",
            )
        return np.array(rows, np.int64)


def stored_frames(
    videos: Sequence[Video], config: ClipConfig, progress: bool = True
) -> list[np.ndarray]:
    """Memory-mapped frames of the videos at the config's size, uint8 (T, H, W, C).

    Raises:
        InputError: colour and grey videos are mixed, or frames are smaller than the crop.
    """
    names = [video.name for video in videos]
    message = f"two videos are called {max(names, key=names.count, default='')!r}; expected a name of its own for each"
    require(len(set(names)) == len(names), message, "duplicate-name", field="videos")
    shapes = [
        stored_shape(video, config.size, config.shorter_side, config.channels) for video in videos
    ]
    require(
        len({shape[3] for shape in shapes}) == 1,
        f"grey and colour videos together ({', '.join(names[:3])}, ...); expected one kind: set channels in the data config",
        "conflict",
        field="ClipConfig.channels",
    )
    for video, (_, height, width, _) in zip(videos, shapes, strict=True):
        if config.crop and (config.crop[0] > height or config.crop[1] > width):
            raise InputError(
                f"video {video.name}: frames of {height}x{width}, smaller than the crop of {config.crop[0]}x{config.crop[1]}; "
                "choose a smaller crop in the data config, or null for whole frames",
                "out-of-range",
                field="ClipConfig.crop",
            )
    return store_frames(videos, config.size, progress, config.shorter_side, config.channels)


def cut_clip(
    frames: np.ndarray,
    name: str,
    start: int,
    config: ClipConfig,
    corner: tuple[int, int] = (0, 0),
    boxes: Sequence[np.ndarray] | None = None,
) -> Clip:
    """Cut one clip from a video's stored frames; `corner` is (top, left) of the window, if the
    config has a crop.
    """
    (top, left), (tall, wide) = corner, config.crop or frames.shape[1:3]
    window = frames[:, top : top + tall, left : left + wide]
    span = _span(start, config)
    following = window[span.stop + config.frame_step - 1 :: config.frame_step][
        : LOOKAHEAD * config.length
    ]
    inside = None
    if boxes is not None:
        inside = [found - np.array([left, top, left, top], np.float32) for found in boxes[span]]
        inside = [
            b[(b[:, 0] < wide) & (b[:, 2] > 0) & (b[:, 1] < tall) & (b[:, 3] > 0)] for b in inside
        ]
    return Clip(
        to_tensor(window[span]), name, start, torch.from_numpy(following), inside, (top, left)
    )


def too_short(video: Video, found: int, needed: int) -> InputError:
    """The error for a video that holds no clip."""
    return InputError(
        f"video {video.name}: {found} frames, shorter than a clip of {needed}; "
        "leave it out, or make clips shorter (length or frame_step in the data config)",
        "too-short",
        field="ClipConfig.length",
    )


def _span(start: int, config: ClipConfig) -> slice:
    return slice(start, start + (config.length - 1) * config.frame_step + 1, config.frame_step)


def _scale_boxes(
    boxes: Sequence[np.ndarray] | None, video: Video, frames: np.ndarray
) -> list[np.ndarray] | None:
    if boxes is None:
        return None
    scale = np.array(
        [frames.shape[2] / video.frames.shape[2], frames.shape[1] / video.frames.shape[1]] * 2,
        np.float32,
    )
    return [np.asarray(b, np.float32).reshape(-1, 4) * scale for b in boxes]
