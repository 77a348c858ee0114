"""Measure reading from the frame store and the memory of training, side by side in one run.

    python benchmarks/data.py --root DATA

needs ped2/ in DATA, Linux, about 12 GB of disk and 15 minutes.

read_ratio: clips of 16 frames per second read from the frame store, divided by those that a plain
recipe reads by decoding 16 JPEG files a clip (and resizing or cutting them in the same way). Both
return float32 in [-1, 1]. rss_anon: the largest anonymous memory (RssAnon; memory-mapped pages do
not count) of a process that trains the preset `fast` on Ped2, and of one that does the same on 40
copies of its training set, 102,000 frames. Each prepares everything itself: decoding, boxes,
motion. The same is measured for `compact` and `paper` on Ped2.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from vadlib.config import ClipConfig, PseudoConfig, RunConfig
from vadlib.data.catalog import load_videos
from vadlib.data.clips import ClipDataset
from vadlib.data.video import list_images
from vadlib.device import steady_memory
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import Run
from vadlib.pseudo.detectors import find_boxes
from vadlib.pseudo.mixer import make_mixer
from vadlib.training.fit import hold_out
from vadlib.training.samples import Samples, load_batches
from vadlib.training.trainer import Trainer

COPIES, CLIPS = 40, 400
STEPS = {"fast": 60, "compact": 8, "paper": 2}  # batches to train on


def clips_per_second(read, starts: list) -> float:
    started = time.perf_counter()
    for start in starts:
        read(start)
    return len(starts) / (time.perf_counter() - started)


READING = {
    "128x128": ClipConfig(size=(128, 128)),
    "native": ClipConfig(),
    "fast": ClipConfig.preset("fast"),
}


def read_ratios(root: Path) -> dict:
    """Read random clips of Ped2's training set with store and disk warm: whole frames at 128 x 128
    and at their own size, and the windows of `fast`.
    """
    # As in the loader's workers; with more threads only their waiting would be measured.
    torch.set_num_threads(1)
    train = load_videos("ped2", "train", root)
    files = [list_images(root / "ped2" / "training" / "frames" / v.name) for v in train]
    report = {}
    for name, config in READING.items():
        clips = ClipDataset(train, config, progress=False)
        plain = partial(decode_clip, clips, files)
        numbers = np.random.default_rng(0).integers(0, len(clips), CLIPS).tolist()
        assert np.abs(clips[numbers[0]].tensor[0].numpy() - plain(numbers[0])).max() < 1e-6
        clips_per_second(clips.__getitem__, numbers)  # warm
        rounds = []
        for _ in range(5):
            stored = clips_per_second(clips.__getitem__, numbers)
            rounds.append((stored, clips_per_second(plain, numbers[:80])))
        stored, decoded = np.median(rounds, axis=0)
        report[name] = {"read_ratio": round(stored / decoded, 1)}
        report[name] |= {"stored_clips_per_s": round(stored), "decoded_clips_per_s": round(decoded)}
    return report


def decode_clip(clips: ClipDataset, files: list[list[Path]], i: int) -> np.ndarray:
    """Decode clip i from its 16 JPEG files: float32 (T, H, W) in [-1, 1]."""
    config = clips.config
    video, start = clips.index[i, :2].tolist()
    y, x = clips.index[i, 2:].tolist()
    frames = []
    for path in files[video][start : start + 16]:
        frame = np.asarray(Image.open(path).convert("L"))
        if config.size:
            frame = cv2.resize(frame, config.size[::-1], interpolation=cv2.INTER_AREA)
        height, width = config.crop or frame.shape
        frames.append(frame[y : y + height, x : x + width])
    return np.stack(frames).astype(np.float32) / 127.5 - 1


def anonymous() -> int:
    """Return RssAnon of this process in bytes."""
    text = Path("/proc/self/status").read_text()
    return int(re.findall(r"^RssAnon:\s*(\d+)", text, re.MULTILINE)[0]) * 1024


def train_some(name: str, root: Path, preset: str) -> dict:
    """Prepare a dataset and train a preset on some batches of it; return the largest RssAnon of
    each part.
    """
    peaks = {"start": anonymous(), "prepare": 0, "train": 0}
    stop = threading.Event()
    part = ["prepare"]

    def watch() -> None:
        while not stop.wait(0.01):
            peaks[part[0]] = max(peaks[part[0]], anonymous())

    threading.Thread(target=watch, daemon=True).start()
    videos = load_videos(name, "train", root)
    # One grey channel, as Ped2 has: copies of its JPEGs in your own folder would be read as RGB.
    changes = {"clips": {"channels": 1}, "training": {"device": "cpu"}}
    config = RunConfig.preset(preset).changed(changes)
    boxes = find_boxes(videos, progress=False)
    clips = ClipDataset(videos, config.clips, boxes, progress=False)
    samples = Samples(clips, hold_out(clips)[0], make_mixer(PseudoConfig()), 0)
    with tempfile.TemporaryDirectory() as out:
        trainer = Trainer(Run(Path(out), config, DualPathAutoencoder(config.model)), samples)
        batches = samples.batches(0, config.training.batch_size)[: STEPS[preset]]
        part[0] = "train"
        with steady_memory():
            for batch in load_batches(samples, batches, 0, False):
                trainer.update(batch, len(batches))
    stop.set()
    report = {"frames": sum(map(len, videos)), "clips": len(clips)}
    return report | {f"rss_anon_{key}_mb": round(value / 1e6, 1) for key, value in peaks.items()}


def main() -> None:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--root", type=Path, default=Path(os.environ.get("VADLIB_DATA", "data")))
    # One part, in a process of its own.
    names = ("NAME", "ROOT", "PRESET")
    parser.add_argument("--only", nargs=3, metavar=names, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(train_some(options.only[0], Path(options.only[1]), options.only[2])))
        return
    report = {"read": read_ratios(options.root)}
    with tempfile.TemporaryDirectory() as scratch:
        large, first = Path(scratch) / "large", Path(scratch) / "ped2"
        shutil.copytree(options.root / "ped2" / "training" / "frames", first)
        # Hard links have other paths, so the store takes them for other frames.
        for copy in range(COPIES):
            shutil.copytree(first, large / "training" / f"copy{copy:02d}", copy_function=os.link)
        jobs = {"ped2": ("ped2", options.root, "fast"), "large": ("folder", large, "fast")}
        for preset in ("compact", "paper"):
            jobs[f"ped2_{preset}"] = ("ped2", options.root, preset)
        for key, job in jobs.items():
            environment = os.environ | {"VADLIB_CACHE": str(Path(scratch) / f"cache-{key}")}
            command = [sys.executable, __file__, "--only", *map(str, job)]
            output = subprocess.check_output(command, env=environment, text=True)
            report[key] = json.loads(output.splitlines()[-1])
    difference = report["large"]["rss_anon_train_mb"] - report["ped2"]["rss_anon_train_mb"]
    report["rss_anon_difference_mb"] = round(difference, 1)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
