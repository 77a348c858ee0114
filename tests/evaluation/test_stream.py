"""A video scored while it is read: the scores are those of the whole video, and what is held does
not grow.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from refusals import refused
from scenes import ArrayFrames, moving_videos

from vadlib.config import ClipConfig, ModelConfig, RunConfig, ScoreConfig, TrainConfig
from vadlib.data.clips import stored_frames
from vadlib.data.video import Video
from vadlib.evaluation.calibration import Calibration, calibrate
from vadlib.evaluation.error_maps import error_maps
from vadlib.evaluation.evaluate import SHOWN_SIDE, evaluate, find_scene, stream_scores
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import Run

CROPPED, WHOLE = ClipConfig(length=8, crop=(16, 16)), ClipConfig(length=8)


class OnceForward(ArrayFrames):
    """Frames that can be read one by one, each once, in order, as from a camera."""

    next = 0

    def __getitem__(self, index):
        assert index == self.next
        self.next += 1
        return self.frames[index]


@pytest.fixture
def make_run(tmp_path):
    """(clip config, scenes, settings of the score) -> an untrained run, calibrated on two videos a
    scene, and its calibration.
    """

    def make(config, scenes=("one",), **settings):
        torch.manual_seed(0)
        model = DualPathAutoencoder(ModelConfig(width=8, slots=16)).eval()
        held_out = {}
        for seed, scene in enumerate(scenes):
            stored = stored_frames(moving_videos(2, seed=seed), config, progress=False)
            maps = [error_maps(model, v, config, torch.device("cpu"), "fp32") for v in stored]
            held_out[scene] = maps
        calibration = calibrate(held_out, ScoreConfig(frames=config.length, **settings))
        calibration.save(tmp_path / "calibration.npz")
        run_config = RunConfig(clips=config, training=TrainConfig(precision="fp32"))
        return Run(tmp_path, run_config, model), calibration

    return make


def video_of(shape, name="01"):
    frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return Video(name, ArrayFrames(frames), 10.0, scene="one")


def streamed(run, video, scene="one"):
    calibration = Calibration.load(run.folder / "calibration.npz")
    once = replace(video, frames=OnceForward(video.frames.frames))
    parts = zip(*stream_scores(run, calibration, once, scene, "cpu"), strict=True)
    return map(np.array, parts)


def require_whole(run, video, scene="one"):
    """Require the scores of `evaluate`."""
    whole = evaluate(run, [replace(video, scene=scene)], "cpu", progress=False)
    parts = list(streamed(run, video, scene))
    assert len(video) < 9 or parts[0].std() > 0.01
    np.testing.assert_allclose(parts[0], whole.scores[video.name], rtol=1e-6)
    np.testing.assert_allclose(parts[1], whole.score_map(video.name), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(parts[2], video.frames.frames)


@pytest.mark.parametrize(
    ("config", "lengths", "settings"),
    [
        (CROPPED, (8, 9, 12, 13, 20, 41), {}),
        (WHOLE, (8, 11, 24, 25), {}),
        (CROPPED, (8, 30, 41), {"smoothing": 2.0, "mean": 0.4}),
        (CROPPED, (8, 41), {"smoothing": 2.0, "causal": True}),
        (replace(CROPPED, frame_step=2), (16, 17, 41), {}),
        (replace(WHOLE, length=7, frame_step=3), (21, 22, 40), {}),
    ],
)
def test_scores_are_those_of_the_whole_video(make_run, config, lengths, settings):
    run, _ = make_run(config, **settings)
    for length in lengths:
        [video] = moving_videos(1, length=length, labelled=True, seed=5)
        require_whole(run, video)


def test_colour_frames_are_prepared_as_in_training_and_handed_on_smaller(make_run):
    """Resized, and colour made grey, as the frame store does it; who watches sees colour."""
    run, _ = make_run(ClipConfig(length=8, size=(40, 56), channels=1))
    require_whole(run, video_of((20, 48, 64, 3)))
    assert [*streamed(run, video_of((8, 2 * SHOWN_SIDE, 1000, 1)))][2].shape == (
        8,
        SHOWN_SIDE,
        500,
        1,
    )
    # a model of grey frames takes colour without being told
    run, _ = make_run(WHOLE)
    [grey] = moving_videos(1, length=20)
    colour = replace(grey, frames=ArrayFrames(grey.frames.frames.repeat(3, 3)))
    pair = [next(streamed(run, video)) for video in (colour, grey)]
    np.testing.assert_allclose(*pair, rtol=1e-6)


@pytest.mark.parametrize("step", [1, 2])
def test_what_is_held_does_not_grow_with_the_video(make_run, step):
    run, calibration = make_run(replace(CROPPED, frame_step=step))
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
    _, calibration = make_run(CROPPED)
    same, other = (video_of((8, *size, 1)) for size in ((48, 64), (64, 48)))
    moments = calibration.scenes["one"]
    two = replace(calibration, scenes={"one": moments, "two": moments})
    for reference, video, asked, expected in [
        (calibration, same, None, "one"),
        (calibration, other, None, ""),
        (calibration, other, "one", "one"),
        (two, same, None, ""),
        (two, same, "two", "two"),
    ]:
        assert find_scene(reference, CROPPED, video, asked) == expected
    # Its frames are shrunk to the same size, whatever they are in the file.
    assert find_scene(calibration, replace(CROPPED, size=(48, 64)), other) == "one"
    with refused("unknown-name", field="scene"):
        find_scene(two, CROPPED, same, "three")


def test_an_unknown_scene_is_judged_as_evaluate_judges_it(make_run):
    run, _ = make_run(CROPPED, scenes=("one", "two"))
    [video] = moving_videos(1, length=20, seed=3)
    require_whole(run, video, "")


@pytest.mark.parametrize(
    ("shape", "code", "field"),
    [((7, 48, 64, 1), "too-short", "length"), ((20, 48, 15, 1), "wrong-shape", "crop")],
)
def test_a_video_that_cannot_be_scored_is_refused_at_once(make_run, shape, code, field):
    run, calibration = make_run(CROPPED)
    with refused(code, field=f"ClipConfig.{field}"):
        stream_scores(run, calibration, video_of(shape), "one", "cpu")
