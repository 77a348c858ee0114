"""From error maps to one score a frame, as it is and calibrated. Higher = more abnormal."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import correlate1d, uniform_filter1d

from vadlib.config import require_field
from vadlib.errors import require
from vadlib.evaluation.error_maps import CELL, ErrorMaps

KINDS = ("plain", "temporal", "contrast")
FLOOR = 1e-8  # keeps the log finite where nothing moved
# errors well below this are noise to either decoder: there the contrast is 0.5
CONTRAST_FLOOR = 1e-3
# on normal frames the log of D_n's error varies ten times as much as that of its ratio to D_p's
CONTRAST_SCALE = 10


@dataclass(frozen=True)
class ScoreConfig:
    """How error maps become one number a frame. The default is what was chosen on held-out normal
    videos with pseudo-anomalies.

    The published scores are `ScoreConfig(contrast=0, window=None, frames=1)`, which ranks frames as
    the PSNR of what was rebuilt does (first release), and `ScoreConfig(contrast=0, window=8,
    mean=0.4, frames=1, smoothing=32)` (second release; there of errors, here of their logarithms).
    """

    plain: float = 1.0  # weight of D_n's squared error
    temporal: float = 0.0  # weight of the error of its differences of consecutive frames
    # weight of D_n against D_p: the share that D_n's error has in the sum of both, over the whole
    # frame
    contrast: float = 1.0
    # errors are those of a frame's worst square of so many pixels, a person's height; None: of its
    # whole
    window: int | None = 32
    mean: float = 0.0  # share of the whole frame's score beside the worst window's
    frames: int = 16  # errors are averaged over so many frames
    smoothing: float = 0.0  # sigma, in frames, of a Gaussian over the scores; 0 is off
    # averages and smoothing reach back only, not ahead; errors still look ahead to the end of their
    # clips
    causal: bool = False

    def __post_init__(self):
        weights = [getattr(self, kind) for kind in KINDS]
        fits = all(w >= 0 and math.isfinite(w) for w in weights) and sum(weights) > 0
        require(
            fits,
            f"ScoreConfig weights {dict(zip(KINDS, weights, strict=True))}; expected numbers of at least 0, not 0 for all",
            "out-of-range",
            field="ScoreConfig.weights",
        )
        whole = self.window is None or (
            self.window in range(CELL, 100_000, CELL) and isinstance(self.window, int)
        )
        require_field(self, "window", whole, f"a multiple of {CELL}, or None for the whole frame")
        require_field(self, "mean", 0 <= self.mean <= 1, "a share in [0, 1]")
        require_field(
            self, "frames", self.frames >= 1 and self.frames == int(self.frames), "1, 2, 3, ..."
        )
        require_field(self, "smoothing", 0 <= self.smoothing < math.inf, "at least 0")

    @classmethod
    def preset(cls, name: str, frames: int) -> ScoreConfig:
        """Return the score that goes with the preset of that name: the default, averaged over
        `frames`, the length of a clip.

        People are half as tall in the frames of "short", and so is its window.
        """
        return cls(window=16 if name == "short" else 32, frames=frames)

    @property
    def weights(self) -> np.ndarray:
        """float64 (3,), of `KINDS`; they sum to 1."""
        weights = np.array([getattr(self, kind) for kind in KINDS], float)
        return weights / weights.sum()

    @property
    def windows(self) -> dict[int | None, float]:
        """The windows that count, and their shares."""
        shares = {self.window: 1 - self.mean}
        shares[None] = shares.get(None, 0) + self.mean
        return {window: share for window, share in shares.items() if share > 0}


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
    """What scores are made of: (3, T, H', W') of `KINDS`; arguments as of `local_errors`.

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
