"""Where things move: windows around motion, the empty scene, and what stands before it."""

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from vadlib.data.motion import (
    FOREGROUND_LEVELS,
    MIN_PIXELS,
    RollingBlur,
    blur,
    foreground_components,
    grey,
    motion_windows,
    moving_pixels,
    scene_background,
)


def test_grey_is_bt_601_and_leaves_grey_alone():
    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 9, 3), dtype=np.uint8)
    assert np.abs(grey(frames) - frames @ np.array([0.299, 0.587, 0.114])).max() <= 0.51
    assert np.array_equal(grey(frames[..., :1]), frames[..., 0])


def test_blur_is_a_5_by_5_gaussian_of_each_frame():
    """scipy as second library: OpenCV's sigma for 5 pixels is 1.1; the binomial weights 1 4 6 4 1
    are its 8-bit kernel.
    """
    frames = np.random.default_rng(0).integers(0, 256, (2, 20, 30), dtype=np.uint8)
    weights = np.array([1, 4, 6, 4, 1]) / 16
    across = ndimage.correlate1d(frames.astype(float), weights, axis=2, mode="mirror")
    expected = ndimage.correlate1d(across, weights, axis=1, mode="mirror")
    assert np.abs(blur(frames) - expected).max() <= 1


def test_a_pixel_moves_when_its_range_within_the_clip_exceeds_the_threshold():
    frames = np.full((5, 4, 4), 100, np.uint8)
    frames[3, 1, 2] = 100 + FOREGROUND_LEVELS + 1
    frames[2, 0, 0] = 100 + FOREGROUND_LEVELS
    frames[[0, 4], [3, 3], [3, 3]] = [0, 255]  # uint8 differences must not wrap
    assert np.argwhere(moving_pixels(frames)).tolist() == [[1, 2], [3, 3]]


def literal_windows(moving, window):
    """Cells of half a window's size, from the top left; a busy cell's window is centred on it and
    moved inside.
    """
    (height, width), (tall, wide) = moving.shape, window
    cell_y, cell_x = max(1, tall // 2), max(1, wide // 2)
    corners = set()
    for top in range(0, height, cell_y):
        for left in range(0, width, cell_x):
            if moving[top : top + cell_y, left : left + cell_x].sum() >= min(
                MIN_PIXELS, cell_y * cell_x // 4
            ):
                y, x = top - (tall - cell_y) // 2, left - (wide - cell_x) // 2
                corners.add((min(max(y, 0), height - tall), min(max(x, 0), width - wide)))
    return sorted(corners)


@given(st.data())
def test_windows_follow_the_literal_rule_and_stay_inside(data):
    height, width = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60))
    window = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    moving = np.random.default_rng(data.draw(st.integers(0, 99))).random(
        (height, width)
    ) < data.draw(st.sampled_from([0, 0.05, 0.3, 1]))
    corners = motion_windows(moving, window)
    assert corners.shape == (len(corners), 2)
    assert (corners >= 0).all()
    assert (corners + window <= (height, width)).all()
    assert [tuple(c) for c in corners.tolist()] == literal_windows(moving, window)


def test_windows_by_hand():
    moving = np.zeros((240, 360), bool)
    assert motion_windows(moving, (48, 48)).tolist() == []
    # the cells (4, 8), (4, 9) of 24 pixels: rows 96 to 119, columns 192 to 215 and 216 to 239
    moving[100:120, 200:220] = True
    assert motion_windows(moving, (48, 48)).tolist() == [[84, 180], [84, 204]]
    moving[:] = False
    moving[0:10, 350:360] = True  # in the last cell, moved inwards
    assert motion_windows(moving, (48, 48)).tolist() == [[0, 312]]


def test_the_background_of_people_who_pass_is_the_empty_scene(walker):
    frames, boxes = walker(160)
    empty = scene_background([frames])
    there = np.zeros(frames.shape[:3], bool)
    for t, [(x0, y0, x1, y1)] in enumerate(np.array(boxes, int)):
        there[t, y0:y1, x0:x1] = True
    assert there.any(0).mean() > 0.25
    without = np.ma.array(frames[..., 0], mask=there).mean(0)
    # the noise has a sigma of 1.5; the figure is 50 and more levels darker
    assert np.abs(empty - without).max() < 4


