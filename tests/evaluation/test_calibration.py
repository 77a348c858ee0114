"""Calibration: moments by hand, invariances, the file."""

from dataclasses import replace

import numpy as np
import pytest
from refusals import refused
from results import maps_of

from vadlib.config import ScoreConfig
from vadlib.evaluation.calibration import PRIOR, Calibration, calibrate
from vadlib.evaluation.scores import COMPONENTS, component_values, smooth

LENGTH = 8
DEFAULT = ScoreConfig(frames=LENGTH)


@pytest.fixture
def videos():
    generator = np.random.default_rng(0)
    return [maps_of(*generator.gamma(4, 0.01, (3, 300, 8, 9))) for _ in range(2)]


@pytest.fixture
def calibration(videos):
    return calibrate({"street": videos}, DEFAULT)


def standardised(name, maps, calibration, key=(32, LENGTH)):
    mean, deviation = calibration.scenes["street"][name, *key]
    return (component_values(name, maps, *key).astype(float) - mean) / deviation


@pytest.mark.parametrize("name", COMPONENTS)
@pytest.mark.parametrize(("window", "frames"), [(8, 1), (32, LENGTH), (None, LENGTH)])
def test_moments_are_shrunk_towards_the_whole_picture(videos, calibration, name, window, frames):
    moments = calibration.scenes["street"][name, window, frames]
    parts = [component_values(name, maps, window, frames) for maps in videos]
    values = np.concatenate(parts).astype(float)
    y, x = (2, 3) if window else (0, 0)
    here = values[:, y, x]
    expected = (here.sum() + PRIOR * values.mean()) / (len(here) + PRIOR)
    second = (np.square(here).sum() + PRIOR * np.square(values).mean()) / (len(here) + PRIOR)
    assert moments.mean[y, x] == pytest.approx(expected, rel=1e-5)
    assert moments.deviation[y, x] == pytest.approx(np.sqrt(second - expected**2), rel=1e-3)


@pytest.mark.parametrize("name", COMPONENTS)
def test_what_does_not_move_does_not_count(name):
    errors = np.full((3, 50, 8, 9), 0.01)
    errors[..., 4:] = errors[:, 25:] = 0  # places, and half of the frames
    means = []
    for part in (errors, errors[:, :25, :, :4]):
        moments = calibrate({"street": [maps_of(*part)]}, DEFAULT).scenes["street"][name, 8, 1]
        means.append(moments.mean[:, :3])
    np.testing.assert_allclose(*means, rtol=0.02)


def test_the_score_is_the_worst_place_of_the_mean_standardised_error(videos, calibration):
    maps = videos[0]
    config = ScoreConfig(frames=LENGTH, plain=3)
    local, contrast = (standardised(name, maps, calibration) for name in ("plain", "contrast"))
    scores = calibration.score(maps, "street", config)
    np.testing.assert_allclose(scores, (0.75 * local + 0.25 * contrast).max((1, 2)), rtol=1e-3)
    score_map = calibration.score_map(maps, "street", config)
    np.testing.assert_array_equal(score_map.max((1, 2)), scores)
    smoothed = calibration.score(maps, "street", replace(config, smoothing=4))
    np.testing.assert_allclose(smoothed, smooth(scores, 4))
    mixture = []
    for window, mean in ((8, 0), (None, 0), (8, 0.4)):
        config = ScoreConfig(frames=1, window=window, mean=mean)
        mixture.append(calibration.score(maps, "street", config))
    np.testing.assert_allclose(mixture[2], 0.6 * mixture[0] + 0.4 * mixture[1], rtol=1e-6)


