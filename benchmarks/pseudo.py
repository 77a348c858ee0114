"""Measure what pseudo-anomalies cost in training, and how fast and how well detectors find the
people of Ped2.

    python benchmarks/pseudo.py --root DATA                            15 minutes
    python benchmarks/pseudo.py --root DATA --part networks            5 minutes of one core

needs ped2/ and weights/ in DATA.

mixer: the time to mix a batch of `fast` (the default kinds), divided by the time of its training
step; both in one process, in turns, on the same batches of 8. It also gives the milliseconds to
make one pseudo-anomaly of each kind, and to cut a clip.
detectors: the seconds for Ped2's training set with an empty cache, decoding included, and for a
second call; and the share of moving objects that a detector's boxes cover at least half, over all
frames.
networks: the same share on every 20th frame, for `motion` and for each Darknet network whose
weights are available, with frames resized to several sizes; and the milliseconds per frame, by the
clock and of the processor alone, which other programs disturb less. The networks take turns, video
by video. "as published" runs the official yolov3-tiny with mask = 0,1,2, which vadlib otherwise
corrects.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from vadlib.config import PseudoConfig, RunConfig, TrainConfig
from vadlib.course.pseudo_measures import coverage
from vadlib.data.catalog import load_videos
from vadlib.data.clips import Clip, ClipDataset
from vadlib.data.video import Video
from vadlib.errors import InputError
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import Run
from vadlib.pseudo.detectors import DarknetDetector, find_boxes, find_weights
from vadlib.pseudo.kinds import PseudoAnomaly
from vadlib.pseudo.mixer import KINDS, make_mixer
from vadlib.training.fit import hold_out
from vadlib.training.samples import Batch, Samples, derived_generator
from vadlib.training.trainer import Trainer

BATCHES, SIDES = 60, (320, 384, 480, 640)
NETWORKS = (DarknetDetector.default, "yolov3-tiny.weights", "yolov3.weights")


class Thinned:
    """Every 20th frame of a video."""

    def __init__(self, video: Video):
        self.frames = video.frames
        self.numbers = range(0, len(video), 20)
        self.shape = (len(self.numbers), *video.frames.shape[1:])

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, t: int) -> np.ndarray:
        return self.frames[self.numbers[t]]

    def identity(self) -> list:
        return ["thinned", self.frames.identity()]


def milliseconds(job: Callable[[int], object], times: int) -> float:
    """Return the median time of one call."""
    durations = []
    for k in range(times):
        started = time.perf_counter()
        job(k)
        durations.append(1000 * (time.perf_counter() - started))
    return round(float(np.median(durations)), 3)


def mixer_cost(train: list[Video]) -> dict:
    """Time mixing and training steps."""
    config = RunConfig.preset("fast").changed({"training": {"device": "cpu"}})
    boxes = find_boxes(train, progress=False)
    clips = ClipDataset(train, config.clips, boxes, progress=False)
    mixer = make_mixer(PseudoConfig())
    samples = Samples(clips, hold_out(clips)[0], mixer, 0)
    seconds = []
    with tempfile.TemporaryDirectory() as out:
        trainer = Trainer(Run(Path(out), config, DualPathAutoencoder(config.model)), samples)
        for keys in samples.batches(0, TrainConfig.batch_size)[:BATCHES]:
            seconds.append(batch_seconds(trainer, keys))
    # Sums, not medians: most batches of 8 hold one or two pseudo-anomalies, some none. The first
    # steps warm up.
    means = 1000 * np.mean(seconds[10:], axis=0)
    report = {"mixer_share": round(means[1] / means[2], 4), "mix_ms": round(means[1], 2)}
    report |= {"read_ms": round(means[0], 2), "step_ms": round(means[2], 1)}
    numbers = np.random.default_rng(0).integers(0, len(clips), 200)
    many = [clips[i] for i in numbers]
    for name, kind in KINDS.items():
        make = partial(make_pseudo, kind(), many)
        report[f"{name}_ms"] = milliseconds(make, len(many))
    return report


def batch_seconds(trainer: Trainer, keys: list[tuple[int, int]]) -> tuple[float, float, float]:
    """Return the seconds to read a batch, to mix it, and to train on it."""
    samples = trainer.samples
    times = [time.perf_counter()]
    pairs = []
    for key in keys:
        clip = samples.clips.clip(int(samples.positions[key[1]]))
        pairs.append((clip, derived_generator(0, *key)))
    times.append(time.perf_counter())
    mixed = [samples.mixer(clip, generator) for clip, generator in pairs]
    times.append(time.perf_counter())
    normal, inputs = [], []
    for (clip, _), result in zip(pairs, mixed, strict=True):
        normal.append(clip.tensor)
        inputs.append((result.pseudo or clip).tensor)
    outcomes = [result.outcome for result in mixed]
    is_pseudo = torch.tensor([outcome.success for outcome in outcomes])
    batch = Batch(torch.stack(normal), torch.stack(inputs), is_pseudo, outcomes)
    times.append(time.perf_counter())
    trainer.update(batch, 1000)
    times.append(time.perf_counter())
    return times[1] - times[0], times[2] - times[1], times[4] - times[3]


def make_pseudo(kind: PseudoAnomaly, clips: list[Clip], k: int) -> None:
    kind(clips[k], torch.Generator().manual_seed(k))


def share_covered(boxes: dict, moving: dict, train: list[Video]) -> float:
    """Return the coverage over all frames of all videos."""
    covered = [coverage(boxes[v.name], moving[v.name]) for v in train]
    counts = [sum(map(len, moving[v.name])) for v in train]
    return round(float(np.average(covered, weights=counts)), 3)


def detector_table(train: list[Video]) -> dict:
    """Measure times and coverage of whole videos."""
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
        count = sum(len(frame_boxes) for v in train for frame_boxes in boxes[v.name])
        share = share_covered(boxes, moving, train)
        report[name] = {"first_s": times[0], "again_s": times[1], "coverage": share, "boxes": count}
    return report


def resized_detector(name: str, side: int) -> DarknetDetector:
    """A detector that resizes frames until their shorter side has so many pixels."""
    detector = DarknetDetector(name, "cpu")
    detector.shorter_side = side
    return detector


def available_networks() -> dict[str, DarknetDetector]:
    """Return each network at each size, by "name at size"; missing weights are skipped."""
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
    """Measure times and coverage on every 20th frame.

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
    networks = available_networks()
    seconds = {name: np.zeros(2) for name in networks}
    boxes = {name: [] for name in networks}
    for detector in networks.values():
        detector.detect(thinned[:1], tqdm(disable=True))  # the first frames take longer
    for video in thinned:
        for name, detector in networks.items():
            before = np.array([time.perf_counter(), time.process_time()])
            boxes[name] += detector.detect([video], tqdm(disable=True))[0]
            seconds[name] += np.array([time.perf_counter(), time.process_time()]) - before
    for name in networks:
        clock, processor = seconds[name] / len(truth)
        report[name] = row(clock, processor, coverage(boxes[name], truth))
    return report


def row(clock: float, processor: float, share: float) -> dict:
    """Return a row of the table; the times are in seconds per frame."""
    return {
        "ms_a_frame": round(1000 * clock, 1),
        "processor_ms_a_frame": round(1000 * processor, 1),
        "coverage": round(share, 3),
    }


PARTS = {"mixer": mixer_cost, "detectors": detector_table, "networks": network_table}


def main() -> None:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
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
