"""Calibration: statistics by hand, invariances, the file."""

from dataclasses import replace

import numpy as np
import pytest
from refusals import refused

from vadlib.config import ScoreConfig
from vadlib.evaluation.calibration import MOVED, PRIOR, WINDOWS, Calibration, calibrate
from vadlib.evaluation.error_maps import ErrorMaps
from vadlib.evaluation.scores import local_values, smooth

LENGTH = 8
HOW = ScoreConfig(frames=LENGTH)


def maps_of(errors):
    return ErrorMaps(*(np.asarray(kind, np.float16) for kind in errors))


@pytest.fixture
def held_out():
    generator = np.random.default_rng(0)
    return {"street": [maps_of(generator.gamma(4, 0.01, (3, 300, 8, 9))) for _ in range(2)]}


@pytest.mark.parametrize("frames", [1, LENGTH])
@pytest.mark.parametrize("window", WINDOWS)
def test_statistics_are_shrunk_towards_the_whole_picture(held_out, window, frames):
    found = calibrate(held_out, HOW).scenes["street"][window, frames]
    values = np.concatenate(
        [local_values(maps, window, frames) for maps in held_out["street"]], axis=1
    ).astype(float)
    everywhere, squares = values.mean((1, 2, 3)), np.square(values).mean((1, 2, 3))
    y, x = (2, 3) if window else (0, 0)
    here = values[:, :, y, x]
    expected = (here.sum(1) + PRIOR * everywhere) / (here.shape[1] + PRIOR)
    np.testing.assert_allclose(found.mean[:, y, x], expected, rtol=1e-5)
    second = (np.square(here).sum(1) + PRIOR * squares) / (here.shape[1] + PRIOR)
    np.testing.assert_allclose(found.deviation[:, y, x], np.sqrt(second - expected**2), rtol=1e-3)


def test_places_without_motion_do_not_count():
    errors = np.random.default_rng(1).gamma(4, 0.01, (3, 300, 8, 9))
    errors[..., 4:] = MOVED / 2
    quiet, busy = ({"street": [maps_of(part)]} for part in (errors, errors[..., :4]))
    for kind in range(2):
        one, other = (
            calibrate(part, HOW).scenes["street"][8, 1].mean[kind] for part in (quiet, busy)
        )
        np.testing.assert_allclose(one[..., :4], other, rtol=1e-4)


def test_the_score_is_the_worst_place_of_the_mean_standardised_error(held_out):
    calibration, maps, how = (
        calibrate(held_out, HOW),
        held_out["street"][0],
        ScoreConfig(frames=LENGTH, plain=3),
    )
    known = calibration.scenes["street"][32, LENGTH]
    plain, _, contrast = (
        (v - m) / d
        for v, m, d in zip(
            local_values(maps, 32, LENGTH).astype(float), known.mean, known.deviation, strict=True
        )
    )
    expected = (0.75 * plain + 0.25 * contrast).max((1, 2))
    np.testing.assert_allclose(calibration.score(maps, "street", how), expected, rtol=1e-3)
    np.testing.assert_array_equal(
        calibration.score_map(maps, "street", how, how.window).max((1, 2)),
        calibration.score(maps, "street", how),
    )
    smoothed = calibration.score(maps, "street", replace(how, smoothing=4))
    np.testing.assert_allclose(smoothed, smooth(calibration.score(maps, "street", how), 4))


def test_the_contrast_lights_up_where_the_errors_are(held_out):
    """Against a transcription; D_p is much better in the second frame, and D_n's error has its
    largest value in one place.
    """
    calibration, how = calibrate(held_out, HOW), ScoreConfig(window=8, frames=1)
    errors = np.full((3, 2, 8, 9), 0.04)
    errors[0, :, 2, 3], errors[2, 0], errors[2, 1] = 0.2, 0.3, 0.01
    maps = maps_of(errors)
    score_map, alone = (
        calibration.score_map(maps, "street", how_, 8) for how_ in (how, replace(how, contrast=0))
    )
    known = calibration.scenes["street"][8, 1]
    share = float(local_values(maps, 8, 1)[2, 1, 0, 0])
    contrast = (share - known.mean[2, 0, 0]) / known.deviation[2, 0, 0]
    assert contrast > 3
    near = (alone[1] - alone[1].min()) / np.ptp(alone[1])
    np.testing.assert_allclose(
        score_map[1], 0.5 * alone[1] + 0.5 * contrast * near**4, rtol=1e-4, atol=1e-4
    )
    assert np.unravel_index(score_map[1].argmax(), (8, 9)) == (2, 3)
    assert np.median(score_map[1]) < calibration.score(maps, "street", how)[1] / 4
    # there it speaks against an anomaly, everywhere alike
    np.testing.assert_allclose(np.ptp(score_map[0] - 0.5 * alone[0]), 0, atol=1e-5)


