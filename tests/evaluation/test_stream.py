"""A video scored while it is read: the scores are those of the whole video, and what is held does
not grow.
"""

import dataclasses

import numpy as np
import pytest
import torch
from refusals import refused
from scenes import ArrayFrames, moving_videos

from vadlib.config import ClipConfig, ModelConfig, RunConfig, ScoreConfig, TrainConfig
from vadlib.data.catalog import load_videos
from vadlib.data.clips import stored_frames
from vadlib.data.folder import open_video
from vadlib.data.video import Video
from vadlib.evaluation.calibration import Calibration, calibrate
from vadlib.evaluation.error_maps import error_maps
from vadlib.evaluation.evaluate import evaluate
from vadlib.evaluation.stream import SHOWN_SIDE, find_scene, stream_scores
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import Run

CROPPED, WHOLE = ClipConfig(length=8, crop=(16, 16)), ClipConfig(length=8)
SLOW = {"frame_step": 2}


class OnceForward(ArrayFrames):
    """Frames that can be read one by one, each once, in order, as from a camera."""

    next = 0

    def __getitem__(self, index):
        assert index == self.next
        self.next += 1
        return self.frames[index]


@pytest.fixture
def make_run(tmp_path):
    """(data config, channels, scenes) -> an untrained run, calibrated on two videos a scene."""

    def make(config, channels=1, scenes=("one",)):
        torch.manual_seed(0)
        model = DualPathAutoencoder(ModelConfig(width=8, slots=16, channels=channels)).eval()
        known = {}
        for seed, scene in enumerate(scenes):
            frames = stored_frames(
                moving_videos(2, seed=seed),
                dataclasses.replace(config, channels=channels),
                progress=False,
            )
            known[scene] = [
                error_maps(model, f, config, torch.device("cpu"), "fp32") for f in frames
            ]
        calibrate(known, ScoreConfig(frames=config.length)).save(tmp_path / "calibration.npz")
        return Run(
            tmp_path,
            RunConfig(clips=config, training=TrainConfig(precision="fp32")),
            model,
        )

    return make


def streamed(run, video, scene="one"):
    calibration = Calibration.load(run.folder / "calibration.npz")
    once = dataclasses.replace(video, frames=OnceForward(video.frames.frames))
    found = list(stream_scores(run, calibration, once, scene, "cpu"))
    return tuple(map(np.array, zip(*found, strict=True)))


