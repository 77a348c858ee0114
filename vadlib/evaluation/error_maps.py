"""Reconstruction errors of every frame, as maps over the picture."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from vadlib.config import CELL, ClipConfig
from vadlib.data.clips import scoring_starts, to_tensor
from vadlib.data.motion import ClipFrames, RollingBlur, motion_windows, moving_pixels
from vadlib.device import autocast, pick_precision
from vadlib.errors import require_known
from vadlib.evaluation.scores import ErrorMaps, PixelError, needed_errors
from vadlib.model.network import DualPathAutoencoder

PROTOCOLS = ("all", "center")


def error_maps(
    model: DualPathAutoencoder,
    frames: np.ndarray,
    config: ClipConfig,
    device: torch.device,
    precision: str = "auto",
    protocol: str = "all",
) -> ErrorMaps:
    """Reconstruct a whole video and return the error maps of every frame that all components need.

    Protocol "all" uses half-overlapping clips and averages each frame's errors over them. "center",
    the published one, starts a clip at every frame and keeps only its middle frame (number 8 of
    16), so that the first 8 and the last 7 frames of a video have no error and are left out.

    With `config.crop` the same windows around motion as in training are reconstructed, overlapping
    by half. Where several windows or clips show a pixel, their errors are averaged, each weighing
    most at its own centre.

    Args:
        model: on `device`, in evaluation mode.
        frames: uint8 (T, H, W, C) with at least `length * frame_step` frames.
        config: the clip config of the run.
        device: where to compute.
        precision: see `pick_precision`.
        protocol: "all" or "center".
    """
    errors = needed_errors()
    cells = cell_errors(model, frames, config, device, errors, precision, protocol)
    parts = [part.astype(np.float16) for part in cells]
    maps = np.concatenate(parts, axis=1)[:, scored_frames(len(frames), config, protocol)]
    return dict(zip(errors, maps, strict=True))


def scored_frames(length: int, config: ClipConfig, protocol: str = "all") -> slice:
    """Return the frames of a video of `length` frames that get a score: all of them, or, with
    protocol "center", those in the middle of a clip.
    """
    require_known(protocol, PROTOCOLS, "protocol")
    if protocol == "all":
        return slice(0, length)
    after = (config.length - 1) // 2
    return slice(config.length // 2 * config.frame_step, length - after * config.frame_step)


def cell_errors(
    model: DualPathAutoencoder,
    frames: ClipFrames,
    config: ClipConfig,
    device: torch.device,
    errors: Mapping[str, PixelError],
    precision: str = "auto",
    protocol: str = "all",
) -> Iterator[np.ndarray]:
    """Yield the errors of some further frames (N, T', H', W'), in order, as soon as no later clip
    can add to them; see `error_maps`. N is the number of `errors`.

    Only the frames of one clip are held, so memory does not grow with the video, and `frames` may
    be a stream: no frame before the current clip is read again.
    """
    step = config.frame_step
    span = (config.length - 1) * step + 1
    height, width = frames.shape[1:3]
    window = config.crop or (height, width)
    weight = _window_weight(config, protocol)
    starts = scoring_starts(len(frames), config.length, step)
    if protocol == "center":
        starts = list(range(len(frames) - span + 1))
    # sums of the weighted errors of the frames of the current clip, and, last, of their weights
    sums = np.zeros((len(errors) + 1, span, height, width), np.float32)
    blurred = RollingBlur(frames)
    for start, following in zip(starts, [*starts[1:], len(frames)], strict=True):
        numbers = slice(start, start + span, step)
        corners = scoring_windows(blurred[numbers], config)
        for batch, clips in read_windows(frames[numbers], corners, window, device):
            measured = _clip_errors(model, clips, errors, precision)
            for (y, x), error in zip(batch, measured, strict=True):
                part = sums[:, ::step, y : y + window[0], x : x + window[1]]
                part[:-1] += error * weight
                part[-1] += weight
        # frames before the following clip are complete
        done = following - start
        yield _cell_means(sums[:-1, :done] / np.maximum(sums[-1, :done], 1e-12))
        # the others move to the front
        sums[:, :-done] = sums[:, done:].copy()
        sums[:, -done:] = 0


@torch.inference_mode()
def _clip_errors(
    model: DualPathAutoencoder, clips: Tensor, errors: Mapping[str, PixelError], precision: str
) -> np.ndarray:
    """Reconstruct clips (B, C, T, H, W) along the paths that are needed, and measure float32
    (B, N, T, H, W).
    """
    paths = [error.path if model.two_paths else "normal" for error in errors.values()]
    outputs = {}
    with autocast(clips.device, pick_precision(precision, clips.device)):
        features = model.encode(clips)
        for path in set(paths):
            outputs[path] = model.reconstruct(features, path, clips.shape).reconstruction.float()
    measured = []
    for error, path in zip(errors.values(), paths, strict=True):
        measured.append(error.measure(outputs[path], clips))
    return torch.stack(measured, 1).cpu().numpy()


def scoring_windows(blurred: np.ndarray, config: ClipConfig) -> np.ndarray:
    """Return the corners (N, 2) of the windows of one clip that are reconstructed: those with
    motion, or the whole frame without a crop.

    `blurred` is uint8 (T, H, W), the clip's blurred grey frames.
    """
    if config.crop is None:
        return np.zeros((1, 2), np.int64)
    return motion_windows(moving_pixels(blurred), config.crop)


def read_windows(
    frames: np.ndarray, corners: np.ndarray, window: tuple[int, int], device: torch.device
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Yield batches of windows of one clip, uint8 (T, H, W, C): their corners (B, 2) and, on the
    device, clips (B, C, T, h, w) in [-1, 1].
    """
    # more do not make a CPU faster, but take memory
    size = 16 if device.type == "cpu" else 64
    for first in range(0, len(corners), size):
        batch = corners[first : first + size]
        clips = [to_tensor(frames[:, y : y + window[0], x : x + window[1]]) for y, x in batch]
        yield batch, torch.stack(clips).to(device)


def _window_weight(config: ClipConfig, protocol: str) -> np.ndarray:
    """Weights (T, h, w) of a window's errors: largest at the centre, where the model knows most
    about the surroundings, and never 0. Whole frames weigh alike at all places: (T, 1, 1). With
    protocol "center" only the middle frame has a weight.
    """
    time = _hann(config.length)[:, None, None]
    if protocol == "center":
        time[np.arange(config.length) != config.length // 2] = 0
    if config.crop is None:
        return time
    rows, columns = map(_hann, config.crop)
    return np.asarray(time * rows[:, None] * columns)


def _hann(length: int) -> np.ndarray:
    weights = torch.hann_window(length + 2, periodic=False)[1:-1].numpy()
    return np.asarray(np.maximum(weights, np.float32(0.05)))


def _cell_means(errors: np.ndarray) -> np.ndarray:
    """Average (N, T, H, W) over cells -> (N, T, H / 8, W / 8), rounded up; cells at the border
    average the pixels they have.
    """
    counts = np.ones(errors.shape[2:], np.int64)
    for axis in (-2, -1):
        starts = range(0, counts.shape[axis], CELL)
        errors = np.add.reduceat(errors, starts, axis=axis)
        counts = np.add.reduceat(counts, starts, axis=axis)
    return np.asarray(errors / counts)
