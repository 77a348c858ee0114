"""An explanation holds what the model itself returns, laid over the picture, and nothing where
nothing was rebuilt.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from refusals import refused
from scenes import moving_videos

from vadlib.config import ClipConfig, ModelConfig, RunConfig
from vadlib.course.inspection.explanation import Explanation, explain_clip
from vadlib.data.clips import to_tensor
from vadlib.data.motion import blur, grey, motion_windows, moving_pixels
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import Run


def make_run(crop=(16, 16), frame_step=1, **changes):
    torch.manual_seed(0)
    model = DualPathAutoencoder(ModelConfig(**{"width": 8, "slots": 6} | changes)).eval()
    if model.pseudo_decoder:
        torch.nn.init.normal_(model.pseudo_decoder.head.weight)  # it starts as a copy of the other
    return Run(
        Path("run"), RunConfig(clips=ClipConfig(length=8, crop=crop, frame_step=frame_step)), model
    )


@pytest.fixture(scope="module")
def video():
    return moving_videos(1, length=45, labelled=True, seed=1)[0]


def paths(explanation):
    return {"normal": explanation, "pseudo": explanation.pseudo}.items()


@pytest.mark.parametrize(("memories", "decoders"), [(2, 2), (1, 2), (2, 1), (1, 1), (0, 2), (0, 1)])
def test_whole_frames_are_what_the_model_returns_along_each_path(video, memories, decoders):
    run = make_run(crop=None, memories=memories, decoders=decoders, skip=True)
    explanation = explain_clip(run, video, 18)
    clip = to_tensor(video.frames[18:26])
    np.testing.assert_array_equal(explanation.frames, video.frames[18:26])
    assert explanation.seen.all()
    for path, part in paths(explanation):
        with torch.no_grad():
            output = run.model(clip[None], path)
        rebuilt = output.reconstruction[0]
        pixels = (rebuilt.permute(1, 2, 3, 0) + 1).clamp(0, 2) * 127.5
        np.testing.assert_allclose(part.reconstruction, pixels, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(part.error, (rebuilt - clip)[0] ** 2, rtol=1e-4, atol=1e-6)
        weights = output.weights[0].double()
        shares = weights.mean(0).permute(2, 0, 1)
        np.testing.assert_allclose(part.attention, shares, rtol=1e-4, atol=1e-6)
        entropy = np.full((6, 8), np.nan)
        if memories:
            entropy = -(weights * weights.clamp_min(1e-300).log()).sum(-1).mean(0)
        np.testing.assert_allclose(part.entropy, entropy, rtol=1e-4, atol=1e-5)
    assert np.array_equal(explanation.reconstruction, explanation.pseudo.reconstruction) == (
        (memories, decoders) in {(1, 1), (0, 1)}
    )


@pytest.mark.parametrize("crop", [(16, 16), (12, 20)])
def test_windows_are_averaged_pixel_by_pixel_and_cell_by_cell(video, crop):
    """The slow way: every pixel asks all windows, every cell all positions of the memory."""
    run, start = make_run(crop, frame_step=2), 5
    frames = video.frames[start : start + 15 : 2]
    corners = motion_windows(moving_pixels(blur(grey(frames))), crop)
    pixels, reads = {}, {}
    for y, x in corners:
        window = to_tensor(frames[:, y : y + crop[0], x : x + crop[1]])
        with torch.no_grad():
            output = run.model(window[None])
        rebuilt = output.reconstruction[0, 0, 3]
        errors = (rebuilt - window[0, 3]).square()
        for i, j in np.ndindex(rebuilt.shape):
            level = (min(max(float(rebuilt[i, j]), -1), 1) + 1) * 127.5
            pixels.setdefault((y + i, x + j), []).append((level, float(errors[i, j])))
        weights = output.weights[0].mean(0)
        for i, j in np.ndindex(weights.shape[:2]):
            cell = (y + 8 * i + 4) // 8, (x + 8 * j + 4) // 8
            reads.setdefault(cell, []).append(weights[i, j].numpy())
    explanation = explain_clip(run, video, start)
    for y, x in np.ndindex(48, 64):
        assert explanation.seen[y, x] == ((y, x) in pixels)
        values = [explanation.reconstruction[3, y, x, 0], explanation.error[3, y, x]]
        expected = np.mean(pixels.get((y, x), [(np.nan, np.nan)]), 0)
        np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-3)
    for row, column in np.ndindex(6, 8):
        expected = np.mean(reads.get((row, column), [np.full(6, np.nan)]), 0)
        attention = explanation.attention[:, row, column]
        np.testing.assert_allclose(attention, expected, rtol=1e-4, atol=1e-6)


def test_places_that_were_not_rebuilt_hold_no_numbers(video):
    explanation = explain_clip(make_run(), video, 18)
    assert explanation.seen.any()
    assert not explanation.seen.all()
    for _, part in paths(explanation):
        for values in (part.reconstruction[..., 0], part.error):
            assert (np.isnan(values) == ~part.seen).all()
        assert (np.isnan(part.attention) == np.isnan(part.entropy)).all()
        assert 0 < np.isnan(part.entropy).sum() < part.entropy.size
        read = part.attention[:, ~np.isnan(part.entropy)]
        np.testing.assert_allclose(read.sum(0), 1, rtol=1e-5)
        assert part.usage.sum() == pytest.approx(1)


def test_a_clip_in_which_nothing_moves_has_no_numbers_at_all(array_video):
    explanation = explain_clip(make_run(), array_video(np.full((20, 48, 64, 1), 90)), 0)
    assert not explanation.seen.any()
    assert np.isnan(explanation.error).all()
    np.testing.assert_array_equal(explanation.usage, np.zeros(6))


def test_colour_is_explained_as_well(array_video, walker):
    frames, _ = walker(20, channels=3)
    explanation = explain_clip(make_run(channels=3), array_video(frames), 2)
    assert explanation.reconstruction.shape == (8, 48, 64, 3)
    assert explanation.error.shape == (8, 48, 64)


def test_explaining_beyond_the_end_is_refused(video):
    explain_clip(make_run(), video, 37)
    with refused("out-of-range", field="start"):
        explain_clip(make_run(), video, 38)


def test_a_mask_is_fitted_to_frames_that_were_shrunk():
    seen = np.ones((20, 30), bool)
    explanation = Explanation(*[None] * 6)._replace(seen=seen)
    mask = np.zeros((40, 60), bool)
    mask[10:20, 30:50] = True
    expected = np.zeros((20, 30), bool)
    expected[5:10, 15:25] = True
    np.testing.assert_array_equal(explanation.fit(mask), expected)
