"""Error maps against a slow transcription, and every frame scored."""

import numpy as np
import pytest
import torch
from refusals import refused
from torch import nn

from vadlib.config import CELL, ClipConfig
from vadlib.data.clips import scoring_starts
from vadlib.evaluation.components import plain_error, temporal_error
from vadlib.evaluation.error_maps import error_maps, scored_frames
from vadlib.model.network import DualPathAutoencoder, PathOutput

CPU = torch.device("cpu")


class StandIn(nn.Module):
    """A model whose features are the clips themselves."""

    pseudo_memory = pseudo_decoder = "a path of its own"
    two_paths = DualPathAutoencoder.two_paths

    def encode(self, clips):
        return [clips]

    def reconstruct(self, features, path, shape):
        assert features[-1].shape == shape
        return PathOutput(self.made(features[-1], path), *[torch.zeros(0)] * 3)


class Darker(StandIn):
    """Rebuilds each clip 0.1 too dark, in odd frames 0.3, and on the pseudo path 0.5: its errors
    are known.
    """

    def made(self, clips, path):
        pair = torch.tensor([0.1, 0.3] if path == "normal" else [0.5, 0.5])
        return clips - pair.repeat(clips.shape[2])[: clips.shape[2], None, None]


class Blank(StandIn):
    """Rebuilds nothing, so that the error is the picture's own square."""

    def made(self, clips, path):
        return torch.zeros_like(clips)


class Counting(StandIn):
    """In the k-th clip that it is asked for, everything is wrong by 0.1 k + 0.01 t."""

    def __init__(self):
        super().__init__()
        self.asked = 0

    def made(self, clips, path):
        self.asked += path == "normal"
        return clips - 0.1 * self.asked - 0.01 * torch.arange(clips.shape[2])[:, None, None]


def walker(frames=40, height=64, width=80):
    """A bright block that moves 2 pixels a frame over a grey ground."""
    video = np.full((frames, height, width, 1), 100, np.uint8)
    for t in range(frames):
        video[t, 24:44, 2 * t % 60 : 2 * t % 60 + 12] = 250
    return video


def test_pixel_errors_by_hand():
    clips = torch.zeros(1, 1, 3, 1, 1)
    rebuilt = torch.tensor([0.1, 0.3, 0.3]).view(1, 1, 3, 1, 1)
    plain = plain_error(rebuilt, clips)[0, :, 0, 0]
    temporal = temporal_error(rebuilt, clips)[0, :, 0, 0]
    torch.testing.assert_close(plain, torch.tensor([0.01, 0.09, 0.09]))
    torch.testing.assert_close(temporal, torch.tensor([0.04, 0.04, 0.0]))


@pytest.mark.parametrize("crop", [None, (32, 32)])
@pytest.mark.parametrize("frame_step", [1, 2])
def test_defect_20_every_frame_gets_an_error(crop, frame_step):
    video = walker(frames=37)
    config = ClipConfig(length=8, frame_step=frame_step, crop=crop)
    maps = error_maps(Darker(), video, config, CPU, "fp32")
    assert maps["plain"].shape == (37, 64 / CELL, 80 / CELL)
    assert (maps["plain"].max((1, 2)) > 0.005).all()


def test_whole_frames_weigh_overlapping_clips_by_their_distance_from_the_middle():
    """Against a transcription: a frame's error is the weighted mean over the clips that hold it."""
    length, video = 8, walker(frames=21)
    maps = error_maps(Darker(), video, ClipConfig(length=length), CPU, "fp32")
    waves = np.cos(2 * np.pi * np.arange(1, length + 1) / (length + 1))
    weight = np.maximum(0.5 - 0.5 * waves, 0.05)
    total, weights = np.zeros(21), np.zeros(21)
    for start in scoring_starts(21, length):
        for t in range(length):
            total[start + t] += weight[t] * (0.01 if t % 2 == 0 else 0.09)
            weights[start + t] += weight[t]
    # maps are in half precision
    expected = np.broadcast_to((total / weights)[:, None, None], (21, 8, 10))
    np.testing.assert_allclose(maps["plain"], expected, rtol=1e-3)


