"""The training that `test_kills.py` kills: a module of its own, so that a fork server can load it
beforehand.
"""

import os

import torch
from scenes import moving_videos

import vadlib as vad
from vadlib.training import trainer

torch.set_num_threads(1)


def train(out: str, precision: str, cache: str, every_step: bool) -> None:
    """Train a tiny model to the end, or continue; `every_step` saves a checkpoint each step."""
    os.environ["VADLIB_CACHE"] = cache
    if every_step:
        trainer.CHECKPOINT_SECONDS = 0
    torch.manual_seed(0)
    config = vad.ClipConfig(length=8, crop=(16, 16), clip_step=3)
    clips = vad.ClipDataset(moving_videos(3), config, progress=False)
    mixer = vad.PseudoAnomalyMixer([vad.SkipFrames(), vad.ShuffleMotion(), vad.AddNoise()], p=0.4)
    model = vad.DualPathAutoencoder(vad.ModelConfig(width=8, slots=8))
    options = {"precision": precision, "device": "cpu", "separation_weight": 2e-4}
    training = vad.TrainConfig(epochs=8, batch_size=4, **options)
    vad.fit(model, clips, mixer, training, out, resume=True, progress=False)
