"""From error maps to one score per frame: the components of the score, how each is computed and
standardised, and their mixture. Higher is more abnormal.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import correlate1d, gaussian_filter1d, uniform_filter1d
from torch import Tensor

from vadlib.config import CELL, ScoreConfig
from vadlib.errors import require, require_known

# Name -> float16 (T, H', W'): errors of one video, as means over cells of 8 x 8 pixels; 0 where
# nothing moved, so nothing was reconstructed. Half precision, as they are stored, so that scores
# computed again from a stored result are the same. "plain" is always among them.
ErrorMaps = Mapping[str, np.ndarray]


class PixelError(NamedTuple):
    """An error of every pixel, from which an error map is made.

    Attributes:
        path: "normal" or "pseudo", whose reconstruction is measured. A model without a pseudo path
            is measured by its normal one.
        measure: reconstruction and clips, each float32 (B, C, T, H, W) in [-1, 1] -> (B, T, H, W).
    """

    path: str
    measure: Callable[[Tensor, Tensor], Tensor]


class LocalError:
    """A component of the score: an error of the normal path in a window around each place.

    Args:
        name: of the error map.
        measure: see `PixelError`.

    Attributes:
        needs: the error maps that `values` reads, by name.
        floor: values up to this one are left out of the statistics of normal frames, because
            nothing moved there.
        whole_frame: True if all places of a frame have the same value.
    """

    floor = 1e-5
    whole_frame = False

    def __init__(self, name: str, measure: Callable[[Tensor, Tensor], Tensor]):
        self.name = name
        self.needs = {name: PixelError("normal", measure)}

    @property
    def needs_pseudo_path(self) -> bool:
        """True if the component reads an error of the pseudo path."""
        return any(error.path == "pseudo" for error in self.needs.values())

    def values(self, maps: ErrorMaps, window: int | None, frames: int, causal: bool) -> np.ndarray:
        """Compute the component at each place: float32 (T, H', W'), or (T, 1, 1) without a window.

        Args:
            maps: of one video.
            window: side in pixels of the square that errors are averaged over; None averages over
                all that was reconstructed.
            frames: the number of frames that errors are averaged over.
            causal: average over past frames only, instead of centred ones.
        """
        return local_means(maps, self.name, window, frames, causal)

    def raw(self, values: np.ndarray) -> np.ndarray:
        """Turn the largest values of frames, float64 (T,), into raw scores of about one scale."""
        return np.asarray(np.log(values + 1e-8))  # finite where nothing moved

    def standardise(self, values: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
        """Express values (T, H', W') in standard deviations (H', W') from the mean (H', W') of
        normal frames. A place where nothing moves has error 0, so it lies below the mean.
        """
        return np.asarray((values - mean) / std)


def plain_error(reconstruction: Tensor, clips: Tensor) -> Tensor:
    """Return the squared error, the mean over the channels: (B, C, T, H, W) -> (B, T, H, W)."""
    return (reconstruction - clips).square().mean(1)


def temporal_error(reconstruction: Tensor, clips: Tensor) -> Tensor:
    """Return the squared error of the change from frame t - 1 to t, which measures the motion:
    (B, C, T, H, W) -> (B, T, H, W). The first frame takes the value of the second.
    """
    changes = (reconstruction - clips).diff(dim=2).square().mean(1)
    return torch.cat([changes[:, :1], changes], dim=1)


class Contrast(LocalError):
    """The share of D_n's error in the sum of D_n's and D_p's, in [0, 1], of the whole frame.

    Over many windows the ratio is so steady that a single abnormal thing shows in it. 0.5 means
    that both decoders do equally well. It is 0 where nothing moved in any of the frames, which
    counts as normal.
    """

    floor = 0.0
    whole_frame = True
    # errors well below this are noise to either decoder: there the contrast is 0.5
    error_floor = 1e-3
    # on normal frames the log of D_n's error varies ten times as much as that of its ratio to D_p's
    scale = 10

    def __init__(self) -> None:
        super().__init__("plain", plain_error)
        self.needs["pseudo"] = PixelError("pseudo", plain_error)

    def values(self, maps: ErrorMaps, window: int | None, frames: int, causal: bool) -> np.ndarray:
        normal = local_means(maps, "plain", None, frames, causal)
        pseudo = local_means(maps, "pseudo", None, frames, causal)
        share = (normal + self.error_floor) / (normal + pseudo + 2 * self.error_floor)
        share = np.where(normal > 0, share, 0)
        return share if window is None else np.broadcast_to(share, maps["plain"].shape)

    def raw(self, values: np.ndarray) -> np.ndarray:
        ratio = np.where(values > 0, values / (1 - values), 1)  # D_n's error to D_p's
        return self.scale * np.log(ratio)

    def standardise(self, values: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
        return np.where(values > 0, (values - mean) / std, 0)


# To add a score, write a component and add a row. `ScoreConfig` gives it weight 0.
COMPONENTS: dict[str, LocalError] = {
    "plain": LocalError("plain", plain_error),
    "temporal": LocalError("temporal", temporal_error),
    "contrast": Contrast(),
}


def needed_errors(names: Iterable[str] | None = None) -> dict[str, PixelError]:
    """Return the error maps that some components need, by name; by default those of all."""
    errors = dict(COMPONENTS["plain"].needs)
    for name in COMPONENTS if names is None else names:
        require_known(name, COMPONENTS, "score component", field="ScoreConfig.weights")
        errors |= COMPONENTS[name].needs
    return errors


def component_values(
    name: str, maps: ErrorMaps, window: int | None, frames: int, causal: bool = False
) -> np.ndarray:
    """Compute one of `COMPONENTS` at each place of a video; see `LocalError.values`.

    Raises:
        InputError: an unknown component, or an error map that it needs is missing because it was
            registered after the evaluation.
    """
    missing = needed_errors([name]).keys() - maps.keys()
    message = f"no error map for {name!r}; evaluate again"
    require(not missing, message, "other-run", field="ScoreConfig.weights")
    return COMPONENTS[name].values(maps, window, frames, causal)


def raw_score(maps: ErrorMaps, config: ScoreConfig) -> np.ndarray:
    """Score each frame of a video without statistics of its scene: float64 (T,).

    The score is the weighted mean of the components, each a logarithm of its largest value in the
    frame. The mean of logarithms weighs all components alike although their sizes differ.
    """
    score = np.zeros(len(maps["plain"]))
    for window, window_share in config.windows.items():
        for name, share in config.shares.items():
            values = component_values(name, maps, window, config.frames, config.causal)
            largest = values.max((1, 2)).astype(np.float64)
            score += window_share * share * COMPONENTS[name].raw(largest)
    return smooth(score, config.smoothing, config.causal)


def smooth(scores: np.ndarray, sigma: float, causal: bool = False) -> np.ndarray:
    """Smooth scores (T,) by a Gaussian with a deviation of `sigma` frames, or, if `causal`, by its
    half that lies in the past. Beyond the ends the first and last value repeat.

    sigma = 0 changes nothing.
    """
    if sigma == 0:
        return scores
    reach = math.ceil(4 * sigma)
    if not causal:
        return np.asarray(gaussian_filter1d(scores, sigma, mode="nearest", radius=reach))
    kernel = np.zeros(2 * reach + 1)
    kernel[: reach + 1] = np.exp(-0.5 * np.square(np.arange(-reach, 1) / sigma))
    return np.asarray(correlate1d(scores, kernel / kernel.sum(), mode="nearest"))


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
    averaged = uniform_filter1d(errors, frames, axis=0, mode="nearest", origin=origin)
    # the filter's running sums can end a little below 0
    return np.asarray(np.maximum(averaged, 0))
