"""`vadlib bench`: compare training, scoring and reading with the published recipe, in turns in one
run, as ratios.

The published recipe is written out here from its description: float32, contiguous tensors, 16 JPEG
files decoded for each clip, batches of 2 clips that are sent through the network once for every
clip in them, and one frame scored for each clip of 16. It runs in a process of its own, which waits
while ours is timed: what our engine asks of the memory allocator would make it faster too.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path
from statistics import median
from typing import TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from vadlib.config import ClipConfig, ModelConfig, PseudoConfig, RunConfig, TrainConfig
from vadlib.data.catalog import load_videos
from vadlib.data.clips import ClipDataset
from vadlib.device import pick_device, pick_precision, steady_memory
from vadlib.evaluation.error_maps import error_maps
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import Run
from vadlib.pseudo.mixer import make_mixer
from vadlib.training.fit import hold_out
from vadlib.training.samples import Samples, load_batches
from vadlib.training.trainer import Trainer

T = TypeVar("T")
# everything is timed once in each, after one to warm up; ratios are medians over the rounds
ROUNDS = 3
LENGTH = 16
SIDE = 128
FRAMES = 64
DATA = ClipConfig(length=LENGTH, size=(SIDE, SIDE), channels=1)


class Published:
    """The published recipe: `compact`'s layers as published code runs them, on frames that lie in a
    folder as 000.jpg, 001.jpg, ...
    """

    def __init__(self, folder: Path, device: torch.device):
        torch.manual_seed(0)
        self.paths = sorted(folder.glob("*.jpg"))
        self.device = device
        model = DualPathAutoencoder(ModelConfig.preset("compact"))
        self.model = model.to(device, memory_format=torch.contiguous_format)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-4)

    def read(self, start: int) -> Tensor:
        """Return one clip (1, 16, 128, 128), each frame decoded, resized and z-scored by its own
        mean and deviation.
        """
        frames = []
        for path in self.paths[start : start + LENGTH]:
            frame = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            frame = cv2.resize(frame, (SIDE, SIDE)).astype(np.float32)
            frames.append((frame - frame.mean()) / (frame.std() + 1e-6))
        return torch.from_numpy(np.stack(frames))[None]

    def forward(self, clips: Tensor) -> Tensor:
        """Return the reconstruction of E, M_n and D_n, in contiguous tensors."""
        features = self.model.encoder(clips)
        read = self.model.normal_memory(features[-1]).features.contiguous()
        return self.model.normal_decoder(read, features[0])[0]

    def train_step(self, starts: list[int]) -> None:
        """Train one step of 2 clips, sent through the network once for each of them."""
        clips = torch.stack([self.read(start) for start in starts]).to(self.device)
        for _ in starts:
            rebuilt = self.forward(clips)
        self.optimizer.zero_grad()
        (rebuilt - clips).square().mean().backward()
        self.optimizer.step()

    @torch.no_grad()
    def score(self, start: int) -> float:
        """Return the error of frame 8 of one clip."""
        clip = self.read(start)[None].to(self.device)
        return float((self.forward(clip) - clip)[:, :, LENGTH // 2].square().mean())

    def time(self, job: str, starts: list[int]) -> float:
        """Return the clips or frames a second of "read", "train" or "score"."""
        if job == "train":
            return _rate(lambda start: self.train_step([start, start + 1]), starts, 2, self.device)
        return _rate(self.read if job == "read" else self.score, starts, 1, self.device)


_published: Published | None = None  # of the process that runs it


def _start_published(folder: Path, device: torch.device) -> None:
    global _published
    _published = Published(folder, device)


def _time_published(job: str, starts: list[int]) -> float:
    return _published.time(job, starts)


class Ours:
    """A preset's network under this package's engine, on the same clips."""

    def __init__(
        self, preset: str, clips: ClipDataset, batch_size: int, device: torch.device, out: Path
    ):
        mixer = make_mixer(PseudoConfig(("skip", "shuffle", "noise"), 0.02))
        self.samples = Samples(clips, hold_out(clips)[0], mixer, 0)
        changes = {"batch_size": batch_size, "device": device.type}
        config = RunConfig.preset(preset).changed({"training": changes})
        run = Run(out, config, DualPathAutoencoder(config.model))
        self.trainer = Trainer(run, self.samples)

    def train(self, steps: int) -> None:
        """Read and train `steps` batches."""
        size = self.trainer.config.batch_size
        self.trainer.model.train()
        for batch in load_batches(self.samples, self.samples.batches(0, size)[:steps], 0, False):
            self.trainer.update(batch, 10_000)

    def score(self, frames: np.ndarray) -> None:
        """Score every frame with half-overlapping clips."""
        error_maps(self.trainer.model.eval(), frames, DATA, self.trainer.device)


def run_bench(progress: bool = True, rounds: int = ROUNDS) -> dict:
    """Time everything in turns; about four minutes on two CPU cores.

    Returns:
        rates (clips or frames a second, medians) of "published", "compact" (the same layers) and
        "fast" (our default network, of the same widths), and the ratios `train_ratio` (our default
        batch), `train_ratio_batch2`, `score_ratio`, of compact against published, and of fast as
        `fast_...`; `read_ratio`; and what they were measured on.
    """
    device = pick_device("auto")
    torch.manual_seed(0)
    video = load_videos("synthetic", "train")[0]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for t in range(FRAMES):
            picture = cv2.cvtColor(video.frames[t], cv2.COLOR_RGB2GRAY)
            cv2.imwrite(str(folder / f"{t:03d}.jpg"), picture)
        # without boxes: the published recipe reads none either
        clips = ClipDataset([video], DATA, {}, progress=False)
        context = multiprocessing.get_context("spawn")
        # as `fit` and `evaluate` do
        with context.Pool(1, _start_published, (folder, device)) as pool, steady_memory():
            jobs = _jobs(clips, device, folder, pool)
            rates: dict[str, list[float]] = {name: [] for name in jobs}
            with tqdm(total=(rounds + 1) * len(jobs), desc="timing", disable=not progress) as bar:
                for _ in range(rounds + 1):
                    for name, job in jobs.items():
                        rates[name].append(job())
                        bar.update()
    # the first round warms up
    return _report({name: values[1:] for name, values in rates.items()}, device)


def _jobs(
    clips: ClipDataset, device: torch.device, folder: Path, pool: Pool
) -> dict[str, Callable[[], float]]:
    """Return what is timed: name -> a function that returns clips or frames a second."""
    starts = np.random.default_rng(0).integers(0, FRAMES - LENGTH, 1000).tolist()
    frames = clips.frames[0][:FRAMES]
    jobs: dict[str, Callable[[], float]] = {}
    for name, count in (("read", 50), ("train", 2), ("score", 3)):
        arguments = (name, starts[:count])
        jobs[f"published_{name}"] = partial(pool.apply, _time_published, arguments)
    jobs["read"] = partial(_rate, clips.clip, starts, 1, device)
    scoring = {}
    for preset in ("compact", "fast"):
        for batch in (TrainConfig.batch_size, 2):
            ours = Ours(preset, clips, batch, device, folder)
            train = partial(_rate, ours.train, [16 // batch], 16, device)
            jobs[f"{preset}_train_batch{batch}"] = train
            if batch == TrainConfig.batch_size:
                scoring[preset] = ours
    for preset, ours in scoring.items():
        jobs[f"{preset}_score"] = partial(_rate, ours.score, [frames], len(frames), device)
    return jobs


def describe_bench(report: dict) -> str:
    """Return the report as lines of text."""
    lines = ["; ".join(f"{key}: {value}" for key, value in report["machine"].items()), ""]
    for name, rate in report["rates"].items():
        unit = "frames" if "score" in name else "clips"
        lines.append(f"{name:28}{rate:10.2f} {unit}/s")
    lines.append("")
    for name, value in report.items():
        if name.endswith(("ratio", "batch2")):
            lines.append(f"{name:28}{value:10.1f} x")
    return "\n".join(lines)


def _rate(
    job: Callable[[T], object], items: Sequence[T], outputs: int, device: torch.device
) -> float:
    """Return the job's throughput in outputs per second; `outputs` is the number per item."""
    started = time.perf_counter()
    for item in items:
        job(item)
    if device.type != "cpu":
        torch.accelerator.synchronize()
    return outputs * len(items) / (time.perf_counter() - started)


def _report(rates: dict[str, list[float]], device: torch.device) -> dict:
    def ratio(ours: str, published: str) -> float:
        return round(median(a / b for a, b in zip(rates[ours], rates[published], strict=True)), 2)

    report = {"read_ratio": ratio("read", "published_read")}
    size = TrainConfig.batch_size
    for preset, prefix in (("compact", ""), ("fast", "fast_")):
        train = f"{preset}_train_batch{size}"
        report[f"{prefix}train_ratio"] = ratio(train, "published_train")
        report[f"{prefix}train_ratio_batch2"] = ratio(f"{preset}_train_batch2", "published_train")
        report[f"{prefix}score_ratio"] = ratio(f"{preset}_score", "published_score")
    precision = pick_precision("auto", device)
    name = platform.processor() or platform.machine()
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    machine = {
        "device": name,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "precision": "float32" if precision is None else "bf16",
        "batch": size,
    }
    medians = {name: round(median(values), 3) for name, values in rates.items()}
    return report | {"rates": medians, "machine": machine}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    as_json = parser.parse_args().json
    report = run_bench(not as_json)
    print(json.dumps(report, indent=2) if as_json else describe_bench(report))


if __name__ == "__main__":
    main()
