"""How the frame score was chosen: on held-out normal training videos with pseudo-anomalies put into them, never on test labels.

    python benchmarks/choose_score.py runs/ped2 --root DATA

Copies of the videos that the run held out get one pseudo-anomaly each (a person's surroundings played too fast or shuffled, or
a picture pasted onto a person, for 35 to 60 frames). The run scores them in the ways below; the table shows micro AUCs, raw, per
video and calibrated. The defaults in `vadlib/evaluation/scores.py` were chosen from it;
see benchmarks/README.md.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from vadlib.data.catalog import load_videos
from vadlib.data.clips import ClipDataset, to_frames, to_tensor
from vadlib.engine.fit import hold_out
from vadlib.evaluation import calibration
from vadlib.evaluation.calibration import WINDOWS, calibrate
from vadlib.evaluation.errors import error_maps
from vadlib.evaluation.metrics import micro_auc, per_video
from vadlib.evaluation.scores import ScoreConfig, raw_score
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
        changed[when] = to_frames(paste_patch(to_tensor(frames[when]), patch, track, float(rng.uniform(0.6, 1)), 1.0)[0])
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
    disturbed, normal = [], {}
    for scene, frames in held_out:
        number = next(i for i, whole in enumerate(clips.frames) if whole is frames or np.shares_memory(whole, frames))
        normal.setdefault(scene, []).append(error_maps(run.model, frames, run.data, device))
        copies = 0
        while copies < COPIES:
            made = disturb(np.asarray(frames), boxes[videos[number].name], rng, torch_rng)
            if made is not None:
                disturbed.append((scene, error_maps(run.model, made[0], run.data, device), made[1]))
                copies += 1
    labels = {str(i): truth for i, (*_, truth) in enumerate(disturbed)}

    def report(name: str, how: ScoreConfig, known: calibration.Calibration) -> None:
        raw = {str(i): raw_score(maps, how) for i, (_, maps, _) in enumerate(disturbed)}
        areas = [micro_auc(raw, labels), micro_auc(per_video(raw), labels)]
        if how.window in WINDOWS and how.frames in (1, run.data.length):
            areas.append(micro_auc({str(i): known.score(maps, scene, how) for i, (scene, maps, _) in enumerate(disturbed)}, labels))
        print(f"{name:60}", *(f"{kind} {area:.3f}" for kind, area in zip(("raw", "per-video", "calibrated"), areas, strict=False)))

    known = calibrate(normal, run.data.length)
    kinds = {"plain": {"temporal": 0}, "temporal": {"plain": 0}, "both": {}, "contrast": {"plain": 0, "temporal": 0, "contrast": 1}}
    kinds |= {"plain and contrast": {"temporal": 0, "contrast": 1}, "all three": {"contrast": 1}}
    for window in (16, 32, 48, None):
        for frames in (1, run.data.length // 2, run.data.length):
            for kind, weights in kinds.items():
                report(f"window {window}, {frames} frames, {kind}", ScoreConfig(window=window, frames=frames, **weights), known)
    default = ScoreConfig(frames=run.data.length)
    for sigma in (2, 4, 8, 16, 32):
        report(f"default, smoothed, sigma {sigma}", replace(default, smoothing=sigma), known)
    for prior in (50, 300, 3000, 30000):
        calibration.PRIOR = prior
        report(f"default, each location starts with {prior} frames", default, calibrate(normal, run.data.length))


if __name__ == "__main__":
    main()
