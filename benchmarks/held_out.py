"""Held-out normal videos with pseudo-anomalies put into them: what scores and trainings are chosen
on, instead of test labels.

Copies of the videos that a run held out get one pseudo-anomaly each, for 35 to 60 frames. Three
sorts resemble what the pseudo path is trained on: a person's surroundings played too fast or
shuffled, or a picture pasted onto a person. The fourth, "glide", does not: the still picture of
someone crosses the scene at two to four times the speed of a walk.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from vadlib.config import ClipConfig, ScoreConfig
from vadlib.data.catalog import load_videos
from vadlib.data.clips import ClipDataset, to_frames, to_tensor
from vadlib.errors import require
from vadlib.evaluation.calibration import Calibration
from vadlib.evaluation.error_maps import error_maps
from vadlib.evaluation.metrics import micro_auc, per_video
from vadlib.evaluation.scores import ErrorMaps, raw_score
from vadlib.model.run import Run
from vadlib.pseudo.detectors import find_boxes
from vadlib.pseudo.kinds import follow_box, paste_patch
from vadlib.pseudo.patches import BuiltinPatches
from vadlib.training.fit import hold_out

COPIES = {"trained": 8, "glide": 6}  # of each held-out video


class Disturbed(NamedTuple):
    """Error maps of one disturbed video, and where it was disturbed: labels (T,)."""

    sort: str
    scene: str
    maps: ErrorMaps
    labels: np.ndarray


def held_out_maps(
    run: Run, root: Path | None
) -> tuple[dict[str, list[ErrorMaps]], list[Disturbed]]:
    """Return the error maps of a run's held-out videos as they are, by scene, and of their
    disturbed copies, which are the same for all runs.
    """
    rng = np.random.default_rng(7)
    torch_rng = torch.Generator().manual_seed(7)
    device = torch.device("cpu")
    videos = load_videos(run.config.dataset or "", "train", root)
    all_boxes = find_boxes(videos)
    clips = ClipDataset(videos, ClipConfig.preset("fast"))
    normal: dict[str, list[ErrorMaps]] = {}
    disturbed: list[Disturbed] = []
    for scene, frames in hold_out(clips)[1]:
        number = next(i for i, whole in enumerate(clips.frames) if np.shares_memory(whole, frames))
        # of a scene's only video just the end is held out
        boxes = all_boxes[videos[number].name][-len(frames) :]
        normal.setdefault(scene, []).append(error_maps(run.model, frames, run.config.clips, device))
        for sort, count in COPIES.items():
            copies = []
            for _ in range(100 * count):
                copy = None
                if sort == "glide":
                    copy = glide(frames, boxes, rng)
                if sort == "trained":
                    copy = disturb(frames, boxes, rng, torch_rng)
                if copy is not None:
                    copies.append(copy)
                if len(copies) == count:
                    break
            message = f"video {videos[number].name}: only {len(copies)} copies of {count} of {sort}"
            require(len(copies) == count, message, "too-few")
            for changed, labels in copies:
                maps = error_maps(run.model, changed, run.config.clips, device)
                disturbed.append(Disturbed(sort, scene, maps, labels))
    return normal, disturbed


def held_out_aucs(
    disturbed: list[Disturbed], score_config: ScoreConfig, calibration: Calibration | None
) -> tuple[float, ...]:
    """Micro AUCs of a score: raw, per video and, with a calibration that knows it, calibrated."""
    labels = {str(i): part.labels for i, part in enumerate(disturbed)}
    raw = {str(i): raw_score(part.maps, score_config) for i, part in enumerate(disturbed)}
    areas = [micro_auc(labels, raw), micro_auc(labels, per_video(raw))]
    if calibration is not None:
        scores = {
            str(i): calibration.score(part.maps, part.scene, score_config)
            for i, part in enumerate(disturbed)
        }
        areas.append(micro_auc(labels, scores))
    return tuple(areas)


def disturb(
    frames: np.ndarray,
    boxes: list[np.ndarray],
    rng: np.random.Generator,
    torch_rng: torch.Generator,
):
    """A copy of a video uint8 (T, H, W, C) with one pseudo-anomaly, and its labels (T,); None where
    the draw did not fit.
    """
    frames = np.asarray(frames)
    kind, length, total = (
        rng.choice(["skip", "shuffle", "object"]),
        int(rng.integers(35, 60)),
        len(frames),
    )
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
        changed[when] = to_frames(
            paste_patch(to_tensor(frames[when]), patch, track, float(rng.uniform(0.6, 1)), 1.0)[0]
        )
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
        source = np.concatenate(
            [rng.permutation(part) for part in np.array_split(when, max(1, len(when) // 16))]
        )
    changed[when] = np.rint(frames[source] * inside + frames[when] * (1 - inside))
    return changed, labels


def glide(frames: np.ndarray, boxes: list[np.ndarray], rng: np.random.Generator):
    """A copy of a video through which the still picture of a person glides, 2.5 to 5 pixels a
    frame, and its labels (T,); None likewise.
    """
    total, height, width, _ = frames.shape
    length = min(int(rng.integers(35, 60)), total - 11)
    first, source = int(rng.integers(5, total - length - 5)), int(rng.integers(total))
    people = [
        box for box in boxes[source] if 12 <= box[2] - box[0] <= 32 and 20 <= box[3] - box[1] <= 60
    ]
    if not people:
        return None
    x0, y0, x1, y1 = (round(float(v)) for v in people[rng.integers(len(people))])
    x0, y0, x1, y1 = max(0, x0 - 2), max(0, y0 - 2), min(width, x1 + 2), min(height, y1 + 2)
    picture = frames[source, y0:y1, x0:x1].astype(np.float32)
    y, x = np.mgrid[-1 : 1 : (y1 - y0) * 1j, -1 : 1 : (x1 - x0) * 1j]
    soft = np.clip(3 * (1 - x**2 - y**4), 0, 1).astype(np.float32)
    speed, angle = (
        rng.uniform(2.5, 5),
        rng.uniform(-0.25, 0.25) + (np.pi if rng.random() < 0.5 else 0),
    )
    step, middle = (
        speed * np.array([np.cos(angle), np.sin(angle)]),
        np.array([width / 2 + rng.uniform(-0.2, 0.2) * width, (y0 + y1) / 2]),
    )
    changed, labels = np.array(frames), np.zeros(total, np.uint8)
    for k in range(length):
        x, y = middle + step * (k - length / 2) - [(x1 - x0) / 2, (y1 - y0) / 2]
        shift = np.float32([[1, 0, x], [0, 1, y]])
        weight = cv2.warpAffine(soft, shift, (width, height))[..., None]
        if weight.sum() < 0.5 * soft.sum():
            continue  # mostly out of the picture
        layer = cv2.warpAffine(
            picture, shift, (width, height), borderMode=cv2.BORDER_REPLICATE
        ).reshape(height, width, -1)
        changed[first + k] = np.rint(frames[first + k] * (1 - weight) + layer * weight)
        labels[first + k] = 1
    return (changed, labels) if labels.sum() >= 20 else None
