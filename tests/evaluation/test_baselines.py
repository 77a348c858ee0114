"""The baselines against literal transcriptions of their definitions, and against the published
measurement on the real Ped2.
"""

import cv2
import numpy as np
import pytest
from refusals import refused
from scenes import ArrayFrames, moving_videos
from sklearn.metrics import roc_auc_score

from vadlib.data.catalog import load_videos
from vadlib.data.video import Video
from vadlib.evaluation.baselines import METRICS, baseline_scores, best_baseline, measure_baselines

SIZE = {"size": (96, 128)}


@pytest.fixture(scope="module")
def train():
    return moving_videos(2, length=40, **SIZE)


@pytest.fixture(scope="module")
def test():
    return moving_videos(1, length=90, seed=5, **SIZE)


@pytest.fixture(scope="module")
def scores(train, test):
    return {name: part["01"] for name, part in baseline_scores(train, test, every=1).items()}


@pytest.fixture(scope="module")
def empty(train):
    stills = [np.asarray(video.frames)[::10, ..., 0] for video in train]
    return np.median(np.concatenate(stills), axis=0).astype(np.uint8)


def blurred(picture):
    return cv2.GaussianBlur(picture, (5, 5), 0)


def test_areas_are_measured_as_defined(test, scores, empty):
    frames = np.asarray(test[0].frames)[..., 0]
    for t in (1, 8, 23):
        now, before = frames[t].astype(int), frames[t - 1].astype(int)
        change = np.abs(blurred(frames[t]).astype(int) - blurred(frames[t - 1]))
        difference = blurred(np.abs(now - empty).astype(np.uint8))
        expected = {"frame difference": np.abs(now - before).mean()}
        expected |= {
            "moving area": (change > 10).mean(),
            "foreground area": (difference > 18).mean(),
        }
        for kind, value in expected.items():
            single = scores[f"{kind}, 1 frame"]
            assert single[t] == pytest.approx(value)
            assert scores[f"{kind}, 16 frames"][t + 8] == pytest.approx(single[t : t + 16].mean())
    # the first frame has the changes of the second; windows sit where things are in each frame
    for kind, tolerance in (("frame difference", 0), ("moving area", 0), ("motion energy", 0.5)):
        single = scores[f"{kind}, 1 frame"]
        assert single[0] == pytest.approx(single[1], abs=tolerance)


@pytest.mark.parametrize(("name", "span"), [("1 frame", 1), ("16 frames", 16)])
def test_motion_energy_follows_its_recipe_frame_by_frame(test, scores, empty, name, span):
    frames = np.asarray(test[0].frames)[..., 0]
    signed = frames / 127.5 - 1
    for t in (8, 12, 15):
        foreground = (blurred(cv2.absdiff(frames[t], empty)) > 18).astype(np.uint8)
        closed = cv2.morphologyEx(foreground, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
        stats, centroids = cv2.connectedComponentsWithStats(closed)[2:]
        energies = []
        for box, centroid in zip(stats[1:], centroids[1:], strict=True):
            if box[cv2.CC_STAT_AREA] < 40:
                continue
            assert max(box[2:4]) <= 48, "the scene has things of one window only"
            x, y = np.clip(centroid, 24, (103, 71)).astype(int)
            around = np.arange(t - span // 2, t - span // 2 + span).clip(1)
            changes = np.square(signed[around] - signed[around - 1])
            energies.append(changes[:, y - 24 : y + 24, x - 24 : x + 24].mean())
        expected = np.log(max(energies))
        assert scores[f"motion energy, {name}"][t] == pytest.approx(expected, abs=0.02)


def test_scores_do_not_depend_on_the_blocks_in_which_a_video_is_read(
    monkeypatch, train, test, scores
):
    monkeypatch.setattr("vadlib.evaluation.baselines.BLOCK", 7)
    for name, curves in baseline_scores(train, test, every=1).items():
        np.testing.assert_allclose(curves["01"], scores[name], atol=1e-5)


def test_a_scene_without_training_videos_is_judged_by_the_video_itself(train):
    frames = np.random.default_rng(0).integers(0, 255, (20, 47, 49, 3), np.uint8)
    others = []
    for name, part in (("a", frames), ("b", frames[:1, :8, :12] + np.uint8(30))):
        others.append(Video(name, ArrayFrames(part), 10.0, scene="elsewhere"))
    together = baseline_scores(train, others)
    for video in others:  # also a short and a small one
        for name, curves in baseline_scores([video], [video]).items():
            assert np.array_equal(together[name][video.name], curves[video.name]), name
            assert np.isfinite(curves[video.name]).all()


def test_each_metric_has_its_own_best_baseline():
    labels = {"a": np.array([0, 0, 1, 1]), "b": np.array([0, 0, 0, 1])}
    # right in each video, wrong across
    within = {"a": np.array([0.0, 1.0, 2.0, 3.0]), "b": np.array([10.0, 11.0, 12.0, 13.0])}
    across = {"a": np.array([0.0, 0.0, 5.0, 4.0]), "b": np.array([0.0, 6.0, 0.0, 5.0])}
    measured = measure_baselines({"within": within, "across": across}, labels)
    pooled = [np.concatenate(list(curves.values())) for curves in (labels, across)]
    assert measured["across"]["micro_auc_raw"] == pytest.approx(roc_auc_score(*pooled))
    assert measured["within"]["macro_auc"] == 1
    assert [best_baseline(measured, metric) for metric in METRICS] == ["across", "within", "within"]
    measured = measure_baselines({"any": across}, {"a": np.zeros(4), "b": np.ones(4)})
    assert best_baseline(measured, "macro_auc") is None
    with refused("unknown-name", field="metric"):
        best_baseline(measured, "macro_auc_padded")


@pytest.mark.slow
def test_on_the_real_ped2_motion_energy_scores_as_measured_elsewhere(real_data):
    """0.87 raw is in the project's facts, measured with other code.

    Its 0.82 per video does not hold here: there, the first frame of a video had no energy at all,
    and was every video's minimum.
    """
    train, test = (load_videos("ped2", split, real_data) for split in ("train", "test"))
    labels = {video.name: video.labels for video in test}
    measured = measure_baselines(baseline_scores(train, test), labels)["motion energy, 16 frames"]
    assert measured["micro_auc_raw"] == pytest.approx(0.87, abs=0.01)