def test_cells_are_means_of_their_pixels_also_at_a_ragged_border():
    # +1 everywhere: the blank model's error is 1 in every pixel
    video = np.full((8, 12, 20, 1), 255, np.uint8)
    video[:, :8, :8] = 128
    maps = error_maps(Blank(), video, ClipConfig(length=8), CPU, "fp32")
    assert maps["plain"].shape == (8, 2, 3)
    expected = [[(128 / 127.5 - 1) ** 2, 1, 1], [1, 1, 1]]
    np.testing.assert_allclose(maps["plain"][0], expected, atol=1e-3)


def test_windows_cover_what_moves_and_nothing_else():
    config = ClipConfig(length=8, crop=(32, 32))
    maps = error_maps(Darker(), walker(), config, CPU, "fp32")
    moving = np.zeros((40, 64, 80), bool)
    moving[:, 24:44] = np.abs(np.diff(walker()[:, 24:44, :, 0].astype(int), axis=0, prepend=0)) > 0
    for t in range(1, 40):
        rows, columns = np.nonzero(moving[t])
        assert (maps["plain"][t, rows // CELL, columns // CELL] > 0).mean() > 0.95
    still = np.full((24, 64, 80, 1), 100, np.uint8)
    assert error_maps(Darker(), still, config, CPU, "fp32")["plain"].max() == 0


def test_scoring_does_not_depend_on_what_follows():
    """Frames that no later clip can reach are the same when the video goes on."""
    video, config = walker(frames=40), ClipConfig(length=8, crop=(32, 32))
    whole, part = (error_maps(Blank(), v, config, CPU, "fp32") for v in (video, video[:24]))
    np.testing.assert_array_equal(whole["plain"][:16], part["plain"][:16])


@pytest.mark.parametrize("absent", [[], ["pseudo_memory"], ["pseudo_decoder"]])
def test_a_path_with_a_part_of_its_own_has_errors_of_its_own(absent):
    model = Darker()
    for part in absent:
        setattr(model, part, None)
    maps = error_maps(model, walker(20), ClipConfig(length=8, crop=(32, 32)), CPU, "fp32")
    moved = maps["plain"] > 0
    np.testing.assert_allclose(maps["pseudo"][moved], 0.25, rtol=1e-3)
    assert not maps["pseudo"][~moved].any()


def test_without_a_second_path_its_errors_are_those_of_the_first():
    shared = Darker()
    shared.pseudo_memory = shared.pseudo_decoder = None
    maps = error_maps(shared, walker(20), ClipConfig(length=8), CPU, "fp32")
    np.testing.assert_array_equal(maps["pseudo"], maps["plain"])


@pytest.mark.parametrize("frame_step", [1, 2])
def test_the_published_protocol_keeps_the_middle_frame_of_each_clip(frame_step):
    """Against a transcription: clip k begins at frame k, and its frame number 4 of 8 has the error
    of that place alone.
    """
    config = ClipConfig(length=8, frame_step=frame_step)
    maps = error_maps(Counting(), walker(frames=21), config, CPU, "fp32", protocol="center")
    clips = 21 - 7 * frame_step
    expected = [(0.1 * (k + 1) + 0.01 * 4) ** 2 for k in range(clips)]
    assert maps["plain"].shape == (clips, 8, 10)
    np.testing.assert_allclose(maps["plain"][:, 3, 3], expected, rtol=1e-3)
    assert scored_frames(21, config, "center") == slice(4 * frame_step, 21 - 3 * frame_step)


def test_of_16_frames_the_first_8_and_the_last_7_are_dropped_by_the_published_protocol():
    assert scored_frames(180, ClipConfig(), "center") == slice(8, 173)
    assert scored_frames(180, ClipConfig()) == slice(0, 180)
    with refused("unknown-name", field="protocol"):
        scored_frames(180, ClipConfig(), "middle")
