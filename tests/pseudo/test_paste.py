"""A picture is blended into a box that follows its person."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vadlib.data.clips import to_tensor
from vadlib.pseudo.paste import follow_box, paste_patch


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# --- following


def walk(length, speed=(1.5, 0.4), start=(20.0, 15.0), size=(10.0, 20.0)):
    """The true boxes of something that moves straight on."""
    corner = np.array(start) + np.arange(length)[:, None] * speed
    return np.concatenate([corner, corner + size], axis=1).astype(np.float32)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 8, 16, 17])
def test_a_steady_box_is_followed_exactly(length):
    truth = walk(length)
    track = follow_box([b[None] for b in truth], (120, 160), seeded())
    assert track.dtype == np.float32
    assert track.shape == (length, 4)
    assert np.abs(track - truth).max() < 1e-3


@pytest.mark.parametrize("seed", range(5))
def test_jitter_is_smoothed_and_the_size_kept(seed):
    truth = walk(16)
    noisy = truth + np.random.default_rng(seed).uniform(-1.5, 1.5, truth.shape).astype(np.float32)
    track = follow_box([b[None] for b in noisy], (120, 160), seeded())
    centre = (track[:, :2] + track[:, 2:]) / 2
    assert np.abs(centre - (truth[:, :2] + truth[:, 2:]) / 2).max() < 1.5
    sizes = track[:, 2:] - track[:, :2]
    # a patch that grows and shrinks would give itself away
    assert np.abs(sizes - sizes[0]).max() < 1e-4
    assert np.abs(sizes[0] - [10, 20]).max() < 1.5
    noisy_centre = (noisy[:, :2] + noisy[:, 2:]) / 2
    roughness = [np.abs(np.diff(values, 2, axis=0)).mean() for values in (centre, noisy_centre)]
    assert roughness[0] < 0.5 * roughness[1]


@pytest.mark.parametrize("gap", [[9, 10], [2, 3, 4], [13, 14, 15], [0, 1], [5, 11]])
def test_gaps_are_bridged_at_the_last_speed(gap):
    truth = walk(16)
    boxes = [np.zeros((0, 4), np.float32) if t in gap else truth[t : t + 1] for t in range(16)]
    track = follow_box(boxes, (120, 160), seeded())
    assert np.abs(track - truth).max() < 1.0


def test_the_box_is_followed_among_others():
    """Another person crosses far away, in an order of boxes that changes from frame to frame."""
    truth, other = walk(16), walk(16, speed=(-2, 0), start=(120, 60))
    rng = np.random.default_rng(0)
    boxes = [np.stack([truth[t], other[t]])[rng.permutation(2)] for t in range(16)]
    counts = {0: 0, 1: 0}
    for seed in range(40):
        track = follow_box(boxes, (120, 160), seeded(seed))
        distances = [np.abs(track - true).max() for true in (truth, other)]
        assert min(distances) < 1e-3
        counts[int(np.argmin(distances))] += 1
    assert min(counts.values()) >= 8  # each is drawn about half of the time


def test_a_merged_blob_does_not_pull_the_track_away():
    """In two frames a neighbour's blob joins: the box is three times as wide, its centre off."""
    truth = walk(16)
    boxes = [truth[t : t + 1].copy() for t in range(16)]
    for t in (10, 11):
        boxes[t][0, 2] += 20
    assert np.abs(follow_box(boxes, (120, 160), seeded()) - truth).max() < 1.0


def test_defect_05_only_boxes_inside_the_picture_are_drawn():
    inside, outside = walk(16), walk(16, start=(200, 15))
    both = list(np.stack([inside, outside], axis=1))
    for seed in range(10):
        track = follow_box(both, (120, 160), seeded(seed))
        assert np.abs(track - inside).max() < 1e-3
    assert follow_box([b[None] for b in outside], (120, 160), seeded()) is None
    assert follow_box([np.zeros((0, 4), np.float32)] * 16, (120, 160), seeded()) is None
    assert follow_box(None, (120, 160), seeded()) is None


