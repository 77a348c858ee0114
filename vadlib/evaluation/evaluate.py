"""Score videos with a run and measure the scores against the labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from vadlib.config import ClipConfig
from vadlib.data.clips import stored_frames, too_short
from vadlib.data.video import Video
from vadlib.device import pick_device, processes, share_out, steady_memory
from vadlib.errors import require, require_known
from vadlib.evaluation import metrics
from vadlib.evaluation.calibration import Calibration
from vadlib.evaluation.error_maps import PROTOCOLS, error_maps, scored_frames
from vadlib.evaluation.metrics import Curves
from vadlib.evaluation.result import Metrics, Result, VideoResult
from vadlib.evaluation.scores import ErrorMaps, raw_score
from vadlib.model.run import Run, open_run

SINGLE = {"average_precision": metrics.average_precision, "eer": metrics.equal_error_rate}


def evaluate(
    run: Run | str | Path,
    videos: Sequence[Video],
    device: str = "auto",
    progress: bool = True,
    protocol: str = "all",
) -> Result:
    """Score the frames of the videos and, if all are labelled, measure the scores.

    Each of several processes scores its share of the videos, and gets all scores.

    Args:
        run: what `fit` or `load_pretrained` returned, a run's folder, or a pretrained name.
        videos: the test videos; frames are prepared as in training.
        device: "auto", "cpu", "cuda" or "mps".
        progress: show a bar.
        protocol: "all" scores every frame. "center" scores, as published, the middle frames of
            clips that begin at every frame, which takes 8 times as long.

    Raises:
        InputError: no videos, a video shorter than a clip, frames that do not fit the model, or an
            unknown protocol.
    """
    run = open_run(run)
    calibration = Calibration.load(run.folder / "calibration.npz")
    maps = _score_videos(run, videos, device, progress, protocol)
    config = calibration.score_config
    results = {}
    kinds = {}
    for video, errors in zip(videos, maps, strict=True):
        frames = scored_frames(len(video), run.config.clips, protocol)
        labels = None if video.labels is None else video.labels[frames]
        if video.kinds is not None:
            kinds[video.name] = list(video.kinds)[frames]
        scores = calibration.score(errors, video.scene, config)
        parts = (video.seconds[frames], video.scene, raw_score(errors, config), labels, errors)
        results[video.name] = VideoResult(scores, *parts)
    result = Result(results, calibration, protocol=protocol)
    if len(result.labels) == len(videos):
        result.metrics.update(measure(result))
        if result.metrics["micro_auc_raw"] is not None:
            result.metrics.update(_pixel_metrics(result, videos, run.config.clips))
            if len(kinds) == len(videos):
                areas = metrics.kind_aucs(result.labels, result.scores, kinds)
                result.metrics["kind_auc"] = areas
        result.metrics["ground_truth"] = videos[0].ground_truth
    return result


def _score_videos(
    run: Run, videos: Sequence[Video], device: str, progress: bool, protocol: str
) -> list[ErrorMaps]:
    """Return the error maps of each video."""
    require(len(videos) > 0, "no videos to score", "too-few", field="videos")
    target = pick_device(device)
    require_known(protocol, PROTOCOLS, "protocol")  # before anything is decoded
    config = run.config.clips
    for video in videos:
        channels = config.channels or video.frames.shape[3]
        expected = run.model.config.channels
        message = f"video {video.name}: {channels} channels; the model takes {expected}"
        require(channels == expected, message, "wrong-shape", field="ModelConfig.channels")
        if len(video) < config.length * config.frame_step:
            raise too_short(video, len(video), config.length * config.frame_step)
    model = run.model.to(target).eval()
    with processes().main_process_first():  # the others find the frames in the store
        stored = stored_frames(videos, config, progress)
    bar = tqdm(total=sum(map(len, videos)), desc="scoring", unit="frame", disable=not progress)

    options = (config, target, run.config.training.precision, bar, protocol)
    with bar, steady_memory():
        return share_out(lambda frames: error_maps(model, frames, *options), stored)


def measure(result: Result, labels: Curves | None = None) -> Metrics:
    """Compute the flat metrics of a result from the labels of its frames. AUCs and rates are None
    if all frames have one label.

    `macro_auc` is of the raw scores. Average precision, EER and the alarm metrics are of the
    calibrated ones. `intervals` are 95% ones, by a bootstrap over videos.

    Args:
        result: of videos with labels.
        labels: other labels of the same frames, such as another ground truth's.
    """
    y_true = result.labels if labels is None else labels
    raw = result.raw
    calibrated = result.scores
    curves = {"micro_auc_raw": raw, "micro_auc_calibrated": calibrated}
    curves["micro_auc_per_video"] = metrics.per_video(raw)
    truth = np.concatenate(list(y_true.values()))
    has_both = len(np.unique(truth)) == 2
    measured: Metrics = {}
    intervals = {}
    for name, scores in curves.items():
        measured[name] = metrics.micro_auc(y_true, scores) if has_both else None
        interval = metrics.bootstrap(y_true, scores)
        intervals[name] = list(interval) if interval else None
    macro = metrics.macro_auc(y_true, raw)
    measured |= {"macro_auc": macro.mean, "macro_auc_left_out": macro.one_sided}
    for one_sided in ("counted", "padded"):
        area = metrics.macro_auc(y_true, raw, one_sided).mean
        measured[f"macro_auc_{one_sided}"] = area if has_both else None
    for name, metric in SINGLE.items():
        measured[name] = metric(y_true, calibrated) if has_both else None
    measured["intervals"] = intervals
    alarms = metrics.alarm_metrics(y_true, calibrated, result.times, result.threshold)
    counts = {"videos": len(y_true), "frames": len(truth), "abnormal_frames": int(np.sum(truth))}
    return measured | alarms._asdict() | counts


def _pixel_metrics(result: Result, videos: Sequence[Video], config: ClipConfig) -> Metrics:
    """Compute `pixel_auc` if all videos have masks."""
    values: list[float] = []
    truth: list[int] = []
    for video in videos:
        if video.masks is None:
            return {}
        labels = result.labels[video.name]
        frames = range(len(video))[scored_frames(len(video), config, result.protocol)]
        for t, score_map, label in zip(frames, result.score_map(video.name), labels, strict=True):
            mask = video.masks[t] if label else np.zeros(video.frames.shape[1:3], bool)
            # an abnormal frame without abnormal pixels cannot be found by them
            if mask.any() == bool(label):
                values.append(metrics.found_pixels(score_map, mask))
                truth.append(label)
    area = None
    if len(set(truth)) == 2:
        area = metrics.micro_auc({"all": np.array(truth)}, {"all": np.array(values)})
    ignored = sum(map(len, result.scores.values())) - len(truth)
    return {"pixel_auc": area, "pixel_auc_left_out": ignored}
