"""Error maps against a slow transcription, and every frame scored."""

import numpy as np
import pytest
import torch
from refusals import refused
from torch import nn

from vadlib.config import CELL, ClipConfig
from vadlib.data.clips import scoring_starts
from vadlib.evaluation.error_maps import error_maps, scored_frames
from vadlib.evaluation.scores import plain_error, temporal_error
from vadlib.model.network import DualPathAutoencoder, PathOutput

CROPPED = ClipConfig(length=8, crop=(32, 32))
WHOLE = ClipConfig(length=8)


class StandIn(nn.Module):
    """A model whose features are the clips, and whose reconstruction is a function of clips (B, C,
    T, H, W) and path.
    """

    pseudo_memory = pseudo_decoder = "a path of its own"
    two_paths = DualPathAutoencoder.two_paths

    def __init__(self, function):
        super().__init__()
        self.function = function

    def encode(self, clips):
        return [clips]

    def reconstruct(self, features, path, shape):
        assert features[-1].shape == shape
        return PathOutput(self.function(features[-1], path), *[torch.zeros(0)] * 3)


def darker(clips, path):
    """0.1 too dark, in odd frames 0.3, and on the pseudo path 0.5: the errors are known."""
    pair = torch.tensor([0.1, 0.3] if path == "normal" else [0.5, 0.5])
    return clips - pair.repeat(clips.shape[2])[: clips.shape[2], None, None]


def blank(clips, path):
    """Nothing, so that the error is the picture's own square."""
    return torch.zeros_like(clips)


def maps_of(function, frames, config, protocol="all", absent=()):
    model = StandIn(function)
    for part in absent:
        setattr(model, part, None)
    return error_maps(model, frames, config, torch.device("cpu"), "fp32", protocol=protocol)


def walker(frames=40):
    """A bright block that moves 2 pixels a frame over a grey ground."""
    video = np.full((frames, 64, 80, 1), 100, np.uint8)
    for t in range(frames):
        video[t, 24:44, 2 * t % 60 : 2 * t % 60 + 12] = 250
    return video


def test_pixel_errors_by_hand():
    clips = torch.zeros(1, 1, 3, 1, 1)
    reconstruction = torch.tensor([0.1, 0.3, 0.3]).view(1, 1, 3, 1, 1)
    for measure, expected in ((plain_error, [0.01, 0.09, 0.09]), (temporal_error, [0.04, 0.04, 0])):
        torch.testing.assert_close(measure(reconstruction, clips).flatten(), torch.tensor(expected))


@pytest.mark.parametrize("crop", [None, (32, 32)])
@pytest.mark.parametrize("frame_step", [1, 2])
def test_defect_20_every_frame_gets_an_error(crop, frame_step):
    config = ClipConfig(length=8, frame_step=frame_step, crop=crop)
    maps = maps_of(darker, walker(37), config)
    assert maps["plain"].shape == (37, 64 / CELL, 80 / CELL)
    assert (maps["plain"].max((1, 2)) > 0.005).all()


def test_whole_frames_weigh_overlapping_clips_by_their_distance_from_the_middle():
    """Against a transcription: a frame's error is the weighted mean over the clips that hold it."""
    maps = maps_of(darker, walker(21), WHOLE)
    weight = np.maximum(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, 9) / 9), 0.05)
    total, weights = np.zeros(21), np.zeros(21)
    for start in scoring_starts(21, 8):
        total[start : start + 8] += weight * np.tile([0.01, 0.09], 4)
        weights[start : start + 8] += weight
    # maps are in half precision
    expected = np.broadcast_to((total / weights)[:, None, None], (21, 8, 10))
    np.testing.assert_allclose(maps["plain"], expected, rtol=1e-3)


def test_cells_are_means_of_their_pixels_also_at_a_ragged_border():
    # +1 everywhere: the error is 1 in every pixel
    video = np.full((8, 12, 20, 1), 255, np.uint8)
    video[:, :8, :8] = 128
    expected = [[(128 / 127.5 - 1) ** 2, 1, 1], [1, 1, 1]]
    np.testing.assert_allclose(maps_of(blank, video, WHOLE)["plain"][0], expected, atol=1e-3)


def test_windows_cover_what_moves_and_nothing_else():
    maps = maps_of(darker, walker(), CROPPED)
    changes = np.abs(np.diff(walker()[..., 0].astype(int), axis=0))
    for t in range(1, 40):
        rows, columns = np.nonzero(changes[t - 1])
        assert (maps["plain"][t, rows // CELL, columns // CELL] > 0).mean() > 0.95
    still = np.full((24, 64, 80, 1), 100, np.uint8)
    assert maps_of(darker, still, CROPPED)["plain"].max() == 0


def test_a_path_with_a_part_of_its_own_has_errors_of_its_own():
    for absent in ([], ["pseudo_memory"], ["pseudo_decoder"]):
        maps = maps_of(darker, walker(20), CROPPED, absent=absent)
        expected = np.where(maps["plain"] > 0, 0.25, 0)
        np.testing.assert_allclose(maps["pseudo"], expected, rtol=1e-3)
    maps = maps_of(darker, walker(20), WHOLE, absent=["pseudo_memory", "pseudo_decoder"])
    np.testing.assert_array_equal(maps["pseudo"], maps["plain"])  # it has no path of its own


@pytest.mark.parametrize("frame_step", [1, 2])
def test_the_published_protocol_keeps_the_middle_frame_of_each_clip(frame_step):
    """Against a transcription: clip k begins at frame k, and its frame number 4 of 8 has the error
    of that place alone.
    """
    asked = []

    def counting(clips, path):
        """In the k-th clip that is asked for, everything is wrong by 0.1 k + 0.01 t."""
        asked.extend([path] if path == "normal" else [])
        return clips - 0.1 * len(asked) - 0.01 * torch.arange(clips.shape[2])[:, None, None]

    config = ClipConfig(length=8, frame_step=frame_step)
    maps = maps_of(counting, walker(21), config, "center")
    clips = 21 - 7 * frame_step
    expected = [(0.1 * (k + 1) + 0.01 * 4) ** 2 for k in range(clips)]
    assert maps["plain"].shape == (clips, 8, 10)
    np.testing.assert_allclose(maps["plain"][:, 3, 3], expected, rtol=1e-3)
    assert scored_frames(21, config, "center") == slice(4 * frame_step, 21 - 3 * frame_step)
    assert scored_frames(180, ClipConfig(), "center") == slice(8, 173)
    with refused("unknown-name", field="protocol"):
        scored_frames(180, ClipConfig(), "middle")
