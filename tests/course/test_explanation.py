"""An explanation holds what the model itself returns, laid over the picture, and nothing where
nothing was rebuilt.
"""

import re
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
        Path("run"),
        RunConfig(clips=ClipConfig(length=8, crop=crop, frame_step=frame_step)),
        model,
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
        np.testing.assert_allclose(
            part.reconstruction,
            (rebuilt.permute(1, 2, 3, 0) + 1).clamp(0, 2) * 127.5,
            rtol=1e-4,
            atol=1e-3,
        )
        np.testing.assert_allclose(part.error, (rebuilt - clip)[0] ** 2, rtol=1e-4, atol=1e-6)
        weights = output.weights[0].double()
        np.testing.assert_allclose(
            part.attention, weights.mean(0).permute(2, 0, 1), rtol=1e-4, atol=1e-6
        )
        expected = (
            -(weights * weights.clamp_min(1e-300).log()).sum(-1).mean(0)
            if memories
            else np.full((6, 8), np.nan)
        )
        np.testing.assert_allclose(part.entropy, expected, rtol=1e-4, atol=1e-5)
    assert explanation.pseudo.pseudo is None
    assert np.array_equal(explanation.reconstruction, explanation.pseudo.reconstruction) == (
        (memories, decoders) in {(1, 1), (0, 1)}
    )


@pytest.mark.parametrize("crop", [(16, 16), (12, 20)])
def test_windows_are_averaged_pixel_by_pixel_and_cell_by_cell(video, crop):
    """The slow way: every pixel asks all windows, every cell all positions of the memory."""
    run, start = make_run(crop, frame_step=2), 5
    frames = video.frames[start : start + 15 : 2]
    corners = motion_windows(moving_pixels(blur(grey(frames))), crop)
    with torch.no_grad():
        outputs = [
            run.model(to_tensor(frames[:, y : y + crop[0], x : x + crop[1]])[None])
            for y, x in corners
        ]
    explanation = explain_clip(run, video, start)
    for y in range(0, 48, 3):
        for x in range(0, 64, 3):
            over = [
                k
                for k, (top, left) in enumerate(corners)
                if top <= y < top + crop[0] and left <= x < left + crop[1]
            ]
            assert explanation.seen[y, x] == (len(over) > 0)
            made = [
                float(outputs[k].reconstruction[0, 0, 3, y - corners[k][0], x - corners[k][1]])
                for k in over
            ]
            frame = int(frames[3, y, x, 0]) / 127.5 - 1
            expected = (
                [
                    np.mean([(min(max(m, -1), 1) + 1) * 127.5 for m in made]),
                    np.mean([(m - frame) ** 2 for m in made]),
                ]
                if made
                else np.nan
            )
            found = [explanation.reconstruction[3, y, x, 0], explanation.error[3, y, x]]
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)
    for row in range(6):
        for column in range(8):
            reads = []
            for (top, left), output in zip(corners, outputs, strict=True):
                weights = output.weights[0].mean(0)
                for i in range(weights.shape[0]):
                    for j in range(weights.shape[1]):
                        if (
                            row * 8 <= top + 8 * i + 4 < row * 8 + 8
                            and column * 8 <= left + 8 * j + 4 < column * 8 + 8
                        ):
                            reads.append(weights[i, j].numpy())
            expected = np.mean(reads, 0) if reads else np.full(6, np.nan)
            np.testing.assert_allclose(
                explanation.attention[:, row, column], expected, rtol=1e-4, atol=1e-6
            )


def test_places_that_were_not_rebuilt_hold_no_numbers(video):
    explanation = explain_clip(make_run(), video, 18)
    assert explanation.seen.any()
    assert not explanation.seen.all()
    for _, part in paths(explanation):
        for values in (part.reconstruction[..., 0], part.error):
            np.testing.assert_array_equal(
                np.isnan(values), np.broadcast_to(~part.seen, values.shape)
            )
        np.testing.assert_array_equal(
            np.isnan(part.attention), np.broadcast_to(np.isnan(part.entropy), part.attention.shape)
        )
        assert 0 < np.isnan(part.entropy).sum() < part.entropy.size
        assert np.nanmax(part.entropy) <= np.log(6) + 1e-6
        np.testing.assert_allclose(
            np.nansum(part.attention, 0)[~np.isnan(part.entropy)], 1, rtol=1e-5
        )
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
    with refused("out-of-range", field="start") as caught:
        explain_clip(make_run(), video, 40)
    assert re.findall(r"\d+", str(caught.error))[-3:] == ["40", "0", "37"]


def test_a_mask_is_fitted_to_frames_that_were_shrunk():
    seen = np.ones((20, 30), bool)
    explanation = Explanation(*[None] * 6)._replace(seen=seen)
    mask = np.zeros((40, 60), bool)
    mask[10:20, 30:50] = True
    expected = np.zeros((20, 30), bool)
    expected[5:10, 15:25] = True
    np.testing.assert_array_equal(explanation.fit(mask), expected)
    np.testing.assert_array_equal(explanation.fit(expected), expected)
