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
    """Return the micro AUCs of a score: raw, per video and, with a calibration, calibrated."""
    labels = {str(i): part.labels for i, part in enumerate(disturbed)}
    raw = {str(i): raw_score(part.maps, score_config) for i, part in enumerate(disturbed)}
    areas = [micro_auc(labels, raw), micro_auc(labels, per_video(raw))]
    if calibration is not None:
        scores = {}
        for i, part in enumerate(disturbed):
            scores[str(i)] = calibration.score(part.maps, part.scene, score_config)
        areas.append(micro_auc(labels, scores))
    return tuple(areas)


def disturb(
    frames: np.ndarray,
    boxes: list[np.ndarray],
    rng: np.random.Generator,
    torch_rng: torch.Generator,
):
    """Return a copy of a video uint8 (T, H, W, C) with one pseudo-anomaly, and its labels (T,).

    Returns None where the random draw does not fit.
    """
    frames = np.asarray(frames)
    total = len(frames)
    kind = rng.choice(["skip", "shuffle", "object"])
    length = int(rng.integers(35, 60))
    stride = int(rng.integers(2, 4)) if kind == "skip" else 1
    first = int(rng.integers(5, max(6, total - length * stride - 5)))
    times = np.arange(first, first + min(length, (total - first - 1) // stride))
    changed, labels = frames.copy(), np.zeros(total, np.uint8)
    labels[times] = 1
    if kind == "object":
        track = follow_box(boxes[times[0] : times[-1] + 1], frames.shape[1:3], torch_rng)
        if track is None:
            return None
        patch = BuiltinPatches().draw(torch_rng)
        opacity = float(rng.uniform(0.6, 1))
        pasted, _ = paste_patch(to_tensor(frames[times]), patch, track, opacity, 1.0)
        changed[times] = to_frames(pasted)
        return changed, labels
    people = boxes[times[len(times) // 2]]
    if not len(people):
        return None
    box = people[rng.integers(len(people))]
    y, x = np.mgrid[: frames.shape[1], : frames.shape[2]]
    x_distance, y_distance = abs(x - (box[0] + box[2]) / 2), abs(y - (box[1] + box[3]) / 2)
    distance = np.maximum(y_distance, 0.6 * x_distance)
    inside = np.clip((40 - distance) / 8, 0, 1)[None, ..., None]
    source = first + stride * np.arange(len(times))
    if kind == "shuffle":
        parts = np.array_split(times, max(1, len(times) // 16))
        source = np.concatenate([rng.permutation(part) for part in parts])
    changed[times] = np.rint(frames[source] * inside + frames[times] * (1 - inside))
    return changed, labels


def glide(frames: np.ndarray, boxes: list[np.ndarray], rng: np.random.Generator):
    """Return a copy of a video through which the still picture of a person glides, 2.5 to 5 pixels
    a frame, and its labels (T,); None where the random draw does not fit.
    """
    total = len(frames)
    height, width = frames.shape[1:3]
    length = min(int(rng.integers(35, 60)), total - 11)
    first, source = int(rng.integers(5, total - length - 5)), int(rng.integers(total))
    people = [box for box in boxes[source] if is_person(box)]
    if not people:
        return None
    box = people[rng.integers(len(people))]
    corner = np.array([max(0, round(float(value)) - 2) for value in box[:2]])
    end = np.array([round(float(value)) + 2 for value in box[2:]]).clip(max=(width, height))
    size = end - corner
    picture = frames[source, corner[1] : end[1], corner[0] : end[0]].astype(np.float32)
    y, x = np.mgrid[-1 : 1 : size[1] * 1j, -1 : 1 : size[0] * 1j]
    soft = np.clip(3 * (1 - x**2 - y**4), 0, 1).astype(np.float32)
    speed = rng.uniform(2.5, 5)
    angle = rng.uniform(-0.25, 0.25) + (np.pi if rng.random() < 0.5 else 0)
    step = speed * np.array([np.cos(angle), np.sin(angle)])
    x_middle = width / 2 + rng.uniform(-0.2, 0.2) * width
    middle = np.array([x_middle, (corner[1] + end[1]) / 2])
    changed, labels = np.array(frames), np.zeros(total, np.uint8)
    for k in range(length):
        x, y = middle + step * (k - length / 2) - size / 2
        shift = np.float32([[1, 0, x], [0, 1, y]])
        weight = cv2.warpAffine(soft, shift, (width, height))[..., None]
        if weight.sum() < 0.5 * soft.sum():
            continue  # mostly out of the picture
        border = cv2.BORDER_REPLICATE
        layer = cv2.warpAffine(picture, shift, (width, height), borderMode=border)
        layer = layer.reshape(height, width, -1)
        changed[first + k] = np.rint(frames[first + k] * (1 - weight) + layer * weight)
        labels[first + k] = 1
    return (changed, labels) if labels.sum() >= 20 else None


def is_person(box: np.ndarray) -> bool:
    """Return whether a box (4,) has the size of a person in Ped2."""
    return 12 <= box[2] - box[0] <= 32 and 20 <= box[3] - box[1] <= 60
