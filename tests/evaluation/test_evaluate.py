"""From a run and videos to a result: every frame, every file, and clear errors."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from refusals import refused
from results import result_of
from scenes import ArrayFrames, moving_videos

from vadlib.config import ClipConfig, ModelConfig, ScoreConfig, TrainConfig
from vadlib.data.clips import ClipDataset
from vadlib.evaluation import metrics
from vadlib.evaluation.calibration import Calibration
from vadlib.evaluation.error_maps import error_maps
from vadlib.evaluation.evaluate import evaluate, measure
from vadlib.evaluation.result import Result
from vadlib.evaluation.scores import raw_score
from vadlib.model.network import DualPathAutoencoder
from vadlib.training.fit import fit


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    config = ClipConfig(length=8, crop=(16, 16), clip_step=2)
    clips = ClipDataset(moving_videos(3), config, progress=False)
    model = DualPathAutoencoder(ModelConfig(width=8, slots=16))
    training = TrainConfig(epochs=2, precision="fp32", device="cpu")
    return fit(model, clips, None, training, tmp_path_factory.mktemp("run"), progress=False)


@pytest.fixture(scope="module")
def videos():
    return moving_videos(3, length=45, labelled=True, seed=1)


@pytest.fixture(scope="module")
def result(run, videos):
    return evaluate(str(run.folder), videos, "cpu", progress=False)  # as good as the run itself


def scored(run, videos, **options):
    return evaluate(run, videos, "cpu", progress=False, **options)


def test_the_anomaly_is_found(result):
    assert result.metrics["micro_auc_raw"] > 0.9
    assert result.metrics["micro_auc_calibrated"] > 0.9
    # no contrast where the pseudo path has learned nothing
    assert result.calibration.score_config == ScoreConfig(frames=8, contrast=0)


@pytest.mark.parametrize("changes", [{}, {"window": 8, "mean": 0.4, "frames": 1, "smoothing": 5}])
def test_rescoring_a_stored_result_equals_scoring_again(result, run, videos, tmp_path, changes):
    result.save(tmp_path)
    loaded = Result.load(tmp_path)
    config = dataclasses.replace(loaded.calibration.score_config, **changes)
    calibration = Calibration.load(run.folder / "calibration.npz")
    for video in videos:
        maps = error_maps(run.model, video.frames[:], run.config.clips, torch.device("cpu"), "fp32")
        raw = raw_score(maps, config)
        expected = {"raw": raw, "per_video": (raw - raw.min()) / np.ptp(raw)}
        expected["calibrated"] = calibration.score(maps, video.scene, config)
        for scale, scores in expected.items():
            rescored = loaded.rescore(scale, **changes)[video.name]
            np.testing.assert_allclose(rescored, scores, rtol=1e-12)


def test_a_saved_result_comes_back_and_damage_is_refused(result, tmp_path):
    path = tmp_path / "scores.npz"
    with refused("missing-file", file=path):
        Result.load(tmp_path)
    result.save(tmp_path)
    loaded = Result.load(tmp_path)
    assert loaded.metrics == result.metrics == json.loads((tmp_path / "metrics.json").read_text())
    assert (loaded.threshold, loaded.protocol) == (result.threshold, "all")
    for name, video in result.videos.items():
        for part in ("scene", "scores", "raw", "labels", "times"):
            np.testing.assert_array_equal(getattr(loaded.videos[name], part), getattr(video, part))
        assert np.array_equal(loaded.score_map(name).max((1, 2)), video.scores)
        plain = loaded.window_errors(name, window=8)
        np.testing.assert_allclose(plain, video.maps["plain"], rtol=1e-5)
    with np.load(path) as stored:
        arrays = dict(stored)
    for absent in ("scores/", "times/", "calibration/", "protocol", "nothing"):
        (tmp_path / "metrics.json").write_text("{")
        np.savez(path, **{name: arrays[name] for name in arrays if not name.startswith(absent)})
        with refused("damaged-file", file=tmp_path / "metrics.json" if "no" in absent else path):
            Result.load(tmp_path)


def test_an_unknown_scale_or_setting_is_refused(result):
    with refused("unknown-name", field="scale"):
        result.rescore("best")
    with refused("out-of-range", field="ScoreConfig.window"):
        result.rescore(window=5)
    with refused("unknown-key", field="ScoreConfig.smooth"):
        result.rescore(smooth=2)
    with refused("nothing-to-do", field="maps"):
        result_of({"a": np.zeros(3)}).rescore()


def test_every_metric_is_of_the_score_that_the_readme_says():
    """On a result whose raw and calibrated scores rank differently, with a one-sided video."""
    generator = np.random.default_rng(5)
    labels = {"a": np.repeat([0, 1, 0], 20), "b": np.repeat([1, 0], 25), "c": np.zeros(30, int)}
    raw = {name: generator.normal(values * 2.0) for name, values in labels.items()}
    calibrated = {name: generator.normal(values * 2.0) for name, values in labels.items()}
    measured = measure(result_of(calibrated, labels, raw, threshold=2.5))
    curves = {"raw": raw, "calibrated": calibrated, "per_video": metrics.per_video(raw)}
    for name, scores in curves.items():
        assert measured[f"micro_auc_{name}"] == metrics.micro_auc(labels, scores)
        interval = measured["intervals"][f"micro_auc_{name}"]
        assert interval == pytest.approx(list(metrics.bootstrap(labels, scores)))
    for suffix, one_sided in (("", "left_out"), ("_counted", "counted"), ("_padded", "padded")):
        assert measured[f"macro_auc{suffix}"] == metrics.macro_auc(labels, raw, one_sided).mean
    assert measured["average_precision"] == metrics.average_precision(labels, calibrated)
    assert measured["eer"] == metrics.equal_error_rate(labels, calibrated)
    times = {name: np.arange(len(values)) / 25 for name, values in labels.items()}
    expected = metrics.alarm_metrics(labels, calibrated, times, 2.5)._asdict()
    expected |= {"macro_auc_left_out": 1, "videos": 3, "frames": 140, "abnormal_frames": 45}
    assert measured.items() >= expected.items()
    other = {name: 1 - values for name, values in labels.items()}
    measured = measure(result_of(calibrated, labels, raw), other)
    assert measured["micro_auc_raw"] == pytest.approx(1 - metrics.micro_auc(labels, raw))


def test_the_published_protocol_leaves_out_the_borders(run, result, videos):
    centre = scored(run, videos, protocol="center")
    assert centre.protocol == "center"
    for name, video in centre.videos.items():
        whole = result.videos[name]
        np.testing.assert_array_equal(video.labels, whole.labels[4:-3])
        np.testing.assert_array_equal(video.times, whole.times[4:-3])
        # errors of one clip each, not averages
        assert not np.array_equal(video.raw, whole.raw[4:-3])
    assert centre.metrics["frames"] == 135 - 21
    assert centre.metrics["micro_auc_raw"] > 0.9


def test_pixels_and_kinds_are_measured_where_they_are_known(run, result, videos):
    """Against the definitions: masks of dark pixels, at the frames' own size; one kind in two of
    the videos, another in the third.
    """
    films, shares = [], []
    above = {"cart": [], "runner": []}
    normal = np.concatenate([result.scores[v.name][v.labels == 0] for v in videos])
    for video, kind in zip(videos, ("cart", "cart", "runner"), strict=True):
        events = np.flatnonzero(video.labels)
        masks = (video.frames[:, ..., 0] < 50) & video.labels[:, None, None].astype(bool)
        masks[events[0]] = False  # labelled, but nothing is marked: left out
        masks[0] = True  # marked, but not labelled: a normal frame
        kinds = [kind if label else "" for label in video.labels]
        films.append(dataclasses.replace(video, masks=ArrayFrames(masks), kinds=kinds))
        score_map = result.score_map(video.name).repeat(8, 1).repeat(8, 2)
        for t in events[1:]:
            inside = np.sort(score_map[t][masks[t]])[::-1]
            value = inside[int(np.ceil(0.4 * len(inside))) - 1]
            shares.append((value > normal).mean() + 0.5 * (value == normal).mean())
        above[kind] += [(score > normal).mean() for score in result.scores[video.name][events]]
    measured = scored(run, films).metrics
    assert measured["pixel_auc"] == pytest.approx(np.mean(shares))
    assert measured["pixel_auc_left_out"] == 3
    assert measured["kind_auc"] == pytest.approx({kind: np.mean(v) for kind, v in above.items()})


def test_videos_without_labels_or_anomalies_get_scores(result, run, tmp_path):
    result.save(tmp_path)
    unlabelled = scored(run, moving_videos(1, length=20))
    assert unlabelled.metrics == {}
    unlabelled.save(tmp_path)  # the metrics of other videos do not stay beside its scores
    assert {p.name for p in tmp_path.iterdir()} == {"scores.npz"}
    assert set(Result.load(tmp_path).scores) == {"01"}
    normal = [dataclasses.replace(v, labels=np.zeros(len(v), np.uint8)) for v in moving_videos(2)]
    measured = scored(run, normal).metrics
    for name in ("micro_auc_raw", "macro_auc_padded", "macro_auc_counted", "average_precision"):
        assert measured[name] is None
    assert (measured["abnormal_frames"], measured["events"]) == (0, 0)


def test_videos_that_cannot_be_scored_are_refused(run, videos):
    [grey] = moving_videos(1)
    colour = dataclasses.replace(grey, frames=ArrayFrames(grey.frames[:].repeat(3, 3)))
    for unfit, code, field in (
        ([*videos, videos[0]], "duplicate-name", "videos"),
        (moving_videos(1, length=7), "too-short", "ClipConfig.length"),
        ([colour], "wrong-shape", "ModelConfig.channels"),
        ([], "too-few", "videos"),
    ):
        with refused(code, field=field):
            scored(run, unfit)
    with refused("unknown-name", field="protocol"):
        scored(run, videos, protocol="half")