def test_the_contrast_of_a_frame_without_motion_is_neutral(held_out):
    calibration, maps = calibrate(held_out, HOW), maps_of(np.zeros((3, 20, 8, 9)))
    both, alone = (
        calibration.score(maps, "street", how) for how in (HOW, replace(HOW, contrast=0))
    )
    np.testing.assert_allclose(both, alone / 2)


def test_a_mixture_of_windows_has_a_threshold_too(held_out):
    how = replace(HOW, mean=0.4)
    calibration = calibrate(held_out, how)
    one, other = held_out["street"]
    scores = [
        calibrate({"street": [known]}, how).score(maps, "street", how)
        for known, maps in ((one, other), (other, one))
    ]
    assert calibration.threshold == pytest.approx(np.quantile(np.concatenate(scores), 0.99))


@pytest.mark.parametrize("how", ["{", "3", '{"colour": 1}', '{"window": "wide"}'])
def test_a_damaged_setting_is_one_clear_error(tmp_path, held_out, how):
    calibrate(held_out, HOW).save(tmp_path / "calibration.npz")
    with np.load(tmp_path / "calibration.npz") as stored:
        np.savez(
            tmp_path / "calibration.npz",
            **{name: stored[name] for name in stored.files} | {"how": how},
        )
    with refused("damaged-file", file=tmp_path / "calibration.npz"):
        Calibration.load(tmp_path / "calibration.npz")


def test_windows_mix_by_their_shares(held_out):
    calibration, maps = calibrate(held_out, HOW), held_out["street"][0]
    parts = [
        calibration.score(maps, "street", ScoreConfig(window=window, frames=1))
        for window in (8, None)
    ]
    mixed = calibration.score(maps, "street", ScoreConfig(window=8, mean=0.4, frames=1))
    np.testing.assert_allclose(mixed, 0.6 * parts[0] + 0.4 * parts[1], rtol=1e-6)


def test_the_calibrated_score_does_not_depend_on_the_unit_of_the_error(held_out):
    scaled = {"street": [maps_of(8 * np.stack(maps).astype(float)) for maps in held_out["street"]]}
    how = ScoreConfig(frames=LENGTH, temporal=1, contrast=0)  # the contrast has a floor
    one, other = (
        calibrate(part, HOW).score(part["street"][0], "street", how) for part in (held_out, scaled)
    )
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_the_threshold_is_the_quantile_of_the_held_out_frames(held_out):
    calibration = calibrate(held_out, HOW)
    assert calibration.how == ScoreConfig(frames=LENGTH)
    one, other = held_out["street"]
    # Each video is scored with what is known of the other one.
    scores = [
        calibrate({"street": [known]}, HOW).score(maps, "street", calibration.how)
        for known, maps in ((one, other), (other, one))
    ]
    assert calibration.threshold == pytest.approx(np.quantile(np.concatenate(scores), 0.99))


def test_a_single_held_out_video_is_scored_with_itself(held_out):
    calibration = calibrate({"street": held_out["street"][:1]}, HOW)
    scores = calibration.score(held_out["street"][0], "street", calibration.how)
    assert calibration.threshold == pytest.approx(np.quantile(scores, 0.99))


