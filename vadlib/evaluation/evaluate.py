"""Score videos with a run and measure the scores against the labels. Or score one while it is
read: then memory does not grow with its length, and nothing passes through the frame store.
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from vadlib.config import CELL, ClipConfig
from vadlib.data.clips import stored_frames, too_short
from vadlib.data.layout import nfc
from vadlib.data.store import prepare_frame, resize_frame, target_shape
from vadlib.data.video import Video
from vadlib.device import pick_device, processes, share_out, steady_memory
from vadlib.errors import require, require_known
from vadlib.evaluation import metrics
from vadlib.evaluation.calibration import Calibration
from vadlib.evaluation.error_maps import PROTOCOLS, cell_errors, error_maps, scored_frames
from vadlib.evaluation.result import Metrics, Result, VideoResult
from vadlib.evaluation.scores import ErrorMaps, needed_errors, raw_score
from vadlib.model.run import Run, open_run

# pixels of the shorter side of the frames that are passed on, at most: some dozens of them are held
SHOWN_SIDE = 480


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
                result.metrics["kind_auc"] = metrics.kind_aucs(result.labels, result.scores, kinds)
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
        _require_clip(video, config)
    model = run.model.to(target).eval()
    with processes().main_process_first():  # the others find the frames in the store
        stored = stored_frames(videos, config, progress)
    bar = tqdm(total=sum(map(len, videos)), desc="scoring", unit="frame", disable=not progress)

    def video_maps(frames: np.ndarray) -> ErrorMaps:
        maps = error_maps(model, frames, config, target, run.config.training.precision, protocol)
        bar.update(len(frames))
        return maps

    with bar, steady_memory():
        return share_out(video_maps, stored)


def _require_clip(video: Video, config: ClipConfig) -> None:
    if len(video) < config.length * config.frame_step:
        raise too_short(video, len(video), config.length * config.frame_step)


def measure(result: Result, labels: metrics.Curves | None = None) -> Metrics:
    """Compute the flat metrics of a result from the labels of its frames. AUCs and rates are None
    if all frames have one label.

    `macro_auc` is of the raw scores. Average precision, EER and the alarm metrics are of the
    calibrated ones. `intervals` are 95% ones, by a bootstrap over videos.

    Args:
        result: of videos with labels.
        labels: other labels of the same frames, such as another ground truth's.
    """
    y_true = result.labels if labels is None else labels
    raw, calibrated = result.raw, result.scores
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
    precision = metrics.average_precision(y_true, calibrated) if has_both else None
    eer = metrics.equal_error_rate(y_true, calibrated) if has_both else None
    measured |= {"average_precision": precision, "eer": eer, "intervals": intervals}
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


class ScoredFrame(NamedTuple):
    """One frame and its score.

    Attributes:
        score: the frame's calibrated score.
        map: float64 (H', W'), the places that the score comes from, one value for 8 x 8 pixels of
            the frame as the model sees it; `score` is the largest, unless the run's score is
            smoothed or mixed with that of the whole frame.
        frame: uint8 (H, W, C), the frame itself, shrunk to a shorter side of `SHOWN_SIDE` if it is
            larger.
    """

    score: float
    map: np.ndarray
    frame: np.ndarray


class PreparedFrames:
    """The frames of a video as a run's clip config wants them, uint8 (T, H, W, C), for
    `cell_errors`, which only goes forward.

    Each frame of the video is read once, in order. Only those of one clip are held. `passed_on`
    collects all frames that were read, as they are passed on; the user removes them.
    """

    def __init__(self, video: Video, config: ClipConfig, channels: int):
        self.source = video.frames
        self.shape = target_shape(video.frames.shape, config.size, config.shorter_side, channels)
        self.passed_on_size = target_shape(video.frames.shape, None, SHOWN_SIDE)[1:3]
        self.held: deque[np.ndarray] = deque(maxlen=(config.length - 1) * config.frame_step + 1)
        self.passed_on: deque[np.ndarray] = deque()
        self.read = 0

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, picked: slice | list[int]) -> np.ndarray:
        numbers = range(len(self))[picked] if isinstance(picked, slice) else picked
        while self.read <= numbers[-1]:
            frame = self.source[self.read]
            self.held.append(prepare_frame(frame, self.shape))
            self.passed_on.append(resize_frame(frame, self.passed_on_size))
            self.read += 1
        first = self.read - len(self.held)
        return np.stack([self.held[t - first] for t in numbers])


def find_scene(
    calibration: Calibration, config: ClipConfig, video: Video, scene: str | None = None
) -> str:
    """Return the scene that a video of unknown origin is judged by.

    It is the one asked for, else the only scene that the run knows with frames of that size,
    because your own camera most likely is the one that the run was trained on. If there is none, or
    if there are several, it is "", and the mean over all known scenes judges the video.

    Raises:
        InputError: the run does not know the scene asked for.
    """
    if scene is not None:
        require_known(nfc(scene), calibration.scenes, "scene")  # terminals may write NFD
        return nfc(scene)
    height, width = target_shape(video.frames.shape, config.size, config.shorter_side)[1:3]
    cells = (-(-height // CELL), -(-width // CELL))
    scenes = calibration.scenes.items()
    same_size = [name for name, part in scenes if part["plain", CELL, 1].mean.shape == cells]
    return same_size[0] if len(same_size) == 1 else ""


def stream_scores(
    run: Run, calibration: Calibration, video: Video, scene: str, device: str = "auto"
) -> Iterator[ScoredFrame]:
    """Score a video frame by frame while it is read. Up to rounding the scores are those of
    `evaluate`.

    A frame's score depends on the frames up to the end of the clips that hold it, and half a clip
    further, so it comes some dozens of frames late.

    Args:
        run: its model, which moves to the device.
        calibration: the run's.
        video: read once, in order. Unlike in `evaluate`, colour becomes grey for a model of grey
            frames.
        scene: the scene that judges it; see `find_scene`.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        InputError: at once, if the video is shorter than a clip, or its frames are smaller than the
            windows that the model sees; later, if a frame cannot be read.
    """
    config = run.config.clips
    score_config = calibration.score_config
    target = pick_device(device)
    frames = PreparedFrames(video, config, run.model.config.channels)
    _require_clip(video, config)
    height, width = frames.shape[1:3]
    fits = all(np.greater_equal(frames.shape[1:3], config.crop or 1))
    message = f"video {video.name}: {height}x{width}, smaller than the crop"
    require(fits, message, "wrong-shape", field="ClipConfig.crop")
    errors = needed_errors(score_config.shares)
    model = run.model.to(target).eval()
    parts = cell_errors(model, frames, config, target, errors, run.config.training.precision)
    # averages and smoothing use at most so many frames before and after each
    reach = score_config.frames + math.ceil(4 * score_config.smoothing)

    def stream() -> Iterator[ScoredFrame]:
        scored = first = 0  # frames that were passed on, and the first one whose errors are held
        held = np.zeros((len(errors), 0, -(-height // CELL), -(-width // CELL)), np.float16)
        for part in parts:
            held = np.concatenate([held, part.astype(np.float16)], axis=1)  # as stored maps are
            end = first + held.shape[1]
            ready = end if end == len(frames) else max(scored, end - reach)
            maps = dict(zip(errors, held, strict=True))
            scores = calibration.score(maps, scene, score_config)
            score_maps = calibration.score_map(maps, scene, score_config)
            for t in range(scored - first, ready - first):
                yield ScoredFrame(float(scores[t]), score_maps[t], frames.passed_on.popleft())
            scored = ready
            surplus = max(0, scored - reach - first)
            held = held[:, surplus:]
            first += surplus

    return stream()
