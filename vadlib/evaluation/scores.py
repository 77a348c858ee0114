"""From error maps to one score per frame. Higher is more abnormal."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from scipy.ndimage import correlate1d, gaussian_filter1d

from vadlib.config import ScoreConfig
from vadlib.errors import require, require_known
from vadlib.evaluation.components import (
    Component,
    Contrast,
    ErrorMaps,
    LocalError,
    PixelError,
    plain_error,
    temporal_error,
)

# To add a score, write a component and add a row. `ScoreConfig` gives it weight 0.
COMPONENTS: dict[str, Component] = {
    "plain": LocalError("plain", plain_error),
    "temporal": LocalError("temporal", temporal_error),
    "contrast": Contrast(),
}


def needed_errors(names: Iterable[str] | None = None) -> dict[str, PixelError]:
    """Return the error maps that some components need, by name; by default those of all."""
    errors = {"plain": PixelError("normal", plain_error)}
    for name in COMPONENTS if names is None else names:
        errors |= _component(name).needs
    return errors


def component_values(
    name: str, maps: ErrorMaps, window: int | None, frames: int, causal: bool = False
) -> np.ndarray:
    """Compute one of `COMPONENTS` at each place of a video; see `Component.values`.

    Raises:
        InputError: an unknown component, or an error map that it needs is missing because it was
            registered after the evaluation.
    """
    component = _component(name)
    missing = ", ".join(error for error in component.needs if error not in maps)
    message = f"the result has no error map {missing}, which {name!r} needs; evaluate again"
    require(not missing, message, "other-run", field="ScoreConfig.weights")
    return component.values(maps, window, frames, causal)


def raw_score(maps: ErrorMaps, score_config: ScoreConfig) -> np.ndarray:
    """Score each frame of a video without statistics of its scene: float64 (T,).

    The score is the weighted mean of the components, each a logarithm of its largest value in the
    frame. The mean of logarithms weighs all components alike although their sizes differ.
    """
    score = np.zeros(len(maps["plain"]))
    frames, causal = score_config.frames, score_config.causal
    for window, window_share in score_config.windows.items():
        for name, share in score_config.shares.items():
            largest = component_values(name, maps, window, frames, causal).max((1, 2))
            score += window_share * share * COMPONENTS[name].raw(largest.astype(np.float64))
    return smooth(score, score_config.smoothing, causal)


def smooth(scores: np.ndarray, sigma: float, causal: bool = False) -> np.ndarray:
    """Smooth scores (T,) by a Gaussian with a deviation of `sigma` frames, or, if `causal`, by its
    half that lies in the past. Beyond the ends the first and last value repeat.

    sigma = 0 changes nothing.
    """
    if sigma == 0:
        return scores
    smoothed: np.ndarray
    if not causal:
        smoothed = gaussian_filter1d(scores, sigma, mode="nearest", radius=math.ceil(4 * sigma))
        return smoothed
    past = np.arange(-math.ceil(4 * sigma), 1)
    kernel = np.zeros(2 * len(past) - 1)
    kernel[: len(past)] = np.exp(-0.5 * np.square(past / sigma))
    smoothed = correlate1d(scores, kernel / kernel.sum(), mode="nearest")
    return smoothed


def _component(name: str) -> Component:
    require_known(name, COMPONENTS, "score component", field="ScoreConfig.weights")
    return COMPONENTS[name]