def test_a_scene_in_which_nothing_moves_is_judged_by_the_others(held_out):
    still = maps_of(np.zeros((3, 20, 8, 9)))
    calibration = calibrate(
        {"still": [still], **held_out, "half": [still, held_out["street"][0]]}, HOW
    )
    assert set(calibration.scenes) == {"street", "half"}
    alone = calibrate({"half": held_out["street"][:1]}, HOW)
    np.testing.assert_array_equal(
        calibration.scenes["half"][32, LENGTH].mean, alone.scenes["half"][32, LENGTH].mean
    )
    assert calibration.score(held_out["street"][0], "still", calibration.how).max() < 10
    with refused("nothing-to-do", field="held_out"):
        calibrate({"still": [still]}, HOW)


def test_the_contrast_is_seen_in_frames_in_which_something_moved():
    errors = np.full((3, 50, 8, 9), 0.01)
    errors[2] = 0.03
    errors[:, 25:] = 0  # half of the frames: nothing moved, so they do not halve the mean
    found = calibrate({"street": [maps_of(errors)]}, HOW).scenes["street"][8, 1]
    np.testing.assert_allclose(found.mean[2], 0.011 / 0.042, rtol=1e-2)


def test_an_unknown_scene_and_another_size_are_judged_by_the_level_of_the_known(held_out):
    calibration, maps = calibrate(held_out, HOW), held_out["street"][0]
    known = calibration.scenes["street"][32, LENGTH]
    values = local_values(maps, 32, LENGTH).astype(float)
    plain, _, contrast = (
        (v - m.mean()) / d.mean()
        for v, m, d in zip(values, known.mean, known.deviation, strict=True)
    )
    expected = ((plain + contrast) / 2).max((1, 2))
    np.testing.assert_allclose(
        calibration.score(maps, "elsewhere", calibration.how), expected, rtol=1e-3
    )
    larger = maps_of(np.full((3, 6, 20, 21), 0.04))
    assert np.isfinite(calibration.score(larger, "street", calibration.how)).all()


def test_what_was_not_calibrated_is_refused(held_out):
    calibration, maps = calibrate(held_out, HOW), held_out["street"][0]
    cases = [
        (ScoreConfig(window=24, frames=1), "ScoreConfig.window", "24 over 1"),
        (ScoreConfig(frames=5), "ScoreConfig.frames", "32 over 5"),
    ]
    for how, field, asked in cases:
        with refused("out-of-range", field=field) as caught:
            calibration.score(maps, "street", how)
        for setting in (asked, "8 over 1", "8 over 8"):  # what was asked for, and what is known
            assert setting in str(caught.error)


def test_calibration_survives_saving(tmp_path, held_out):
    calibration = calibrate({"a/b c": held_out["street"], "street": held_out["street"][:1]}, HOW)
    calibration.save(tmp_path / "calibration.npz")
    loaded = Calibration.load(tmp_path / "calibration.npz")
    assert loaded.threshold == calibration.threshold
    assert loaded.how == calibration.how
    for scene in ("a/b c", "street"):
        for how in (calibration.how, ScoreConfig(window=None, frames=1, contrast=1)):
            expected = calibration.score(held_out["street"][1], scene, how)
            assert np.array_equal(loaded.score(held_out["street"][1], scene, how), expected)


@pytest.mark.parametrize(
    ("content", "code"),
    [(None, "missing-file"), (b"", "damaged-file"), (b"PK\x03\x04 half", "damaged-file")],
)
def test_a_missing_or_damaged_calibration_is_one_clear_error(tmp_path, content, code):
    path = tmp_path / "calibration.npz"
    if content is not None:
        path.write_bytes(content)
    with refused(code, file=path):
        Calibration.load(path)


def test_a_calibration_of_an_earlier_version_is_refused_by_name(tmp_path, held_out):
    path = tmp_path / "calibration.npz"
    np.savez(
        path,
        **{
            "threshold": 1.0,
            "quantile": 0.99,
            "mean/street": np.zeros(2),
            "deviation/street": np.ones(2),
        },
    )
    with refused("damaged-file", file=path):
        Calibration.load(path)
    calibrate(held_out, HOW).save(path)
    with np.load(path) as stored:
        np.savez(
            path,
            **{name: stored[name] for name in stored.files if not name.startswith("deviation/")},
        )
    with refused("damaged-file", file=path):
        Calibration.load(path)
