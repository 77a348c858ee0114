"""Scores from error maps: by hand, against literal transcriptions, and by invariance."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused
from results import maps_of

from vadlib.config import ScoreConfig
from vadlib.evaluation.scores import Contrast, component_values, local_means, raw_score, smooth

FLOOR = Contrast.error_floor


def maps_with(errors):
    return maps_of(errors, errors / 2, errors / 4)


@pytest.fixture
def random_maps():
    return maps_with(np.random.default_rng(0).gamma(2, 0.01, (30, 6, 7)))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("frames", [1, 2, 5, 16])
def test_means_over_time_against_a_transcription(random_maps, frames, causal):
    """Of a frame and those before it, or of those around it; the ends repeat."""
    local = local_means(random_maps, "plain", 8, frames, causal)
    plain = random_maps["plain"].astype(float)
    for t in range(30):
        first = t - frames + 1 if causal else t - frames // 2
        members = plain[np.clip(np.arange(first, first + frames), 0, 29)]
        np.testing.assert_allclose(local[t], members.mean(0), rtol=1e-4)


def test_contrast_is_the_share_of_the_normal_path_in_the_whole_frame(random_maps):
    normal, pseudo = (local_means(random_maps, name, None, 1) for name in ("plain", "pseudo"))
    contrast = component_values("contrast", random_maps, 8, 1)
    expected = (normal + FLOOR) / (normal + pseudo + 2 * FLOOR)
    np.testing.assert_allclose(contrast, np.broadcast_to(expected, contrast.shape), rtol=1e-5)
    # frames in which nothing moved must not thin out the errors: their ratio would be lost
    errors = np.zeros((40, 3, 3))
    errors[20:] = 0.006
    contrast = component_values("contrast", maps_with(errors), 8, 16)[:, 0, 0]
    assert (contrast[:12] == 0).all()
    np.testing.assert_allclose(contrast[13:], 0.007 / (0.007 + 0.0015 + 0.001), rtol=1e-2)


def test_a_mixture_against_a_slow_transcription(random_maps):
    """Three weights, a worst window and the whole frame, single frames, by loops."""
    config = ScoreConfig(plain=2, temporal=1, contrast=1, window=16, mean=0.4, frames=1)
    scores = raw_score(random_maps, config)
    errors = {name: values.astype(float) for name, values in random_maps.items()}
    for t in (0, 7, 29):
        local, whole = [], []
        for name in ("plain", "plain", "temporal"):
            padded = np.pad(errors[name][t], ((1, 0), (1, 0)))  # beyond the border is no error
            means = [padded[y : y + 2, x : x + 2].mean() for y, x in np.ndindex(6, 7)]
            local.append(math.log(max(means)))
            whole.append(math.log(errors[name][t].mean()))
        ratio = (errors["plain"][t].mean() + FLOOR) / (errors["pseudo"][t].mean() + FLOOR)
        contrast = Contrast.scale * math.log(ratio)
        expected = 0.6 * (sum(local) + contrast) / 4 + 0.4 * (sum(whole) + contrast) / 4
        assert scores[t] == pytest.approx(expected, abs=1e-3)


def test_the_whole_frames_plain_error_ranks_as_the_psnr_does(random_maps):
    mse = random_maps["plain"].astype(float).mean((1, 2))
    score = raw_score(random_maps, ScoreConfig(contrast=0, window=None, frames=1))
    np.testing.assert_allclose(score, np.log(mse), atol=1e-3)  # PSNR = 10 log10(4 / mse)
    # of what was reconstructed
    half = maps_with(np.where(np.arange(7) < 3, random_maps["plain"], 0))
    assert local_means(half, "plain", None, 1)[0] == pytest.approx(
        half["plain"][0, :, :3].mean(), rel=1e-3
    )


def test_a_frame_without_motion_scores_lowest_and_stays_finite():
    errors = np.zeros((2, 2, 2))
    errors[1] = 1e-3
    scores = []
    for weights in ({}, {"contrast": 0}, {"plain": 0}, {"temporal": 1}, {"window": None}):
        scores.append(raw_score(maps_with(errors), ScoreConfig(frames=1, **weights)))
        assert np.isfinite(scores[-1]).all()
        assert scores[-1][0] < scores[-1][1]
    assert scores[0][0] == pytest.approx(scores[1][0] / 2)  # the contrast of nothing is neutral


@pytest.mark.parametrize("causal", [False, True])
def test_smoothing_is_a_gaussian_over_the_frames_it_may_use(causal):
    scores = np.random.default_rng(1).normal(size=40)
    smoothed = smooth(scores, 2.0, causal)
    offsets = np.arange(-8, 1 if causal else 9)
    weights = np.exp(-0.5 * (offsets / 2) ** 2)
    for t in (0, 5, 20, 39):
        members = scores[np.clip(t + offsets, 0, 39)]
        assert smoothed[t] == pytest.approx(np.average(members, weights=weights))
    assert smooth(scores, 0) is scores


@given(st.integers(1, 39), st.floats(0.1, 20), st.sampled_from([1, 4, 16]))
def test_a_causal_score_does_not_depend_on_later_frames(cut, sigma, frames):
    errors = np.random.default_rng(2).gamma(2, 0.01, (40, 3, 3))
    config = ScoreConfig(frames=frames, smoothing=sigma, causal=True, window=8)
    whole = raw_score(maps_with(errors), config)
    part = raw_score(maps_with(errors[:cut]), config)
    np.testing.assert_allclose(part, whole[:cut], rtol=1e-4)


def test_wrong_values_are_refused():
    weights = [{"plain": 0, "contrast": 0}, {"plain": -1}, {"contrast": math.nan}]
    wrong = [("weights", value) for value in weights] + [("window", 12), ("window", 32.0)]
    for field, value in [*wrong, ("mean", 1.5), ("frames", 0), ("smoothing", -1)]:
        with refused("out-of-range", field=f"ScoreConfig.{field}"):
            ScoreConfig(**{field: value})


def test_components_that_are_unknown_or_were_not_measured_are_refused(random_maps):
    with refused("unknown-name", field="ScoreConfig.weights"):
        raw_score(random_maps, ScoreConfig(weights={"absent": 1.0}))
    with refused("other-run", field="ScoreConfig.weights"):
        raw_score({"plain": random_maps["plain"]}, ScoreConfig(contrast=1))
