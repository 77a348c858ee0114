"""The synthetic dataset: reproducible, and its ground truth says what its pixels show."""

import json
import pickle
from itertools import combinations

import numpy as np
import pytest
from refusals import refused

from vadlib.data import figures, synthetic
from vadlib.data.synthetic import (
    HEIGHT,
    NOISE_SIGMA,
    TEST_SCRIPT,
    WIDTH,
    StreetClip,
    load_synthetic,
)

STATIC = np.s_[30:55, 100:190]  # the upper wall: nothing ever moves there


@pytest.fixture(scope="module")
def train():
    return load_synthetic("train")


@pytest.fixture(scope="module")
def test():
    return load_synthetic("test")


def times_of(clip, actor):
    return [t for t in range(clip.length) if actor.is_here(t)]


def moving_right(clip, actor):
    """Mean change in x of the actor's box (pixels a frame), while it is inside the picture."""
    layers = [actor.layer(t) for t in times_of(clip, actor)]
    inside = [layer for layer in layers if layer.low[0] > 0 and layer.high[0] < WIDTH]
    middles = [(layer.low[0] + layer.high[0]) / 2 for layer in inside]
    return (middles[-1] - middles[0]) / (len(middles) - 1) if len(middles) > 8 else None


def test_layout(train, test):
    for videos in (train, test):
        assert [video.name for video in videos] == [f"{n:02d}" for n in range(1, 9)]
        for video in videos:
            assert 160 <= len(video) <= 200
            assert video.frames.shape == (len(video), HEIGHT, WIDTH, 3)
            assert video.masks.shape == (len(video), HEIGHT, WIDTH)
            assert (video.fps, video.scene, video.ground_truth) == (10.0, "street", "scripted")
    assert (test[0].frames[5].dtype, test[0].masks[5].dtype) == (np.uint8, bool)
    with refused("unknown-name", field="split"):
        load_synthetic("validation")


def test_same_seed_gives_the_same_bytes_in_any_order_and_process(test):
    again = load_synthetic("test", seed=0)
    times = [100, 0, 57, 199]
    first = {t: test[6].frames[t].tobytes() for t in times}
    assert {t: again[6].frames[t].tobytes() for t in reversed(times)} == first
    assert again[6].frames[57:59].tobytes()[: HEIGHT * WIDTH * 3] == first[57]
    sent = pickle.loads(pickle.dumps(again[6]))  # as to the worker of a data loader
    assert sent.frames[57].tobytes() == first[57]
    t = int(np.flatnonzero(test[6].labels)[-1])
    assert np.array_equal(sent.masks[t], test[6].masks[t])
    for video, copy in zip(test, again, strict=True):
        assert np.array_equal(video.labels, copy.labels)


def test_another_seed_split_or_clip_shows_something_else(train, test):
    videos = [*train, *test, *load_synthetic("train", seed=1)]
    assert len({json.dumps(video.frames.identity()) for video in videos}) == len(videos)
    frames = [video.frames[40].astype(int) for video in videos[:2] + videos[8:20:8]]
    for a, b in combinations(frames, 2):  # other people, not only other noise
        assert (np.abs(a - b).max(2) > 40).mean() > 0.01


