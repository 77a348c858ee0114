"""What pseudo-anomalies cost in training, and how fast and how well detectors find the people of Ped2.

    python benchmarks/pseudo.py --root DATA            needs ped2/ and weights/ there, and about 10 minutes

mixer_share: time to mix a batch of `fast` (the default kinds), over the time of the training step that it is for; both in one process,
alternating, on the same batches of 8. kinds: milliseconds to make one of each kind, and to cut a clip.
detectors: seconds for Ped2's training set with an empty cache, decoding included, and once more; the share of what moves of which a
detector's boxes cover at least half, over all frames; and the same for the Darknet network at other sizes, on every 20th frame.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from vadlib.data.catalog import load_videos
from vadlib.data.clips import ClipDataset, DataConfig
from vadlib.data.video import Video
from vadlib.engine.config import TrainConfig
from vadlib.engine.fit import hold_out
from vadlib.engine.samples import Batch, Samples, derived_generator
from vadlib.engine.trainer import Trainer
from vadlib.model.network import DualPathAutoencoder, ModelConfig
from vadlib.pseudo.detectors import DarknetDetector, coverage, find_boxes
from vadlib.pseudo.mixer import DEFAULT_KINDS, KINDS, make_mixer
from vadlib.recipe import MixerConfig

BATCHES, SIDES = 60, (320, 384, 480, 640)


class Thinned:
    """Every 20th frame of a video."""

    def __init__(self, video: Video):
        self.frames, self.numbers = video.frames, range(0, len(video), 20)
        self.shape = (len(self.numbers), *video.frames.shape[1:])

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, t: int) -> np.ndarray:
        return self.frames[self.numbers[t]]

    def identity(self) -> list:
        return ["thinned", self.frames.identity()]


def milliseconds(do, times: int) -> float:
    """Median time of one call."""
    taken = []
    for k in range(times):
        started = time.perf_counter()
        do(k)
        taken.append(1000 * (time.perf_counter() - started))
    return float(np.median(taken))


def mixer_cost(train: list[Video]) -> dict:
    """Times of mixing and of training steps."""
    clips, config = (
        ClipDataset(train, DataConfig.preset("fast"), find_boxes(train, progress=False), progress=False),
        TrainConfig(device="cpu"),
    )
    mixer, size = make_mixer(DEFAULT_KINDS, MixerConfig.p), TrainConfig.batch_size
    samples, model = Samples(clips, hold_out(clips)[0], mixer, 0), DualPathAutoencoder(ModelConfig.preset("fast"))
    mixing, stepping, reading = [], [], []
    with tempfile.TemporaryDirectory() as out:
        trainer = Trainer(model, samples, config, torch.device("cpu"), Path(out))
        for keys in samples.batches(0, size)[:BATCHES]:
            times = [time.perf_counter()]
            drawn = [(clips.clip(int(samples.chosen[position])), derived_generator(0, *key)) for key in keys for position in [key[1]]]
            times.append(time.perf_counter())
            mixed = [mixer(clip, generator) for clip, generator in drawn]
            times.append(time.perf_counter())
            normal = torch.stack([clip.tensor for clip, _ in drawn])
            inputs = torch.stack([clip.tensor if m.pseudo is None else m.pseudo.tensor for (clip, _), m in zip(drawn, mixed, strict=True)])
            batch = Batch(normal, inputs, torch.tensor([m.outcome for m in mixed]))
            times.append(time.perf_counter())
            trainer.update(batch, 1000)
            times.append(time.perf_counter())
            steps = np.diff(times)
            reading.append(steps[0])
            mixing.append(steps[1])
            stepping.append(steps[3])
    # Sums, not medians: most batches of 8 hold one or two pseudo-anomalies, some none. The first steps warm up.
    read, mix, step = (1000 * float(np.mean(values[10:])) for values in (reading, mixing, stepping))
    report = {"mixer_share": round(mix / step, 4), "mix_ms": round(mix, 2), "read_ms": round(read, 2), "step_ms": round(step, 1)}
    many = [clips[i] for i in np.random.default_rng(0).integers(0, len(clips), 200)]
    for name, kind in KINDS.items():
        made = kind()
        report[f"{name}_ms"] = round(milliseconds(lambda k, made=made: made(many[k], torch.Generator().manual_seed(k)), 200), 3)
    return report


def detector_table(train: list[Video]) -> dict:
    """Times and coverage."""
    report, moving = {}, {}
    for name in ("motion", "darknet"):
        with tempfile.TemporaryDirectory() as cache:
            os.environ["VADLIB_CACHE"] = cache
            times = []
            for _ in range(2):
                started = time.perf_counter()
                boxes = find_boxes(train, name, progress=False, device="cpu")
                times.append(round(time.perf_counter() - started, 2))
        moving = moving or boxes
        covered = [coverage(boxes[v.name], moving[v.name]) for v in train]
        found = sum(map(len, (b for v in train for b in boxes[v.name])))
        share = round(float(np.average(covered, weights=[sum(map(len, moving[v.name])) for v in train])), 3)
        report[name] = {"first_s": times[0], "again_s": times[1], "coverage": share, "boxes": found}
    thinned = [Video(v.name, Thinned(v), v.fps) for v in train]
    truth = [moving[v.name][t] for v in train for t in range(0, len(v), 20)]
    for side in SIDES:
        started = time.perf_counter()
        found = DarknetDetector(device="cpu", shorter_side=side).detect(thinned, tqdm(disable=True))
        seconds = (time.perf_counter() - started) / len(truth)
        share = coverage([boxes for video in found for boxes in video], truth)
        report[f"darknet_at_{side}"] = {"coverage": round(share, 3), "ms_a_frame": round(1000 * seconds, 1)}
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(os.environ.get("VADLIB_DATA", "data")))
    options = parser.parse_args()
    os.environ["VADLIB_DATA"] = str(options.root)  # where the weights are looked for
    train = load_videos("ped2", "train", options.root)
    print(json.dumps({"threads": torch.get_num_threads(), "mixer": mixer_cost(train), "detectors": detector_table(train)}, indent=2))


if __name__ == "__main__":
    main()