def test_things_before_the_background_are_boxed():
    rng = np.random.default_rng(0)
    empty = rng.integers(80, 120, (120, 160), dtype=np.uint8)
    frame = empty.copy()
    rectangles = [(20, 30, 32, 58), (90, 10, 110, 50), (120, 80, 158, 118)]  # x0, y0, x1, y1
    for x0, y0, x1, y1 in rectangles:
        frame[y0:y1, x0:x1] = 220
    rectangles.append((40, 60, 60, 80))
    frame[60:80, 40:60] = 20  # in the other direction: a saturated difference would miss it
    frame[100:103, 20:23] = 255  # too small
    boxes, centroids = foreground_components(frame, empty)
    assert len(boxes) == 4
    for box, centre in zip(boxes, centroids, strict=True):
        distance, found = min((np.abs(box - r).max(), r) for r in rectangles)
        assert distance <= 3, (box, found)  # the blur widens things by a pixel or two
        assert (
            np.abs(centre - [(found[0] + found[2] - 1) / 2, (found[1] + found[3] - 1) / 2]).max()
            < 1
        )
    assert len({tuple(b) for b in boxes}) == 4


def test_components_agree_with_scipy():
    rng = np.random.default_rng(1)
    empty = np.full((120, 160), 100, np.uint8)
    frame = empty.copy()
    for _ in range(12):
        x, y, w, h = rng.integers([0, 0, 2, 2], [150, 110, 25, 25])
        frame[y : y + h, x : x + w] = 180
    boxes, _ = foreground_components(frame, empty)
    mask = cv2.GaussianBlur(cv2.absdiff(frame, empty), (5, 5), 0) > FOREGROUND_LEVELS
    mask = ndimage.binary_erosion(
        ndimage.binary_dilation(mask, np.ones((7, 7))), np.ones((7, 7)), border_value=1
    )
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    expected = [
        (s[1].start, s[0].start, s[1].stop, s[0].stop)
        for i, s in enumerate(ndimage.find_objects(labels), start=1)
        if (labels == i).sum() >= MIN_PIXELS
    ]
    assert sorted(map(tuple, boxes.astype(int).tolist())) == sorted(expected)


def test_noise_is_no_thing_and_an_empty_scene_holds_nothing():
    """Differences of a few levels in either direction; in uint8 they would wrap around to 250."""
    rng = np.random.default_rng(0)
    empty = rng.integers(80, 120, (60, 80), dtype=np.uint8)
    frame = (empty + rng.integers(-4, 5, empty.shape)).astype(np.uint8)
    for picture in (frame, empty):
        boxes, centroids = foreground_components(picture, empty)
        assert (boxes.shape, centroids.shape) == ((0, 4), (0, 2))


def test_the_background_of_a_scene_takes_fewer_frames_of_a_large_set():
    """Memory must not grow with the set; the median of evenly spread frames is that of the scene."""
    rng = np.random.default_rng(0)
    videos = [
        rng.integers(0, 256, (90, 6, 8, 3), dtype=np.uint8),
        rng.integers(0, 256, (50, 6, 8, 3), dtype=np.uint8),
    ]
    together = np.concatenate([grey(v[::10]) for v in videos])
    assert np.array_equal(scene_background(videos), np.median(together, axis=0).astype(np.uint8))
    fewer = np.concatenate([grey(v[::28]) for v in videos])  # 140 frames, at most 5
    assert np.array_equal(
        scene_background(videos, most=5), np.median(fewer, axis=0).astype(np.uint8)
    )


def test_rolling_blur_is_blur_and_holds_one_clip():
    frames = np.random.default_rng(0).integers(0, 256, (70, 12, 16, 3), dtype=np.uint8)
    rolling, whole = RollingBlur(frames), blur(grey(frames))
    for start in (0, 4, 8, 30):
        for step in (1, 2):
            assert np.array_equal(
                rolling[slice(start, start + 16 * step, step)],
                whole[start : start + 16 * step : step],
            )
    assert len(rolling.cache) <= 32
