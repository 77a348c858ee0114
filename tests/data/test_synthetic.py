"""The synthetic dataset: reproducible, and its ground truth says what its pixels show."""

import json
import pickle
from functools import partial

import numpy as np
import pytest
from refusals import refused

from vadlib.data import figures, synthetic
from vadlib.data.synthetic import (
    HEIGHT,
    LIGHT_DRIFT,
    MIN_PIXELS,
    NOISE_SIGMA,
    TEST_SCRIPT,
    WIDTH,
    load_synthetic,
)

STATIC = np.s_[30:55, 100:190]  # the upper wall: nothing ever moves there


@pytest.fixture(scope="module")
def train():
    return load_synthetic("train")


@pytest.fixture(scope="module")
def test():
    return load_synthetic("test")


def moving_right(video, actor):
    """Mean change in x of the boxes' left edges (pixels a frame), while the whole figure is inside
    the picture.
    """
    times = [t for t in range(len(video)) if actor.is_here(t)]
    layers = [actor.layer(t) for t in times]
    inside = [
        (t, layer)
        for t, layer in zip(times, layers, strict=True)
        if layer.low[0] > 0 and layer.high[0] < WIDTH
    ]
    for t, layer in inside:  # the box is among those that the video shows
        assert (np.abs(video.boxes[t] - [*layer.low, *layer.high]).max(1) == 0).any()
    middles = [(layer.low[0] + layer.high[0]) / 2 for _, layer in inside]
    return (middles[-1] - middles[0]) / (len(middles) - 1) if len(middles) > 8 else None


def test_layout(train, test):
    for videos in (train, test):
        assert len(videos) == 8
        assert len({video.name for video in videos}) == 8
        for video in videos:
            assert 160 <= len(video) <= 200
            assert video.frames.shape == (len(video), HEIGHT, WIDTH, 3)
            assert video.masks.shape == (len(video), HEIGHT, WIDTH)
            assert (video.fps, video.scene, video.ground_truth) == (10.0, "street", "scripted")
            assert video.labels.dtype == np.uint8
    assert test[0].frames[5].dtype == np.uint8
    assert test[0].masks[5].dtype == bool


def test_unknown_split_is_refused():
    with refused("unknown-name", field="split"):
        load_synthetic("validation")


def test_same_seed_gives_the_same_bytes_in_any_order(test):
    again = load_synthetic("test", seed=0)
    times = [100, 0, 57, 199]
    first = {t: test[3].frames[t].tobytes() for t in times}
    assert {t: again[3].frames[t].tobytes() for t in reversed(times)} == first
    assert again[3].frames[57:59].tobytes()[: HEIGHT * WIDTH * 3] == first[57]
    # as in a data loader's worker
    assert pickle.loads(pickle.dumps(again[3])).frames[57].tobytes() == first[57]
    assert len(set(first.values())) == len(times)
    for video, copy in zip(test, again, strict=True):
        np.testing.assert_array_equal(video.labels, copy.labels)
        assert video.frames.identity() == copy.frames.identity()


def test_another_seed_split_or_clip_shows_something_else(train, test):
    other = synthetic.StreetClip(1, "train", 0)
    frames = [train[0].frames[40], train[1].frames[40], test[0].frames[40], other.frame(40)]
    for i, a in enumerate(frames):
        for b in frames[:i]:  # other people, not only other noise
            assert (np.abs(a.astype(int) - b).max(2) > 40).mean() > 0.01


def test_identity_tells_sources_apart(train, test):
    videos = [*train, *test, *load_synthetic("train", seed=1)]
    assert len({json.dumps(video.frames.identity()) for video in videos}) == len(videos)


