"""From error maps to one score a frame, as it is and calibrated. Higher = more abnormal."""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import correlate1d, uniform_filter1d

from vadlib.config import CELL, ScoreConfig
from vadlib.evaluation.error_maps import ErrorMaps

FLOOR = 1e-8  # keeps the log finite where nothing moved
# errors well below this are noise to either decoder: there the contrast is 0.5
CONTRAST_FLOOR = 1e-3
# on normal frames the log of D_n's error varies ten times as much as that of its ratio to D_p's
CONTRAST_SCALE = 10


def local_errors(
    maps: ErrorMaps, window: int | None, frames: int, causal: bool = False
) -> np.ndarray:
    """Errors averaged over a moving square of `window` pixels and over `frames` frames: float32 (3,
    T, H', W').

    Rows are those of `ErrorMaps`. Frames are centred on each, or, `causal`, the ones up to it.
    Without a window: (3, T, 1, 1), the means over all cells of these frames that were rebuilt, 0
    where none was.
    """
    errors = np.stack(maps).astype(np.float32)
    if window is None:
        rebuilt = (errors[:1] > 0).sum((2, 3), keepdims=True, dtype=np.float32)
        total, count = (
            _over_time(part, frames, causal)
            for part in (errors.sum((2, 3), keepdims=True), rebuilt)
        )
        # the running sums do not end at exactly 0
        return np.where(count > 0.5 / frames, total / np.maximum(count, 1e-6), 0)
    for axis in (2, 3):
        errors = uniform_filter1d(errors, window // CELL, axis=axis, mode="constant")
    return _over_time(errors, frames, causal)


def _over_time(errors: np.ndarray, frames: int, causal: bool) -> np.ndarray:
    averaged = uniform_filter1d(
        errors, frames, axis=1, mode="nearest", origin=(frames - 1) // 2 if causal else 0
    )
    return np.maximum(averaged, 0)  # the filter's running sums can end a little below 0


def local_values(
    maps: ErrorMaps, window: int | None, frames: int, causal: bool = False
) -> np.ndarray:
    """What scores are made of: (3, T, H', W') of `COMPONENTS`; arguments as of `local_errors`.

    Plain and temporal errors are those of `local_errors`. The contrast is the share of D_n's error
    in D_n's and D_p's, in [0, 1], of the whole frame, so the same at all its places: over many
    windows the ratio is so steady that a single abnormal thing shows in it. 0.5 means that both
    decoders do equally well. It is 0 where nothing moved in any of the frames, which scores take
    for "as usual".
    """
    normal, _, pseudo = local_errors(maps, None, frames, causal)
    share = np.where(
        normal > 0, (normal + CONTRAST_FLOOR) / (normal + pseudo + 2 * CONTRAST_FLOOR), 0
    )
    plain, temporal, _ = local_errors(maps, window, frames, causal)
    return np.stack([plain, temporal, np.broadcast_to(share, plain.shape)])


def raw_score(maps: ErrorMaps, how: ScoreConfig) -> np.ndarray:
    """float64 (T,): the logs of each frame's worst local errors, of every kind apart, and of the
    ratio of D_n's to D_p's, averaged.

    The mean of logs weighs all kinds alike although their sizes differ, without statistics of this
    scene.
    """
    score = np.zeros(len(maps.plain))
    for window, share in how.windows.items():
        *worst, contrast = (
            local_values(maps, window, how.frames, how.causal).astype(np.float64).max((2, 3))
        )
        ratio = np.where(contrast > 0, contrast / (1 - contrast), 1)  # D_n's error to D_p's
        logs = [*np.log(np.array(worst) + FLOOR), CONTRAST_SCALE * np.log(ratio)]
        score += share * (how.weights @ logs)
    return smooth(score, how.smoothing, how.causal)


def smooth(scores: np.ndarray, sigma: float, causal: bool = False) -> np.ndarray:
    """Scores (T,) weighed by a Gaussian of that deviation in frames, or, causal, by the half of it
    that lies in the past.

    Beyond its ends a curve goes on with its first and last value. sigma = 0 changes nothing.
    """
    if sigma == 0:
        return scores
    reach = math.ceil(4 * sigma)
    kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma))
    if causal:
        kernel[reach + 1 :] = 0
    return correlate1d(scores, kernel / kernel.sum(), mode="nearest")
