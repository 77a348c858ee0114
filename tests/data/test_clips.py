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
from vadlib.data.clips import (
    LOOKAHEAD,
    ClipDataset,
    clip_starts,
    cut_clip,
    scoring_starts,
    stored_frames,
    to_frames,
    to_tensor,
)
from vadlib.data.motion import motion_windows

counts = st.integers(0, 300)
lengths = st.integers(1, 20)
steps = st.integers(1, 4)


# --- arithmetic


@pytest.mark.parametrize(
    ("frames", "length", "frame_step", "clip_step", "starts"),
    [
        (5, 3, 1, 1, [0, 1, 2]),
        (5, 3, 2, 1, [0]),  # frames 0 2 4
        (4, 3, 2, 1, []),
        (10, 4, 1, 3, [0, 3, 6]),
        (10, 4, 1, 4, [0, 4]),
        (10, 4, 3, 1, [0]),  # frames 0 3 6 9
        (11, 4, 3, 1, [0, 1]),
        (16, 16, 1, 1, [0]),
        (15, 16, 1, 1, []),
        (0, 1, 1, 1, []),
        (3, 1, 1, 1, [0, 1, 2]),
        (3, 1, 4, 2, [0, 2]),
    ],
)
def test_training_starts_by_table(frames, length, frame_step, clip_step, starts):
    assert clip_starts(frames, length, frame_step, clip_step) == starts


def test_the_counted_example_of_the_docstring(array_video):
    assert len(clip_starts(180, 16)) == 165
    clips = ClipDataset([array_video(np.zeros((180, 4, 4, 1)))], ClipConfig(), progress=False)
    assert len(clips) == 165


@given(counts, lengths, steps, steps)
def test_training_starts_are_all_that_fit(frames, length, frame_step, clip_step):
    fitting = [
        s
        for s in range(frames)
        if s % clip_step == 0 and all(s + k * frame_step < frames for k in range(length))
    ]
    assert clip_starts(frames, length, frame_step, clip_step) == fitting


@pytest.mark.parametrize(
    ("frames", "length", "frame_step", "starts"),
    [
        (16, 16, 1, [0]),
        (15, 16, 1, []),
        (24, 16, 1, [0, 8]),
        (25, 16, 1, [0, 8, 9]),
        (10, 4, 1, [0, 2, 4, 6]),
        (11, 4, 1, [0, 2, 4, 6, 7]),
        (5, 1, 1, [0, 1, 2, 3, 4]),
        (8, 4, 2, [0, 1]),  # frames 0 2 4 6 and 1 3 5 7
        (9, 4, 2, [0, 1, 2]),  # 0 2 4 6, 2 4 6 8, and 1 3 5 7
        (7, 4, 2, []),  # frame 6 has no partner
    ],
)
def test_scoring_starts_by_table(frames, length, frame_step, starts):
    assert scoring_starts(frames, length, frame_step) == starts


@given(counts, lengths, steps)
def test_defect_20_every_frame_is_covered(frames, length, frame_step):
    starts = scoring_starts(frames, length, frame_step)
    if frames < length * frame_step:
        assert starts == []
        return
    covered = {s + k * frame_step for s in starts for k in range(length)}
    assert covered == set(range(frames))  # every frame, and none beyond the video
    assert starts == sorted(set(starts))


