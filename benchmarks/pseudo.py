"""What pseudo-anomalies cost in training, and how fast and how well detectors find the people of
Ped2.

    python benchmarks/pseudo.py --root DATA            needs ped2/ and weights/ there, 15 minutes
    python benchmarks/pseudo.py --root DATA --part networks            5 minutes of one core

mixer: time to mix a batch of `fast` (the default kinds), over the time of the training step that
it is for; both in one process, alternating, on the same batches of 8; milliseconds to make one of
each kind, and to cut a clip.
detectors: seconds for Ped2's training set with an empty cache, decoding included, and once more;
the share of what moves of which a detector's boxes cover at least half, over all frames.
networks: the same share on every 20th frame, for `motion` and for each Darknet network whose
weights are there, with frames resized to several sizes; and milliseconds a frame, by the clock and
of the processor alone, which other programs disturb less. The networks take turns, video by video.
"as published" runs the official yolov3-tiny with mask = 0,1,2, which vadlib otherwise corrects.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from vadlib.config import ClipConfig, ModelConfig, PseudoConfig, TrainConfig
from vadlib.course.pseudo_measures import coverage
from vadlib.data.catalog import load_videos
from vadlib.data.clips import ClipDataset
from vadlib.data.video import Video
from vadlib.errors import InputError
from vadlib.model.network import DualPathAutoencoder
from vadlib.pseudo.detectors import DarknetDetector, find_boxes, find_weights
from vadlib.pseudo.mixer import KINDS, make_mixer
from vadlib.training.fit import hold_out
from vadlib.training.samples import Batch, Samples, derived_generator
from vadlib.training.trainer import Trainer

BATCHES, SIDES = 60, (320, 384, 480, 640)
NETWORKS = (DarknetDetector.default, "yolov3-tiny.weights", "yolov3.weights")


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
        ClipDataset(
            train, ClipConfig.preset("fast"), find_boxes(train, progress=False), progress=False
        ),
        TrainConfig(device="cpu"),
    )
    mixer, size = make_mixer(PseudoConfig()), TrainConfig.batch_size
    samples, model = (
        Samples(clips, hold_out(clips)[0], mixer, 0),
        DualPathAutoencoder(ModelConfig.preset("fast")),
    )
    mixing, stepping, reading = [], [], []
    with tempfile.TemporaryDirectory() as out:
        trainer = Trainer(model, samples, config, torch.device("cpu"), Path(out))
        for keys in samples.batches(0, size)[:BATCHES]:
            times = [time.perf_counter()]
            drawn = [
                (clips.clip(int(samples.positions[position])), derived_generator(0, *key))
                for key in keys
                for position in [key[1]]
            ]
            times.append(time.perf_counter())
            mixed = [mixer(clip, generator) for clip, generator in drawn]
            times.append(time.perf_counter())
            normal = torch.stack([clip.tensor for clip, _ in drawn])
            inputs = torch.stack(
                [
                    clip.tensor if m.pseudo is None else m.pseudo.tensor
                    for (clip, _), m in zip(drawn, mixed, strict=True)
                ]
            )
            outcomes = [m.outcome for m in mixed]
            is_pseudo = torch.tensor([outcome.success for outcome in outcomes])
            batch = Batch(normal, inputs, is_pseudo, outcomes)
            times.append(time.perf_counter())
            trainer.update(batch, 1000)
            times.append(time.perf_counter())
            steps = np.diff(times)
            reading.append(steps[0])
            mixing.append(steps[1])
            stepping.append(steps[3])
    # Sums, not medians: most batches of 8 hold one or two pseudo-anomalies, some none. The first
    # steps warm up.
    read, mix, step = (1000 * float(np.mean(values[10:])) for values in (reading, mixing, stepping))
    report = {
        "mixer_share": round(mix / step, 4),
        "mix_ms": round(mix, 2),
        "read_ms": round(read, 2),
        "step_ms": round(step, 1),
    }
    many = [clips[i] for i in np.random.default_rng(0).integers(0, len(clips), 200)]
    for name, kind in KINDS.items():
        made = kind()
        report[f"{name}_ms"] = round(
            milliseconds(lambda k, made=made: made(many[k], torch.Generator().manual_seed(k)), 200),
            3,
        )
    return report


def share_covered(boxes: dict, moving: dict, train: list[Video]) -> float:
    """Coverage over all frames of all videos."""
    covered = [coverage(boxes[v.name], moving[v.name]) for v in train]
    counts = [sum(map(len, moving[v.name])) for v in train]
    return round(float(np.average(covered, weights=counts)), 3)


def detector_table(train: list[Video]) -> dict:
    """Times and coverage of whole videos."""
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
        found = sum(map(len, (b for v in train for b in boxes[v.name])))
        share = share_covered(boxes, moving, train)
        report[name] = {"first_s": times[0], "again_s": times[1], "coverage": share, "boxes": found}
    return report


def resized_detector(name: str, side: int) -> DarknetDetector:
    """A detector that resizes frames until their shorter side has so many pixels."""
    detector = DarknetDetector(name, "cpu")
    detector.shorter_side = side
    return detector


def known_networks() -> dict[str, DarknetDetector]:
    """Each network at each size, by "name at size"; weights that are not there are left out."""
    networks = {}
    for name in NETWORKS:
        try:
            find_weights(name)
        except InputError as error:
            print(error, file=sys.stderr)
            continue
        short = name.removesuffix(".weights").removesuffix("-coco")
        for side in SIDES:
            networks[f"{short} at {side}"] = resized_detector(name, side)
        if short == "yolov3-tiny":
            published = resized_detector(name, 480)
            anchors = torch.tensor([[10.0, 14.0], [23.0, 27.0], [37.0, 58.0]])  # mask = 0,1,2
            published.model.module_list[-1].anchors.copy_(anchors)
            networks[f"{short} as published at 480"] = published
    return networks


def network_table(train: list[Video]) -> dict:
    """Times and coverage on every 20th frame.

    `motion` sees all frames, from which it learns the empty scene.
    """
    started, worked = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["VADLIB_CACHE"] = cache
        moving = find_boxes(train, "motion", progress=False)
    frames = sum(map(len, train))
    clock, processor = time.perf_counter() - started, time.process_time() - worked
    report = {"motion": row(clock / frames, processor / frames, 1.0)}

    thinned = [Video(v.name, Thinned(v), v.fps) for v in train]
    truth = [moving[v.name][t] for v in train for t in range(0, len(v), 20)]
    networks = known_networks()
    seconds = {name: np.zeros(2) for name in networks}
    found = {name: [] for name in networks}
    for detector in networks.values():
        detector.detect(thinned[:1], tqdm(disable=True))  # the first frames take longer
    for video in thinned:
        for name, detector in networks.items():
            before = np.array([time.perf_counter(), time.process_time()])
            found[name] += detector.detect([video], tqdm(disable=True))[0]
            seconds[name] += np.array([time.perf_counter(), time.process_time()]) - before
    for name in networks:
        clock, processor = seconds[name] / len(truth)
        report[name] = row(clock, processor, coverage(found[name], truth))
    return report


def row(clock: float, processor: float, share: float) -> dict:
    """A row of the table; the times are in seconds a frame."""
    return {
        "ms_a_frame": round(1000 * clock, 1),
        "processor_ms_a_frame": round(1000 * processor, 1),
        "coverage": round(share, 3),
    }


PARTS = {"mixer": mixer_cost, "detectors": detector_table, "networks": network_table}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=Path(os.environ.get("VADLIB_DATA", "data")))
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all of them")
    options = parser.parse_args()
    os.environ["VADLIB_DATA"] = str(options.root)  # where the weights are looked for
    train = load_videos("ped2", "train", options.root)
    report = {"threads": torch.get_num_threads()}
    for part in options.part or PARTS:
        report[part] = PARTS[part](train)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
