"""Clips hold the right frames, windows and boxes; every frame of a video is covered."""

import pickle
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from vadlib.config import ClipConfig
from vadlib.data import clips as clipping
from vadlib.data.clips import ClipDataset, clip_starts, scoring_starts, to_frames, to_tensor

counts = st.integers(0, 300)
lengths = st.integers(1, 20)
steps = st.integers(1, 4)


@given(counts, lengths, steps, steps)
def test_training_starts_are_all_that_fit(frames, length, frame_step, clip_step):
    last = frames - 1 - (length - 1) * frame_step
    fitting = [start for start in range(0, frames, clip_step) if start <= last]
    assert clip_starts(frames, length, frame_step, clip_step) == fitting
    assert clip_starts(180, 16) == list(range(165))  # the example of the docstring


@pytest.mark.parametrize(
    ("arguments", "starts"),
    [
        ((15, 16, 1), []),
        ((24, 16, 1), [0, 8]),
        ((25, 16, 1), [0, 8, 9]),
        ((5, 1, 1), [0, 1, 2, 3, 4]),
        ((9, 4, 2), [0, 1, 2]),  # frames 0 2 4 6, 2 4 6 8, and 1 3 5 7
        ((7, 4, 2), []),  # frame 6 has no partner
    ],
)
def test_scoring_starts_by_table(arguments, starts):
    assert scoring_starts(*arguments) == starts


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


@pytest.mark.parametrize("channels", [1, 3])
def test_all_256_values_come_back_exactly(channels):
    frames = np.arange(256, dtype=np.uint8).repeat(2 * channels).reshape(4, 16, 8, channels)
    tensor = to_tensor(frames)
    assert (tensor.shape, tensor.dtype) == ((channels, 4, 16, 8), torch.float32)
    assert np.array_equal(to_frames(tensor), frames)
    values = to_tensor(np.array([0, 51, 255], np.uint8).reshape(3, 1, 1, 1)).flatten()
    assert values.tolist() == pytest.approx([-1, -0.6, 1], abs=1e-7)
    wide = torch.tensor([-1.01, -3.0, 1.01, 3.0, 1e6]).view(1, 5, 1, 1)
    assert to_frames(wide).flatten().tolist() == [0, 0, 255, 255, 255]  # no wrap-around


def test_frames_of_any_memory_layout_become_tensors():
    frames = np.random.default_rng(0).integers(0, 256, (6, 8, 10, 3), dtype=np.uint8)
    expected = to_tensor(frames.copy())
    view = np.zeros((6, 8, 20, 3), np.uint8)
    view[:, :, ::2] = frames
    assert torch.equal(to_tensor(view[:, :, ::2]), expected)
    assert torch.equal(to_tensor(torch.from_numpy(frames)), expected)
    assert expected[1, 2, 3, 4] == pytest.approx(frames[2, 3, 4, 1] / 127.5 - 1, abs=1e-6)


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


def expected_frames(video, clip, config, count):
    """The frames that a clip should show, read from the video itself."""
    (y, x), (tall, wide) = clip.corner, config.crop or video.frames.shape[1:3]
    times = [clip.start + k * config.frame_step for k in range(count)]
    return video.frames.frames[times, y : y + tall, x : x + wide]


@pytest.mark.parametrize("frame_step", [1, 2, 4])
@pytest.mark.parametrize("crop", [None, (24, 20)])
def test_a_clip_shows_the_videos_frames(scene, frame_step, crop):
    clips = clips_of(scene, length=8, frame_step=frame_step, clip_step=3, crop=crop)
    by_name = {v.name: v for v in scene}
    places = []
    for clip in (clips[i] for i in range(len(clips))):
        video = by_name[clip.video]
        after = range(clip.start + 8 * frame_step, len(video), frame_step)
        count = 8 + min(len(after), clipping.LOOKAHEAD * 8)
        expected = expected_frames(video, clip, clips.config, count)
        assert np.array_equal(to_frames(clip.tensor), expected[:8])
        assert np.array_equal(clip.lookahead.numpy(), expected[8:])
        places.append((clip.video, clip.start))
    starts = [(v.name, s) for v in scene for s in clip_starts(len(v), 8, frame_step, 3)]
    assert places == starts if crop is None else set(places) <= set(starts)
    assert places


