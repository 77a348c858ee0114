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
    """(data config, scenes) -> an untrained run, calibrated on two videos a scene."""

    def make(config, scenes=("one",)):
        torch.manual_seed(0)
        model = DualPathAutoencoder(ModelConfig(width=8, slots=16)).eval()
        reference = {}
        for seed, scene in enumerate(scenes):
            stored = stored_frames(moving_videos(2, seed=seed), config, progress=False)
            maps = [error_maps(model, v, config, torch.device("cpu"), "fp32") for v in stored]
            reference[scene] = maps
        calibrate(reference, ScoreConfig(frames=config.length)).save(tmp_path / "calibration.npz")
        run_config = RunConfig(clips=config, training=TrainConfig(precision="fp32"))
        return Run(tmp_path, run_config, model)

    return make


def streamed(run, video, scene="one"):
    calibration = Calibration.load(run.folder / "calibration.npz")
    once = dataclasses.replace(video, frames=OnceForward(video.frames.frames))
    parts = zip(*stream_scores(run, calibration, once, scene, "cpu"), strict=True)
    return tuple(map(np.array, parts))


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


def test_colour_frames_are_prepared_as_in_training_and_handed_on_smaller(make_run):
    """Resized, and colour made grey, as the frame store does it; who watches sees colour."""
    run = make_run(ClipConfig(length=8, size=(40, 56), channels=1))
    rng = np.random.default_rng(0)
    video = Video("a", ArrayFrames(rng.integers(0, 256, (20, 48, 64, 3), np.uint8)), 10.0)
    scores, _, frames = streamed(run, video)
    whole = evaluate(run, [video], "cpu", progress=False)
    np.testing.assert_allclose(scores, whole.scores["a"], rtol=1e-6)
    np.testing.assert_array_equal(frames, video.frames.frames)
    large = Video("a", ArrayFrames(np.zeros((8, 2 * SHOWN_SIDE, 1000, 1), np.uint8)), 10.0)
    assert streamed(run, large)[2].shape == (8, SHOWN_SIDE, 500, 1)


def test_a_model_of_grey_frames_takes_colour_without_being_told(make_run):
    run = make_run(WHOLE)
    [video] = moving_videos(1, length=20)
    coloured = dataclasses.replace(video, frames=ArrayFrames(video.frames.frames.repeat(3, 3)))
    np.testing.assert_allclose(streamed(run, coloured)[0], streamed(run, video)[0], rtol=1e-6)


@pytest.mark.parametrize("step", [1, 2])
def test_what_is_held_does_not_grow_with_the_video(make_run, step):
    run = make_run(dataclasses.replace(CROPPED, frame_step=step))
    calibration = Calibration.load(run.folder / "calibration.npz")
    most = []
    for length in (80, 320):
        [video] = moving_videos(1, length=length)
        stream, sizes = stream_scores(run, calibration, video, "one", "cpu"), []
        for _ in stream:
            frames = stream.gi_frame.f_locals["frames"]
            errors = stream.gi_frame.f_locals["held"].shape[1]
            sizes.append((len(frames.held), len(frames.passed_on), errors))
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
    moments = calibration.scenes["one"]
    two = dataclasses.replace(calibration, scenes={"one": moments, "two": moments})
    for reference, video, asked, expected in [
        (calibration, same, None, "one"),
        (calibration, other, None, ""),
        (calibration, other, "one", "one"),
        (two, same, None, ""),
        (two, same, "two", "two"),
    ]:
        assert find_scene(reference, CROPPED, video, asked) == expected
    # Its frames are shrunk to the same size, whatever they are in the file.
    assert find_scene(calibration, dataclasses.replace(CROPPED, size=(48, 64)), other) == "one"
    with refused("unknown-name", field="scene"):
        find_scene(two, CROPPED, same, "three")


def test_an_unknown_scene_is_judged_as_evaluate_judges_it(make_run):
    run = make_run(CROPPED, scenes=("one", "two"))
    [video] = moving_videos(1, length=20, seed=3)
    whole = evaluate(run, [dataclasses.replace(video, scene="elsewhere")], "cpu", progress=False)
    np.testing.assert_allclose(streamed(run, video, "")[0], whole.scores["01"], rtol=1e-6)
    assert not np.allclose(streamed(run, video, "one")[0], whole.scores["01"])


@pytest.mark.parametrize(
    ("shape", "code", "field"),
    [((7, 48, 64, 1), "too-short", "length"), ((20, 48, 15, 1), "wrong-shape", "crop")],
)
def test_a_video_that_cannot_be_scored_is_refused_at_once(make_run, shape, code, field):
    run = make_run(CROPPED)
    video = Video("01", ArrayFrames(np.zeros(shape, np.uint8)), 10.0)
    with refused(code, field=f"ClipConfig.{field}"):
        stream_scores(run, Calibration.load(run.folder / "calibration.npz"), video, "one", "cpu")


def test_scores_of_the_real_ped2(make_run, real_data):
    """A folder of frames, opened as your own, against the same clip of the dataset; its first
    frames, which are enough to see.
    """
    run = make_run(ClipConfig.preset("fast"))
    [reference] = [v for v in load_videos("ped2", "test", real_data) if v.name == "09"]
    own = open_video(real_data / "ped2" / "testing" / "frames" / "09")
    # grey pictures that are stored as RGB
    assert (own.name, own.frames.shape, own.labels) == ("09", (120, 240, 360, 3), None)
    own, reference = (
        Video("09", ArrayFrames(v.frames[:37]), 10.0, "one") for v in (own, reference)
    )
    np.testing.assert_allclose(
        streamed(run, own)[0],
        evaluate(run, [reference], "cpu", progress=False).scores["09"],
        rtol=1e-6,
    )
