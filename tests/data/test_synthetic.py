"""The synthetic dataset: reproducible, and its ground truth says what its pixels show."""

import json
import pickle

import numpy as np
import pytest
from refusals import refused

from vadlib.data.figures import bag
from vadlib.data.synthetic import FOCAL, FPS, HEIGHT, SCRIPT, WIDTH, StreetClip, load_synthetic


@pytest.fixture(scope="module")
def train():
    return load_synthetic("train")


@pytest.fixture(scope="module")
def test():
    return load_synthetic("test")


def times_of(actor, clip):
    """The frames in which an actor is on the street."""
    return [t for t in range(clip.length) if actor.times[0] <= t <= actor.times[-1]]


def speed_of(actor, clip):
    """The mean speed of the actor's box inside the picture, in m/s to the right."""
    layers = [actor.layer(t) for t in times_of(actor, clip)]
    inside = [layer for layer in layers if layer.low[0] > 0 and layer.high[0] < WIDTH]
    middles = [(layer.low[0] + layer.high[0]) / 2 for layer in inside]
    if len(middles) < 9:
        return None
    return (middles[-1] - middles[0]) / (len(middles) - 1) * FPS * np.mean(actor.depths) / FOCAL


def test_layout_and_labels(train, test):
    for videos in (train, test):
        assert [video.name for video in videos] == [f"{n:02d}" for n in range(1, 9)]
        for video in videos:
            assert video.frames.shape == (len(video), HEIGHT, WIDTH, 3)
            assert video.masks.shape == (len(video), HEIGHT, WIDTH)
            assert (video.fps, video.scene, video.ground_truth) == (10.0, "street", "scripted")
    assert (test[0].frames[5].dtype, test[0].masks[5].dtype) == (np.uint8, bool)
    for video in train:
        assert not video.labels.any()
        assert not video.masks[len(video) // 2].any()
    for video, script in zip(test, SCRIPT, strict=True):
        assert set(video.kinds) == {"", *script}
    assert 0.35 <= np.concatenate([video.labels for video in test]).mean() <= 0.55
    with refused("unknown-name", field="split"):
        load_synthetic("validation")


def test_same_seed_gives_the_same_bytes_in_any_order_and_process(test):
    again = load_synthetic("test", seed=0)
    first = {t: test[6].frames[t].tobytes() for t in (100, 0, 57, 199)}
    assert {t: again[6].frames[t].tobytes() for t in reversed(first)} == first
    sent = pickle.loads(pickle.dumps(again[6]))  # as to the worker of a data loader
    assert sent.frames[57].tobytes() == first[57]
    t = int(np.flatnonzero(test[6].labels)[-1])
    assert np.array_equal(sent.masks[t], test[6].masks[t])
    videos = [*load_synthetic("train"), *test, *load_synthetic("train", seed=1)]
    assert len({json.dumps(video.frames.identity()) for video in videos}) == len(videos)
    assert len({video.frames[40].tobytes() for video in videos}) == len(videos)


def test_boxes_are_drawn_when_asked_for(test, monkeypatch):
    assert np.array_equal(test[1].boxes[60:64][3], StreetClip(0, "test", 1).boxes(63))
    monkeypatch.setattr(StreetClip, "boxes", None)
    assert len(load_synthetic("train")[1].boxes) == 180


def test_labels_agree_with_masks_and_boxes_cover_them(test):
    for video in (test[1], test[5], test[7]):
        pixels = np.array([mask.sum() for mask in video.masks])
        assert np.array_equal(video.labels, pixels > 0)
        assert np.array_equal([kind != "" for kind in video.kinds], video.labels == 1)
        assert pixels[pixels > 0].min() >= 20
        for t in np.flatnonzero(video.labels)[::4]:
            places, box = np.argwhere(video.masks[t])[:, ::-1], video.boxes[t]
            covered = (box[:, :2] <= places.min(0)) & (box[:, 2:] > places.max(0))
            assert covered.all(1).any()


def test_masks_show_what_the_anomaly_changes(test):
    """Without the anomaly (and its shadow) the picture is another one: exactly there."""
    clip, without = StreetClip(0, "test", 2), StreetClip(0, "test", 2)
    without.actors = [actor for actor in without.actors if not actor.kind]
    for t in np.flatnonzero(test[2].labels)[10:-10:12]:
        changed = np.abs(clip.frame(t).astype(int) - without.frame(t)).max(2) > 12
        mask = test[2].masks[t]
        assert changed[mask].mean() > 0.8
        above = changed[: np.flatnonzero(mask.any(1))[-1] - 6]  # the shadow lies lower
        assert above.sum() < 1.25 * mask.sum()


def test_what_stands_in_front_is_not_in_the_mask(test):
    clip, covered = StreetClip(0, "test", 0), 0
    everyone = clip.actors
    for t in np.flatnonzero(test[0].labels)[::4]:
        clip.actors = [actor for actor in everyone if actor.kind]
        alone = clip.mask(t)
        assert not (test[0].masks[t] & ~alone).any()
        covered += alone.sum() > test[0].masks[t].sum()
    assert covered > 0


def test_people_move_as_their_kinds_say():
    speeds = {}
    for clip in [StreetClip(0, "train", 0), *(StreetClip(0, "test", n) for n in range(8))]:
        for actor in clip.actors:
            is_counted = clip.entropy[1] == 0 or actor.kind
            if len(actor.times) == 2 and actor.figure is not bag and is_counted:
                speeds.setdefault(actor.kind, []).append(speed_of(actor, clip))
    limits = {"": (1.2, 1.5), "wrong way": (-1.5, -1.2), "running child": (3.8, 4.6)}
    for kind, (least, most) in {**limits, "cyclist": (2.6, 3.6), "cart": (1.6, 2.3)}.items():
        measured = [speed for speed in speeds[kind] if speed is not None]
        assert least < min(measured) <= max(measured) < most, kind


def test_loitering_is_abnormal_from_the_first_turn_to_the_last_and_a_bag_stays(test):
    clip = StreetClip(0, "test", 4)
    [actor] = [actor for actor in clip.actors if actor.kind]
    times = np.array(times_of(actor, clip))
    turns = times[np.flatnonzero(np.diff(np.sign(np.diff(actor.place(times)[0])))) + 1]
    assert len(turns) >= 4
    assert np.abs(np.flatnonzero(test[4].labels)[[0, -1]] - turns[[0, -1]]).max() <= 1
    clip = StreetClip(0, "test", 6)
    owner, thing = [actor for actor in clip.actors if actor.kind == "abandoned bag"]
    first = int(np.ceil(thing.times[0]))
    assert first in times_of(owner, clip)
    assert test[6].labels[first:].all()
    assert len({tuple(thing.layer(t).low) for t in range(first, clip.length)}) == 1


def test_noise_is_fresh_the_light_drifts_and_only_tree_and_display_move():
    clip = StreetClip(0, "train", 0)
    clip.actors = []
    frames = np.stack([clip.frame(t) for t in range(clip.length)]).astype(np.float32)
    wall = frames[:, 30:55, 100:190]
    noise = np.diff(wall, axis=0).std() / np.sqrt(2)
    assert 1.9 < noise < 2.3
    level = wall.mean((1, 2, 3))
    assert np.abs(np.diff(level)).max() < 1.0  # slow, but visible
    assert 0.025 < np.ptp(level) / level.mean() < 0.105
    changed = frames.std(0).max(2) > 10
    assert changed[62:98, 208:272].mean() > 0.9  # the display
    assert changed[75:110, :50].sum() > 200  # the tree
    changed[55:106, 200:280] = changed[:, :80] = False
    assert not changed.any()
