"""A training of seconds, also for tests that run in a process of their own."""

import os
from dataclasses import replace

import torch
from scenes import moving_videos

import vadlib as vad
from vadlib.training import trainer

CLIPS = vad.ClipConfig(length=8, crop=(16, 16), clip_step=8)
CONFIG = vad.TrainConfig(epochs=2, batch_size=4, precision="fp32", device="cpu")
MODEL = vad.ModelConfig(width=8, slots=8)
KINDS = (vad.SkipFrames(), vad.ShuffleMotion(), vad.AddNoise())


def cut(config=CLIPS, count=3, boxes=None, **options):
    return vad.ClipDataset(moving_videos(count, **options), config, boxes, progress=False)


def train(out, clips=None, config=CONFIG, kinds=KINDS, p=0.5, model=MODEL, **options):
    torch.manual_seed(0)
    mixer = vad.PseudoAnomalyMixer(kinds, p=p)
    network = vad.DualPathAutoencoder(model)
    return vad.fit(network, clips or cut(), mixer, config, out, progress=False, **options)


def train_until_killed(out, precision, cache, every_step):
    """Train to the end, or continue; `every_step` writes a checkpoint each step."""
    os.environ["VADLIB_CACHE"] = cache
    torch.set_num_threads(1)
    if every_step:
        trainer.CHECKPOINT_SECONDS = 0
    config = replace(CONFIG, epochs=8, precision=precision, separation_weight=2e-4)
    train(out, cut(replace(CLIPS, clip_step=3)), config, p=0.4, resume=True)