def test_training_is_normal(train):
    for video in train:
        assert not video.labels.any()
        assert set(video.kinds) == {""}
        assert not video.masks[len(video) // 2].any()


def test_labels_agree_with_masks(test):
    for video in (test[1], test[5], test[7]):
        pixels = np.array([video.masks[t].sum() for t in range(len(video))])
        np.testing.assert_array_equal(video.labels, pixels > 0)
        assert pixels[pixels > 0].min() >= MIN_PIXELS
        np.testing.assert_array_equal([kind != "" for kind in video.kinds], video.labels == 1)


def test_masks_show_what_the_anomaly_changes(test):
    """Without the anomalous figure (and its shadow) the picture is another one: exactly there, the
    shadow's side aside.
    """
    clip = synthetic.StreetClip(0, "test", 2)
    without = synthetic.StreetClip(0, "test", 2)
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
        clip = synthetic.StreetClip(0, "test", number)
        for t in np.flatnonzero(test[number].labels)[::10]:
            outline = np.zeros((HEIGHT, WIDTH), bool)
            for actor in clip.actors:
                if actor.is_here(t) and actor.kind_at(t):
                    figure, under = synthetic.overlap(*actor.layer(t).draw(), outline)
                    under[figure[..., 3] > 127] = True
            mask = clip.mask(t)
            assert not (mask & ~outline).any()
            covered += outline.sum() > mask.sum() + 20
    assert covered > 3


def test_boxes_cover_the_mask(test):
    for number in (1, 3, 7):
        video = test[number]
        for t in np.flatnonzero(video.labels)[::4]:
            ys, xs = np.nonzero(video.masks[t])
            x0, y0, x1, y1 = video.boxes[t].T
            assert ((x0 <= xs.min()) & (y0 <= ys.min()) & (x1 > xs.max()) & (y1 > ys.max())).any()


def test_boxes_are_inside_the_picture_and_sliceable(train):
    boxes = train[2].boxes
    assert len(boxes) == len(train[2])
    for t in range(0, len(boxes), 10):
        assert boxes[t].dtype == np.float32
        assert boxes[t].shape == (len(boxes[t]), 4)
        assert boxes[t].min(initial=0) >= 0
        assert (boxes[t] <= [WIDTH, HEIGHT, WIDTH, HEIGHT]).all()
        assert (boxes[t][:, 2:] > boxes[t][:, :2]).all()
    for a, b in zip(boxes[10:14], [boxes[t] for t in range(10, 14)], strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(IndexError):
        boxes[len(boxes)]


def test_every_kind_appears_where_the_script_says(test):
    assert {kind for script in TEST_SCRIPT for kind in script} == set(synthetic.KINDS)
    for video, script in zip(test, TEST_SCRIPT, strict=True):
        assert set(video.kinds) == {"", *script}


def test_share_of_abnormal_frames(test):
    share = np.concatenate([video.labels for video in test]).mean()
    assert 0.35 <= share <= 0.55
    assert sum(video.labels.mean() <= 0.5 for video in test) >= 3


def test_everybody_walks_to_the_right_nearer_ones_faster(train):
    counted = 0
    for number in range(3):
        for actor in synthetic.StreetClip(0, "train", number).actors:
            speed = moving_right(train[number], actor)
            if speed is None:
                continue
            pixels_a_metre = synthetic.FOCAL / np.mean(actor.z)  # perspective
            assert 1.2 < speed * synthetic.FPS / pixels_a_metre < 1.5  # metres a second
            counted += 1
    assert counted > 15


def test_anomalies_move_as_their_names_say(test):
    seen = set()
    for number, video in enumerate(test):
        for actor in [
            actor for actor in synthetic.StreetClip(0, "test", number).actors if actor.kind
        ]:
            speed = moving_right(video, actor)
            seen.add(actor.kind)
            if actor.kind == "wrong way":
                assert speed < -1.2
            if actor.kind == "running child":  # against a walk at 1.35 m/s at the same depth
                assert 2.5 < abs(speed) / (0.135 * synthetic.FOCAL / np.mean(actor.z)) < 3.3
    assert {"wrong way", "running child"} <= seen


def test_a_loiterer_turns_and_is_abnormal_from_the_first_turn_to_the_last(test):
    clip = synthetic.StreetClip(0, "test", 4)
    [actor] = [actor for actor in clip.actors if actor.kind]
    times = np.arange(clip.length)[[actor.is_here(t) for t in range(clip.length)]]
    headings = np.sign(np.diff(actor.where(times)[0]))
    turns = np.flatnonzero(np.diff(headings)) + 1
    assert len(turns) >= 4
    abnormal = np.flatnonzero(test[4].labels)
    assert abs(abnormal[0] - times[turns[0]]) <= 1
    assert abs(abnormal[-1] - times[turns[-1]]) <= 1


def test_a_bag_that_is_left_stays_where_it_is(test):
    clip = synthetic.StreetClip(0, "test", 6)
    owner, left = [actor for actor in clip.actors if actor.kind == "abandoned bag"]
    first = int(np.ceil(left.times[0]))
    places = {tuple(left.layer(t).low.tolist()) for t in range(first, clip.length)}
    assert len(places) == 1
    assert test[6].labels[first:].all()
    assert owner.is_here(first)
    gone = [
        t
        for t in range(first, clip.length)
        if not owner.is_here(t) or owner.where(t)[0] > left.places[0] + 2
    ]
    assert all(clip.kind(t) == "abandoned bag" for t in gone)


def test_the_display_and_the_tree_are_no_people(train):
    for number in range(3):
        clip = synthetic.StreetClip(0, "train", number)
        for t in range(0, clip.length, 20):
            assert len(clip.boxes(t)) == len(clip.layers(t)) - 2


def test_nobody_jumps_or_appears_out_of_nowhere():
    clip = synthetic.StreetClip(0, "train", 4)
    for actor in clip.actors:
        layers = [actor.layer(t) for t in range(clip.length) if actor.is_here(t)]
        feet = np.array([layer.foot for layer in layers]).reshape(-1, 2)
        assert np.abs(np.diff(feet, axis=0)).max(initial=0) < 7
        if actor.times[0] > 0 and layers:  # people come in through a border
            assert layers[0].low[0] > WIDTH - 8 or layers[0].high[0] < 8


@pytest.mark.parametrize("split", ["train", "test"])
def test_nobody_walks_through_somebody_else(split):
    for number in range(8):
        clip = synthetic.StreetClip(0, split, number)
        times = np.arange(clip.length)
        # its owner puts it at his feet
        actors = [actor for actor in clip.actors if actor.figure is not figures.bag]
        # (actors, X and Z in metres, frames)
        places = np.array([actor.where(times) for actor in actors])
        for actor, place in zip(actors, places, strict=True):
            place[:, [not actor.is_here(t) for t in times]] = np.nan
        for i, place in enumerate(places):
            across, deep = np.abs(places[:i] - place).transpose(1, 0, 2)
            assert not ((across < 0.5) & (deep < 0.4)).any()


def test_feet_do_not_slide():
    """Over a stride, each foot rests at one place on the ground for about the share of time that it
    should.
    """
    look = figures.draw_look(np.random.default_rng(0))
    look.size = 1.0
    for figure, share in ((figures.person, 0.6), (partial(figures.person, running=True), 0.36)):
        distances = np.arange(0, 4.8, 0.05)
        legs = [
            [shape for shape in figure(look, d) if len(shape.points) == 2 and shape.width == 0.125]
            for d in distances
        ]
        for side in (0, 1):  # the two shanks; their lower ends are the ankles
            ground = np.array(
                [leg[side].points[1][0] + d for leg, d in zip(legs, distances, strict=True)]
            )
            resting = np.abs(np.diff(ground)) < 0.016  # the body moves 0.05 m a step
            assert abs(resting.mean() - share) < 0.17


def test_sensor_noise_and_light(train):
    frames = np.stack([train[1].frames[t][STATIC] for t in range(len(train[1]))]).astype(np.float32)
    noise = np.diff(frames, axis=0).std() / np.sqrt(2)
    assert NOISE_SIGMA * 0.95 < noise < NOISE_SIGMA * 1.15  # rounding adds a little
    level = frames.mean((1, 2, 3))
    assert np.abs(np.diff(level)).max() < 1.0  # slow
    # but there
    assert 0.5 * LIGHT_DRIFT < (level.max() - level.min()) / level.mean() < 2.1 * LIGHT_DRIFT
    pixel = np.diff(frames, axis=0)[:, 3, 3, 0]
    assert pixel.std() > 1.5 * NOISE_SIGMA / np.sqrt(2)  # fresh noise in each frame


def test_the_tree_and_the_display_are_all_that_moves_in_an_empty_street():
    clip = synthetic.StreetClip(0, "train", 0)
    clip.actors = []
    frames = np.stack([clip.frame(t) for t in range(0, clip.length, 4)]).astype(np.float32)
    changed = frames.std(0).max(2) > 5 * NOISE_SIGMA
    assert changed[62:98, 208:272].mean() > 0.9  # the display
    assert changed[75:110, :50].sum() > 200  # the tree
    changed[55:106, 200:280] = False
    changed[:, :80] = False  # the tree and its shadow
    assert not changed.any()


def test_the_display_changes_more_than_anybody():
    """Whoever counts changed pixels sees the display: in its spells it changes more of them than
    the cart, the largest anomaly.
    """
    clip = synthetic.StreetClip(0, "test", 2)
    frames = np.stack([clip.frame(t) for t in range(clip.length)]).astype(int)
    moved = np.abs(np.diff(frames, axis=0)).max(3) > 25
    display = moved[:, 60:100, 205:275].sum((1, 2))
    cart = np.array([clip.mask(t).sum() for t in range(1, clip.length)])
    assert 0.05 < (display > cart.max()).mean() < 0.6


def test_a_reader_process_gets_the_same_clip(test):
    """A clip travels to a reader process with its actors."""
    copy = pickle.loads(pickle.dumps(test[6].masks))
    t = int(np.flatnonzero(test[6].labels)[-1])
    np.testing.assert_array_equal(copy[t], test[6].masks[t])