@given(counts, lengths, steps)
def test_scoring_clips_overlap_by_half_but_at_the_end(frames, length, frame_step):
    starts = scoring_starts(frames, length, frame_step)
    for phase in range(frame_step):
        own = [s for s in starts if s % frame_step == phase]
        strides = np.diff(own) // frame_step
        assert (strides[:-1] == max(1, length // 2)).all()
        assert (strides[-1:] <= max(1, length // 2)).all()


# --- pixels and tensors


@pytest.mark.parametrize("channels", [1, 3])
def test_all_256_values_come_back_exactly(channels):
    frames = np.arange(256, dtype=np.uint8).repeat(2 * channels).reshape(4, 16, 8, channels)
    tensor = to_tensor(frames)
    assert tensor.shape == (channels, 4, 16, 8)
    assert tensor.dtype == torch.float32
    assert np.array_equal(to_frames(tensor), frames)


def test_0_is_minus_1_and_255_is_1():
    values = to_tensor(np.array([0, 51, 255], np.uint8).reshape(3, 1, 1, 1)).flatten()
    assert values.tolist() == pytest.approx([-1, -0.6, 1], abs=1e-7)
    every = to_tensor(np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1)).flatten()
    assert every.min() == -1
    assert every.max() == 1
    assert (every.diff() > 0).all()


def test_defect_04_values_out_of_range_do_not_wrap_around():
    values = torch.tensor([-1.01, -3.0, 1.01, 3.0, 1e6]).view(1, 5, 1, 1)
    assert to_frames(values).flatten().tolist() == [0, 0, 255, 255, 255]


def test_frames_of_any_layout_and_kind_become_tensors():
    frames = np.random.default_rng(0).integers(0, 256, (6, 8, 10, 3), dtype=np.uint8)
    expected = to_tensor(frames)
    view = np.zeros((6, 8, 20, 3), np.uint8)
    view[:, :, ::2] = frames
    assert torch.equal(to_tensor(view[:, :, ::2]), expected)
    assert torch.equal(to_tensor(torch.from_numpy(frames)), expected)
    assert expected[1, 2, 3, 4] == pytest.approx(frames[2, 3, 4, 1] / 127.5 - 1, abs=1e-6)
    before = frames.copy()
    to_tensor(frames).zero_()
    assert np.array_equal(frames, before)


# --- the dataset


@pytest.fixture(scope="module")
def scene(walker, array_video):
    """Two videos of 60 and 50 frames with a walker, and her box in each frame."""
    made = []
    for name, length, seed in (("a", 60, 0), ("b", 50, 1)):
        frames, boxes = walker(length, 1, seed)
        made.append(array_video(frames, name, boxes=boxes))
    return made


def expected_frames(video, clip, config, count):
    """The frames that a clip should show, read from the video itself."""
    (top, left), (tall, wide) = clip.corner, config.crop or video.frames.shape[1:3]
    times = [clip.start + k * config.frame_step for k in range(count)]
    return video.frames.frames[times, top : top + tall, left : left + wide]


@pytest.mark.parametrize("frame_step", [1, 2, 3, 4])
@pytest.mark.parametrize("crop", [None, (24, 20)])
def test_a_clip_shows_the_videos_frames(scene, frame_step, crop):
    config = ClipConfig(length=8, frame_step=frame_step, clip_step=3, crop=crop)
    clips = ClipDataset(scene, config, progress=False)
    by_name = {v.name: v for v in scene}
    seen = set()
    for clip in (clips[i] for i in range(len(clips))):
        video = by_name[clip.video]
        assert np.array_equal(to_frames(clip.tensor), expected_frames(video, clip, config, 8))
        after = [t for t in range(clip.start + 8 * frame_step, len(video), frame_step)][
            : LOOKAHEAD * 8
        ]
        assert len(clip.lookahead) == len(after)
        following = expected_frames(video, clip, config, 8 + len(after))[8:]
        assert np.array_equal(clip.lookahead.numpy(), following)
        seen.add((clip.video, clip.start))
    starts = {(v.name, s) for v in scene for s in clip_starts(len(v), 8, frame_step, 3)}
    assert seen == starts if crop is None else seen <= starts
    assert len(clips) == len(starts) if crop is None else len(clips) > 0


def test_resized_clips_show_resized_frames(scene):
    config = ClipConfig(length=4, size=(24, 32))
    clip = ClipDataset(scene, config, progress=False)[5]
    expected = scene[0].frames.frames[5:9].astype(float).reshape(4, 24, 2, 32, 2, 1).mean((2, 4))
    assert clip.tensor.shape == (1, 4, 24, 32)
    assert np.abs(to_frames(clip.tensor) - expected).max() <= 0.5
    box = scene[0].boxes[5]
    assert clip.boxes[0].tolist() == [pytest.approx((box[0] / 2).tolist())]


def test_boxes_are_scaled_for_each_direction(scene):
    clip = ClipDataset(scene, ClipConfig(length=4, size=(12, 64)), progress=False)[0]
    x0, y0, x1, y1 = scene[0].boxes[2][0].tolist()
    assert clip.boxes[2].tolist() == [pytest.approx([x0, y0 / 4, x1, y1 / 4])]


@pytest.mark.parametrize("frame_step", [1, 2])
def test_boxes_are_moved_into_the_window_and_others_dropped(scene, frame_step):
    far = np.float32([[60, 0, 64, 4]])
    boxes = {v.name: [np.concatenate([b, far]) for b in v.boxes] for v in scene}
    config = ClipConfig(length=8, frame_step=frame_step, crop=(24, 20))
    clips = ClipDataset(scene, config, boxes, progress=False)
    dropped = 0
    for clip in (clips[i] for i in range(0, len(clips), 3)):
        top, left = clip.corner
        assert len(clip.boxes) == 8
        for k, found in enumerate(clip.boxes):
            native = boxes[clip.video][clip.start + k * frame_step] - [left, top, left, top]
            visible = [b for b in native if b[0] < 20 and b[2] > 0 and b[1] < 24 and b[3] > 0]
            assert np.array_equal(found, np.float32(visible).reshape(-1, 4))
            dropped += len(native) - len(visible)
    assert dropped > 0


def test_a_box_frames_the_walker_in_the_clip(scene):
    """Seen in the pixels: what the box encloses is darker than the ground."""
    clips = ClipDataset(scene, ClipConfig(length=8, crop=(32, 32)), progress=False)
    for clip in (clips[i] for i in range(0, len(clips), 5)):
        for k, found in enumerate(clip.boxes):
            for x0, y0, x1, y1 in np.clip(found, 0, 32).astype(int):
                assert clip.tensor[0, k, y0:y1, x0:x1].max() < -0.4
                beside = clip.tensor[0, k, :, x1:]
                assert beside.numel() == 0 or beside.min() > -0.25


def test_without_boxes_clips_have_none(array_video):
    video = array_video(np.zeros((10, 8, 8, 1)))
    assert ClipDataset([video], ClipConfig(length=4), progress=False)[0].boxes is None
    boxes = {"a": [np.zeros((0, 4))] * 10}
    assert [
        b.shape for b in ClipDataset([video], ClipConfig(length=4), boxes, progress=False)[0].boxes
    ] == [(0, 4)] * 4


def test_windows_are_where_the_clip_moves(scene):
    """Each window shows motion near its centre, and the walker is in some window of each clip in
    which she moves.
    """
    config = ClipConfig(length=8, clip_step=2, crop=(24, 20))
    clips = ClipDataset(scene, config, progress=False)
    found = {}
    for video, start, top, left in clips.index:
        frames = scene[video].frames.frames[start : start + 8, ..., 0].astype(int)
        centre = np.ptp(frames, axis=0)[top : top + 24, left : left + 20]
        assert (centre > 18).sum() >= 10
        found.setdefault((video, start), []).append((top, left))
    for v, video in enumerate(scene):
        for start in clip_starts(len(video), 8, 1, 2):
            x0, _, x1, _ = video.boxes[start + 4][0]
            assert any(left < (x0 + x1) / 2 < left + 20 for _, left in found[v, start])


def test_moved_windows_stay_inside_and_go_a_quarter_far(scene):
    """Windows of 40 x 20 in frames of 48 x 64: a quarter is 10 rows, of which the frame allows 8,
    and 5 columns.
    """
    config = ClipConfig(length=8, clip_step=8, crop=(40, 20))
    clips = ClipDataset(scene, config, progress=False)
    generator, by_name, moved = torch.Generator().manual_seed(0), {v.name: v for v in scene}, set()
    for i in range(len(clips)):
        still = clips[i]
        for _ in range(40):
            clip = clips.clip(i, generator)
            (top, left), (y, x) = clip.corner, still.corner
            assert 0 <= top <= 48 - 40
            assert 0 <= left <= 64 - 20
            assert abs(left - x) <= 5
            assert clip.start == still.start
            assert np.array_equal(
                to_frames(clip.tensor), expected_frames(by_name[clip.video], clip, config, 8)
            )
            moved.add((top - y, left - x))
    assert {dy for dy, _ in moved} == set(range(-8, 9))
    assert {dx for _, dx in moved} == set(range(-5, 6))


def test_same_generator_same_window(scene):
    clips = ClipDataset(scene, ClipConfig(length=8, crop=(24, 20)), progress=False)
    corners = [
        [clips.clip(i, torch.Generator().manual_seed(seed)).corner for i in range(5)]
        for seed in (0, 0, 1)
    ]
    assert corners[0] == corners[1]
    assert corners[0] != corners[2]


def test_without_a_crop_a_generator_changes_nothing(scene):
    clips = ClipDataset(scene, ClipConfig(length=8), progress=False)
    assert torch.equal(clips.clip(3, torch.Generator().manual_seed(0)).tensor, clips[3].tensor)


def test_changing_a_clip_changes_neither_store_nor_dataset(scene):
    clips = ClipDataset(scene, ClipConfig(length=8), progress=False)
    before = clips[0].tensor.clone()
    clips[0].tensor.zero_()
    assert torch.equal(clips[0].tensor, before)


@given(st.data())
def test_every_window_of_every_size_stays_inside_the_frame(data):
    height, width = data.draw(st.integers(8, 40)), data.draw(st.integers(8, 40))
    crop = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    frames = np.random.default_rng(0).integers(0, 256, (4, height, width, 1), dtype=np.uint8)
    config = ClipConfig(length=4, crop=crop)
    for corner in motion_windows(np.ones((height, width), bool), crop):
        clip = cut_clip(frames, "x", 0, config, tuple(corner))
        assert clip.tensor.shape == (1, 4, *crop)
        assert len(clip.lookahead) == 0


# --- bad input


@pytest.mark.parametrize(
    ("config", "needed"), [(ClipConfig(length=16), 16), (ClipConfig(length=6, frame_step=3), 16)]
)
def test_a_video_shorter_than_a_clip_is_named_with_both_numbers(array_video, config, needed):
    videos = [
        array_video(np.zeros((count, 8, 8, 1)), name)
        for name, count in (("long", 40), ("short", 15))
    ]
    with refused("too-short", field="ClipConfig.length") as caught:
        ClipDataset(videos, config, progress=False)
    assert re.findall(r"\d+", str(caught.error)) == ["15", str(needed)]
    assert "short" in str(caught.error)


@pytest.mark.parametrize("crop", [(49, 10), (10, 65)])
def test_a_crop_larger_than_the_frame_is_refused_with_both_sizes(scene, crop):
    with refused("out-of-range", field="ClipConfig.crop") as caught:
        ClipDataset(scene, ClipConfig(crop=crop), progress=False)
    assert re.findall(r"\d+x\d+", str(caught.error)) == ["48x64", f"{crop[0]}x{crop[1]}"]


def test_a_crop_larger_than_the_resized_frame_is_refused(scene):
    with refused("out-of-range", field="ClipConfig.crop") as caught:
        ClipDataset(scene, ClipConfig(size=(24, 32), crop=(48, 48)), progress=False)
    assert re.findall(r"\d+x\d+", str(caught.error)) == ["24x32", "48x48"]


def test_videos_in_which_nothing_moves_are_refused_and_the_way_out_named(array_video):
    still = array_video(np.full((20, 48, 64, 1), 90))
    with refused("nothing-to-do", field="ClipConfig.crop"):
        ClipDataset([still], ClipConfig(crop=(24, 20)), progress=False)
    assert len(ClipDataset([still], ClipConfig(), progress=False)) == 5


def test_grey_and_colour_together_are_refused(array_video):
    videos = [array_video(np.zeros((20, 8, 8, channels)), f"v{channels}") for channels in (1, 3)]
    with refused("conflict", field="ClipConfig.channels"):
        stored_frames(videos, ClipConfig(), progress=False)


def test_no_videos_are_refused():
    with refused("too-few", field="videos"):
        ClipDataset([], ClipConfig())


@pytest.mark.parametrize(
    "wrong",
    [{"length": 0}, {"frame_step": 0}, {"clip_step": -1}, {"size": (0, 5)}, {"crop": (5, -1)}],
    ids=lambda w: next(iter(w)),
)
def test_wrong_values_are_refused_by_name(wrong):
    [(name, value)] = wrong.items()
    with refused("out-of-range", field=f"ClipConfig.{name}") as caught:
        ClipConfig(**wrong)
    assert str(value) in str(caught.error)


def test_an_unknown_preset_is_refused():
    with refused("unknown-name", field="preset"):
        ClipConfig.preset("slow")


def test_a_shorter_side_and_channels_travel_in_the_config(array_video):
    frames = np.random.default_rng(0).integers(0, 256, (20, 40, 60, 3), dtype=np.uint8)
    videos = [array_video(frames, "wide"), array_video(frames.transpose(0, 2, 1, 3), "tall")]
    clips = ClipDataset(videos, ClipConfig(shorter_side=20, channels=1), progress=False)
    assert [f.shape for f in clips.frames] == [(20, 20, 30, 1), (20, 30, 20, 1)]
    assert clips[0].tensor.shape == (1, 16, 20, 30)
    assert clips[len(clips) - 1].tensor.shape == (1, 16, 30, 20)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("shorter_side", 0),
        ("shorter_side", -240),
        ("channels", 2),
        ("channels", 0),
        ("channels", 4),
    ],
)
def test_other_sides_and_channels_are_refused(field, value):
    with refused("out-of-range", field=f"ClipConfig.{field}"):
        ClipConfig(**{field: value})


def test_grey_and_colour_become_one_kind_by_the_config(array_video):
    videos = [array_video(np.zeros((20, 8, 8, c), np.uint8), str(c)) for c in (1, 3)]
    with refused("conflict", field="ClipConfig.channels"):
        stored_frames(videos, ClipConfig(), progress=False)
    assert {f.shape[3] for f in stored_frames(videos, ClipConfig(channels=3), progress=False)} == {
        3
    }


def test_a_dataset_is_sent_to_another_process_without_its_frames(scene):
    clips = ClipDataset(scene, ClipConfig(length=8, crop=(24, 20)), progress=False)
    clips.videos = []  # those of this test hold their frames in memory
    sent = pickle.dumps(clips)
    assert len(sent) < sum(frames.nbytes for frames in clips.frames) / 10
    clips.videos = scene
    arrived = pickle.loads(sent)
    arrived.videos = scene
    assert torch.equal(arrived[3].tensor, clips[3].tensor)
    assert isinstance(arrived.frames[0], np.memmap)
