"""Scores and calibration, by hand and by invariance."""

import numpy as np
import pytest

from vadlib.errors import InputError
from vadlib.evaluation.errors import ErrorMaps
from vadlib.evaluation.scores import MOVED, PRIOR, Calibration, calibrate, local_errors, raw_score


def maps_with(errors):
    return ErrorMaps(errors.astype(np.float32), (errors / 2).astype(np.float32))


def test_local_errors_are_means_over_a_window_and_time():
    errors = np.zeros((20, 9, 9))
    errors[10, 4, 4] = 32 * 4  # 4 x 4 cells and 4 frames share it
    local = local_errors(maps_with(errors), frames=4)
    assert local[0].max() == pytest.approx(32 * 4 / (4 * 4 * 4))
    assert (local[0] > 1e-6).sum() == 4 * 4 * 4
    assert local[1].max() == pytest.approx(local[0].max() / 2)


def test_raw_score_is_the_worst_place_of_each_frame():
    local = np.full((2, 3, 2, 2), 0.01)
    local[0, 1, 0, 1], local[1, 1, 1, 0] = 0.04, 0.09
    expected = [np.log(0.01), 0.5 * (np.log(0.04) + np.log(0.09)), np.log(0.01)]
    np.testing.assert_allclose(raw_score(local), expected, rtol=1e-5)


def test_a_frame_without_motion_scores_lowest_and_stays_finite():
    local = np.zeros((2, 2, 2, 2))
    local[:, 1] = 1e-4
    score = raw_score(local)
    assert np.isfinite(score).all()
    assert score[0] < score[1]


@pytest.fixture
def held_out():
    generator = np.random.default_rng(0)
    return {"street": [generator.gamma(4, 0.01, (2, 300, 4, 5)) for _ in range(2)]}


def test_statistics_are_shrunk_towards_the_whole_picture(held_out):
    scene = calibrate(held_out).scenes["street"]
    seen = np.concatenate(held_out["street"], axis=1)
    everywhere = seen.mean((1, 2, 3))
    here = seen[:, :, 2, 3]
    expected = (here.sum(1) + PRIOR * everywhere) / (here.shape[1] + PRIOR)
    np.testing.assert_allclose(scene.mean[:, 2, 3], expected, rtol=1e-5)
    second = (np.square(here).sum(1) + PRIOR * np.square(seen).mean((1, 2, 3))) / (here.shape[1] + PRIOR)
    np.testing.assert_allclose(scene.deviation[:, 2, 3], np.sqrt(second - expected**2), rtol=1e-4)


def test_places_without_motion_do_not_count(held_out):
    quiet = {"street": [np.where(np.arange(5) < 2, v, MOVED / 2) for v in held_out["street"]]}
    busy = {"street": [v[..., :2] for v in held_out["street"]]}
    np.testing.assert_allclose(calibrate(quiet).scenes["street"].mean[..., :2], calibrate(busy).scenes["street"].mean, rtol=1e-5)


def test_the_calibrated_score_does_not_depend_on_the_unit_of_the_error(held_out):
    scaled = {"street": [1000 * v for v in held_out["street"]]}
    local = held_out["street"][0]
    np.testing.assert_allclose(calibrate(held_out).score(local, "street"), calibrate(scaled).score(1000 * local, "street"), rtol=1e-3)


def test_the_threshold_is_the_quantile_of_the_held_out_frames(held_out):
    calibration = calibrate(held_out)
    scores = np.concatenate([calibration.score(v, "street") for v in held_out["street"]])
    assert (scores > calibration.threshold).mean() == pytest.approx(0.01, abs=0.002)


def test_an_unknown_scene_and_another_size_are_judged_by_the_level_of_the_known(held_out):
    calibration = calibrate(held_out)
    assert np.isfinite(calibration.score(held_out["street"][0], "elsewhere")).all()
    assert calibration.score(np.full((2, 6, 9, 9), 0.04), "street").shape == (6,)


def test_calibration_survives_saving(tmp_path, held_out):
    calibration = calibrate(held_out)
    calibration.save(tmp_path / "calibration.npz")
    loaded = Calibration.load(tmp_path / "calibration.npz")
    assert loaded.threshold == calibration.threshold
    local = held_out["street"][0]
    assert np.array_equal(loaded.score(local, "street"), calibration.score(local, "street"))


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 half"])
def test_a_missing_or_damaged_calibration_is_one_clear_error(tmp_path, content):
    path = tmp_path / "calibration.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"calibration.npz"):
        Calibration.load(path)