def test_resized_clips_show_resized_frames_and_scaled_boxes(scene):
    clip = clips_of(scene, length=4, size=(24, 32))[5]
    expected = scene[0].frames.frames[5:9].astype(float).reshape(4, 24, 2, 32, 2, 1).mean((2, 4))
    assert clip.tensor.shape == (1, 4, 24, 32)
    assert np.abs(to_frames(clip.tensor) - expected).max() <= 0.5
    clip = clips_of(scene, length=4, size=(12, 64))[0]
    assert np.allclose(clip.boxes[2], scene[0].boxes[2] * [1, 0.25, 1, 0.25])


@pytest.mark.parametrize("frame_step", [1, 2])
def test_boxes_are_moved_into_the_window_and_others_dropped(scene, frame_step):
    far = np.array([[60, 0, 64, 4]], np.float32)
    boxes = {}
    for video in scene:
        boxes[video.name] = [np.concatenate([box, far]) for box in video.boxes]
    clips = clips_of(scene, boxes, length=8, frame_step=frame_step, crop=(24, 20))
    dropped = 0
    for clip in (clips[i] for i in range(0, len(clips), 3)):
        y, x = clip.corner
        for k, near in enumerate(clip.boxes):
            native = boxes[clip.video][clip.start + k * frame_step] - [x, y, x, y]
            visible = [b for b in native if b[0] < 20 and b[2] > 0 and b[1] < 24 and b[3] > 0]
            assert np.array_equal(near, np.array(visible, np.float32).reshape(-1, 4))
            dropped += len(native) - len(visible)
    assert dropped > 0


def test_without_boxes_clips_have_none(array_video):
    video = array_video(np.zeros((10, 8, 8, 1)))
    assert clips_of([video], length=4)[0].boxes is None
    boxes = clips_of([video], {"a": [np.zeros((0, 4))] * 10}, length=4)[0].boxes
    assert [b.shape for b in boxes] == [(0, 4)] * 4


def test_windows_are_where_the_clip_moves(scene):
    """Each window shows motion near its centre, and the walker is in some window of each clip in
    which she moves.
    """
    clips = clips_of(scene, length=8, clip_step=2, crop=(24, 20))
    columns = {}
    for video, start, y, x in clips.index:
        frames = scene[video].frames.frames[start : start + 8, ..., 0].astype(int)
        window = np.ptp(frames, axis=0)[y : y + 24, x : x + 20]
        assert (window > 18).sum() >= 10
        columns.setdefault((video, start), []).append(x)
    for v, video in enumerate(scene):
        for start in clip_starts(len(video), 8, 1, 2):
            middle = video.boxes[start + 4][0, [0, 2]].mean()
            assert any(x < middle < x + 20 for x in columns[v, start])


def test_moved_windows_stay_inside_and_go_a_quarter_far(scene):
    """Windows of 40 x 20 in frames of 48 x 64: a quarter is 10 rows, of which the frame allows 8,
    and 5 columns.
    """
    clips = clips_of(scene, length=8, clip_step=8, crop=(40, 20))
    generator, by_name = torch.Generator().manual_seed(0), {v.name: v for v in scene}
    moves = set()
    for i in range(len(clips)):
        for _ in range(40):
            clip = clips.clip(i, generator)
            corner = np.array(clip.corner)
            assert (corner >= 0).all()
            assert (corner <= (48 - 40, 64 - 20)).all()
            assert clip.start == clips[i].start
            expected = expected_frames(by_name[clip.video], clip, clips.config, 8)
            assert np.array_equal(to_frames(clip.tensor), expected)
            moves.add(tuple((corner - clips[i].corner).tolist()))
    assert {dy for dy, _ in moves} == set(range(-8, 9))
    assert {dx for _, dx in moves} == set(range(-5, 6))
    once = [clips.clip(3, torch.Generator().manual_seed(seed)).corner for seed in range(9)]
    again = [clips.clip(3, torch.Generator().manual_seed(seed)).corner for seed in range(9)]
    assert (once == again, len(set(once)) > 1) == (True, True)


