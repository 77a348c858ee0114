"""Score videos with a run and measure the scores against the labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from vadlib.config import require
from vadlib.data.clips import stored_frames, too_short
from vadlib.data.video import Video
from vadlib.device import pick_device, processes, share_out, steady_memory
from vadlib.errors import InputError
from vadlib.evaluation.errors import ErrorMaps, error_maps
from vadlib.evaluation.metrics import macro_auc, micro_auc, per_video
from vadlib.evaluation.scores import Calibration, local_errors, raw_score
from vadlib.files import atomic, read_arrays, write_json
from vadlib.model.run import Run


@dataclass(frozen=True)
class Result:
    """Scores of some videos and what they are worth. Every frame of every video has a score.

    Attributes:
        scores: video name -> calibrated score, float64 (T,).
        raw: video name -> raw score, float64 (T,).
        labels: video name -> uint8 (T,); empty where the videos have no labels.
        maps: video name -> `ErrorMaps`.
        threshold: calibrated score above which a frame is called abnormal.
        metrics: the flat metrics of the contract, and what they were measured on; empty without labels.
        times: video name -> seconds of each frame since the first, float64 (T,).
    """

    scores: dict[str, np.ndarray]
    raw: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    maps: dict[str, ErrorMaps]
    threshold: float
    metrics: dict
    times: dict[str, np.ndarray]

    def save(self, folder: str | Path) -> None:
        """Write `scores.npz` (scores, labels, error maps) and, with labels, `metrics.json`, each atomically."""
        arrays = {f"score/{n}": v for n, v in self.scores.items()} | {f"raw/{n}": v for n, v in self.raw.items()}
        arrays |= {f"label/{n}": v for n, v in self.labels.items()} | {f"time/{n}": v for n, v in self.times.items()}
        arrays |= {f"{kind}/{n}": getattr(m, kind).astype(np.float16) for n, m in self.maps.items() for kind in ("plain", "temporal")}
        with atomic(Path(folder) / "scores.npz") as temporary:
            np.savez_compressed(temporary, threshold=self.threshold, **arrays)
        if self.metrics:
            write_json(Path(folder) / "metrics.json", self.metrics)
        else:
            (Path(folder) / "metrics.json").unlink(missing_ok=True)  # those of other videos

    @classmethod
    def load(cls, folder: str | Path) -> Result:
        """Read what `save` wrote.

        Raises:
            InputError: the run was not evaluated, or a file is damaged.
        """
        again = f"make it again with `vadlib evaluate {folder}`"
        stored = read_arrays(Path(folder) / "scores.npz", again)
        parts: dict[str, dict] = {kind: {} for kind in ("score", "raw", "label", "time", "plain", "temporal")}
        for key, values in stored.items():
            kind, _, name = key.partition("/")
            if name:
                parts[kind][name] = values
        complete = parts["time"].keys() == parts["score"].keys()
        require(complete, f"{Path(folder) / 'scores.npz'}: without the frames' times, so of an earlier version; {again}")
        metrics = Path(folder) / "metrics.json"
        try:
            measured = json.loads(metrics.read_text(encoding="utf-8")) if metrics.is_file() else {}
        except ValueError as error:
            raise InputError(f"{metrics}: not JSON ({error}); {again}") from error
        maps = {n: ErrorMaps(p.astype(np.float32), parts["temporal"][n].astype(np.float32)) for n, p in parts["plain"].items()}
        return cls(parts["score"], parts["raw"], parts["label"], maps, float(stored["threshold"]), measured, parts["time"])


def evaluate(run: Run | str | Path, videos: Sequence[Video], device: str = "auto", progress: bool = True) -> Result:
    """Score every frame of the videos and, if they are labelled, measure the scores.

    Args:
        run: what `fit` returned, or a run's folder.
        videos: the test videos; frames are prepared as in training.
        device: "auto", "cpu", "cuda" or "mps".
        progress: show a bar.

    Raises:
        InputError: no videos, a video shorter than a clip, or frames that do not fit the model.
    """
    run = run if isinstance(run, Run) else Run.load(run)
    maps = score_videos(run, videos, device, progress)
    calibration = Calibration.load(run.folder / "calibration.npz")
    local = {v.name: local_errors(maps[v.name], run.data.length) for v in videos}
    raw = {name: raw_score(errors) for name, errors in local.items()}
    calibrated = {v.name: calibration.score(local[v.name], v.scene) for v in videos}
    labels = {v.name: v.labels for v in videos if v.labels is not None}
    metrics = measure(raw, calibrated, labels) if len(labels) == len(videos) else {}
    if metrics:
        metrics |= {"ground_truth": videos[0].ground_truth}
    return Result(calibrated, raw, labels, maps, calibration.threshold, metrics, {v.name: v.seconds for v in videos})


def score_videos(run: Run, videos: Sequence[Video], device: str = "auto", progress: bool = True) -> dict[str, ErrorMaps]:
    """Error maps of some videos, by name. Of several processes each scores its share of the videos, and gets all maps."""
    require(len(videos) > 0, "no videos to score: expected at least one")
    target = pick_device(device)
    for video in videos:
        channels, needed = run.data.channels or video.frames.shape[3], run.data.length * run.data.frame_step
        if channels != run.model.config.channels:
            raise InputError(
                f"video {video.name}: {channels} channels, but the model was trained on {run.model.config.channels}; use a run of its kind"
            )
        if len(video) < needed:
            raise too_short(video, len(video), needed)
    model = run.model.to(target).eval()
    precision = run.config["training"].get("precision", "auto")
    with processes().main_process_first():  # the others find the frames in the store
        frames = stored_frames(videos, run.data, progress)
    with tqdm(total=sum(map(len, videos)), desc="scoring", unit="frame", disable=not progress) as bar, steady_memory():
        maps = share_out(lambda f: error_maps(model, f, run.data, target, precision, bar), frames)
    return {video.name: found for video, found in zip(videos, maps, strict=True)}


def measure(raw: dict[str, np.ndarray], calibrated: dict[str, np.ndarray], labels: dict[str, np.ndarray]) -> dict:
    """The flat metrics: raw, calibrated and per-video micro AUC, macro AUC of the raw scores, and the counts.

    AUCs are None where all frames have one label.
    """
    macro, left_out = macro_auc(raw, labels)
    both = len(np.unique(np.concatenate(list(labels.values())))) == 2
    return {
        "micro_auc_raw": micro_auc(raw, labels) if both else None,
        "micro_auc_calibrated": micro_auc(calibrated, labels) if both else None,
        "micro_auc_per_video": micro_auc(per_video(raw), labels) if both else None,
        "macro_auc": macro,
        "macro_auc_left_out": left_out,
        "videos": len(labels),
        "frames": int(sum(map(len, labels.values()))),
        "abnormal_frames": int(sum(int(x.sum()) for x in labels.values())),
    }
