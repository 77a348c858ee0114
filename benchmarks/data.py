"""Reading and memory of the frame store, side by side in one run.

    python benchmarks/data.py --root DATA            needs ped2/ there, Linux, about 12 GB of disk and 15 minutes

read_ratio: clips of 16 frames a second read from the frame store, over those that a plain recipe
reads by decoding 16 JPEG files a clip (and resizing or cutting them in the same way); both end as
float32 in [-1, 1]. rss_anon: the largest anonymous memory (RssAnon; memory-mapped pages do not
count) of a process that trains the preset `fast` on Ped2, and of one that does the same on 40
copies of its training set, 102,000 frames. Each prepares everything itself: decoding, boxes,
motion. The same for `compact` and `paper` on Ped2.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from vadlib.config import ClipConfig, ModelConfig, PseudoConfig, TrainConfig
from vadlib.data.catalog import load_videos
from vadlib.data.clips import ClipDataset
from vadlib.data.video import list_images
from vadlib.device import steady_memory
from vadlib.model.network import DualPathAutoencoder
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


def read_ratios(root: Path) -> dict:
    """Random clips of Ped2's training set, store and disk warm: whole frames at 128 x 128 and as
    they are, and the windows of `fast`.
    """
    # as in the loader's workers; and threads that wait for a busy core would be all that is
    # measured
    torch.set_num_threads(1)
    train = load_videos("ped2", "train", root)
    files = [list_images(root / "ped2" / "training" / "frames" / v.name) for v in train]
    report = {}
    for name, config in {
        "128x128": ClipConfig(size=(128, 128)),
        "native": ClipConfig(),
        "fast": ClipConfig.preset("fast"),
    }.items():
        clips = ClipDataset(train, config, progress=False)
        chosen = np.random.default_rng(0).integers(0, len(clips), CLIPS).tolist()

        def plain(i: int, clips=clips, config=config) -> np.ndarray:
            video, start, top, left = (int(x) for x in clips.index[i])
            frames = [
                np.asarray(Image.open(path).convert("L"))
                for path in files[video][start : start + 16]
            ]
            if config.size:
                frames = [
                    cv2.resize(frame, config.size[::-1], interpolation=cv2.INTER_AREA)
                    for frame in frames
                ]
            tall, wide = config.crop or frames[0].shape
            return (
                np.stack([frame[top : top + tall, left : left + wide] for frame in frames]).astype(
                    np.float32
                )
                / 127.5
                - 1
            )

        assert np.abs(clips[chosen[0]].tensor[0].numpy() - plain(chosen[0])).max() < 1e-6
        clips_per_second(clips.__getitem__, chosen)  # warm
        rounds = [
            (clips_per_second(clips.__getitem__, chosen), clips_per_second(plain, chosen[:80]))
            for _ in range(5)
        ]
        stored, decoded = np.median(rounds, axis=0)
        report[name] = {
            "read_ratio": round(stored / decoded, 1),
            "stored_clips_per_s": round(stored),
            "decoded_clips_per_s": round(decoded),
        }
    return report


def anonymous() -> int:
    """RssAnon of this process in bytes."""
    return next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("RssAnon")
    )


def train_some(name: str, root: Path, preset: str) -> dict:
    """Prepare a dataset and train a preset on some batches of it; the largest RssAnon of each part."""
    peaks, stop = {"start": anonymous(), "prepare": 0, "train": 0}, threading.Event()
    part = ["prepare"]

    def watch() -> None:
        while not stop.wait(0.01):
            peaks[part[0]] = max(peaks[part[0]], anonymous())

    threading.Thread(target=watch, daemon=True).start()
    videos = load_videos(name, "train", root)
    # One grey channel, as Ped2 has: copies of its JPEGs in your own folder would be read as
    # RGB.
    clips = ClipDataset(
        videos,
        ClipConfig(**{**vars(ClipConfig.preset(preset)), "channels": 1}),
        find_boxes(videos, progress=False),
        progress=False,
    )
    samples = Samples(clips, hold_out(clips)[0], make_mixer(PseudoConfig()), 0)
    model, device = DualPathAutoencoder(ModelConfig.preset(preset)), torch.device("cpu")
    with tempfile.TemporaryDirectory() as out:
        trainer = Trainer(
            model, samples, replace(TrainConfig.preset(preset), device="cpu"), device, Path(out)
        )
        batches = samples.batches(0, trainer.config.batch_size)[: STEPS[preset]]
        part[0] = "train"
        with steady_memory():
            for batch in load_batches(samples, batches, 0, False):
                trainer.update(batch, len(batches))
    stop.set()
    found = {
        "frames": sum(map(len, videos)),
        "clips": len(clips),
    }
    return found | {f"rss_anon_{key}_mb": round(value / 1e6, 1) for key, value in peaks.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=Path(os.environ.get("VADLIB_DATA", "data")))
    # one part, in a process of its own
    parser.add_argument(
        "--only", nargs=3, metavar=("NAME", "ROOT", "PRESET"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.only:
        print(json.dumps(train_some(options.only[0], Path(options.only[1]), options.only[2])))
        return
    report = {"read": read_ratios(options.root)}
    with tempfile.TemporaryDirectory() as scratch:
        large, first = Path(scratch) / "large", Path(scratch) / "ped2"
        shutil.copytree(options.root / "ped2" / "training" / "frames", first)
        # hard links: other paths, so the store takes them for other frames
        for copy in range(COPIES):
            shutil.copytree(first, large / "training" / f"copy{copy:02d}", copy_function=os.link)
        jobs = [("ped2", "ped2", options.root, "fast"), ("large", "folder", large, "fast")]
        jobs += [
            (f"ped2_{preset}", "ped2", options.root, preset) for preset in ("compact", "paper")
        ]
        for key, name, root, preset in jobs:
            environment = os.environ | {"VADLIB_CACHE": str(Path(scratch) / f"cache-{key}")}
            command = [sys.executable, __file__, "--only", name, str(root), preset]
            done = subprocess.run(
                command, env=environment, check=True, capture_output=True, text=True
            )
            report[key] = json.loads(done.stdout.splitlines()[-1])
    report["rss_anon_difference_mb"] = round(
        report["large"]["rss_anon_train_mb"] - report["ped2"]["rss_anon_train_mb"], 1
    )
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
