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
)


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
    limits, cell = np.subtract(moving.shape, window), np.maximum(1, np.array(window) // 2)
    corners = set()
    for top in range(0, moving.shape[0], cell[0]):
        for x in range(0, moving.shape[1], cell[1]):
            busy = moving[top : top + cell[0], x : x + cell[1]].sum()
            if busy >= min(MIN_PIXELS, cell.prod() // 4):
                corner = np.array((top, x)) - (window - cell) // 2
                corners.add(tuple(np.clip(corner, 0, limits).tolist()))
    return sorted(corners)


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([0, 0.05, 0.3, 1]), st.data())
def test_windows_follow_the_literal_rule_and_stay_inside(height, width, share, data):
    window = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    moving = rng.random((height, width)) < share
    corners = motion_windows(moving, window)
    assert corners.shape == (len(corners), 2)
    assert (corners >= 0).all()
    assert (corners + window <= (height, width)).all()
    assert [tuple(c) for c in corners.tolist()] == literal_windows(moving, window)


def test_components_agree_with_scipy():
    rng = np.random.default_rng(1)
    empty = np.full((120, 160), 100, np.uint8)
    frame = empty.copy()
    for level in 6 * [180, 20]:  # in the other direction a saturated difference would miss it
        corner, size = rng.integers([[0, 0], [2, 2]], [[110, 150], [25, 25]])
        frame[tuple(map(slice, corner, corner + size))] = level
    boxes, centroids = foreground_components(frame, empty)
    square = np.ones((7, 7))
    mask = cv2.GaussianBlur(cv2.absdiff(frame, empty), (5, 5), 0) > FOREGROUND_LEVELS
    mask = ndimage.binary_erosion(ndimage.binary_dilation(mask, square), square, border_value=1)
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    expected = []
    for i, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        if (labels == i).sum() >= MIN_PIXELS:
            middle = ndimage.center_of_mass(labels == i)[::-1]
            expected.append((columns.start, rows.start, columns.stop, rows.stop, *middle))
    expected = np.array(sorted(expected))
    order = np.lexsort(boxes.T[::-1])
    assert np.array_equal(boxes[order], expected[:, :4])
    assert np.abs(centroids[order] - expected[:, 4:]).max() < 0.01
    assert len(expected) > 4


def test_noise_is_no_thing():
    """Differences of a few levels in either direction; in uint8 they would wrap around to 250."""
    empty = np.full((60, 80), 100, np.uint8)
    frame = empty + np.random.default_rng(0).integers(-4, 5, empty.shape)
    boxes, centroids = foreground_components(frame.astype(np.uint8), empty)
    assert (boxes.shape, centroids.shape) == ((0, 4), (0, 2))


def test_rolling_blur_is_blur_and_holds_one_clip():
    frames = np.random.default_rng(0).integers(0, 256, (70, 12, 16, 3), dtype=np.uint8)
    rolling, whole = RollingBlur(frames), blur(grey(frames))
    for start in (0, 4, 8, 30):
        for step in (1, 2):
            clip = slice(start, start + 16 * step, step)
            assert np.array_equal(rolling[clip], whole[clip])
    assert len(rolling.cache) <= 32
