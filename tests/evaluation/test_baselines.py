"""The baselines against literal transcriptions of their definitions, and against the published
measurement on the real Ped2.
"""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from refusals import refused
from scenes import ArrayFrames, moving_videos
from sklearn.metrics import roc_auc_score

from vadlib.data.catalog import load_videos
from vadlib.data.video import Video
from vadlib.evaluation.baselines import METRICS, baseline_scores, best_baseline, measure_baselines

KINDS = ("frame difference", "moving area", "foreground area", "motion energy")
NAMES = {f"{kind}, {span}" for kind in KINDS for span in ("1 frame", "16 frames")}


@pytest.fixture(scope="module")
def scene():
    """(frames (T, H, W) of a test video, the empty scene, its scores by name)."""
    train = moving_videos(2, size=(96, 128), length=40)
    [test] = moving_videos(1, size=(96, 128), length=24, seed=5)
    stills = [np.asarray(video.frames)[::10, ..., 0] for video in train]
    empty = np.median(np.concatenate(stills), axis=0).astype(np.uint8)
    scores = baseline_scores(train, [test], every=1)
    return np.asarray(test.frames)[..., 0], empty, {name: s["01"] for name, s in scores.items()}


def blurred(picture):
    return cv2.GaussianBlur(picture, (5, 5), 0)


def test_single_frames_are_measured_as_defined(scene):
    frames, empty, scores = scene
    assert scores.keys() == NAMES
    for t in (1, 8, 23):
        now, before = frames[t].astype(int), frames[t - 1].astype(int)
        assert scores["frame difference, 1 frame"][t] == pytest.approx(np.abs(now - before).mean())
        change = np.abs(blurred(frames[t]).astype(int) - blurred(frames[t - 1]))
        assert scores["moving area, 1 frame"][t] == pytest.approx((change > 10).mean())
        difference = blurred(np.abs(now - empty).astype(np.uint8))
        assert scores["foreground area, 1 frame"][t] == pytest.approx((difference > 18).mean())
    # the first frame has the changes of the second; windows sit where things are in each frame
    for name in ("frame difference, 1 frame", "moving area, 1 frame"):
        assert scores[name][0] == scores[name][1] > 0
    energy = scores["motion energy, 1 frame"]
    assert energy[0] == pytest.approx(energy[1], abs=0.5)
    for kind in KINDS[:3]:
        for t in (8, 12, 16):
            around = scores[f"{kind}, 1 frame"][t - 8 : t + 8]
            assert scores[f"{kind}, 16 frames"][t] == pytest.approx(around.mean())


@pytest.mark.parametrize(("name", "span"), [("1 frame", 1), ("16 frames", 16)])
def test_motion_energy_follows_its_recipe_frame_by_frame(scene, name, span):
    frames, empty, scores = scene
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


def test_scores_do_not_depend_on_the_blocks_in_which_a_video_is_read(monkeypatch):
    train = moving_videos(2, size=(96, 128), length=40)
    test = moving_videos(1, size=(96, 128), length=90, seed=5)
    whole = baseline_scores(train, test)
    for block in (7, 50):
        monkeypatch.setattr("vadlib.evaluation.baselines.BLOCK", block)
        for name, curves in baseline_scores(train, test).items():
            np.testing.assert_allclose(curves["01"], whole[name]["01"], atol=1e-5)


def test_a_scene_without_training_videos_is_judged_by_the_video_itself():
    train = moving_videos(2, size=(60, 80), length=40)
    first, second = moving_videos(2, size=(96, 128), length=40, seed=5)
    brighter = ArrayFrames(np.asarray(second.frames) + np.uint8(30))
    second = replace(second, frames=brighter, scene="elsewhere")
    others = [replace(first, scene="elsewhere"), second]
    together = baseline_scores(train, others)
    for video in others:
        for name, curves in baseline_scores([video], [video]).items():
            assert np.array_equal(together[name][video.name], curves[video.name]), name


@pytest.mark.parametrize("length", [1, 2, 20])
@pytest.mark.parametrize("size", [(8, 12), (47, 49)])
def test_short_and_small_videos_have_finite_scores(length, size):
    frames = np.random.default_rng(0).integers(0, 255, (length, *size, 3), np.uint8)
    video = Video("short", ArrayFrames(frames), 10.0)
    for curves in baseline_scores([video], [video]).values():
        assert curves["short"].shape == (length,)
        assert np.isfinite(curves["short"]).all()


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


def test_a_metric_that_cannot_be_measured_has_no_best_baseline():
    labels = {"a": np.zeros(3), "b": np.ones(3)}
    measured = measure_baselines({"any": {"a": np.arange(3.0), "b": np.arange(3.0)}}, labels)
    assert measured["any"]["macro_auc"] is None
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
