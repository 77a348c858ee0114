"""Reconstruction errors of every frame, as maps over the picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from vadlib.config import CELL, ClipConfig
from vadlib.data.clips import scoring_starts, to_tensor
from vadlib.data.motion import RollingBlur, motion_windows, moving_pixels
from vadlib.device import autocast, pick_precision
from vadlib.errors import require_known
from vadlib.model.network import DualPathAutoencoder

PROTOCOLS = ("all", "center")
CPU_BATCH, GPU_BATCH = 16, 64  # windows in one pass; more do not make a CPU faster, but take memory


class ErrorMaps(NamedTuple):
    """Errors of one video, as means over cells of 8 x 8 pixels; 0 where nothing moved, so nothing
    was rebuilt.

    Kept in half precision, as they are stored, so that scores made again from a stored result are
    the same.

    Attributes:
        plain: float16 (T, H', W'), mean of (D_n's reconstruction - frame)^2, pixels in [-1, 1].
        temporal: float16 (T, H', W'), the same for the differences of consecutive frames: how wrong
            the motion is.
        pseudo: float16 (T, H', W'), the plain error of D_p's reconstruction; equal to `plain` where
            the model has no second path.
    """

    plain: np.ndarray
    temporal: np.ndarray
    pseudo: np.ndarray


def error_maps(
    model: DualPathAutoencoder,
    frames: np.ndarray,
    config: ClipConfig,
    device: torch.device,
    precision: str = "auto",
    bar: tqdm | None = None,
    protocol: str = "all",
) -> ErrorMaps:
    """Rebuild a whole video and keep the errors of every frame.

    Protocol "all": half-overlapping clips, each frame's errors averaged over them. "center", the
    published one: a clip begins at every frame, and only its middle frame (number 8 of 16) counts,
    so that the first 8 and the last 7 frames of a video get none; their maps are left out.

    With `config.crop` the same windows around motion as in training are rebuilt, overlapping by
    half; where several windows or clips show a pixel, their errors are averaged, each weighing most
    at its own centre.

    Args:
        model: on `device`, in evaluation mode.
        frames: uint8 (T, H, W, C) with at least `length * frame_step` frames.
        config: the data config of the run.
        device: where to compute.
        precision: see `pick_precision`.
        bar: advanced by one a frame.
        protocol: "all" or "center".
    """
    length, height, width = frames.shape[:3]
    maps = np.zeros((3, length, -(-height // CELL), -(-width // CELL)), np.float16)
    for first, errors in cell_errors(model, frames, config, device, precision, protocol):
        maps[:, first : first + errors.shape[1]] = errors
        if bar is not None:
            bar.update(errors.shape[1])
    return ErrorMaps(*maps[:, scored_frames(length, config, protocol)])


def scored_frames(length: int, config: ClipConfig, protocol: str = "all") -> slice:
    """The frames of a video of `length` frames that get a score: all of them, or, for protocol
    "center", those in the middle of a clip.
    """
    require_known(protocol, PROTOCOLS, "protocol")
    before, after = (
        (config.length // 2) * config.frame_step,
        (config.length - 1 - config.length // 2) * config.frame_step,
    )
    return slice(before, length - after) if protocol == "center" else slice(0, length)


@torch.inference_mode()
def cell_errors(
    model: DualPathAutoencoder,
    frames: np.ndarray,
    config: ClipConfig,
    device: torch.device,
    precision: str = "auto",
    protocol: str = "all",
    both_paths: bool = True,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first frame, errors float32 (3, T', H', W')) in order, as soon as no later clip can
    add to them; see `error_maps`.

    Only the frames of one clip are held, so memory does not grow with the video: `frames` may be
    anything with a length and a `shape` that gives frames for slices and lists of numbers, none of
    which goes back to before the clip of the last.

    With `both_paths` off the pseudo path is not computed and its errors are those of the normal
    one.
    """
    height, width = frames.shape[1:3]
    step, span = config.frame_step, (config.length - 1) * config.frame_step + 1
    weight = _window_weight(config.length, config.crop or (height, width), config.crop is None)
    starts = scoring_starts(len(frames), config.length, step)
    if protocol == "center":
        starts = list(range(len(frames) - span + 1))
        weight = torch.where(
            torch.arange(config.length)[:, None, None] == config.length // 2, weight, 0.0
        )
    window = config.crop or (height, width)
    both_paths = both_paths and model.two_paths
    total = np.zeros((3, span, height, width), np.float32)
    weights = np.zeros((span, height, width), np.float32)
    blurred = RollingBlur(frames)
    for start, following in zip(starts, [*starts[1:], len(frames)], strict=True):
        picked = slice(start, start + span, step)
        corners = scoring_windows(blurred[picked], config)
        for some, clips in read_windows(frames[picked], corners, window, device):
            with autocast(device, pick_precision(precision, device)):
                features = model.encode(clips)
                rebuilt = [
                    model.reconstruct(features, path, clips.shape).reconstruction
                    for path in ("normal", "pseudo")[: 1 + both_paths]
                ]
            errors = clip_errors(rebuilt[0], clips)
            pseudo = clip_errors(rebuilt[1], clips)[:, :1] if both_paths else errors[:, :1]
            errors = (torch.cat([errors, pseudo], 1) * weight.to(device)).cpu().numpy()
            for (y, x), error in zip(some, errors, strict=True):
                total[:, ::step, y : y + window[0], x : x + window[1]] += error
                weights[::step, y : y + window[0], x : x + window[1]] += weight.numpy()
        done = following - start
        yield start, _cell_means(total[:, :done] / np.maximum(weights[:done], 1e-12))
        total[:, :-done], weights[:-done] = total[:, done:].copy(), weights[done:].copy()
        total[:, -done:], weights[-done:] = 0, 0


def scoring_windows(blurred: np.ndarray, config: ClipConfig) -> np.ndarray:
    """Corners (N, 2) of the windows of one clip that are rebuilt: those with motion, or the whole
    frame without a crop.

    `blurred` is uint8 (T, H, W), the clip's blurred grey frames.
    """
    return (
        motion_windows(moving_pixels(blurred), config.crop)
        if config.crop
        else np.zeros((1, 2), np.int64)
    )


def read_windows(
    frames: np.ndarray, corners: np.ndarray, window: tuple[int, int], device: torch.device
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Batches of windows of one clip, uint8 (T, H, W, C): their corners (B, 2) and, on the device,
    clips (B, C, T, h, w) in [-1, 1].
    """
    size = CPU_BATCH if device.type == "cpu" else GPU_BATCH
    for first in range(0, len(corners), size):
        some = corners[first : first + size]
        yield (
            some,
            torch.stack(
                [to_tensor(frames[:, y : y + window[0], x : x + window[1]]) for y, x in some]
            ).to(device),
        )


def clip_errors(rebuilt: Tensor, clips: Tensor) -> Tensor:
    """(B, C, T, H, W) twice -> (B, 2, T, H, W): plain and temporal squared errors, means over the
    channels.

    The temporal error of frame t is that of the step from t - 1 to t; the first frame takes the
    second's.
    """
    difference = rebuilt.float() - clips
    plain, temporal = difference.square().mean(1), difference.diff(dim=2).square().mean(1)
    return torch.stack([plain, torch.cat([temporal[:, :1], temporal], dim=1)], dim=1)


def _window_weight(length: int, window: tuple[int, int], flat: bool) -> Tensor:
    """(T, h, w): largest at the centre, where a window knows most about its surroundings; never 0."""
    sides = [
        torch.hann_window(n + 2, periodic=False)[1:-1].clamp_min(0.05) for n in (length, *window)
    ]
    if flat:
        sides[1:] = [torch.ones(n) for n in window]
    return sides[0][:, None, None] * sides[1][:, None] * sides[2]


def _cell_means(errors: np.ndarray) -> np.ndarray:
    """(N, T, H, W) -> (N, T, H / 8, W / 8), rounded up; cells at the border average the pixels they
    have.
    """
    height, width = errors.shape[2:]
    rows = np.add.reduceat(errors, range(0, height, CELL), axis=2)
    cells = np.add.reduceat(rows, range(0, width, CELL), axis=3)
    tall = np.diff([*range(0, height, CELL), height])
    wide = np.diff([*range(0, width, CELL), width])
    return cells / (tall[:, None] * wide)
