"""Components of the frame score: what each needs, how it is computed and how it is standardised."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import uniform_filter1d
from torch import Tensor

from vadlib.config import CELL

# Name -> float16 (T, H', W'): errors of one video, as means over cells of 8 x 8 pixels; 0 where
# nothing moved, so nothing was reconstructed. Half precision, as they are stored, so that scores
# computed again from a stored result are the same. "plain" is always among them.
ErrorMaps = Mapping[str, np.ndarray]

LOG_FLOOR = 1e-8  # keeps the log finite where nothing moved


class PixelError(NamedTuple):
    """An error of every pixel, from which an error map is made.

    Attributes:
        path: "normal" or "pseudo", whose reconstruction is measured. A model without a pseudo path
            is measured by its normal one.
        measure: reconstruction and clips, each float32 (B, C, T, H, W) in [-1, 1] -> (B, T, H, W).
    """

    path: str
    measure: Callable[[Tensor, Tensor], Tensor]


class Component(ABC):
    """Base of score components.

    Attributes:
        needs: the error maps that `values` reads, by name.
        floor: values up to this one are left out of the statistics of normal frames, because
            nothing moved there.
        whole_frame: True if all places of a frame have the same value.
    """

    needs: Mapping[str, PixelError] = {}
    floor = 1e-5
    whole_frame = False

    @property
    def needs_pseudo_path(self) -> bool:
        """True if the component reads an error of the pseudo path."""
        return any(error.path == "pseudo" for error in self.needs.values())

    @abstractmethod
    def values(
        self, maps: ErrorMaps, window: int | None, frames: int, causal: bool = False
    ) -> np.ndarray:
        """Compute the component at each place: float32 (T, H', W'), or (T, 1, 1) without a window.

        Args:
            maps: of one video.
            window: side in pixels of the square that errors are averaged over; None averages over
                all that was reconstructed.
            frames: the number of frames that errors are averaged over.
            causal: average over past frames only, instead of centred ones.
        """

    def raw(self, values: np.ndarray) -> np.ndarray:
        """Turn the largest values of frames, float64 (T,), into raw scores of about one scale."""
        return np.asarray(np.log(values + LOG_FLOOR))

    def standardise(
        self, values: np.ndarray, mean: np.ndarray, deviation: np.ndarray
    ) -> np.ndarray:
        """Express values (T, H', W') in deviations (H', W') from the mean (H', W') of normal
        frames. A place where nothing moves has error 0, so it lies below the mean.
        """
        return np.asarray((values - mean) / deviation)


class LocalError(Component):
    """An error of the normal path in a window around each place.

    Args:
        name: of the error map.
        measure: see `PixelError`.
    """

    def __init__(self, name: str, measure: Callable[[Tensor, Tensor], Tensor]):
        self.name = name
        self.needs = {name: PixelError("normal", measure)}

    def values(
        self, maps: ErrorMaps, window: int | None, frames: int, causal: bool = False
    ) -> np.ndarray:
        return local_means(maps, self.name, window, frames, causal)


def plain_error(reconstruction: Tensor, clips: Tensor) -> Tensor:
    """Return the squared error, the mean over the channels: (B, C, T, H, W) -> (B, T, H, W)."""
    return (reconstruction - clips).square().mean(1)


def temporal_error(reconstruction: Tensor, clips: Tensor) -> Tensor:
    """Return the squared error of the change from frame t - 1 to t, which measures the motion:
    (B, C, T, H, W) -> (B, T, H, W). The first frame takes the value of the second.
    """
    changes = (reconstruction - clips).diff(dim=2).square().mean(1)
    first = changes[:, :1]
    return torch.cat([first, changes], dim=1)


class Contrast(Component):
    """The share of D_n's error in the sum of D_n's and D_p's, in [0, 1], of the whole frame.

    Over many windows the ratio is so steady that a single abnormal thing shows in it. 0.5 means
    that both decoders do equally well. It is 0 where nothing moved in any of the frames, which
    counts as normal.
    """

    needs: Mapping[str, PixelError] = {
        "plain": PixelError("normal", plain_error),
        "pseudo": PixelError("pseudo", plain_error),
    }
    floor = 0.0
    whole_frame = True
    # errors well below this are noise to either decoder: there the contrast is 0.5
    error_floor = 1e-3
    # on normal frames the log of D_n's error varies ten times as much as that of its ratio to D_p's
    scale = 10

    def values(
        self, maps: ErrorMaps, window: int | None, frames: int, causal: bool = False
    ) -> np.ndarray:
        normal = local_means(maps, "plain", None, frames, causal)
        pseudo = local_means(maps, "pseudo", None, frames, causal)
        share = (normal + self.error_floor) / (normal + pseudo + 2 * self.error_floor)
        share = np.where(normal > 0, share, 0)
        return share if window is None else np.broadcast_to(share, maps["plain"].shape)

    def raw(self, values: np.ndarray) -> np.ndarray:
        ratio = np.where(values > 0, values / (1 - values), 1)  # D_n's error to D_p's
        return self.scale * np.log(ratio)

    def standardise(
        self, values: np.ndarray, mean: np.ndarray, deviation: np.ndarray
    ) -> np.ndarray:
        return np.where(values > 0, (values - mean) / deviation, 0)


def local_means(
    maps: ErrorMaps, name: str, window: int | None, frames: int, causal: bool = False
) -> np.ndarray:
    """Average an error map over a moving square and over time: float32 (T, H', W').

    Args:
        maps: of one video.
        name: of the map.
        window: the square's side in pixels; beyond the border the error is 0. None gives (T, 1, 1),
            the means over all cells of these frames that were reconstructed, 0 if none was.
        frames: the number of frames, centred on each, or, if `causal`, ending with it. Beyond the
            ends of the video its first and last frame repeat.
    """
    errors = maps[name].astype(np.float32)
    if window is not None:
        for axis in (1, 2):
            errors = uniform_filter1d(errors, window // CELL, axis=axis, mode="constant")
        return _over_time(errors, frames, causal)
    reconstructed = (maps["plain"] > 0).sum((1, 2), keepdims=True, dtype=np.float32)
    total = _over_time(errors.sum((1, 2), keepdims=True), frames, causal)
    count = _over_time(reconstructed, frames, causal)
    # the running sums do not end at exactly 0
    return np.where(count > 0.5 / frames, total / np.maximum(count, 1e-6), 0)


def _over_time(errors: np.ndarray, frames: int, causal: bool) -> np.ndarray:
    origin = (frames - 1) // 2 if causal else 0
    averaged: np.ndarray = uniform_filter1d(errors, frames, axis=0, mode="nearest", origin=origin)
    np.maximum(averaged, 0, out=averaged)  # the filter's running sums can end a little below 0
    return averaged
