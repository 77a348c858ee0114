"""All four kinds on real clips, in grey and in colour, with people found by a real Darknet network
and pictures of CIFAR-100.
"""

import cv2
import numpy as np
import pytest
import torch

from vadlib.config import ClipConfig
from vadlib.data.catalog import load_videos
from vadlib.data.clips import ClipDataset, to_frames
from vadlib.pseudo.detectors import DarknetDetector, find_boxes
from vadlib.pseudo.kinds import AddNoise, PasteObjects, ShuffleMotion, SkipFrames
from vadlib.pseudo.mixer import PseudoAnomalyMixer

CIFAR = "cifar100/train"


@pytest.fixture(scope="module", params=["ped2", "avenue"])
def clips(request, real_data):
    videos = load_videos(request.param, "train", real_data)[:1]
    boxes = find_boxes(
        videos,
        DarknetDetector(str(real_data / "weights" / DarknetDetector.default), "cpu"),
        progress=False,
    )
    config = ClipConfig(crop=(96, 96), clip_step=12, shorter_side=240)
    return ClipDataset(videos, config, boxes, progress=False)


def test_each_kind_changes_real_clips_within_their_range_more_with_strength(real_data, clips):
    strengths = (0.0, 0.25, 0.5, 1.0)
    for kind in [
        SkipFrames,
        ShuffleMotion,
        AddNoise,
        lambda s: PasteObjects(str(real_data / CIFAR), s),
    ]:
        made, changes = [kind(s) for s in strengths], []
        for i in range(0, len(clips), 3):
            pseudos = [make(clips[i], torch.Generator().manual_seed(i)) for make in made]
            if all(pseudos):
                for pseudo in pseudos:
                    assert pseudo.tensor.abs().max() <= 1
                    assert pseudo.tensor.shape == clips[i].tensor.shape
                changes.append(
                    [float((pseudo.tensor - clips[i].tensor).abs().mean()) for pseudo in pseudos]
                )
        assert len(changes) >= 5
        zero, *rising = np.sum(changes, axis=0)
        assert zero == 0
        assert rising == sorted(rising)
        assert rising[0] > 0


def test_what_is_pasted_is_the_picture_in_its_own_colours(real_data, clips):
    """Near its centre, at full opacity, where only the camera's noise is added: against the resized
    picture, channel by channel.
    """
    paste, compared = PasteObjects(str(real_data / CIFAR), 1.0), 0
    for i in range(0, len(clips), 3):
        pseudo = paste(clips[i], torch.Generator().manual_seed(i))
        if pseudo is None:
            continue
        x0, y0, x1, y1 = pseudo.params["track"][8]
        x, y, wide, tall = (
            (x0 + x1) / 2,
            (y0 + y1) / 2,
            round(float(x1 - x0)),
            round(float(y1 - y0)),
        )
        if min(wide, tall) < 12 or not (10 < x < 86 and 10 < y < 86):
            continue
        patch = (
            pseudo.params["patch"]
            if clips[i].tensor.shape[0] == 3
            else cv2.cvtColor(pseudo.params["patch"], cv2.COLOR_RGB2GRAY)
        )
        shrinking = wide < 32 or tall < 32
        expected = cv2.resize(
            patch, (wide, tall), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
        ).reshape(tall, wide, -1)
        expected = expected[tall // 2 - 2 : tall // 2 + 3, wide // 2 - 2 : wide // 2 + 3].mean(
            (0, 1)
        )
        found = to_frames(pseudo.tensor)[
            8, round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3
        ].mean((0, 1))
        # half a pixel off, and noise; another order of the channels would be off by far more
        assert np.abs(found - expected).max() < 20
        assert not pseudo.mask[8].all()
        compared += 1
    assert compared >= 5


def test_a_mixer_of_all_four_makes_each_of_them(real_data, clips):
    mixer = PseudoAnomalyMixer(
        [SkipFrames(), ShuffleMotion(), AddNoise(), PasteObjects(str(real_data / CIFAR))], p=1.0
    )
    counts = mixer.count(
        mixer(clips[i], torch.Generator().manual_seed(i)).outcome for i in range(len(clips))
    )
    assert sum(counts.values()) == len(clips)
    assert min(counts[f"made_{kind.name}"] for kind in mixer.kinds) > 0
    assert counts["not_made_shuffle"] == counts["not_made_noise"] == 0