def test_training_is_normal_and_every_kind_appears_where_the_script_says(train, test):
    for video in train:
        assert not video.labels.any()
        assert set(video.kinds) == {""}
        assert not video.masks[len(video) // 2].any()
    for video, script in zip(test, TEST_SCRIPT, strict=True):
        assert set(video.kinds) == {"", *script}
    assert 0.35 <= np.concatenate([video.labels for video in test]).mean() <= 0.55
    assert sum(video.labels.mean() <= 0.5 for video in test) >= 3


def test_labels_agree_with_masks_and_boxes_cover_them(test):
    for video in (test[1], test[5], test[7]):
        pixels = np.array([mask.sum() for mask in video.masks])
        assert np.array_equal(video.labels, pixels > 0)
        assert pixels[pixels > 0].min() >= 20
        assert np.array_equal([kind != "" for kind in video.kinds], video.labels == 1)
        for t in np.flatnonzero(video.labels)[::4]:
            places = np.argwhere(video.masks[t])[:, ::-1]
            low, high = places.min(0), places.max(0)
            boxes = video.boxes[t]
            assert ((boxes[:, :2] <= low) & (boxes[:, 2:] > high)).all(1).any()


def test_masks_show_what_the_anomaly_changes(test):
    """Without the anomaly (and its shadow) the picture is another one: exactly there."""
    clip, without = StreetClip(0, "test", 2), StreetClip(0, "test", 2)
    without.actors = [actor for actor in without.actors if not actor.kind]
    for t in np.flatnonzero(test[2].labels)[10:-10:12]:
        changed = np.abs(clip.frame(t).astype(int) - without.frame(t)).max(2) > 12
        mask = test[2].masks[t]
        assert changed[mask].mean() > 0.8
        rows = np.flatnonzero(mask.any(1))
        above = changed[: rows[-1] - 6]  # the shadow lies lower
        assert above.sum() < 1.25 * mask.sum()


def test_what_stands_in_front_is_not_in_the_mask(test):
    covered = 0
    for number in range(8):
        clip = StreetClip(0, "test", number)
        for t in np.flatnonzero(test[number].labels)[::10]:
            outline = np.zeros((HEIGHT, WIDTH), bool)
            for actor in clip.actors:
                if actor.is_here(t) and actor.kind_at(t):
                    figure, under = synthetic.overlap(actor.layer(t).draw(), outline)
                    under[figure[..., 3] > 127] = True
            mask = clip.mask(t)
            assert not (mask & ~outline).any()
            covered += outline.sum() > mask.sum() + 20
    assert covered > 3


def test_boxes_are_inside_the_picture_and_sliceable(train):
    boxes = train[2].boxes
    assert len(boxes) == len(train[2])
    for box in boxes[::10]:
        assert (box.dtype, box.shape) == (np.float32, (len(box), 4))
        assert box.min(initial=0) >= 0
        assert (box <= [WIDTH, HEIGHT, WIDTH, HEIGHT]).all()
        assert (box[:, 2:] > box[:, :2]).all()
    assert np.array_equal(boxes[10:14][2], boxes[12])
    with pytest.raises(IndexError):
        boxes[len(boxes)]


def test_everyone_walks_to_the_right_nearer_ones_faster():
    speeds = []  # metres a second, by perspective
    for number in range(3):
        clip = StreetClip(0, "train", number)
        for actor in clip.actors:
            speed = moving_right(clip, actor)
            if speed is not None:
                speeds.append(speed * synthetic.FPS * np.mean(actor.depths) / synthetic.FOCAL)
    assert len(speeds) > 15
    assert 1.2 < min(speeds) < max(speeds) < 1.5


def test_anomalies_move_as_their_names_say():
    names = set()
    for number in range(8):
        clip = StreetClip(0, "test", number)
        for actor in [actor for actor in clip.actors if actor.kind]:
            speed = moving_right(clip, actor)
            names.add(actor.kind)
            assert actor.kind != "wrong way" or speed < -1.2
            if actor.kind == "running child":  # against a walk at 1.35 m/s at the same depth
                assert 2.5 < abs(speed) / (0.135 * synthetic.FOCAL / np.mean(actor.depths)) < 3.3
    assert {"wrong way", "running child"} <= names


def test_a_loiterer_turns_and_is_abnormal_from_the_first_turn_to_the_last(test):
    clip = StreetClip(0, "test", 4)
    [actor] = [actor for actor in clip.actors if actor.kind]
    times = times_of(clip, actor)
    turns = np.flatnonzero(np.diff(np.sign(np.diff(actor.x(np.array(times)))))) + 1
    assert len(turns) >= 4
    abnormal = np.flatnonzero(test[4].labels)
    assert abs(abnormal[0] - times[turns[0]]) <= 1
    assert abs(abnormal[-1] - times[turns[-1]]) <= 1


def test_an_abandoned_bag_stays_in_its_place(test):
    clip = StreetClip(0, "test", 6)
    owner, thing = [actor for actor in clip.actors if actor.kind == "abandoned bag"]
    first = int(np.ceil(thing.times[0]))
    assert owner.is_here(first)
    assert test[6].labels[first:].all()
    places = {tuple(thing.layer(t).low.tolist()) for t in range(first, clip.length)}
    assert len(places) == 1


@pytest.mark.parametrize("split", ["train", "test"])
def test_no_one_walks_through_anyone_else(split):
    for number in range(8):
        clip = StreetClip(0, split, number)
        times, places = np.arange(clip.length), []
        for actor in clip.actors:
            if actor.figure is not figures.bag:  # it lies at the feet of its owner
                here = [actor.is_here(t) for t in times]
                places.append(np.where(here, [actor.x(times), actor.z(times)], np.nan))
        for i, place in enumerate(places[1:], start=1):
            across, deep = np.abs(places[:i] - place).transpose(1, 0, 2)
            assert not ((across < 0.5) & (deep < 0.4)).any()


def test_sensor_noise_and_light(train):
    frames = np.stack([train[1].frames[t][STATIC] for t in range(len(train[1]))]).astype(np.float32)
    noise = np.diff(frames, axis=0).std() / np.sqrt(2)
    assert NOISE_SIGMA * 0.95 < noise < NOISE_SIGMA * 1.15  # rounding adds a little
    level = frames.mean((1, 2, 3))
    assert np.abs(np.diff(level)).max() < 1.0  # slow, but visible
    drift = (level.max() - level.min()) / level.mean()
    assert 0.5 * synthetic.LIGHT_DRIFT < drift < 2.1 * synthetic.LIGHT_DRIFT
    pixel = np.diff(frames, axis=0)[:, 3, 3, 0]
    assert pixel.std() > 1.5 * NOISE_SIGMA / np.sqrt(2)  # fresh noise in each frame


def test_the_tree_and_the_display_are_all_that_moves_in_an_empty_street():
    clip = StreetClip(0, "train", 0)
    clip.actors = []
    frames = np.stack([clip.frame(t) for t in range(0, clip.length, 4)]).astype(np.float32)
    changed = frames.std(0).max(2) > 5 * NOISE_SIGMA
    assert changed[62:98, 208:272].mean() > 0.9  # the display
    assert changed[75:110, :50].sum() > 200  # the tree
    changed[55:106, 200:280] = False
    changed[:, :80] = False  # the tree and its shadow
    assert not changed.any()
