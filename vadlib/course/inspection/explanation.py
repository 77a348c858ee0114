"""What the model makes of a clip over the whole picture: reconstructions, errors, memory reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from vadlib.config import CELL
from vadlib.data.clips import stored_frames
from vadlib.data.motion import blur, grey
from vadlib.data.video import Video
from vadlib.errors import require
from vadlib.evaluation.error_maps import read_windows, scoring_windows
from vadlib.model.losses import squared_error
from vadlib.model.memory import entropy
from vadlib.model.network import PathOutput
from vadlib.model.run import Run


class Explanation(NamedTuple):
    """One clip as the normal path sees it, and in `pseudo` as the other path does.

    Places without motion are not reconstructed. There `seen` is False, and all numbers but `frames`
    are NaN.

    Attributes:
        frames: uint8 (T, H, W, C).
        seen: bool (H, W), True where it was reconstructed.
        reconstruction: float32 (T, H, W, C) in [0, 255], by D_n.
        error: float32 (T, H, W), mean squared error over the channels, pixels in [-1, 1].
        entropy: float32 (H / 8, W / 8), mean entropy in nats of M_n's addressing over the clip. It
            is 0 if one slot is read and ln N if all are read alike; NaN without a memory.
        attention: float32 (N, H / 8, W / 8), mean weight of each slot over the clip, in [0, 1];
            sums to 1 over the N slots.
        pseudo: the same of D_p and M_p (of D_n or M_n, where the paths share it); None in itself.
    """

    frames: np.ndarray
    seen: np.ndarray
    reconstruction: np.ndarray
    error: np.ndarray
    entropy: np.ndarray
    attention: np.ndarray
    pseudo: Explanation | None = None

    def fit(self, mask: np.ndarray) -> np.ndarray:
        """Resize a mask of the video's own frames, bool (H, W), to the explained frames' size."""
        size = self.seen.shape[::-1]
        return cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0

    @property
    def usage(self) -> np.ndarray:
        """Share of the memory's attention that each slot received, (N,); all 0 without motion."""
        read = self.attention[:, ~np.isnan(self.entropy)]
        return np.asarray(read.sum(1) / max(read.shape[1], 1))


@torch.inference_mode()
def explain_clip(run: Run, video: Video, start: int) -> Explanation:
    """Reconstruct the clip that begins at frame `start` along both paths, in float32.

    The windows are those of scoring. Where they overlap, their pictures, errors and weights are
    averaged.

    Raises:
        InputError: no whole clip begins there.
    """
    config = run.config.clips
    span = (config.length - 1) * config.frame_step + 1
    last = len(video) - span
    message = f"video {video.name}: no clip begins at frame {start}; expected 0 to {last}"
    require(0 <= start <= last, message, "out-of-range", field="start")
    stored = stored_frames([video], config, progress=False)[0]
    frames = np.asarray(stored[start : start + span : config.frame_step])
    normal = _explain_path(run, frames, "normal")
    return normal._replace(pseudo=_explain_path(run, frames, "pseudo"))


def _explain_path(run: Run, frames: np.ndarray, path: str) -> Explanation:
    config, model = run.config.clips, run.model
    height, width = frames.shape[1:3]
    window = config.crop or (height, width)
    corners = scoring_windows(blur(grey(frames)), config)
    pictures: list[np.ndarray] = []
    reads: list[np.ndarray] = []
    for _, clips in read_windows(frames, corners, window, next(model.parameters()).device):
        output = model(clips, path)
        pictures.extend(_pictures(output, clips))
        reads.extend(_reads(output))
    slots = model.config.slots if model.config.memories else 0
    shape: tuple[int, ...] = (height, width, len(frames), frames.shape[3] + 1)
    picture = _average(pictures, corners, shape)
    shape = (-(-height // CELL), -(-width // CELL), slots + 1)
    # in the cells that hold the centres of the memory's positions: windows may be off their grid
    read = _average(reads, (corners + CELL // 2) // CELL, shape)
    picture, read = np.moveaxis(picture, 2, 0), np.moveaxis(read, 2, 0)
    seen = ~np.isnan(picture[0, ..., 0])
    reconstruction, error = picture[..., :-1], picture[..., -1]
    return Explanation(frames, seen, reconstruction, error, entropy=read[-1], attention=read[:-1])


def _pictures(output: PathOutput, clips: Tensor) -> np.ndarray:
    """Return reconstructed pixels in [0, 255] and their error, (B, h, w, T, C + 1)."""
    pixels = output.reconstruction.add(1).mul(127.5).clamp(0, 255)
    error = squared_error(output.reconstruction, clips).mean(1, keepdim=True)
    return torch.cat([pixels, error], 1).permute(0, 3, 4, 2, 1).cpu().numpy()


def _reads(output: PathOutput) -> np.ndarray:
    """Return the weights of all slots and their entropy, means over time, (B, h', w', N + 1)."""
    weights = output.weights
    spread = weights.new_full(weights.shape[:-1], torch.nan)
    if weights.shape[-1]:
        spread = entropy(weights)
    return torch.cat([weights, spread[..., None]], -1).mean(1).cpu().numpy()


def _average(
    windows: Sequence[np.ndarray], corners: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Average windows (h, w, ...) at their corners (N, 2) in a picture (H, W, ...).

    It is NaN where there is no window. Padding beyond the picture is left out.
    """
    total = np.zeros(shape, np.float32)
    count = np.zeros_like(total)
    for values, (y, x) in zip(windows, corners, strict=True):
        place = np.s_[y : y + values.shape[0], x : x + values.shape[1]]
        rows, columns = total[place].shape[:2]
        total[place] += values[:rows, :columns]
        count[place] += 1
    count[count == 0] = np.nan
    return total / count