def test_changing_a_clip_changes_neither_store_nor_dataset(scene):
    clips = clips_of(scene, length=8)
    before = clips[0].tensor.clone()
    clips[0].tensor.zero_()
    assert torch.equal(clips[0].tensor, before)
    assert torch.equal(clips.clip(0, torch.Generator()).tensor, before)  # without a crop


def test_a_dataset_is_sent_to_another_process_without_its_frames(scene):
    clips = clips_of(scene, length=8, crop=(24, 20))
    clips.videos = []  # those of this test hold their frames in memory
    sent = pickle.dumps(clips)
    assert len(sent) < sum(frames.nbytes for frames in clips.frames) / 10
    received = pickle.loads(sent)
    clips.videos = received.videos = scene
    assert torch.equal(received[3].tensor, clips[3].tensor)
    assert isinstance(received.frames[0], np.memmap)


def test_a_shorter_side_and_channels_are_settings(array_video):
    frames = np.random.default_rng(0).integers(0, 256, (20, 40, 60, 3), dtype=np.uint8)
    videos = [array_video(frames, "wide"), array_video(frames.transpose(0, 2, 1, 3), "tall")]
    clips = clips_of(videos, shorter_side=20, channels=1)
    assert [f.shape for f in clips.frames] == [(20, 20, 30, 1), (20, 30, 20, 1)]
    assert clips[0].tensor.shape == (1, 16, 20, 30)
    assert clips[len(clips) - 1].tensor.shape == (1, 16, 30, 20)


@pytest.mark.parametrize("config", [ClipConfig(length=16), ClipConfig(length=6, frame_step=3)])
def test_a_video_shorter_than_a_clip_is_named_with_both_numbers(array_video, config):
    zeros = np.zeros((40, 8, 8, 1))
    videos = [array_video(zeros, "long"), array_video(zeros[:15], "short")]
    with refused("too-short", field="ClipConfig.length") as caught:
        ClipDataset(videos, config, progress=False)
    assert re.findall(r"\d+", str(caught.error)) == ["15", "16"]
    assert "short" in str(caught.error)


@pytest.mark.parametrize(
    ("config", "sizes"),
    [
        ({"crop": (49, 10)}, ["48x64", "49x10"]),
        ({"size": (24, 32), "crop": (24, 48)}, ["24x32", "24x48"]),
    ],
)
def test_a_crop_larger_than_the_frame_is_refused_with_both_sizes(scene, config, sizes):
    with refused("out-of-range", field="ClipConfig.crop") as caught:
        clips_of(scene, **config)
    assert re.findall(r"\d+x\d+", str(caught.error)) == sizes


def test_videos_that_do_not_fit_are_refused(array_video):
    with refused("too-few", field="videos"):
        clips_of([])
    still = array_video(np.full((20, 48, 64, 1), 90))
    with refused("nothing-to-do", field="ClipConfig.crop"):
        clips_of([still], crop=(24, 20))
    assert len(clips_of([still])) == 5
    with refused("duplicate-name", field="videos"):
        clips_of([still, still])
    mixed = [array_video(np.zeros((20, 8, 8, c), np.uint8), str(c)) for c in (1, 3)]
    with refused("conflict", field="ClipConfig.channels"):
        clips_of(mixed)
    colour = clipping.stored_frames(mixed, ClipConfig(channels=3), progress=False)
    assert {frames.shape[3] for frames in colour} == {3}
