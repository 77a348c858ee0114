"""Errors on changed clips are those of the normal path, on its own input, and the same clips for
every model.
"""

import numpy as np
import pytest
import torch
from scenes import moving_videos

from vadlib.config import ClipConfig, ModelConfig, RunConfig
from vadlib.course.inspection.errors_by_kind import errors_by_kind
from vadlib.data.clips import ClipDataset
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import Run
from vadlib.pseudo.kinds import AddNoise, PasteObjects, SkipFrames


@pytest.fixture
def clips():
    config = ClipConfig(length=8, crop=(16, 16), clip_step=8)
    dataset = ClipDataset(moving_videos(2), config, progress=False)
    return [dataset[i] for i in range(len(dataset))]


@pytest.fixture
def run(tmp_path):
    torch.manual_seed(0)
    return Run(tmp_path, RunConfig(), DualPathAutoencoder(ModelConfig(width=8, slots=8)).eval())


def test_errors_are_of_the_normal_path_on_its_own_input(run, clips):
    assert len(clips) > 16  # more than a batch
    errors = errors_by_kind(run, clips, [AddNoise(strength=1.0)])
    noisy = AddNoise(strength=1.0)(clips[3], torch.Generator().manual_seed(3)).tensor
    for name, clip in (("normal", clips[3].tensor), ("noise", noisy)):
        with torch.no_grad():
            rebuilt = run.model(clip[None], "normal").reconstruction[0]
        assert errors[name].shape == (len(clips),)
        assert errors[name][3] == pytest.approx(float((rebuilt - clip).square().mean()), rel=1e-4)


def test_what_cannot_be_made_is_left_out(run, clips):
    errors = errors_by_kind(run, clips, [SkipFrames(), PasteObjects()])
    generators = [torch.Generator().manual_seed(i) for i in range(len(clips))]
    skipped = [SkipFrames()(clip, seed) for clip, seed in zip(clips, generators, strict=True)]
    assert 0 < len(errors["skip"]) == sum(clip is not None for clip in skipped)
    assert errors["object"].shape == (0,)  # nobody looked for people
    assert all(np.isfinite(values).all() for values in errors.values())