def test_the_contrast_lights_up_where_the_errors_are(calibration):
    """Against a transcription. D_p is much better in the second frame, and D_n's error has its
    largest value in one place.
    """
    config = ScoreConfig(window=8, frames=1)
    errors = np.full((3, 2, 8, 9), 0.04)
    errors[0, :, 2, 3] = 0.2
    errors[2, 0], errors[2, 1] = 0.3, 0.01
    maps = maps_of(*errors)
    score_map = calibration.score_map(maps, "street", config)
    alone = calibration.score_map(maps, "street", replace(config, contrast=0))
    contrast = standardised("contrast", maps, calibration, (8, 1))[1, 0, 0]
    assert contrast > 3
    nearness = (alone[1] - alone[1].min()) / np.ptp(alone[1])
    expected = 0.5 * alone[1] + 0.5 * contrast * nearness**4
    np.testing.assert_allclose(score_map[1], expected, rtol=1e-4, atol=1e-4)
    assert np.unravel_index(score_map[1].argmax(), (8, 9)) == (2, 3)
    # in the first frame it speaks against an anomaly, everywhere alike
    np.testing.assert_allclose(np.ptp(score_map[0] - 0.5 * alone[0]), 0, atol=1e-5)


def test_the_threshold_is_the_quantile_of_the_held_out_frames(videos, calibration):
    assert calibration.score_config == DEFAULT
    # each video is scored with the moments of the other one, a single one with its own
    scores = []
    for maps, rest in (videos, videos[::-1]):
        scores.append(calibrate({"street": [rest]}, DEFAULT).score(maps, "street", DEFAULT))
    assert calibration.threshold == pytest.approx(np.quantile(np.concatenate(scores), 0.99))
    alone = calibrate({"street": videos[:1]}, DEFAULT)
    own_scores = alone.score(videos[0], "street", DEFAULT)
    assert alone.threshold == pytest.approx(np.quantile(own_scores, 0.99))


def test_a_scene_in_which_nothing_moves_is_judged_by_the_others(videos):
    still = maps_of(np.zeros((20, 8, 9)))
    calibration = calibrate({"still": [still], "half": [still, videos[0]]}, DEFAULT)
    assert set(calibration.scenes) == {"half"}
    assert calibration.threshold == calibrate({"half": videos[:1]}, DEFAULT).threshold
    assert calibration.score(videos[0], "still", DEFAULT).max() < 10
    with refused("nothing-to-do", field="held_out"):
        calibrate({"still": [still]}, DEFAULT)


def test_an_unknown_scene_and_another_size_are_judged_by_the_level_of_the_known(
    videos, calibration
):
    parts = []
    for name in ("plain", "contrast"):
        mean, deviation = calibration.scenes["street"][name, 32, LENGTH]
        values = component_values(name, videos[0], 32, LENGTH).astype(float)
        parts.append((values - mean.mean()) / deviation.mean())
    scores = calibration.score(videos[0], "elsewhere", DEFAULT)
    np.testing.assert_allclose(scores, np.mean(parts, axis=0).max((1, 2)), rtol=1e-3)
    larger = maps_of(np.full((6, 20, 21), 0.04))
    assert np.isfinite(calibration.score(larger, "street", DEFAULT)).all()


def test_what_was_not_calibrated_is_refused(videos, calibration):
    for field, value in (("window", 24), ("frames", 5)):
        with refused("out-of-range", field=f"ScoreConfig.{field}"):
            calibration.score(videos[0], "street", ScoreConfig(**{field: value}))


def test_calibration_survives_saving_and_damage_is_refused(tmp_path, videos):
    path = tmp_path / "calibration.npz"
    with refused("missing-file", file=path):
        Calibration.load(path)
    calibration = calibrate({"a/b c": videos}, DEFAULT)
    calibration.save(path)
    loaded = Calibration.load(path)
    assert loaded.threshold == calibration.threshold
    assert loaded.score_config == calibration.score_config
    for config in (DEFAULT, ScoreConfig(window=None, frames=1)):
        scores = [part.score(videos[1], "a/b c", config) for part in (loaded, calibration)]
        np.testing.assert_array_equal(*scores)
    damaged = [b"", b"PK\x03\x04 half"]
    for absent in ("deviation/", "score_config", "threshold", "mean/"):
        arrays = calibration.arrays().items()
        np.savez(path, **{name: part for name, part in arrays if not name.startswith(absent)})
        damaged.append(path.read_bytes())
    for content in damaged:
        path.write_bytes(content)
        with refused("damaged-file", file=path):
            Calibration.load(path)