def test_height_and_width_of_the_frame_are_not_swapped():
    assert follow_box([np.float32([[130, 10, 140, 30]])] * 4, (100, 160), seeded()) is not None
    assert follow_box([np.float32([[10, 110, 20, 130]])] * 4, (100, 160), seeded()) is None


# --- pasting


BOX = np.float32([20, 10, 32, 40])  # 12 wide, 30 tall


def pasted(clip, patch, opacity=1.0, size=1.0, box=BOX):
    track = np.tile(box, (clip.shape[1], 1))
    return paste_patch(clip, np.asarray(patch, np.uint8), track, opacity, size)[0]


def bounds(changed):
    """(left, top, right, bottom) of what is True, ends exclusive."""
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def test_defect_06_the_patch_has_the_boxs_width_and_height():
    clip = torch.zeros(1, 2, 60, 80)
    changed = (pasted(clip, np.full((16, 16, 3), 255)) != clip)[0, 0].numpy()
    left, top, right, bottom = bounds(changed)
    # The ellipse ends at the box; its border has no weight, so a pixel may be missing on each side.
    assert 12 - 4 <= right - left <= 12
    assert 30 - 4 <= bottom - top <= 30
    assert abs((left + right) / 2 - 26) <= 0.5
    assert abs((top + bottom) / 2 - 25) <= 0.5


def test_defect_06_the_patch_does_not_flicker():
    """It shows the same pixels in every frame, moved with the box."""
    patch = np.random.default_rng(0).integers(0, 256, (40, 40, 3))
    clip = torch.zeros(3, 8, 60, 80)
    track = BOX + np.float32([3, 1, 3, 1]) * np.arange(8, dtype=np.float32)[:, None]
    changed, _ = paste_patch(clip, patch.astype(np.uint8), track, 1.0, 1.0)
    for t in range(1, 8):
        moved_back = torch.roll(changed[:, t], (-t, -3 * t), (1, 2))
        assert (moved_back - changed[:, 0]).abs().max() < 1e-4


