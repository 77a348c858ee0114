"""All four kinds on real clips, in grey and in colour, with people found by a real Darknet network and pictures of CIFAR-100."""

import pytest
import torch

from vadlib.data.catalog import load_videos
from vadlib.data.clips import ClipDataset, DataConfig
from vadlib.pseudo.detectors import DarknetDetector, find_boxes
from vadlib.pseudo.kinds import AddNoise, PasteObjects, ShuffleMotion, SkipFrames
from vadlib.pseudo.mixer import PseudoAnomalyMixer

CIFAR = "cifar100/train"


@pytest.fixture(scope="module", params=["ped2", "avenue"])
def clips(request, real_data):
    videos = load_videos(request.param, "train", real_data)[:1]
    boxes = find_boxes(videos, DarknetDetector(str(real_data / "weights" / DarknetDetector.default), "cpu"), progress=False)
    config = DataConfig(crop=(96, 96), clip_step=12, shorter_side=240)
    return ClipDataset(videos, config, boxes, progress=False)


@pytest.mark.parametrize("strength", [0.25, 0.6, 1.0])
def test_each_kind_changes_real_clips_within_their_range_more_with_strength(real_data, clips, strength):
    kinds = [SkipFrames, ShuffleMotion, AddNoise, lambda s: PasteObjects(str(real_data / CIFAR), s)]
    for kind in kinds:
        change = {0.0: [], strength / 2: [], strength: []}
        for i in range(0, len(clips), 3):
            made = {s: kind(s)(clips[i], torch.Generator().manual_seed(i)) for s in change}
            if all(made.values()):
                for s, pseudo in made.items():
                    assert pseudo.tensor.abs().max() <= 1
                    assert pseudo.tensor.shape == clips[i].tensor.shape
                    change[s].append(float((pseudo.tensor - clips[i].tensor).abs().mean()))
        assert len(change[strength]) >= 5
        zero, half, whole = (sum(values) for values in change.values())
        assert zero == 0
        assert half <= whole
        assert whole > 0


def test_a_grey_clip_stays_grey_and_colour_keeps_its_cast(real_data, clips):
    """Avenue's red walls stay red where nothing was pasted: neither grey nor with blue and red exchanged."""
    paste = PasteObjects(str(real_data / CIFAR), 1.0)
    made = [(clip, paste(clip, torch.Generator().manual_seed(0))) for clip in map(clips.__getitem__, range(0, len(clips), 4))]
    made = [(clip, pseudo) for clip, pseudo in made if pseudo is not None]
    assert len(made) >= 5
    for clip, pseudo in made:
        outside = ~pseudo.mask
        assert torch.equal(pseudo.tensor[:, outside], clip.tensor[:, outside])
        assert 0 < pseudo.mask.float().mean() < 0.5
    if clips.frames[0].shape[3] == 3:
        patches = torch.cat([pseudo.tensor[:, pseudo.mask] for _, pseudo in made], dim=1)
        assert (patches[0] - patches[2]).abs().mean() > 0.05  # CIFAR's pictures are in colour


def test_a_mixer_of_all_four_makes_each_of_them(real_data, clips):
    mixer = PseudoAnomalyMixer([SkipFrames(), ShuffleMotion(), AddNoise(), PasteObjects(str(real_data / CIFAR))], p=1.0)
    counts = mixer.count(mixer(clips[i], torch.Generator().manual_seed(i)).outcome for i in range(len(clips)))
    assert sum(counts.values()) == len(clips)
    assert min(counts[f"made_{kind.name}"] for kind in mixer.kinds) > 0
    assert counts["not_made_shuffle"] == counts["not_made_noise"] == 0
