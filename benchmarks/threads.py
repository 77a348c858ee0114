"""How much a second core brings to training, and what limits it.

    VADLIB_PRECISION=fp32 python benchmarks/threads.py

Trains the preset `fast` on windows of the rendered street, each round in this order: one thread,
two threads, and two processes of one thread each at the same time. The last is the ceiling: two
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
from vadlib.device import pick_device, steady_memory
from vadlib.training.samples import Samples, load_batches
from vadlib.training.trainer import Trainer

STEPS = 24


def train_steps(threads: int, seconds: float) -> dict:
    """Train for some seconds: clips per second of whole steps and of updates alone, and
    milliseconds of each operator per step.
    """
    torch.set_num_threads(threads)
    videos = vad.load_videos("synthetic", "train")[:2]
    clips = vad.ClipDataset(
        videos,
        vad.ClipConfig.preset("fast"),
        vad.find_boxes(videos, progress=False),
        progress=False,
    )
    kinds = [vad.SkipFrames(), vad.ShuffleMotion(), vad.AddNoise(), vad.PasteObjects()]
    config = vad.TrainConfig()
    samples = Samples(clips, np.arange(len(clips)), vad.PseudoAnomalyMixer(kinds, p=0.5), seed=0)
    torch.manual_seed(0)
    model = vad.DualPathAutoencoder(vad.ModelConfig.preset("fast", channels=3)).train()
    with tempfile.TemporaryDirectory() as folder, steady_memory():
        trainer = Trainer(model, samples, config, pick_device("cpu"), Path(folder))
        batches = samples.batches(0, config.batch_size)
        read = list(load_batches(samples, batches[:STEPS], workers=0, pin=False))
        for batch in read[:3]:
            trainer.update(batch, 1000)

        steps, started, updating = 0, time.perf_counter(), 0.0
        while time.perf_counter() - started < seconds:
            for batch in load_batches(samples, batches[:STEPS], workers=0, pin=False):
                before = time.perf_counter()
                trainer.update(batch, 1000)
                updating += time.perf_counter() - before
                steps += 1
        elapsed = time.perf_counter() - started

        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            for batch in read[:8]:
                trainer.update(batch, 1000)
    operators = {
        event.key: event.self_cpu_time_total / 1000 / 8 for event in profiler.key_averages()
    }
    clips_done = steps * config.batch_size
    return {
        "precision": str(trainer.precision or torch.float32).removeprefix("torch."),
        "clips/s": clips_done / elapsed,
        "updates alone, clips/s": clips_done / updating,
        "operators": operators,
    }


def run_together(threads: int, count: int, seconds: float) -> list[dict]:
    """Results of `count` processes that train at the same time."""
    command = [sys.executable, __file__, "--threads", str(threads), "--seconds", str(seconds)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        sys.exit("a training failed; its error stands above")
    return [json.loads(output) for output in outputs]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--threads", type=int, help="train in this process and print JSON")
    options = parser.parse_args()
    if options.threads:
        print(json.dumps(train_steps(options.threads, options.seconds)))
        return

    ones, twos, ceilings = [], [], []
    for _ in range(options.rounds):
        ones += run_together(1, 1, options.seconds)
        twos += run_together(2, 1, options.seconds)
        pair = run_together(1, 2, options.seconds)
        ceilings.append(sum(result["clips/s"] for result in pair))

    rates = {
        "one thread": [r["clips/s"] for r in ones],
        "two threads": [r["clips/s"] for r in twos],
        "two processes": ceilings,
    }
    print(f"fast, {ones[0]['precision']}, batches of 8, medians of {options.rounds} rounds")
    for name, values in rates.items():
        ratios = [value / one for value, one in zip(values, rates["one thread"], strict=True)]
        print(
            f"{name:16}{statistics.median(values):7.1f} clips/s{statistics.median(ratios):7.2f} x"
        )
    single, double = ones[-1]["operators"], twos[-1]["operators"]
    print(f"\n{'operator':32}{'one thread':>12}{'two threads':>12}{'ratio':>8}   (ms per step)")
    for name in sorted(single, key=single.get, reverse=True)[:14]:
        after = double.get(name, float("nan"))
        print(f"{name:32}{single[name]:12.1f}{after:12.1f}{single[name] / after:8.2f}")


if __name__ == "__main__":
    main()
