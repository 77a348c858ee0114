"""From a run and videos to a result: every frame, every file, and clear errors."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from refusals import refused
from scenes import ArrayFrames, moving_videos
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from vadlib.config import ClipConfig, ModelConfig, ScoreConfig, TrainConfig
from vadlib.data.clips import ClipDataset
from vadlib.evaluation.calibration import Calibration
from vadlib.evaluation.error_maps import ErrorMaps, error_maps
from vadlib.evaluation.evaluate import Result, evaluate, measure
from vadlib.evaluation.metrics import bootstrap
from vadlib.evaluation.scores import raw_score
from vadlib.model.network import DualPathAutoencoder
from vadlib.training.fit import fit


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    clips = ClipDataset(
        moving_videos(3), ClipConfig(length=8, crop=(16, 16), clip_step=2), progress=False
    )
    config = TrainConfig(epochs=2, precision="fp32", device="cpu")
    return fit(
        DualPathAutoencoder(ModelConfig(width=8, slots=16)),
        clips,
        None,
        config,
        tmp_path_factory.mktemp("runs") / "a",
        progress=False,
    )


@pytest.fixture(scope="module")
def labelled_videos():
    return moving_videos(3, length=45, labelled=True, seed=1)


@pytest.fixture(scope="module")
def result(run, labelled_videos):
    return evaluate(run, labelled_videos, "cpu", progress=False)


def test_window_errors_are_the_means_of_their_squares():
    """The simplest score, against a literal mean over 4 x 4 cells; beyond the border there is
    nothing.
    """
    plain = np.random.default_rng(0).random((3, 6, 7)).astype(np.float16)
    maps = ErrorMaps(plain, plain, plain)
    scores, times = {"a": np.zeros(3)}, {"a": np.arange(3.0)}
    result = Result(scores, {}, {}, {"a": maps}, times, {}, Calibration({}, 0.0, ScoreConfig()), {})
    errors = result.window_errors("a")
    padded = np.pad(plain.astype(np.float64), ((0, 0), (2, 2), (2, 2)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (4, 4), (1, 2))[:, :6, :7]
    np.testing.assert_allclose(errors, windows.mean((3, 4)), atol=1e-5)


def test_every_frame_has_finite_scores(result, labelled_videos):
    for video in labelled_videos:
        for scores in (result.scores[video.name], result.raw[video.name]):
            assert scores.shape == (len(video),)
            assert np.isfinite(scores).all()


def test_a_big_fast_thing_never_seen_before_is_found(result):
    assert result.metrics["micro_auc_raw"] > 0.9
    assert result.metrics["micro_auc_calibrated"] > 0.9


def test_the_score_has_no_contrast_where_the_pseudo_path_has_learned_nothing(result):
    assert result.calibration.how == ScoreConfig(frames=8, contrast=0)


def test_metrics_are_those_of_scikit_learn(result, labelled_videos):
    truth = np.concatenate([v.labels for v in labelled_videos])
    raw = [result.raw[v.name] for v in labelled_videos]
    scaled = [(s - s.min()) / (s.max() - s.min()) for s in raw]
    expected = {
        "micro_auc_raw": roc_auc_score(truth, np.concatenate(raw)),
        "micro_auc_calibrated": roc_auc_score(
            truth, np.concatenate([result.scores[v.name] for v in labelled_videos])
        ),
        "micro_auc_per_video": roc_auc_score(truth, np.concatenate(scaled)),
        "macro_auc": np.mean(
            [roc_auc_score(v.labels, s) for v, s in zip(labelled_videos, raw, strict=True)]
        ),
        "macro_auc_left_out": 0,
        "videos": 3,
        "frames": 135,
        "abnormal_frames": 45,
    }
    assert {name: result.metrics[name] for name in expected} == pytest.approx(expected)


def test_a_result_of_an_earlier_version_is_refused_by_name(result, tmp_path):
    result.save(tmp_path)
    with np.load(tmp_path / "scores.npz") as stored:
        kept = {name: stored[name] for name in stored.files}
    for absent in ("time/", "pseudo/", "calibration/", "protocol"):
        np.savez(
            tmp_path / "scores.npz",
            **{name: values for name, values in kept.items() if not name.startswith(absent)},
        )
        with refused("damaged-file", file=tmp_path / "scores.npz"):
            Result.load(tmp_path)


SETTINGS = [
    {},
    {"temporal": 1},
    {"plain": 0, "temporal": 1},
    {"contrast": 1},
    {"plain": 0, "contrast": 1},
    {"window": None, "frames": 1},
    {"window": 8, "mean": 0.4, "frames": 1, "smoothing": 5},
    {"causal": True},
]


@pytest.mark.parametrize("changes", SETTINGS, ids=str)
@pytest.mark.parametrize("scale", ["raw", "calibrated", "per_video"])
def test_rescoring_a_stored_result_equals_scoring_anew(
    result, run, labelled_videos, tmp_path, scale, changes
):
    result.save(tmp_path)
    loaded = Result.load(tmp_path)
    how = dataclasses.replace(loaded.calibration.how, **changes)
    for video in labelled_videos:
        maps = error_maps(run.model, video.frames[:], run.config.clips, torch.device("cpu"), "fp32")
        expected = (
            Calibration.load(run.folder / "calibration.npz").score(maps, video.scene, how)
            if scale == "calibrated"
            else raw_score(maps, how)
        )
        if scale == "per_video":
            expected = (expected - expected.min()) / (expected.max() - expected.min())
        np.testing.assert_array_equal(loaded.rescore(scale, **changes)[video.name], expected)


def test_a_saved_result_comes_back(result, tmp_path):
    result.save(tmp_path)
    loaded = Result.load(tmp_path)
    assert loaded.metrics == result.metrics
    assert (loaded.threshold, loaded.protocol, loaded.scenes) == (
        result.threshold,
        "all",
        result.scenes,
    )
    for kind in ("scores", "raw", "labels", "times"):
        for name, values in getattr(result, kind).items():
            assert np.array_equal(getattr(loaded, kind)[name], values)


def test_the_default_scores_are_those_of_rescoring_without_changes(result):
    for name in result.scores:
        assert np.array_equal(result.rescore("calibrated")[name], result.scores[name])
        assert np.array_equal(result.rescore()[name], result.raw[name])
        assert np.array_equal(result.score_map(name).max((1, 2)), result.scores[name])


def test_an_unknown_scale_or_setting_is_refused(result):
    with refused("unknown-name", field="scale"):
        result.rescore("best")
    with refused("out-of-range", field="ScoreConfig.window"):
        result.rescore(window=5)
    with refused("unknown-key", field="smooth"):
        result.rescore(smooth=2)


def test_every_number_is_of_the_score_that_the_readme_says():
    """On a result whose raw and calibrated scores rank differently, with a one-sided video; by
    scikit-learn and by hand.
    """
    generator = np.random.default_rng(5)
    labels = {"a": np.repeat([0, 1, 0], 20), "b": np.repeat([1, 0], 25), "c": np.zeros(30, int)}
    raw = {name: generator.normal(truth * 1.0) for name, truth in labels.items()}
    calibrated = {
        name: generator.normal(truth * 2.0 + 3 * i)
        for i, (name, truth) in enumerate(labels.items())
    }
    times = {name: np.arange(len(truth)) / 10 for name, truth in labels.items()}
    result = Result(calibrated, raw, labels, {}, times, {}, Calibration({}, 2.5, ScoreConfig()), {})
    found, truth = measure(result), np.concatenate(list(labels.values()))
    pooled, scaled = (
        np.concatenate(list(calibrated.values())),
        {n: (v - v.min()) / np.ptp(v) for n, v in raw.items()},
    )
    own = [roc_auc_score(labels[n], raw[n]) for n in "ab"]
    padded = [
        roc_auc_score([*labels[n], 0, 1], [*raw[n], raw[n].min(), raw[n].max()]) for n in "abc"
    ]
    false, true, _ = roc_curve(truth, pooled, drop_intermediate=False)
    expected = {
        "micro_auc_raw": roc_auc_score(truth, np.concatenate(list(raw.values()))),
        "micro_auc_calibrated": roc_auc_score(truth, pooled),
        "micro_auc_per_video": roc_auc_score(truth, np.concatenate(list(scaled.values()))),
        "macro_auc": np.mean(own),
        "macro_auc_left_out": 1,
        "macro_auc_counted": np.mean([*own, 1]),
        "macro_auc_padded": np.mean(padded),
        "average_precision": average_precision_score(truth, pooled),
        "normal_frames_above": np.mean(pooled[truth == 0] > 2.5),
        "events": 2,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["eer"] == pytest.approx(false[np.abs(false + true - 1).argmin()], abs=0.02)
    for name, scores in (
        ("micro_auc_raw", raw),
        ("micro_auc_calibrated", calibrated),
        ("micro_auc_per_video", scaled),
    ):
        assert found["intervals"][name] == pytest.approx(bootstrap(labels, scores))
    other = {name: 1 - truth for name, truth in labels.items()}
    assert measure(result, other)["micro_auc_raw"] == pytest.approx(1 - expected["micro_auc_raw"])


def test_a_video_of_one_clip_has_one_frame_under_the_published_protocol(run):
    [video] = moving_videos(1, length=8, labelled=True)
    result = evaluate(run, [video], "cpu", progress=False, protocol="center")
    assert len(result.scores["01"]) == result.metrics["frames"] == 1


def test_the_published_protocol_leaves_out_the_borders(run, result, labelled_videos):
    centre = evaluate(run, labelled_videos, "cpu", progress=False, protocol="center")
    assert centre.protocol == "center"
    for video in labelled_videos:
        assert len(centre.scores[video.name]) == len(video) - 7
        np.testing.assert_array_equal(centre.labels[video.name], video.labels[4:-3])
        np.testing.assert_array_equal(centre.times[video.name], result.times[video.name][4:-3])
        # errors of one clip each, not averages
        assert not np.array_equal(centre.raw[video.name], result.raw[video.name][4:-3])
    assert centre.metrics["frames"] == 135 - 21
    assert centre.metrics["micro_auc_raw"] > 0.9
    with refused("unknown-name", field="protocol"):
        evaluate(run, labelled_videos, "cpu", progress=False, protocol="half")


def test_pixels_and_kinds_are_measured_where_they_are_known(run, result, labelled_videos):
    """Against the definitions: masks of what is dark, at the frames' own size; one kind in two of
    the videos, another in the third.
    """
    films = []
    for video, kind in zip(labelled_videos, ("cart", "cart", "runner"), strict=True):
        masks = (video.frames[:, ..., 0] < 50) & video.labels[:, None, None].astype(bool)
        masks[np.flatnonzero(video.labels)[0]] = False  # labelled, but nothing is marked: left out
        masks[0] = True  # marked, but not labelled: a normal frame
        films.append(
            dataclasses.replace(
                video, masks=ArrayFrames(masks), kinds=[kind if bad else "" for bad in video.labels]
            )
        )
    metrics = evaluate(run, films, "cpu", progress=False).metrics
    values, normal = [], np.concatenate([result.scores[v.name][v.labels == 0] for v in films])
    for film in films:
        score_map = result.score_map(film.name).repeat(8, 1).repeat(8, 2)
        for t in np.flatnonzero(film.labels)[1:]:
            inside = np.sort(score_map[t][film.masks[t]])[::-1]
            values.append(inside[int(np.ceil(0.4 * len(inside))) - 1])
    expected = np.mean(
        [(value > normal).mean() + 0.5 * (value == normal).mean() for value in values]
    )
    assert (metrics["pixel_auc"], metrics["pixel_auc_left_out"]) == (pytest.approx(expected), 3)
    for kind, members in (("cart", films[:2]), ("runner", films[2:])):
        abnormal = np.concatenate([result.scores[v.name][v.labels == 1] for v in members])
        assert metrics["kind_auc"][kind] == pytest.approx(
            np.mean([(a > normal).mean() for a in abnormal])
        )
    assert metrics["micro_auc_calibrated"] == result.metrics["micro_auc_calibrated"]


def test_a_folder_does_as_well_as_the_run(result, run, labelled_videos):
    again = evaluate(str(run.folder), labelled_videos, "cpu", progress=False)
    assert again.metrics == result.metrics


def test_unlabelled_videos_get_scores_and_no_metrics(run, tmp_path):
    result = evaluate(run, moving_videos(1, length=20), "cpu", progress=False)
    assert result.metrics == {}
    result.save(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"scores.npz"}
    assert set(Result.load(tmp_path).scores) == {"01"}


def test_metrics_of_other_videos_do_not_stay_beside_new_scores(result, run, tmp_path):
    result.save(tmp_path)
    evaluate(run, moving_videos(1, length=20), "cpu", progress=False).save(tmp_path)
    assert Result.load(tmp_path).metrics == {}


def test_all_normal_videos_keep_their_scores_and_have_no_auc(run):
    normal = [dataclasses.replace(v, labels=np.zeros(len(v), np.uint8)) for v in moving_videos(2)]
    result = evaluate(run, normal, "cpu", progress=False)
    assert result.metrics["micro_auc_raw"] is None
    assert result.metrics["intervals"]["micro_auc_raw"] is None
    assert result.metrics["macro_auc_padded"] is result.metrics["macro_auc_counted"] is None
    assert (result.metrics["abnormal_frames"], result.metrics["events"]) == (0, 0)
    assert set(result.scores) == {"01", "02"}


def test_two_videos_of_one_name_are_refused(run, labelled_videos):
    with refused("duplicate-name", field="videos") as caught:
        evaluate(run, [*labelled_videos, labelled_videos[0]], "cpu", progress=False)
    assert "'01'" in str(caught.error)


def test_a_short_video_and_one_of_another_kind_are_refused_by_name(run):
    [short] = moving_videos(1, length=7)
    with refused("too-short") as caught:
        evaluate(run, [short], "cpu", progress=False)
    assert re.findall(r"\d+", str(caught.error))[:3] == ["01", "7", "8"]
    [grey] = moving_videos(1)
    colour = dataclasses.replace(
        grey, frames=type(grey.frames)(np.repeat(grey.frames[:], 3, axis=3))
    )
    with refused("wrong-shape", field="ModelConfig.channels") as caught:
        evaluate(run, [colour], "cpu", progress=False)
    assert re.findall(r"\d+", str(caught.error)) == ["01", "3", "1"]
    with refused("too-few", field="videos"):
        evaluate(run, [], "cpu", progress=False)


def test_a_result_that_was_not_made_or_is_damaged(tmp_path):
    with refused("missing-file", file=tmp_path / "scores.npz"):
        Result.load(tmp_path)
    (tmp_path / "scores.npz").write_bytes(b"PK\x03\x04")
    with refused("damaged-file", file=tmp_path / "scores.npz"):
        Result.load(tmp_path)
