"""Scores from error maps: by hand, against literal transcriptions, and by invariance."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from vadlib.config import ScoreConfig
from vadlib.evaluation.error_maps import ErrorMaps
from vadlib.evaluation.scores import (
    CONTRAST_FLOOR,
    CONTRAST_SCALE,
    local_errors,
    local_values,
    raw_score,
    smooth,
)


def maps_with(errors):
    return ErrorMaps(*(np.asarray(kind, np.float16) for kind in (errors, errors / 2, errors / 4)))


@pytest.fixture
def random_maps():
    return maps_with(np.random.default_rng(0).gamma(2, 0.01, (30, 6, 7)))


def test_local_errors_are_means_over_a_window_and_time():
    errors = np.zeros((20, 9, 9))
    errors[10, 4, 4] = 32 * 4  # 4 x 4 cells and 4 frames share it
    local = local_errors(maps_with(errors), window=32, frames=4)
    assert local[0].max() == pytest.approx(32 * 4 / (4 * 4 * 4))
    assert (local[0] > 1e-6).sum() == 4 * 4 * 4
    assert local[1].max() == pytest.approx(local[0].max() / 2)
    assert local[2].max() == pytest.approx(local[0].max() / 4)


@pytest.mark.parametrize("frames", [1, 2, 5, 16])
def test_causal_means_reach_back_only(random_maps, frames):
    """Against a transcription: the mean of a frame and those before it; before the first one the
    first is repeated.
    """
    local = local_errors(random_maps, 8, frames, causal=True)
    plain = random_maps.plain.astype(float)
    for t in range(30):
        past = [plain[max(u, 0)] for u in range(t - frames + 1, t + 1)]
        np.testing.assert_allclose(local[0, t], np.mean(past, axis=0), rtol=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 5, 16])
def test_centred_means_reach_both_ways(random_maps, frames):
    local = local_errors(random_maps, 8, frames)
    plain = random_maps.plain.astype(float)
    for t in range(30):
        around = [
            plain[min(max(u, 0), 29)] for u in range(t - frames // 2, t - frames // 2 + frames)
        ]
        np.testing.assert_allclose(local[0, t], np.mean(around, axis=0), rtol=1e-4)


def test_the_whole_frame_is_the_mean_over_what_was_rebuilt():
    errors = np.zeros((3, 4, 4))
    errors[1, 0, 0], errors[1, 2, 3] = 0.25, 0.5
    local = local_errors(maps_with(errors), None, 1)
    assert local.shape == (3, 3, 1, 1)
    np.testing.assert_allclose(local[:, :, 0, 0], [[0, 0.375, 0], [0, 0.1875, 0], [0, 0.09375, 0]])


def test_contrast_is_the_share_of_the_normal_path_in_the_whole_frame(random_maps):
    local, whole = local_errors(random_maps, 8, 1), local_errors(random_maps, None, 1)
    plain, temporal, share = local_values(random_maps, 8, 1)
    np.testing.assert_array_equal([plain, temporal], local[:2])
    expected = (whole[0] + CONTRAST_FLOOR) / (whole[0] + whole[2] + 2 * CONTRAST_FLOOR)
    np.testing.assert_allclose(share, np.broadcast_to(expected, share.shape), rtol=1e-5)
    assert (share > 0.5).all()  # D_p's errors are a quarter
    assert (local_values(maps_with(np.zeros((3, 2, 2))), 8, 1)[2] == 0).all()


def test_the_contrast_of_a_constant_ratio_is_the_same_where_motion_begins_as_later():
    """Frames in which nothing moved must not thin out the errors: near the floor their ratio would
    be lost.
    """
    errors = np.zeros((40, 3, 3))
    errors[20:] = 0.006
    share = local_values(maps_with(errors), 8, 16)[2, :, 0, 0]
    assert (share[:12] == 0).all()
    np.testing.assert_allclose(share[13:], 0.007 / (0.007 + 0.0015 + 0.001), rtol=1e-2)


@given(st.floats(1e-6, 4))
def test_where_both_decoders_do_equally_well_the_contrast_is_one_half_however_large_the_error(
    error,
):
    maps = ErrorMaps(*(np.full((3, 2, 2), error, np.float16) for _ in range(3)))
    np.testing.assert_allclose(local_values(maps, 8, 1)[2], 0.5, rtol=1e-6)


def test_the_contrast_scale_puts_a_ratio_beside_an_error():
    """D_n's error e times as large, and D_p's not: the log of the error rises by 1, that of the
    ratio by nearly 1, times the scale.
    """
    one, other = (
        ErrorMaps(*(np.full((1, 2, 2), v) for v in (normal, normal, 0.1)))
        for normal in (0.1, 0.1 * math.e)
    )
    rise = {
        how: float(
            np.subtract(*(raw_score(m, ScoreConfig(frames=1, **how_)) for m in (other, one))).item()
        )
        for how, how_ in {"plain": {"contrast": 0}, "contrast": {"plain": 0}}.items()
    }
    assert rise["plain"] == pytest.approx(1, abs=0.01)
    assert rise["contrast"] == pytest.approx(CONTRAST_SCALE, rel=0.02)


def test_the_raw_score_is_the_worst_place_of_each_frame():
    errors = np.full((3, 2, 2), 0.01)
    temporal = errors.copy()
    errors[1, 0, 1], temporal[1, 1, 0] = 0.04, 0.09
    maps = ErrorMaps(*(np.asarray(kind, np.float16) for kind in (errors, temporal, errors)))
    expected = [np.log(0.01), 0.5 * (np.log(0.04) + np.log(0.09)), np.log(0.01)]
    how = ScoreConfig(plain=1, temporal=1, contrast=0, window=8, frames=1)
    np.testing.assert_allclose(raw_score(maps, how), expected, rtol=1e-3)


def test_a_mixture_against_a_slow_transcription(random_maps):
    """Three weights, a worst window and the whole frame, single frames: loops instead of filters."""
    how = ScoreConfig(plain=2, temporal=1, contrast=1, window=16, mean=0.4, frames=1)
    scores = raw_score(random_maps, how)
    plain, temporal, pseudo = (kind.astype(float) for kind in random_maps)
    for t in (0, 7, 29):
        windows = []
        for y in range(6):
            for x in range(7):
                # beyond the border there is no error
                cells = [(r, c) for r in (y - 1, y) for c in (x - 1, x)]
                windows.append(
                    [
                        sum(kind[t, r, c] for r, c in cells if r >= 0 and c >= 0) / 4
                        for kind in (plain, temporal)
                    ]
                )
        worst = [max(w[k] for w in windows) for k in range(2)]
        p, m, q = (kind[t].mean() for kind in (plain, temporal, pseudo))
        ratio = CONTRAST_SCALE * math.log((p + CONTRAST_FLOOR) / (q + CONTRAST_FLOOR))
        largest, mean = ((2 * math.log(v[0]) + math.log(v[1]) + ratio) / 4 for v in (worst, (p, m)))
        assert scores[t] == pytest.approx(0.6 * largest + 0.4 * mean, abs=1e-3)


def test_the_whole_frames_plain_error_ranks_as_the_psnr_does(random_maps):
    mse = random_maps.plain.astype(float).mean((1, 2))
    psnr = 10 * np.log10(2**2 / mse)  # pixels are in [-1, 1], so their range is 2
    score = raw_score(random_maps, ScoreConfig(contrast=0, window=None, frames=1))
    np.testing.assert_allclose(score, np.log(4) - psnr * np.log(10) / 10, atol=1e-3)


def test_a_frame_without_motion_scores_lowest_and_stays_finite():
    errors = np.zeros((2, 2, 2))
    errors[1] = 1e-3
    for kinds in ({}, {"contrast": 0}, {"plain": 0}, {"temporal": 1}, {"window": None}):
        score = raw_score(maps_with(errors), ScoreConfig(frames=1, **kinds))
        assert np.isfinite(score).all()
        assert score[0] < score[1]
    contrast, alone = (
        raw_score(maps_with(errors), ScoreConfig(frames=1, plain=plain, contrast=c))[0]
        for plain, c in ((1, 1), (1, 0))
    )
    # the contrast of nothing is neutral, and so does not add to how low it is
    assert contrast == pytest.approx(alone / 2)


@pytest.mark.parametrize("causal", [False, True])
def test_smoothing_is_a_gaussian_over_what_may_be_seen(causal):
    scores = np.random.default_rng(1).normal(size=40)
    smoothed = smooth(scores, 2.0, causal)
    for t in (0, 5, 20, 39):
        weighed = [
            (math.exp(-0.5 * (k / 2) ** 2), scores[min(max(t + k, 0), 39)])
            for k in range(-8, 1 if causal else 9)
        ]
        assert smoothed[t] == pytest.approx(
            sum(w * s for w, s in weighed) / sum(w for w, _ in weighed)
        )


@given(st.integers(1, 39), st.floats(0.1, 20), st.sampled_from([1, 4, 16]))
def test_a_causal_score_does_not_depend_on_what_follows(cut, sigma, frames):
    errors = np.random.default_rng(2).gamma(2, 0.01, (40, 3, 3))
    how = ScoreConfig(frames=frames, smoothing=sigma, causal=True, window=8)
    whole, part = raw_score(maps_with(errors), how), raw_score(maps_with(errors[:cut]), how)
    np.testing.assert_allclose(part, whole[:cut], rtol=1e-4)


def test_no_smoothing_changes_nothing():
    scores = np.arange(5.0)
    assert smooth(scores, 0) is scores


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"plain": 0, "contrast": 0}, "weights"),
        ({"plain": -1}, "weights"),
        ({"contrast": math.nan}, "weights"),
        ({"window": 12}, "window"),
        ({"window": 0}, "window"),
        ({"mean": 1.5}, "mean"),
        ({"window": 32.0}, "window"),
        ({"frames": 0}, "frames"),
        ({"frames": 2.5}, "frames"),
        ({"smoothing": -1}, "smoothing"),
    ],
)
def test_wrong_values_are_refused(wrong, field):
    with refused("out-of-range", field=f"ScoreConfig.{field}"):
        ScoreConfig(**wrong)