@pytest.mark.parametrize(
    ("config", "lengths"),
    [
        (CROPPED, (8, 9, 12, 13, 16, 17, 20, 41)),
        (WHOLE, (8, 11, 12, 24, 25)),
        (dataclasses.replace(CROPPED, **SLOW), (16, 17, 24, 25, 41)),
        (dataclasses.replace(WHOLE, **SLOW), (16, 19, 31)),
        (dataclasses.replace(WHOLE, length=7, frame_step=3), (21, 22, 40)),
    ],
)
def test_scores_are_those_of_the_whole_video(make_run, config, lengths):
    run = make_run(config)
    for length in lengths:
        [video] = moving_videos(1, length=length, labelled=True, seed=5)
        whole = evaluate(run, [video], "cpu", progress=False)
        scores, maps, frames = streamed(run, video)
        np.testing.assert_allclose(scores, whole.scores["01"], rtol=1e-6)
        np.testing.assert_allclose(maps, whole.score_map("01"), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(frames, video.frames.frames)
        assert scores.std() > 0.01


def test_frames_are_prepared_as_in_training(make_run):
    """Resized, and colour made grey: as the frame store does it."""
    run = make_run(ClipConfig(length=8, size=(40, 56), channels=1))
    rng = np.random.default_rng(0)
    video = Video("a", ArrayFrames(rng.integers(0, 256, (20, 48, 64, 3), np.uint8)), 10.0)
    scores, _, frames = streamed(run, video)
    np.testing.assert_allclose(
        scores, evaluate(run, [video], "cpu", progress=False).scores["a"], rtol=1e-6
    )
    # who watches sees colour, and all pixels
    np.testing.assert_array_equal(frames, video.frames.frames)


def test_colour_becomes_grey_for_a_model_of_grey_frames(make_run):
    run = make_run(WHOLE)
    [video] = moving_videos(1, length=20)
    coloured = dataclasses.replace(
        video, frames=ArrayFrames(np.repeat(video.frames.frames, 3, axis=3))
    )
    np.testing.assert_allclose(streamed(run, coloured)[0], streamed(run, video)[0], rtol=1e-6)


def test_large_frames_are_handed_on_smaller(make_run):
    run = make_run(ClipConfig(length=8, size=(48, 64)))
    video = Video("a", ArrayFrames(np.zeros((8, 2 * SHOWN_SIDE, 1000, 1), np.uint8)), 10.0)
    assert streamed(run, video)[2].shape == (8, SHOWN_SIDE, 500, 1)


@pytest.mark.parametrize("step", [1, 2])
def test_what_is_held_does_not_grow_with_the_video(make_run, step):
    run = make_run(dataclasses.replace(CROPPED, frame_step=step))
    calibration = Calibration.load(run.folder / "calibration.npz")
    most = []
    for length in (80, 320):
        [video] = moving_videos(1, length=length)
        stream, sizes = stream_scores(run, calibration, video, "one", "cpu"), []
        for _ in stream:
            inside = stream.gi_frame.f_locals
            sizes.append(
                (
                    len(inside["frames"].held),
                    len(inside["frames"].passed_on),
                    inside["held"].shape[1],
                )
            )
        assert len(sizes) == length
        most.append(np.max(sizes, axis=0))
    np.testing.assert_array_equal(*most)
    span = 7 * step + 1
    assert (most[0] <= [span, 2 * span + 8, 2 * 8 + 2 * span]).all()


def test_the_scene_is_the_only_one_of_that_size(make_run):
    run = make_run(CROPPED)
    calibration = Calibration.load(run.folder / "calibration.npz")
    same, other = (
        Video("a", ArrayFrames(np.zeros((8, *size, 1), np.uint8)), 10.0, scene="x")
        for size in ((48, 64), (64, 48))
    )
    two = dataclasses.replace(
        calibration, scenes={"one": calibration.scenes["one"], "two": calibration.scenes["one"]}
    )
    for known, video, asked, expected in [
        (calibration, same, None, "one"),
        (calibration, other, None, ""),
        (calibration, other, "one", "one"),
        (two, same, None, ""),
        (two, same, "two", "two"),
    ]:
        assert find_scene(known, CROPPED, video, asked) == expected
    # Its frames are shrunk to the same size, whatever they are in the file.
    assert find_scene(calibration, dataclasses.replace(CROPPED, size=(48, 64)), other) == "one"
    with refused("unknown-name", field="scene") as caught:
        find_scene(two, CROPPED, same, "three")
    for scene in ("three", "one", "two"):
        assert scene in str(caught.error)


def test_an_unknown_scene_is_judged_as_evaluate_judges_it(make_run):
    run = make_run(CROPPED, scenes=("one", "two"))
    [video] = moving_videos(1, length=20, seed=3)
    whole = evaluate(run, [dataclasses.replace(video, scene="elsewhere")], "cpu", progress=False)
    np.testing.assert_allclose(streamed(run, video, "")[0], whole.scores["01"], rtol=1e-6)
    assert not np.allclose(streamed(run, video, "one")[0], whole.scores["01"])


@pytest.mark.parametrize(
    ("size", "length", "code", "field"),
    [
        ((48, 64), 7, "too-short", "ClipConfig.length"),
        ((48, 15), 20, "wrong-shape", "ClipConfig.crop"),
    ],
)
def test_a_video_that_cannot_be_scored_is_refused_at_once(make_run, size, length, code, field):
    run = make_run(CROPPED)
    video = Video("01", ArrayFrames(np.zeros((length, *size, 1), np.uint8)), 10.0)
    with refused(code, field=field):
        stream_scores(run, Calibration.load(run.folder / "calibration.npz"), video, "one", "cpu")


def test_scores_of_the_real_ped2(make_run, real_data):
    """A folder of frames, opened as one's own, against the same clip of the dataset; its first
    frames, which are enough to see.
    """
    run = make_run(ClipConfig.preset("fast"))
    [known] = [v for v in load_videos("ped2", "test", real_data) if v.name == "09"]
    own = open_video(real_data / "ped2" / "testing" / "frames" / "09")
    # grey pictures that are stored as RGB
    assert (own.name, own.frames.shape, own.labels) == ("09", (120, 240, 360, 3), None)
    own, known = (Video("09", ArrayFrames(v.frames[:37]), 10.0, "one") for v in (own, known))
    np.testing.assert_allclose(
        streamed(run, own)[0], evaluate(run, [known], "cpu", progress=False).scores["09"], rtol=1e-6
    )
