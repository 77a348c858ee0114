"""What the model makes of one clip: reconstruction, errors and memory reads, over the whole picture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from vadlib.config import require
from vadlib.data.clips import stored_frames
from vadlib.data.motion import blur, grey
from vadlib.data.video import Video
from vadlib.evaluation.errors import CELL, clip_errors, read_windows, scoring_windows
from vadlib.model.memory import entropy
from vadlib.model.run import Run


class Explanation(NamedTuple):
    """One clip as the model sees it. Places without motion are not rebuilt: there `seen` is False and the rest is 0.

    Attributes:
        frames: uint8 (T, H, W, C).
        rebuilt: float32 (T, H, W, C) in [0, 255], by D_n.
        error: float32 (T, H, W), mean squared error over the channels, pixels in [-1, 1].
        seen: bool (H, W).
        entropy: float32 (H / 8, W / 8), mean entropy in nats of M_n's addressing over the clip; high = no slot fits.
        usage: float64 (N,), share of M_n's attention that each slot received; sums to 1 where anything moved.
    """

    frames: np.ndarray
    rebuilt: np.ndarray
    error: np.ndarray
    seen: np.ndarray
    entropy: np.ndarray
    usage: np.ndarray


@torch.inference_mode()
def explain_clip(run: Run, video: Video, start: int) -> Explanation:
    """Rebuild the clip that begins at frame `start`, with the windows that scoring uses, in float32.

    Raises:
        InputError: no whole clip begins there.
    """
    config = run.data
    span = (config.length - 1) * config.frame_step + 1
    require(0 <= start <= len(video) - span, f"video {video.name}: no clip begins at frame {start}; expected 0 to {len(video) - span}")
    frames = stored_frames([video], config, progress=False)[0][start : start + span : config.frame_step]
    (length, height, width, channels), window = frames.shape, config.crop or frames.shape[1:3]
    device = next(run.model.parameters()).device
    rebuilt, error = np.zeros((length, height, width, channels), np.float32), np.zeros((length, height, width), np.float32)
    count, cells = np.zeros((height, width), np.float32), np.zeros((2, -(-height // CELL), -(-width // CELL)), np.float32)
    usage = np.zeros(run.model.config.slots)
    for corners, clips in read_windows(frames, scoring_windows(blur(grey(frames)), config), window):
        output = run.model(clips.to(device))
        pixels = output.reconstruction.add(1).mul(127.5).clamp(0, 255).movedim(1, -1).cpu().numpy()
        errors = clip_errors(output.reconstruction, clips.to(device))[:, 0].cpu().numpy()
        usage += output.weights.sum((0, 1, 2, 3)).cpu().numpy()
        for (y, x), picture, wrong, spread in zip(corners, pixels, errors, entropy(output.weights).mean(1).cpu().numpy(), strict=True):
            area = np.s_[y : y + window[0], x : x + window[1]]
            rebuilt[(slice(None), *area)] += picture
            error[(slice(None), *area)] += wrong
            count[area] += 1
            # A window's corner need not lie on the grid of cells; its positions go to the cells that hold their centres.
            rows, columns = ((np.arange(n) * CELL + CELL // 2 + first) // CELL for n, first in zip(spread.shape, (y, x), strict=True))
            inside = np.ix_(rows[rows < cells.shape[1]], columns[columns < cells.shape[2]])
            cells[0][inside] += spread[: len(inside[0]), : inside[1].size]
            cells[1][inside] += 1
    divisor = np.maximum(count, 1)
    return Explanation(
        np.asarray(frames),
        rebuilt / divisor[..., None],
        error / divisor,
        count > 0,
        cells[0] / np.maximum(cells[1], 1),
        usage / max(usage.sum(), 1e-12),
    )
