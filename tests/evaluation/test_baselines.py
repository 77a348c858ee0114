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
SPANS = {1: "1 frame", 16: "16 frames"}
NAMES = {f"{kind}, {span}" for kind in KINDS for span in ("1 frame", "16 frames")}


@pytest.fixture(scope="module")
def scene():
    """(training videos, test video, its frames (T, H, W), the empty scene)."""
    train = moving_videos(2, size=(96, 128), length=40)
    [test] = moving_videos(1, size=(96, 128), length=24, seed=5)
    stills = [np.asarray(video.frames)[::10, ..., 0] for video in train]
    empty = np.median(np.concatenate(stills), axis=0).astype(np.uint8)
    return train, test, np.asarray(test.frames)[..., 0], empty


def blurred(picture):
    return cv2.GaussianBlur(picture, (5, 5), 0)


def test_single_frames_are_measured_as_defined(scene):
    train, test, frames, empty = scene
    scores = {name: curves["01"] for name, curves in baseline_scores(train, [test]).items()}
    assert scores.keys() == NAMES
    for t in (1, 8, 23):
        now, before = frames[t].astype(int), frames[t - 1].astype(int)
        assert scores["frame difference, 1 frame"][t] == pytest.approx(np.abs(now - before).mean())
        change = np.abs(blurred(frames[t]).astype(int) - blurred(frames[t - 1]))
        assert scores["moving area, 1 frame"][t] == pytest.approx((change > 10).mean())
        difference = blurred(np.abs(now - empty).astype(np.uint8))
        assert scores["foreground area, 1 frame"][t] == pytest.approx((difference > 18).mean())
    for name in ("frame difference, 1 frame", "moving area, 1 frame"):
        assert scores[name][0] == scores[name][1] > 0


def test_the_first_frame_has_the_motion_energy_of_the_second(scene):
    train, test, *_ = scene
    energy = baseline_scores(train, [test], every=1)["motion energy, 1 frame"]["01"]
    # windows sit where things are in each frame
    assert energy[0] == pytest.approx(energy[1], abs=0.5)
    assert energy.min() > -10


@pytest.mark.parametrize("kind", KINDS[:3])
def test_sixteen_frames_are_a_mean_around_each_frame(scene, kind):
    train, test, *_ = scene
    scores = {name: curves["01"] for name, curves in baseline_scores(train, [test]).items()}
    for t in (8, 12, 16):
        assert scores[f"{kind}, 16 frames"][t] == pytest.approx(
            scores[f"{kind}, 1 frame"][t - 8 : t + 8].mean()
        )


@pytest.mark.parametrize(("name", "span"), [(f"motion energy, {SPANS[n]}", n) for n in SPANS])
def test_motion_energy_follows_its_recipe_frame_by_frame(scene, name, span):
    train, test, frames, empty = scene
    scores = baseline_scores(train, [test], every=1)[name]["01"]
    signed = frames / 127.5 - 1
    for t in (8, 12, 15):
        difference = blurred(cv2.absdiff(frames[t], empty))
        foreground = (difference > 18).astype(np.uint8)
        closed = cv2.morphologyEx(foreground, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
        count, _, stats, centroids = cv2.connectedComponentsWithStats(closed)
        around = range(t - span // 2, t - span // 2 + span)
        energies = []
        for k in range(1, count):
            if stats[k, cv2.CC_STAT_AREA] < 40:
                continue
            assert max(stats[k, 2:4]) <= 48, "the scene has things of one window only"
            x, y = np.clip(centroids[k], 24, (103, 71)).astype(int)
            energy = 0
            for u in around:
                change = np.square(signed[max(u, 1)] - signed[max(u, 1) - 1])
                energy += change[y - 24 : y + 24, x - 24 : x + 24].mean() / span
            energies.append(energy)
        assert energies
        assert scores[t] == pytest.approx(np.log(max(energies)), abs=0.02)


def test_scores_do_not_depend_on_the_blocks_in_which_a_video_is_read(monkeypatch):
    train = moving_videos(2, size=(96, 128), length=40)
    test = moving_videos(1, size=(96, 128), length=90, seed=5)
    whole = baseline_scores(train, test)
    for block in (7, 16, 50):
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
    for name, curves in baseline_scores([video], [video]).items():
        assert curves["short"].shape == (length,), name
        assert np.isfinite(curves["short"]).all(), name


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
    assert best_baseline(measured, "micro_auc_raw") == "any"
    with refused("unknown-name", field="metric"):
        best_baseline(measured, "macro_auc_padded")


@pytest.mark.slow
def test_on_the_real_ped2_motion_energy_scores_as_measured_elsewhere(real_data):
    """0.87 raw stands in the project's facts, measured with other code; the recipe leaves details
    open.

    Its 0.82 per video does not hold here: there, the first frame of a video had no energy at all,
    and was every video's minimum.
    """
    train, test = (load_videos("ped2", split, real_data) for split in ("train", "test"))
    labels = {video.name: video.labels for video in test}
    measured = measure_baselines(baseline_scores(train, test), labels)["motion energy, 16 frames"]
    assert measured["micro_auc_raw"] == pytest.approx(0.87, abs=0.01)
