"""What the model makes of one clip: reconstructions, errors and memory reads of both paths, over
the whole picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch

from vadlib.config import CELL
from vadlib.data.clips import stored_frames
from vadlib.data.motion import blur, grey
from vadlib.data.video import Video
from vadlib.errors import require
from vadlib.evaluation.components import plain_error
from vadlib.evaluation.error_maps import read_windows, scoring_windows
from vadlib.model.memory import entropy
from vadlib.model.run import Run


class Explanation(NamedTuple):
    """One clip as one path sees it: the normal path, and in `pseudo` the other one.

    Places without motion are not rebuilt: there `seen` is False, and all numbers but `frames` are
    NaN.

    Attributes:
        frames: uint8 (T, H, W, C).
        seen: bool (H, W), True where it was rebuilt.
        rebuilt: float32 (T, H, W, C) in [0, 255], by D_n.
        error: float32 (T, H, W), mean squared error over the channels, pixels in [-1, 1].
        entropy: float32 (H / 8, W / 8), mean entropy in nats of M_n's addressing over the clip: 0 =
            one slot is read, ln N = all alike; NaN without a memory.
        attention: float32 (N, H / 8, W / 8), mean weight of each slot over the clip, in [0, 1];
            sums to 1 over the N slots.
        pseudo: the same of D_p and M_p (of D_n or M_n, where the paths share it); None in itself.
    """

    frames: np.ndarray
    seen: np.ndarray
    rebuilt: np.ndarray
    error: np.ndarray
    entropy: np.ndarray
    attention: np.ndarray
    pseudo: Explanation | None = None

    def fit(self, mask: np.ndarray) -> np.ndarray:
        """Return a mask of the video's own frames, bool (H, W) of any size, in the size of the
        explained ones.
        """
        height, width = self.seen.shape
        return (
            cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
        )

    @property
    def usage(self) -> np.ndarray:
        """(N,): share of the memory's attention that each slot received; sums to 1 where anything
        moved, else all 0.
        """
        read = self.attention[:, ~np.isnan(self.entropy)]
        return read.sum(1) / max(read.shape[1], 1)


@torch.inference_mode()
def explain_clip(run: Run, video: Video, start: int) -> Explanation:
    """Rebuild the clip that begins at frame `start` along both paths, with the windows that scoring
    uses, in float32.

    Where windows overlap, their pictures, errors and weights are averaged.

    Raises:
        InputError: no whole clip begins there.
    """
    config, model = run.config.clips, run.model
    span = (config.length - 1) * config.frame_step + 1
    require(
        0 <= start <= len(video) - span,
        f"video {video.name}: no clip begins at frame {start}; expected 0 to {len(video) - span}",
        "out-of-range",
        field="start",
    )
    frames = np.asarray(
        stored_frames([video], config, progress=False)[0][start : start + span : config.frame_step]
    )
    window, device = config.crop or frames.shape[1:3], next(model.parameters()).device
    corners = scoring_windows(blur(grey(frames)), config)
    pictures, reads = {"normal": [], "pseudo": []}, {"normal": [], "pseudo": []}
    for _, clips in read_windows(frames, corners, window, device):
        features = model.encode(clips)
        for path in pictures:
            output = model.reconstruct(features, path, clips.shape)
            pixels = output.reconstruction.add(1).mul(127.5).clamp(0, 255)
            errors = plain_error(output.reconstruction.float(), clips)[:, None]
            # (B, h, w, T, C + 1)
            pictures[path].extend(
                torch.cat([pixels, errors], 1).permute(0, 3, 4, 2, 1).cpu().numpy()
            )
            spread = (
                entropy(output.weights)
                if output.weights.shape[-1]
                else torch.full(output.weights.shape[:-1], torch.nan)
            )
            # (B, h', w', N + 1)
            reads[path].extend(
                torch.cat([output.weights, spread[..., None].to(device)], -1).mean(1).cpu().numpy()
            )
    (height, width, channels), slots = (
        frames.shape[1:],
        model.config.slots * bool(model.config.memories),
    )
    pixel_shape, cell_shape = (
        (height, width, len(frames), channels + 1),
        (-(-height // CELL), -(-width // CELL), slots + 1),
    )
    explanation = None
    for path in ("pseudo", "normal"):
        picture = _mean_over_windows(
            pictures[path],
            [(y + np.arange(window[0]), x + np.arange(window[1])) for y, x in corners],
            pixel_shape,
        )
        cells = _mean_over_windows(
            reads[path], [tuple(map(_cells, corner, window)) for corner in corners], cell_shape
        )
        picture, cells, seen = (
            np.moveaxis(picture, 2, 0),
            np.moveaxis(cells, 2, 0),
            ~np.isnan(picture[..., 0, 0]),
        )
        explanation = Explanation(
            frames, seen, picture[..., :-1], picture[..., -1], cells[-1], cells[:-1], explanation
        )
    return explanation


def _cells(first: int, length: int) -> np.ndarray:
    """The cells that hold the centres of the memory's positions in a window that begins at pixel
    `first`: it need not lie on their grid.
    """
    return (first + CELL // 2 + CELL * np.arange(-(-length // CELL))) // CELL


def _mean_over_windows(
    windows: Sequence[np.ndarray],
    places: Sequence[tuple[np.ndarray, np.ndarray]],
    shape: tuple[int, ...],
) -> np.ndarray:
    """Maps of windows (h, w, ...) laid onto rows (h,) and columns (w,) of a picture of `shape` (H,
    W, ...) and averaged; NaN under none.

    Rows and columns beyond the picture, which only padding reaches, are left out.
    """
    total, count = np.zeros(shape, np.float32), np.zeros(shape[:2], np.float32)
    for values, (rows, columns) in zip(windows, places, strict=True):
        rows, columns = rows[rows < shape[0]], columns[columns < shape[1]]
        total[np.ix_(rows, columns)] += values[: len(rows), : len(columns)]
        count[np.ix_(rows, columns)] += 1
    count[count == 0] = np.nan
    return total / count.reshape(*count.shape, *[1] * (len(shape) - 2))