def test_the_patch_moves_by_fractions_of_a_pixel():
    clip = torch.zeros(1, 9, 60, 80)
    track = BOX + 0.25 * np.arange(9, dtype=np.float32)[:, None] * np.float32([1, 0, 1, 0])
    changed = paste_patch(clip, np.full((8, 8, 3), 255, np.uint8), track, 1.0, 1.0)[0][0]
    centres = (changed.sum(1) * torch.arange(80)).sum(1) / changed.sum((1, 2))
    assert np.abs(np.diff(centres.numpy()) - 0.25).max() < 0.05


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_defect_06_red_stays_red(channel):
    patch = np.zeros((16, 16, 3), np.uint8)
    patch[..., channel] = 255
    centre = pasted(torch.zeros(3, 1, 60, 80), patch)[:, 0, 25, 26]
    expected = np.full(3, -1.0)
    expected[channel] = 1.0
    assert centre.tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_a_grey_clip_stays_grey_and_gets_the_weights_of_bt_601():
    clip = torch.zeros(1, 1, 60, 80)
    for colour, grey in (((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29)):
        changed = pasted(clip, np.full((16, 16, 3), colour))
        assert changed.shape == clip.shape
        assert float(changed[0, 0, 25, 26]) == pytest.approx(grey / 127.5 - 1, abs=1e-5)


def test_the_picture_is_the_resized_patch_where_it_is_opaque():
    """A second way: resize with OpenCV and compare the inner part of the ellipse."""
    patch = np.random.default_rng(0).integers(0, 256, (60, 48, 3), dtype=np.uint8)
    box = np.float32([20, 10, 44, 40])  # 24 wide, 30 tall
    changed = pasted(torch.zeros(3, 1, 60, 80), patch, box=box)[:, 0, 10:40, 20:44]
    expected = to_tensor(cv2.resize(patch, (24, 30), interpolation=cv2.INTER_AREA)[None])[:, 0]
    inner = np.s_[:, 11:19, 9:15]
    assert (changed[inner] - expected[inner]).abs().max() < 1e-4


def test_the_patch_is_most_opaque_at_its_centre_and_ends_softly():
    box = np.float32([20, 10, 50, 50])
    changed = pasted(torch.full((1, 1, 60, 80), -1.0), np.full((8, 8, 3), 255), box=box)
    weight = changed[0, 0] / 2 + 0.5
    across, down = weight[29, 20:50], weight[10:50, 34]
    for line in (across, down):
        half = len(line) // 2
        assert line[half - 3 : half + 3].min() > 0.99
        assert (line[: half - 1].diff() >= -1e-4).all()
        assert (line[half + 1 :].diff() <= 1e-4).all()
        assert line[0] < 0.25
        assert line.diff().abs().max() < 0.3
    assert weight[11, 21] == 0  # the box's corners lie outside the ellipse


def test_a_cut_out_keeps_its_shape_and_covers_the_boxs_area():
    """A second way: blend the sprite by hand where it lies on whole pixels."""
    patch = np.zeros((30, 60, 4), np.uint8)
    patch[..., 0] = 255
    patch[5:25, 10:50, 3] = 255
    box = np.float32([20, 10, 32, 34])  # an area of 12 x 24, that of a sprite of 24 x 12
    clip = torch.zeros(3, 1, 60, 80)
    changed, weight = paste_patch(clip, patch, box[None], 1.0, 1.0)
    expected = np.zeros((60, 80), np.float32)
    expected[16:28, 14:38] = cv2.resize(patch, (24, 12), interpolation=cv2.INTER_AREA)[..., 3] / 255
    np.testing.assert_allclose(weight[0].numpy(), expected, atol=1e-5)
    assert changed[0, 0, 22, 26] == 1.0
    np.testing.assert_allclose(changed[1, 0].numpy(), -expected, atol=1e-5)


@pytest.mark.parametrize("opacity", [0.25, 0.5, 1.0])
def test_opacity_is_the_weight_at_the_centre(opacity):
    changed = pasted(torch.full((1, 1, 60, 80), -1.0), np.full((8, 8, 3), 255), opacity)
    assert float(changed[0, 0, 25, 26]) == pytest.approx(2 * opacity - 1, abs=1e-4)


def test_a_box_that_leaves_the_picture_changes_only_the_picture():
    clip = torch.zeros(1, 6, 60, 80)
    # gone after the fifth frame
    track = BOX + np.float32([14, 0, 14, 0]) * np.arange(6, dtype=np.float32)[:, None]
    changed, weight = paste_patch(clip, np.full((8, 8, 3), 255, np.uint8), track, 1.0, 1.0)
    assert torch.equal(weight > 0, (changed != clip)[0])
    per_frame = (changed != clip).sum((0, 2, 3)).tolist()
    assert per_frame[0] == per_frame[1] > 0
    assert 0 < per_frame[4] < per_frame[0]
    assert per_frame[5] == 0


def test_nothing_is_changed_in_place_and_all_stays_in_range():
    clip = torch.rand(3, 4, 60, 80, generator=seeded()) * 2 - 1
    before = clip.clone()
    patch = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    original = patch.copy()
    changed = pasted(clip, patch)
    assert torch.equal(clip, before)
    assert np.array_equal(patch, original)
    assert changed.abs().max() <= 1
    assert torch.equal(changed[:, :, :, :15], clip[:, :, :, :15])


SIDES = st.floats(0.5, 60)


@given(st.floats(-30, 110), st.floats(-30, 90), SIDES, SIDES, st.floats(0, 1), st.floats(0.5, 1))
def test_any_box_can_be_pasted_into(x, y, wide, tall, opacity, size):
    clip = torch.zeros(1, 1, 60, 80)
    box = np.float32([x, y, x + wide, y + tall])
    changed = pasted(clip, np.full((8, 8, 3), 200), opacity, size, box)
    assert changed.isfinite().all()
    assert changed.abs().max() <= 1
