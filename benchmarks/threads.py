"""Measure how much a second core brings to training, and what limits it.

    VADLIB_PRECISION=fp32 python benchmarks/threads.py

Each round trains the preset `fast` on windows of the rendered street with one thread, with two
threads, and in two processes of one thread each at the same time. The last is the upper bound: two
trainings that share nothing but the machine. The ratios are medians over the rounds. The table of
operators shows which of them scale.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

import vadlib as vad
from vadlib.config import RunConfig
from vadlib.device import steady_memory
from vadlib.training.samples import Samples, load_batches
from vadlib.training.trainer import Trainer

STEPS = 24


def train_steps(threads: int, seconds: float) -> dict:
    """Train for some seconds; return the clips per second of whole steps and of updates alone, and
    the milliseconds per step of each operator.
    """
    torch.set_num_threads(threads)
    config = RunConfig.preset("fast").changed({"training": {"device": "cpu"}})
    config = config.changed({"model": {"channels": 3}})
    videos = vad.load_videos("synthetic", "train")[:2]
    boxes = vad.find_boxes(videos, progress=False)
    clips = vad.ClipDataset(videos, config.clips, boxes, progress=False)
    kinds = [vad.SkipFrames(), vad.ShuffleMotion(), vad.AddNoise(), vad.PasteObjects()]
    samples = Samples(clips, np.arange(len(clips)), vad.PseudoAnomalyMixer(kinds, p=0.5), seed=0)
    torch.manual_seed(0)
    model = vad.DualPathAutoencoder(config.model)
    size = config.training.batch_size
    keys = samples.batches(0, size)[:STEPS]
    with tempfile.TemporaryDirectory() as folder, steady_memory():
        trainer = Trainer(vad.Run(Path(folder), config, model), samples)
        batches = list(load_batches(samples, keys, workers=0, pin=False))
        for batch in batches[:3]:
            trainer.update(batch, 1000)

        trainer.step = 0
        updating = 0.0
        started = time.perf_counter()
        while time.perf_counter() - started < seconds:
            for batch in load_batches(samples, keys, workers=0, pin=False):
                before = time.perf_counter()
                trainer.update(batch, 1000)
                updating += time.perf_counter() - before
        elapsed = time.perf_counter() - started
        count = trainer.step * size

        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            for batch in batches[:8]:
                trainer.update(batch, 1000)
    events = profiler.key_averages()
    return {
        "precision": str(trainer.precision or torch.float32).removeprefix("torch."),
        "clips/s": count / elapsed,
        "updates alone, clips/s": count / updating,
        "operators": {event.key: event.self_cpu_time_total / 1000 / 8 for event in events},
    }


def run_together(threads: int, count: int, seconds: float) -> list[dict]:
    """Train in `count` processes at the same time and return their results."""
    command = [sys.executable, __file__, "--threads", str(threads), "--seconds", str(seconds)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        sys.exit("a training failed; its error is above")
    return [json.loads(output) for output in outputs]


def main() -> None:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--threads", type=int, help="train in this process and print JSON")
    options = parser.parse_args()
    if options.threads:
        print(json.dumps(train_steps(options.threads, options.seconds)))
        return

    ones, twos = [], []
    pair_rates = []
    for _ in range(options.rounds):
        ones += run_together(1, 1, options.seconds)
        twos += run_together(2, 1, options.seconds)
        pair = run_together(1, 2, options.seconds)
        pair_rates.append(sum(result["clips/s"] for result in pair))

    rates = {
        "one thread": [result["clips/s"] for result in ones],
        "two threads": [result["clips/s"] for result in twos],
        "two processes": pair_rates,
    }
    print(f"fast, {ones[0]['precision']}, batches of 8, medians of {options.rounds} rounds")
    for name, values in rates.items():
        ratios = [value / one for value, one in zip(values, rates["one thread"], strict=True)]
        rate, ratio = statistics.median(values), statistics.median(ratios)
        print(f"{name:16}{rate:7.1f} clips/s{ratio:7.2f} x")
    single, double = ones[-1]["operators"], twos[-1]["operators"]
    print(f"\n{'operator':32}{'one thread':>12}{'two threads':>12}{'ratio':>8}   (ms per step)")
    for name in sorted(single, key=single.get, reverse=True)[:14]:
        after = double.get(name, float("nan"))
        print(f"{name:32}{single[name]:12.1f}{after:12.1f}{single[name] / after:8.2f}")


if __name__ == "__main__":
    main()
