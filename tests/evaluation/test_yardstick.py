"""The yardstick against a literal transcription of its recipe, and against the published measurement on the real Ped2."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scenes import moving_videos

from vadlib.data.catalog import load_videos
from vadlib.evaluation.metrics import micro_auc, per_video
from vadlib.evaluation.yardstick import yardstick_scores


def test_scores_follow_the_recipe_frame_by_frame():
    train, [test] = moving_videos(2, size=(96, 128), length=40), moving_videos(1, size=(96, 128), length=24, seed=5)
    [scores] = yardstick_scores(train, [test], every=1).values()
    empty = np.median(np.concatenate([np.asarray(v.frames)[::10, ..., 0] for v in train]), axis=0).astype(np.uint8)
    frames = np.asarray(test.frames)[..., 0]
    signed = frames / 127.5 - 1
    for t in (8, 12, 15):
        difference = cv2.GaussianBlur(cv2.absdiff(frames[t], empty), (5, 5), 0)
        closed = cv2.morphologyEx((difference > 18).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
        count, _, stats, centroids = cv2.connectedComponentsWithStats(closed)
        energies = []
        for k in range(1, count):
            if stats[k, cv2.CC_STAT_AREA] < 40:
                continue
            assert max(stats[k, 2:4]) <= 48, "the scene has things of one window only"
            x, y = (int(np.clip(c, 24, limit - 25)) for c, limit in zip(centroids[k], (128, 96), strict=True))
            change = [np.square(signed[u] - signed[u - 1])[y - 24 : y + 24, x - 24 : x + 24].mean() for u in range(t - 8, t + 8) if u > 0]
            energies.append(sum(change) / 16)
        assert energies
        assert scores[t] == pytest.approx(np.log(max(energies)), abs=0.02)


def test_scores_do_not_depend_on_the_blocks_in_which_a_video_is_read(monkeypatch):
    train, test = moving_videos(2, size=(96, 128), length=40), moving_videos(1, size=(96, 128), length=90, seed=5)
    whole = yardstick_scores(train, test)
    for block in (7, 16, 50):
        monkeypatch.setattr("vadlib.evaluation.yardstick.BLOCK", block)
        for name, scores in yardstick_scores(train, test).items():
            np.testing.assert_allclose(scores, whole[name], atol=1e-5)


def test_a_scene_that_was_not_filmed_for_training_is_judged_by_the_video_itself():
    train, [test] = moving_videos(2, size=(60, 80), length=40), moving_videos(1, size=(96, 128), length=40, seed=5)
    alone = yardstick_scores([test], [test])["01"]
    assert np.array_equal(yardstick_scores(train, [replace(test, scene="elsewhere")])["01"], alone)


@pytest.mark.slow
def test_on_the_real_ped2_it_scores_as_measured_elsewhere(real_data):
    """0.87 raw and 0.82 per-video stand in the project's facts, measured with other code; the recipe leaves details open."""
    train, test = (load_videos("ped2", split, real_data) for split in ("train", "test"))
    scores, labels = yardstick_scores(train, test), {v.name: v.labels for v in test}
    assert set(scores) == set(labels)
    assert all(len(scores[name]) == len(labels[name]) for name in labels)
    assert micro_auc(scores, labels) == pytest.approx(0.87, abs=0.01)
    assert micro_auc(per_video(scores), labels) == pytest.approx(0.82, abs=0.025)
