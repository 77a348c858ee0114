"""Score videos with a run and measure the scores against the labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from vadlib.config import ScoreConfig
from vadlib.data.clips import stored_frames, too_short
from vadlib.data.video import Video
from vadlib.device import pick_device, processes, share_out, steady_memory
from vadlib.errors import InputError, require, require_known
from vadlib.evaluation import metrics as measures
from vadlib.evaluation.calibration import Calibration
from vadlib.evaluation.curves import (
    checked_labels,
    checked_scores,
    checked_times,
    require_same_frames,
)
from vadlib.evaluation.error_maps import ErrorMaps, error_maps, scored_frames
from vadlib.evaluation.scores import local_errors, raw_score
from vadlib.files import atomic, command_line, expand_home, json_text, read_arrays
from vadlib.model.run import Run, open_run

SCALES = ("raw", "calibrated", "per_video")


@dataclass(frozen=True)
class Result:
    """Scores of some videos and what they are worth. Under protocol "all" every frame of every
    video has a score.

    Attributes:
        scores: video name -> calibrated score, float64 (T,).
        raw: video name -> raw score, float64 (T,); empty for a video that was scored while it was
            read.
        labels: video name -> uint8 (T,); videos without labels are not in it.
        maps: video name -> `ErrorMaps`, from which all scores can be made again; empty where they
            were not kept.
        times: video name -> seconds of each frame since the first, float64 (T,).
        scenes: video name -> the scene it is calibrated for.
        calibration: of the run, with its threshold.
        metrics: the flat metrics of the contract, and what they were measured on; empty without
            labels.
        protocol: "all", or "center": then the first 8 and the last 7 frames of each video are left
            out of everything above.

    Raises:
        InputError: parts that do not cover the same videos and frames, scores that are not finite,
            labels other than 0 and 1, or times that decrease; see `vadlib.evaluation.curves`.
    """

    scores: dict[str, np.ndarray]
    raw: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    maps: dict[str, ErrorMaps]
    times: dict[str, np.ndarray]
    scenes: dict[str, str]
    calibration: Calibration
    metrics: dict
    protocol: str = "all"

    def __post_init__(self):
        parts = {"scores": checked_scores(self.scores)}
        parts["times"] = checked_times(self.times, parts["scores"])
        if self.raw:
            parts["raw"] = checked_scores(self.raw, "raw")
            require_same_frames(parts["scores"], parts["raw"], "raw")
        if self.labels:
            parts["labels"] = checked_labels(self.labels)
            labelled = {
                name: curve for name, curve in parts["scores"].items() if name in parts["labels"]
            }
            require_same_frames(labelled, parts["labels"], "labels")
        if self.maps:
            require_same_frames(
                parts["scores"], {name: maps.plain for name, maps in self.maps.items()}, "maps"
            )
        for name, part in parts.items():
            object.__setattr__(self, name, part)

    @property
    def threshold(self) -> float:
        """Calibrated score above which a frame is called abnormal."""
        return self.calibration.threshold

    def rescore(self, scale: str = "raw", **changes) -> dict[str, np.ndarray]:
        """Other scores from the same errors, without another pass through the model: video name ->
        float64 (T,).

        Args:
            scale: "raw"; "calibrated": compared with held-out normal videos; "per_video": raw ones,
                stretched to [0, 1] within each video.
            changes: fields of `ScoreConfig` that differ from the run's own, such as `window=8,
                smoothing=32`.

        Raises:
            InputError: an unknown scale, a wrong value, or a calibrated score of a window that the
                calibration does not know.
        """
        require_known(scale, SCALES, "scale")
        known = [field.name for field in fields(ScoreConfig)]
        unknown = [name for name in changes if name not in known]
        require(
            not unknown,
            f"score settings {', '.join(unknown)} are unknown; expected some of: {', '.join(known)}",
            "unknown-key",
            field=", ".join(unknown),
        )
        how = replace(self.calibration.how, **changes)
        if scale == "calibrated":
            return {
                name: self.calibration.score(maps, self.scenes[name], how)
                for name, maps in self.maps.items()
            }
        raw = {name: raw_score(maps, how) for name, maps in self.maps.items()}
        return measures.per_video(raw) if scale == "per_video" else raw

    def window_errors(self, name: str, window: int = 32) -> np.ndarray:
        """Error of D_n around each place of a video: float32 (T, H / 8, W / 8), the mean squared
        error over a window, pixels in [-1, 1].

        The largest value of a frame is the simplest score: the error in its highest-error window.

        Args:
            name: of the video.
            window: its side in pixels, a multiple of 8.
        """
        return local_errors(self.maps[name], window, frames=1)[0]

    def score_map(self, name: str) -> np.ndarray:
        """Where a video's calibrated scores come from: float64 (T, H / 8, W / 8); its largest value
        in each frame is that frame's score.
        """
        how = self.calibration.how
        return self.calibration.score_map(self.maps[name], self.scenes[name], how, how.window)

    def save(self, folder: str | Path) -> None:
        """Write `scores.npz` (scores, labels, error maps, calibration) and, with labels,
        `metrics.json`.

        Those of an earlier time are replaced when both are written.

        Raises:
            InputError: the folder cannot be written, or the disk is full; the earlier files are
                still there.
        """
        parts = {
            "score": self.scores,
            "raw": self.raw,
            "label": self.labels,
            "time": self.times,
            "scene": self.scenes,
        }
        parts |= {
            kind: {name: getattr(maps, kind) for name, maps in self.maps.items()}
            for kind in ErrorMaps._fields
        }
        arrays = {
            f"{kind}/{name}": values
            for kind, part in parts.items()
            for name, values in part.items()
        }
        arrays |= {
            f"calibration/{name}": values for name, values in self.calibration.arrays().items()
        }
        folder = expand_home(folder)
        path = folder / "metrics.json"
        with ExitStack() as files:
            if self.metrics:
                measured = files.enter_context(atomic(path))
                measured.write_text(json_text(self.metrics), encoding="utf-8")
            # Opened last, so renamed first: metrics never lie beside the scores of another time.
            scores = files.enter_context(atomic(folder / "scores.npz"))
            np.savez_compressed(scores, protocol=self.protocol, **arrays)
            path.unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: str | Path) -> Result:
        """Read what `save` wrote.

        Raises:
            InputError: the run was not evaluated, or a file is damaged.
        """
        folder = expand_home(folder)
        path, metrics = folder / "scores.npz", folder / "metrics.json"
        is_run = (folder / "config.json").is_file()
        command = (
            command_line("evaluate", folder)
            if is_run
            else command_line("evaluate", "RUN", "--out", folder)
        )
        again = f"write it with `{command}`"
        stored = read_arrays(path, again)
        parts: dict[str, dict] = {
            kind: {}
            for kind in (
                "score",
                "raw",
                "label",
                "time",
                "scene",
                "calibration",
                *ErrorMaps._fields,
            )
        }
        for key, values in stored.items():
            kind, _, name = key.partition("/")
            if kind in parts:
                parts[kind][name] = values
        names = parts["score"].keys()
        complete = "protocol" in stored and all(
            parts[kind].keys() == names for kind in ("raw", "time", "scene", *ErrorMaps._fields)
        )
        require(
            complete,
            f"{path}: incomplete, or of an earlier version; {again}",
            "damaged-file",
            file=path,
        )
        calibration = Calibration.from_arrays(parts["calibration"], path, again)
        try:
            measured = json.loads(metrics.read_text(encoding="utf-8")) if metrics.is_file() else {}
        except ValueError as error:
            raise InputError(
                f"{metrics}: not JSON ({error}); {again}",
                "wrong-format",
                file=metrics,
            ) from error
        maps = {
            name: ErrorMaps(*(parts[kind][name] for kind in ErrorMaps._fields)) for name in names
        }
        scenes = {name: str(scene) for name, scene in parts["scene"].items()}
        of_frames = (parts[kind] for kind in ("score", "raw", "label"))
        try:
            return cls(
                *of_frames,
                maps,
                parts["time"],
                scenes,
                calibration,
                measured,
                str(stored["protocol"]),
            )
        except InputError as error:
            raise InputError(f"{path}: {error}; {again}", "damaged-file", file=path) from error


def evaluate(
    run: Run | str | Path,
    videos: Sequence[Video],
    device: str = "auto",
    progress: bool = True,
    protocol: str = "all",
) -> Result:
    """Score the frames of the videos and, if they are labelled, measure the scores.

    Args:
        run: what `fit` or `load_pretrained` returned, a run's folder, or a pretrained name.
        videos: the test videos; frames are prepared as in training.
        device: "auto", "cpu", "cuda" or "mps".
        progress: show a bar.
        protocol: "all" scores every frame; "center" as published the middle frames of clips that
            begin at every frame: 8 times the work.

    Raises:
        InputError: no videos, a video shorter than a clip, frames that do not fit the model, or an
            unknown protocol.
    """
    run = open_run(run)
    calibration = Calibration.load(run.folder / "calibration.npz")
    maps = score_videos(run, videos, device, progress, protocol)
    kept = {v.name: scored_frames(len(v), run.config.clips, protocol) for v in videos}
    labels = {v.name: v.labels[kept[v.name]] for v in videos if v.labels is not None}
    times, scenes = (
        {v.name: v.seconds[kept[v.name]] for v in videos},
        {v.name: v.scene for v in videos},
    )
    how = calibration.how
    scores = {name: calibration.score(part, scenes[name], how) for name, part in maps.items()}
    raw = {name: raw_score(part, how) for name, part in maps.items()}
    result = Result(scores, raw, labels, maps, times, scenes, calibration, {}, protocol)
    if len(labels) < len(videos):
        return result
    metrics = measure(result)
    if metrics["micro_auc_raw"] is not None:
        metrics |= _by_pixel_and_kind(result, videos, kept)
    return replace(result, metrics=metrics | {"ground_truth": videos[0].ground_truth})


def score_videos(
    run: Run,
    videos: Sequence[Video],
    device: str = "auto",
    progress: bool = True,
    protocol: str = "all",
) -> dict[str, ErrorMaps]:
    """Error maps of some videos, by name. Of several processes each scores its share of the videos,
    and gets all maps.
    """
    require(
        len(videos) > 0,
        "no videos to score; expected at least one",
        "too-few",
        field="videos",
    )
    target = pick_device(device)
    # an unknown protocol is refused before anything is decoded
    scored_frames(0, run.config.clips, protocol)
    for video in videos:
        channels, needed = (
            run.config.clips.channels or video.frames.shape[3],
            run.config.clips.length * run.config.clips.frame_step,
        )
        if channels != run.model.config.channels:
            raise InputError(
                f"video {video.name}: {channels} channels, but the model was trained on {run.model.config.channels}; use another run",
                "wrong-shape",
                field="ModelConfig.channels",
            )
        if len(video) < needed:
            raise too_short(video, len(video), needed)
    model = run.model.to(target).eval()
    precision = run.config.training.precision
    with processes().main_process_first():  # the others find the frames in the store
        frames = stored_frames(videos, run.config.clips, progress)
    with (
        tqdm(
            total=sum(map(len, videos)), desc="scoring", unit="frame", disable=not progress
        ) as bar,
        steady_memory(),
    ):
        maps = share_out(
            lambda f: error_maps(model, f, run.config.clips, target, precision, bar, protocol),
            frames,
        )
    return {video.name: found for video, found in zip(videos, maps, strict=True)}


def measure(result: Result, labels: dict[str, np.ndarray] | None = None) -> dict:
    """The flat metrics of a result: what can be measured frame by frame. AUCs and rates are None
    where all frames have one label.

    `macro_auc` is of the raw scores; average precision, EER and what concerns alarms are of the
    calibrated ones. `intervals` are 95% ones, by a bootstrap over videos.

    Args:
        result: of videos with labels.
        labels: other labels of the same frames, such as another ground truth's.
    """
    labels, raw, calibrated = labels or result.labels, result.raw, result.scores
    curves = {
        "micro_auc_raw": raw,
        "micro_auc_calibrated": calibrated,
        "micro_auc_per_video": measures.per_video(raw),
    }
    both = len(np.unique(np.concatenate(list(labels.values())))) == 2
    macro, left_out = measures.macro_auc(labels, raw)
    return {
        **{
            name: measures.micro_auc(labels, curve) if both else None
            for name, curve in curves.items()
        },
        "macro_auc": macro,
        "macro_auc_left_out": left_out,
        "macro_auc_counted": measures.macro_auc(labels, raw, "counted")[0] if both else None,
        "macro_auc_padded": measures.macro_auc(labels, raw, "padded")[0] if both else None,
        "average_precision": measures.average_precision(labels, calibrated) if both else None,
        "eer": measures.equal_error_rate(labels, calibrated) if both else None,
        "intervals": {
            name: measures.bootstrap(labels, curve) if both else None
            for name, curve in curves.items()
        },
        **measures.alarm_metrics(labels, calibrated, result.times, result.threshold),
        "videos": len(labels),
        "frames": int(sum(map(len, labels.values()))),
        "abnormal_frames": int(sum(int(x.sum()) for x in labels.values())),
    }


def _by_pixel_and_kind(result: Result, videos: Sequence[Video], kept: dict[str, slice]) -> dict:
    """Metrics that need more than labels of frames, where the videos have it: `pixel_auc`, and
    `kind_auc` by kind of anomaly.
    """
    found = {}
    if all(video.masks is not None for video in videos):
        pixels, truth = [], []
        for video in videos:
            for t, score_map, bad in zip(
                range(len(video))[kept[video.name]],
                result.score_map(video.name),
                result.labels[video.name],
                strict=True,
            ):
                mask = video.masks[t] if bad else np.zeros(video.frames.shape[1:3], bool)
                # an abnormal frame without abnormal pixels cannot be found by them
                if mask.any() == bool(bad):
                    pixels.append(measures.found_pixels(score_map, mask))
                    truth.append(bad)
        found["pixel_auc"] = (
            measures.micro_auc({"all": np.array(truth)}, {"all": np.array(pixels)})
            if len(set(truth)) == 2
            else None
        )
        found["pixel_auc_left_out"] = sum(map(len, result.labels.values())) - len(truth)
    if all(video.kinds is not None for video in videos):
        kinds = {video.name: list(video.kinds)[kept[video.name]] for video in videos}
        found["kind_auc"] = measures.kind_aucs(result.labels, result.scores, kinds)
    return found
