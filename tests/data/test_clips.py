"""Clips hold the right frames, windows and boxes; every frame of a video is covered."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from vadlib.config import ClipConfig
from vadlib.data.clips import (
    LOOKAHEAD,
    ClipDataset,
    clip_starts,
    scoring_starts,
    stored_frames,
    to_frames,
    to_tensor,
)

counts, lengths = st.integers(0, 300), st.integers(1, 20)
steps = st.integers(1, 4)


@given(counts, lengths, steps, steps)
def test_training_starts_are_all_that_fit(frames, length, frame_step, clip_step):
    last = frames - 1 - (length - 1) * frame_step
    fitting = [start for start in range(0, frames, clip_step) if start <= last]
    assert clip_starts(frames, length, frame_step, clip_step) == fitting


@given(counts, lengths, steps)
def test_scoring_clips_cover_every_frame_and_overlap_by_half(frames, length, frame_step):
    starts = scoring_starts(frames, length, frame_step)
    if frames < length * frame_step:
        assert starts == []
        return
    covered = {s + k * frame_step for s in starts for k in range(length)}
    assert covered == set(range(frames))  # every frame, and none beyond the video
    assert starts == sorted(set(starts))
    for phase in range(frame_step):
        strides = np.diff([s for s in starts if s % frame_step == phase]) // frame_step
        assert (strides[:-1] == max(1, length // 2)).all()
        assert (strides[-1:] <= max(1, length // 2)).all()


def test_values_come_back_exactly_from_any_memory_layout():
    frames = np.arange(256, dtype=np.uint8).repeat(6).reshape(4, 16, 8, 3)
    tensor = to_tensor(frames)
    assert (tensor.shape, tensor.dtype) == ((3, 4, 16, 8), torch.float32)
    assert np.array_equal(to_frames(tensor), frames)
    values = to_tensor(np.array([0, 51, 255], np.uint8).reshape(3, 1, 1, 1)).flatten()
    assert values.tolist() == pytest.approx([-1, -0.6, 1], abs=1e-7)
    wide = torch.tensor([-1.01, -3.0, 1.01, 3.0, 1e6]).view(1, 5, 1, 1)
    assert to_frames(wide).flatten().tolist() == [0, 0, 255, 255, 255]  # no wrap-around
    assert torch.equal(to_tensor(frames[:, :, ::-2]), tensor[..., [7, 5, 3, 1]])
    assert torch.equal(to_tensor(torch.from_numpy(frames)), tensor)


@pytest.fixture(scope="module")
def scene(walker, array_video):
    """Two videos of 60 and 50 frames with a walker, and her box in each frame."""
    videos = []
    for name, length, seed in (("a", 60, 0), ("b", 50, 1)):
        frames, boxes = walker(length, 1, seed)
        videos.append(array_video(frames, name, boxes=boxes))
    return videos


def clips_of(videos, boxes=None, **config):
    return ClipDataset(videos, ClipConfig(**config), boxes, progress=False)


@pytest.mark.parametrize("frame_step", [1, 4])
@pytest.mark.parametrize("crop", [None, (24, 20)])
def test_a_clip_shows_the_videos_frames_and_boxes(scene, frame_step, crop):
    clips = clips_of(scene, length=8, frame_step=frame_step, clip_step=3, crop=crop)
    by_name, places = {video.name: video for video in scene}, []
    tall, wide = crop or (48, 64)
    for clip in (clips[i] for i in range(len(clips))):
        video, (y, x) = by_name[clip.video], clip.corner
        times = range(clip.start, len(video), frame_step)[: 8 * (1 + LOOKAHEAD)]
        expected = video.frames.frames[list(times), y : y + tall, x : x + wide]
        assert np.array_equal(to_frames(clip.tensor), expected[:8])
        assert np.array_equal(clip.lookahead.numpy(), expected[8:])
        for t, near in zip(times, clip.boxes, strict=False):
            box = video.boxes[t] - [x, y, x, y]
            inside = ((box[:, :2] < (wide, tall)) & (box[:, 2:] > 0)).all(1)
            assert np.array_equal(near, box[inside])
        places.append((clip.video, clip.start))
    starts = [(v.name, s) for v in scene for s in clip_starts(len(v), 8, frame_step, 3)]
    assert places == starts if crop is None else set(places) <= set(starts)
    assert places


def test_sizes_and_channels_are_settings(scene, array_video):
    clip = clips_of(scene, length=4, size=(12, 64))[0]
    assert clip.tensor.shape == (1, 4, 12, 64)
    assert np.allclose(clip.boxes[2], scene[0].boxes[2] * [1, 0.25, 1, 0.25])
    video = array_video(np.zeros((20, 60, 40, 3)))
    assert clips_of([video], shorter_side=20, channels=1)[0].tensor.shape == (1, 16, 30, 20)
    assert clips_of([video])[0].boxes is None
    assert clips_of([video], {"a": [np.zeros((0, 4))] * 20})[0].boxes[3].shape == (0, 4)


def test_moved_windows_stay_inside_and_go_a_quarter_far(scene):
    """Windows of 40 x 20 in frames of 48 x 64: a quarter is 10 rows, of which the frame allows 8,
    and 5 columns.
    """
    clips = clips_of(scene, length=8, clip_step=8, crop=(40, 20))
    generator, moves = torch.Generator().manual_seed(0), set()
    for i in list(range(len(clips))) * 40:
        clip = clips.clip(i, generator)
        y, x = clip.corner
        video = scene["ab".index(clip.video)]
        expected = video.frames.frames[clip.start : clip.start + 8, y : y + 40, x : x + 20]
        assert np.array_equal(to_frames(clip.tensor), expected)
        moves.add(tuple(np.subtract(clip.corner, clips[i].corner).tolist()))
    assert {dy for dy, _ in moves} == set(range(-8, 9))
    assert {dx for _, dx in moves} == set(range(-5, 6))


def test_a_clip_is_a_copy_and_a_dataset_is_sent_without_its_frames(scene):
    clips = clips_of(scene, length=8, crop=(24, 20))
    before = clips[0].tensor.clone()
    clips[0].tensor.zero_()
    assert torch.equal(clips[0].tensor, before)
    clips.videos = []  # those of this test hold their frames in memory
    sent = pickle.dumps(clips)
    assert len(sent) < sum(frames.nbytes for frames in clips.frames) / 10
    received = pickle.loads(sent)
    received.videos = clips.videos = scene
    assert torch.equal(received[3].tensor, clips[3].tensor)
    assert isinstance(received.frames[0], np.memmap)


def test_videos_that_do_not_fit_are_refused(array_video):
    still = array_video(np.full((20, 48, 64, 1), 90))
    mixed = [array_video(np.zeros((20, 8, 8, c), np.uint8), str(c)) for c in (1, 3)]
    refusals = [
        ([], {}, "too-few", "videos"),
        ([still], {"crop": (24, 20)}, "nothing-to-do", "ClipConfig.crop"),
        ([still, still], {}, "duplicate-name", "videos"),
        (mixed, {}, "conflict", "ClipConfig.channels"),
        ([still], {"length": 21}, "too-short", "ClipConfig.length"),
        ([still], {"length": 8, "frame_step": 3}, "too-short", "ClipConfig.length"),
        ([still], {"crop": (49, 10)}, "out-of-range", "ClipConfig.crop"),
        ([still], {"size": (24, 32), "crop": (24, 48)}, "out-of-range", "ClipConfig.crop"),
    ]
    for videos, config, code, field in refusals:
        with refused(code, field=field):
            clips_of(videos, **config)
    colour = stored_frames(mixed, ClipConfig(channels=3), progress=False)
    assert {frames.shape[3] for frames in colour} == {3}
