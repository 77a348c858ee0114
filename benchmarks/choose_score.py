"""How the frame score was chosen: on held-out normal training videos with pseudo-anomalies put into them, never on test labels.

    python benchmarks/choose_score.py runs/ped2 --root DATA

Copies of the videos that the run held out get one pseudo-anomaly each (a person's surroundings played too fast or shuffled, or
a picture pasted onto a person, for 35 to 60 frames). The run scores them in the ways below; the table shows micro AUCs, raw and
per-video. The defaults in `vadlib/evaluation/scores.py` were chosen from it;
see benchmarks/README.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import uniform_filter1d

from vadlib.data.catalog import load_videos
from vadlib.data.clips import ClipDataset, to_frames, to_tensor
from vadlib.engine.fit import hold_out
from vadlib.evaluation.errors import CELL, ErrorMaps, error_maps
from vadlib.evaluation.metrics import micro_auc, per_video
from vadlib.evaluation.scores import MOVED
from vadlib.model.run import Run
from vadlib.pseudo.detectors import find_boxes
from vadlib.pseudo.paste import follow_box, paste_patch
from vadlib.pseudo.patches import BuiltinPatches

COPIES = 8  # of each held-out video


def disturb(frames: np.ndarray, boxes: list[np.ndarray], rng: np.random.Generator, torch_rng: torch.Generator):
    """A copy of a video uint8 (T, H, W, C) with one pseudo-anomaly, and its labels (T,); None where the draw did not fit."""
    kind, length, total = rng.choice(["skip", "shuffle", "object"]), int(rng.integers(35, 60)), len(frames)
    stride = int(rng.integers(2, 4)) if kind == "skip" else 1
    first = int(rng.integers(5, max(6, total - length * stride - 5)))
    when = np.arange(first, first + min(length, (total - first - 1) // stride))
    changed, labels = frames.copy(), np.zeros(total, np.uint8)
    labels[when] = 1
    if kind == "object":
        track = follow_box(boxes[when[0] : when[-1] + 1], frames.shape[1:3], torch_rng)
        if track is None:
            return None
        patch = BuiltinPatches().draw(torch_rng)
        changed[when] = to_frames(paste_patch(to_tensor(frames[when]), patch, track, float(rng.uniform(0.6, 1)), 1.0))
        return changed, labels
    there = boxes[when[len(when) // 2]]
    if not len(there):
        return None
    x0, y0, x1, y1 = there[rng.integers(len(there))]
    y, x = np.mgrid[: frames.shape[1], : frames.shape[2]]
    distance = np.maximum(abs(y - (y0 + y1) / 2), 0.6 * abs(x - (x0 + x1) / 2))
    inside = np.clip((40 - distance) / 8, 0, 1)[None, ..., None]
    source = first + stride * np.arange(len(when))
    if kind == "shuffle":
        source = np.concatenate([rng.permutation(part) for part in np.array_split(when, max(1, len(when) // 16))])
    changed[when] = np.rint(frames[source] * inside + frames[when] * (1 - inside))
    return changed, labels


def pooled(maps: ErrorMaps, window: int, span: int) -> np.ndarray:
    """Local errors over a window of that many cells and that many frames: (2, T, H', W')."""
    values = np.stack([maps.plain, maps.temporal]).astype(np.float64)
    for axis, size in ((1, span), (2, window), (3, window)):
        values = uniform_filter1d(values, size, axis=axis, mode="nearest" if axis == 1 else "constant")
    return np.maximum(values, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--root", type=Path)
    options = parser.parse_args()
    run, rng, torch_rng = Run.load(options.run), np.random.default_rng(7), torch.Generator().manual_seed(7)
    videos = load_videos(run.config["dataset"]["name"], "train", options.root)
    clips, boxes = ClipDataset(videos, run.data), find_boxes(videos)
    _, held_out = hold_out(clips)
    device = torch.device("cpu")
    disturbed, normal = [], []
    for _, frames in held_out:
        number = next(i for i, whole in enumerate(clips.frames) if whole is frames or np.shares_memory(whole, frames))
        normal.append(error_maps(run.model, frames, run.data, device))
        copies = 0
        while copies < COPIES:
            made = disturb(np.asarray(frames), boxes[videos[number].name], rng, torch_rng)
            if made is not None:
                disturbed.append((error_maps(run.model, made[0], run.data, device), made[1]))
                copies += 1
    labels = {str(i): truth for i, (_, truth) in enumerate(disturbed)}

    def report(name: str, score, *arguments) -> None:
        scores = {str(i): score(maps, *arguments) for i, (maps, _) in enumerate(disturbed)}
        print(f"{name:52} raw {micro_auc(scores, labels):.3f}  per-video {micro_auc(per_video(scores), labels):.3f}")

    for window in (2, 4, 6):
        for span in (1, 8, 16):
            where = f"worst window of {window * CELL} pixels over {span} frames"
            report(f"{where}, plain", worst, window, span, [0])
            report(f"{where}, temporal", worst, window, span, [1])
            report(f"{where}, both", worst, window, span, [0, 1])
    reference = np.concatenate([pooled(maps, 4, 16) for maps in normal], axis=1)
    seen = reference > MOVED
    for prior in (50, 300, 3000, 30000):
        count = seen.sum(1)
        moments = []
        for power in (1, 2):
            values = np.where(seen, reference**power, 0).sum(1)
            everywhere = values.sum((1, 2), keepdims=True) / count.sum((1, 2), keepdims=True)
            moments.append((values + prior * everywhere) / (count + prior))
        mean, deviation = moments[0], np.sqrt(moments[1] - moments[0] ** 2)
        report(f"calibrated by location, prior of {prior} frames", standardised, mean, deviation)


def worst(maps: ErrorMaps, window: int, span: int, kinds: list[int]) -> np.ndarray:
    """Sum of the logs of the frame's worst local errors of those kinds, (T,)."""
    return np.log(pooled(maps, window, span)[kinds].max((2, 3)) + 1e-8).sum(0)


def standardised(maps: ErrorMaps, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """The frame's largest mean of the standardised local errors, (T,)."""
    return ((pooled(maps, 4, 16) - mean[:, None]) / deviation[:, None]).mean(0).max((1, 2))


if __name__ == "__main__":
    main()
