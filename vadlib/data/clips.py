"""Clips: short stacks of frames cut from videos, whole or as windows around what moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from vadlib.config import ClipConfig
from vadlib.data.motion import RollingBlur, motion_windows, moving_pixels
from vadlib.data.store import Videos, open_frames, store_frames, target_shape
from vadlib.data.video import Video, header_shape
from vadlib.errors import InputError, require

# clip lengths of later frames that a clip can reach: enough to skip with a stride of up to 5
LOOKAHEAD = 4
Boxes = Mapping[str, Sequence[np.ndarray]] | None


class Clip(NamedTuple):
    """A clip, and its place in its video.

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
    """Return the first frames of the training clips of a video: 0, clip_step, 2 clip_step, ...
    while a whole clip fits.

    Empty when no clip fits: (length - 1) * frame_step + 1 frames are needed.
    """
    return list(range(0, n_frames - (length - 1) * frame_step, clip_step))


def scoring_starts(n_frames: int, length: int, frame_step: int = 1) -> list[int]:
    """Return the first frames of half-overlapping clips that together hold every frame of a video.

    With `frame_step` s the frames are s interleaved videos, each covered on its own; s * length
    frames are needed, else the list is empty.
    """
    starts = []
    for phase in range(frame_step if n_frames >= length * frame_step else 0):
        last = -(-(n_frames - phase) // frame_step) - length
        for start in {*range(0, last, max(1, length // 2)), last}:
            starts.append(phase + frame_step * start)
    return sorted(starts)


def to_tensor(frames: np.ndarray | Tensor) -> Tensor:
    """Return float32 (C, T, H, W) in [-1, 1] of uint8 (T, H, W, C): 0 becomes -1, 255 becomes 1."""
    return torch.tensor(np.ascontiguousarray(frames)).permute(3, 0, 1, 2).div(127.5).sub_(1)


def to_frames(tensor: Tensor) -> np.ndarray:
    """Invert `to_tensor`: float (C, T, H, W) -> uint8 (T, H, W, C); other values are clamped."""
    pixels = tensor.detach().float().cpu().add(1.0).mul(127.5).round().clamp(0, 255)
    return np.asarray(pixels.to(torch.uint8).permute(1, 2, 3, 0))


class ClipDataset(torch.utils.data.Dataset[Clip]):
    """The training clips of some videos, read from the frame store: `clips[i]` is a `Clip`.

    With `config.crop` there is one clip for each start and each window that holds motion
    (`motion_windows`), so that training spends its time on moving things; without, one for each
    start.

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
        self, videos: Videos, config: ClipConfig, boxes: Boxes = None, progress: bool = True
    ):
        require(len(videos) > 0, "no videos: expected at least one", "too-few", field="videos")
        self.videos, self.config = list(videos), config
        self.frames = stored_frames(self.videos, config, progress)
        self.boxes = []  # of each video, in pixels of the stored frames
        for video, frames in zip(self.videos, self.frames, strict=True):
            own = video.boxes if boxes is None else boxes.get(video.name)
            if own is not None:
                scale = np.tile(np.divide(frames.shape[2:0:-1], video.frames.shape[2:0:-1]), 2)
                own = [np.float32(near).reshape(-1, 4) * np.float32(scale) for near in own]
            self.boxes.append(own)
        self.index = self._list_clips(progress)  # rows: video, start, top, left

    def __getstate__(self) -> dict[str, object]:
        # A process that is spawned to read clips maps the same files; NumPy would send it a copy of
        # all frames.
        files = [f.filename for f in self.frames if isinstance(f, np.memmap)]
        return self.__dict__ | {"frames": files}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state | {"frames": list(map(open_frames, state["frames"]))}

    def __len__(self) -> int:
        return len(self.index)

    def clip(self, i: int, generator: torch.Generator | None = None) -> Clip:
        """Return clip i; a generator moves its window by up to a quarter of its size, a different
        way each time.
        """
        (v, start), corner = self.index[i, :2].tolist(), self.index[i, 2:].tolist()
        frames, boxes = self.frames[v], self.boxes[v]
        tall, wide = self.config.crop or frames.shape[1:3]
        if generator is not None and self.config.crop:
            for axis, side in enumerate((tall, wide)):
                shift = int(torch.randint(-(side // 4), side // 4 + 1, (1,), generator=generator))
                corner[axis] = min(max(corner[axis] + shift, 0), frames.shape[1 + axis] - side)
        y, x = corner
        window, span = frames[:, y : y + tall, x : x + wide], _span(start, self.config)
        after = window[span.stop + span.step - 1 :: span.step][: LOOKAHEAD * self.config.length]
        inside = None
        if boxes is not None:
            inside = []
            for shifted in [near - np.array([x, y, x, y], np.float32) for near in boxes[span]]:
                begins, ends = shifted[:, :2] < (wide, tall), shifted[:, 2:] > 0
                inside.append(shifted[(begins & ends).all(1)])
        name, tensor = self.videos[v].name, to_tensor(window[span])
        return Clip(tensor, name, start, torch.from_numpy(after), inside, (y, x))

    __getitem__ = clip

    def _list_clips(self, progress: bool) -> np.ndarray:
        config, rows = self.config, []
        looks = progress and config.crop is not None
        for v, frames in enumerate(tqdm(self.frames, "looking for motion", disable=not looks)):
            starts = clip_starts(len(frames), config.length, config.frame_step, config.clip_step)
            if not starts:
                raise too_short(self.videos[v], len(frames), _span(0, config).stop)
            blurred = RollingBlur(frames)
            for start in starts:
                corners = np.zeros((1, 2), np.int64)
                if config.crop is not None:
                    moving = moving_pixels(blurred[_span(start, config)])
                    corners = motion_windows(moving, config.crop)
                rows += [(v, start, *corner) for corner in corners]
        message = "nothing moves, so no window could be cut; set crop to null for whole frames"
        require(len(rows) > 0, message, "nothing-to-do", field="ClipConfig.crop")
        return np.array(rows, np.int64)


def stored_frames(videos: Videos, config: ClipConfig, progress: bool = True) -> list[np.ndarray]:
    """Return memory-mapped frames of the videos at the config's size, uint8 (T, H, W, C).

    Raises:
        InputError: two videos have one name, colour and grey ones are mixed, or frames are smaller
            than the crop.
    """
    names = [video.name for video in videos]
    message = f"two videos are called {max(names, key=names.count, default='')!r}; rename one"
    require(len(set(names)) == len(names), message, "duplicate-name", field="videos")
    channels, crop = set(), config.crop or (1, 1)
    for video in videos:
        native = header_shape(video.frames)
        shape = target_shape(native, config.size, config.shorter_side, config.channels)
        channels.add(shape[3])
        sizes = f"frames of {shape[1]}x{shape[2]} are smaller than the crop of {crop[0]}x{crop[1]}"
        fits = crop[0] <= shape[1] and crop[1] <= shape[2]
        require(fits, f"video {video.name}: {sizes}", "out-of-range", field="ClipConfig.crop")
    message = "grey and colour videos together; set channels to 1 or 3"
    require(len(channels) == 1, message, "conflict", field="ClipConfig.channels")
    return store_frames(videos, config.size, progress, config.shorter_side, config.channels)


def too_short(video: Video, count: int, needed: int) -> InputError:
    """Return the error for a video that holds no clip."""
    message = f"video {video.name}: {count} frames, shorter than a clip of {needed}; leave it out"
    return InputError(message, "too-short", field="ClipConfig.length")


def _span(start: int, config: ClipConfig) -> slice:
    return slice(start, start + (config.length - 1) * config.frame_step + 1, config.frame_step)
