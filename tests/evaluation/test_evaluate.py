"""From a run and videos to a result: every frame, every file, and clear errors."""

import dataclasses

import numpy as np
import pytest
import torch
from scenes import moving_videos
from sklearn.metrics import roc_auc_score

from vadlib.data.clips import ClipDataset, DataConfig
from vadlib.engine.fit import TrainConfig, fit
from vadlib.errors import InputError
from vadlib.evaluation.evaluate import Result, evaluate
from vadlib.evaluation.explain import explain_clip
from vadlib.evaluation.scores import local_errors, raw_score
from vadlib.model.network import DualPathAutoencoder, ModelConfig


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    clips = ClipDataset(moving_videos(3), DataConfig(length=8, crop=(16, 16), clip_step=2), progress=False)
    config = TrainConfig(epochs=2, precision="fp32", device="cpu")
    return fit(
        DualPathAutoencoder(ModelConfig(width=8, slots=16)), clips, None, config, tmp_path_factory.mktemp("runs") / "a", progress=False
    )


@pytest.fixture(scope="module")
def labelled_videos():
    return moving_videos(3, length=45, labelled=True, seed=1)


@pytest.fixture(scope="module")
def result(run, labelled_videos):
    return evaluate(run, labelled_videos, "cpu", progress=False)


def test_every_frame_has_finite_scores(result, labelled_videos):
    for video in labelled_videos:
        for scores in (result.scores[video.name], result.raw[video.name]):
            assert scores.shape == (len(video),)
            assert np.isfinite(scores).all()


def test_a_big_fast_thing_never_seen_before_is_found(result):
    assert result.metrics["micro_auc_raw"] > 0.9
    assert result.metrics["micro_auc_calibrated"] > 0.9


def test_metrics_are_those_of_scikit_learn(result, labelled_videos):
    truth = np.concatenate([v.labels for v in labelled_videos])
    raw = [result.raw[v.name] for v in labelled_videos]
    scaled = [(s - s.min()) / (s.max() - s.min()) for s in raw]
    expected = {
        "micro_auc_raw": roc_auc_score(truth, np.concatenate(raw)),
        "micro_auc_calibrated": roc_auc_score(truth, np.concatenate([result.scores[v.name] for v in labelled_videos])),
        "micro_auc_per_video": roc_auc_score(truth, np.concatenate(scaled)),
        "macro_auc": np.mean([roc_auc_score(v.labels, s) for v, s in zip(labelled_videos, raw, strict=True)]),
        "macro_auc_left_out": 0,
        "videos": 3,
        "frames": 135,
        "abnormal_frames": 45,
    }
    assert {name: result.metrics[name] for name in expected} == pytest.approx(expected)


def test_a_result_of_an_earlier_version_is_refused_by_name(result, tmp_path):
    result.save(tmp_path)
    with np.load(tmp_path / "scores.npz") as stored:
        np.savez(tmp_path / "scores.npz", **{name: stored[name] for name in stored.files if not name.startswith("time/")}, fps=10.0)
    with pytest.raises(InputError, match=r"scores\.npz: without the frames' times, .*vadlib evaluate"):
        Result.load(tmp_path)


def test_a_saved_result_comes_back_and_rescores_without_another_pass(result, tmp_path, run):
    result.save(tmp_path)
    loaded = Result.load(tmp_path)
    assert loaded.metrics == result.metrics
    assert loaded.threshold == result.threshold
    for name, scores in result.scores.items():
        assert np.array_equal(loaded.scores[name], scores)
        assert np.array_equal(loaded.labels[name], result.labels[name])
        again = raw_score(local_errors(loaded.maps[name], run.data.length))
        np.testing.assert_allclose(again, result.raw[name], atol=2e-3)  # maps are kept in half precision


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
    assert result.metrics["abnormal_frames"] == 0
    assert set(result.scores) == {"01", "02"}


def test_two_videos_of_one_name_are_refused(run, labelled_videos):
    with pytest.raises(InputError, match="two videos are called '01'"):
        evaluate(run, [*labelled_videos, labelled_videos[0]], "cpu", progress=False)


def test_a_short_video_and_one_of_another_kind_are_refused_by_name(run):
    [short] = moving_videos(1, length=7)
    with pytest.raises(InputError, match="video 01: 7 frames, shorter than a clip of 8"):
        evaluate(run, [short], "cpu", progress=False)
    [grey] = moving_videos(1)
    colour = dataclasses.replace(grey, frames=type(grey.frames)(np.repeat(grey.frames[:], 3, axis=3)))
    with pytest.raises(InputError, match="3 channels, but the model was trained on 1"):
        evaluate(run, [colour], "cpu", progress=False)
    with pytest.raises(InputError, match="no videos to score"):
        evaluate(run, [], "cpu", progress=False)


def test_a_result_that_was_not_made_or_is_damaged(tmp_path):
    with pytest.raises(InputError, match=r"scores.npz: no such file; make it again with `vadlib evaluate"):
        Result.load(tmp_path)
    (tmp_path / "scores.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match=r"scores.npz: a damaged file"):
        Result.load(tmp_path)


def test_explanation_rebuilds_what_moves_and_only_that(run, labelled_videos):
    video, start = labelled_videos[0], 18
    clip = explain_clip(run, video, start)
    assert clip.frames.shape == clip.rebuilt.shape == (8, 48, 64, 1)
    np.testing.assert_array_equal(clip.frames, video.frames[start : start + 8])
    assert clip.seen.any()
    assert not clip.rebuilt[:, ~clip.seen].any()
    assert not clip.error[:, ~clip.seen].any()
    assert clip.usage.sum() == pytest.approx(1)
    assert 0 < clip.entropy.max() <= np.log(16)
    inside = clip.seen & (clip.error > 0).all(0)
    wrong = ((clip.rebuilt - clip.frames) / 127.5).astype(np.float64)[..., 0] ** 2
    # Where one window shows a place the error is that of the picture shown; averages over several can only be larger.
    assert (clip.error[:, inside] >= wrong[:, inside] - 1e-3).mean() > 0.95


def test_explaining_beyond_the_end_is_refused(run, labelled_videos):
    with pytest.raises(InputError, match=r"no clip begins at frame 40; expected 0 to 37"):
        explain_clip(run, labelled_videos[0], 40)
