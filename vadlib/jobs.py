"""Whole jobs from plain values: train a dataset by name, evaluate a run, plot it, score a video.

The command line and the notebooks call these.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from vadlib.config import RunConfig, read_config_file
from vadlib.data.catalog import DATASETS, find_copy, load_videos
from vadlib.data.clips import ClipDataset
from vadlib.data.copies import DatasetCopy
from vadlib.data.encode import ANNOTATED, encode_video
from vadlib.data.folder import open_video
from vadlib.data.video import Video, header_shape
from vadlib.device import pick_device, processes, steady_memory
from vadlib.errors import InputError, require, require_known
from vadlib.evaluation.baselines import baseline_scores, measure_baselines
from vadlib.evaluation.calibration import Calibration
from vadlib.evaluation.error_maps import PROTOCOLS, scored_frames
from vadlib.evaluation.evaluate import evaluate as evaluate_videos
from vadlib.evaluation.evaluate import find_scene, measure, stream_scores
from vadlib.evaluation.result import Result, VideoResult
from vadlib.files import atomic, expand_home
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import Run, open_run
from vadlib.pseudo.detectors import find_boxes
from vadlib.pseudo.mixer import make_mixer
from vadlib.training.fit import fit, require_free

Settings = Mapping[str, Mapping[str, object]]  # parts of a run's config


def make_config(
    data: str | None = None,
    preset: str | None = None,
    options: Settings | None = None,
    file: Path | None = None,
) -> RunConfig:
    """Return the settings of a training. Options win over the file, and the file over the preset.

    Args:
        data: the dataset's name; None: the one that the file names, else "synthetic".
        preset: see `PRESETS`; None: "short" for the rendered street, so that a first try takes
            minutes, and "fast" for all other datasets.
        options: part -> field -> value, such as {"training": {"epochs": 3}}; None means not set.
        file: JSON with some or all parts of a run's `config.json`. Its weights and strengths belong
            to the kinds that it names: with other kinds they are not used.

    Raises:
        InputError: an unknown name or key, a wrong value, or a file that names no dataset although
            it has that key.
    """
    path = expand_home(file) if file else None
    values: dict[str, Any] = read_config_file(path) if path else {}
    RunConfig().changed(values, path or "options")  # checks names and types
    if data is None:
        data = values.get("dataset", "synthetic")
    message = f"{file}: dataset is null; name one with --data"
    require(data is not None, message, "conflict", file=file, field="dataset")
    config = RunConfig.preset(preset or ("short" if data == "synthetic" else "fast"))
    side = config.clips.shorter_side
    if side and data in DATASETS:
        side = min(side, DATASETS[data].shorter_side or side)
        config = config.changed({"clips": {"shorter_side": side}})
    config = config.changed(values, path or "options")
    changes: dict[str, Any] = {"dataset": data}
    for part, settings in (options or {}).items():
        changes[part] = {name: value for name, value in settings.items() if value is not None}
    kinds = changes.get("pseudo", {}).get("kinds", config.pseudo.kinds)
    if "kinds" in values.get("pseudo", {}) and tuple(kinds) != config.pseudo.kinds:
        config = config.changed({"pseudo": {"weights": None, "strengths": None}})
    return config.changed(changes)


def train_run(
    config: RunConfig, out: str | Path, root: str | Path | None = None, resume: bool = False
) -> Run:
    """Train on a dataset by name.

    Args:
        config: the settings, see `make_config`; `model.channels` follows the clips.
        out: the run's folder.
        root: see `load_videos`.
        resume: see `fit`.

    Raises:
        InputError: see `load_videos`, `ClipDataset` and `fit`.
    """
    state = processes(pick_device(config.training.device))
    require_free(expand_home(out), resume)
    videos = load_videos(config.dataset or "", "train", root)
    channels = config.clips.channels or header_shape(videos[0].frames)[3]
    torch.manual_seed(config.training.seed)
    model = DualPathAutoencoder(replace(config.model, channels=channels))
    progress = state.is_main_process
    with state.main_process_first():  # the others get frames, boxes and patches from the cache
        mixer = make_mixer(config.pseudo)
        boxes = None
        if "object" in config.pseudo.kinds and config.pseudo.p > 0:
            boxes = find_boxes(videos, config.pseudo.detector, progress, config.training.device)
        clips = ClipDataset(videos, config.clips, boxes, progress)
    name = config.dataset
    return fit(model, clips, mixer, config.training, out, resume, name, score=config.score)


def evaluate_run(
    run: Run | str | Path,
    data: str | None = None,
    root: str | Path | None = None,
    device: str = "auto",
    with_baselines: bool = False,
    ground_truth: str | None = None,
    protocol: str = "all",
    out: str | Path | None = None,
) -> Result:
    """Score the test videos of a dataset and write `scores.npz` and `metrics.json`.

    Without labels there are scores, but no metrics. The flat metrics are of protocol "all" and the
    chosen ground truth. "protocols" holds those of further ground truths, and, with `protocol`
    "center", of that protocol, by names such as "center, vol".

    Args:
        run: see `open_run`.
        data: the dataset's name; None: the one that the run was trained on.
        root: see `load_videos`.
        device: see `evaluate`.
        with_baselines: the metrics get a part "baselines": what scores without learning reach on
            the same videos; see `baseline_scores`.
        ground_truth: see `load_videos`.
        protocol: "all", or "center" beside it, which takes another, longer pass.
        out: the folder to write to; None: the run's own, or none for a pretrained run.

    Raises:
        InputError: see `open_run`, `load_videos` and `evaluate`.
    """
    run = open_run(run)
    data = data or run.config.dataset or ""
    require_known(protocol, PROTOCOLS, "protocol")
    copy = find_copy(data, root, ground_truth)
    videos = copy.open("test", ground_truth)
    progress = processes(pick_device(device)).is_main_process
    result = evaluate_videos(run, videos, device, progress)
    if result.metrics:
        results = {"all": result}
        if protocol == "center":
            centre = evaluate_videos(run, videos, device, progress, protocol)
            # Without the error maps, which take 1.5 GB for a large set.
            parts = {name: replace(part, maps=None) for name, part in centre.videos.items()}
            results[protocol] = replace(centre, videos=parts)
        result.metrics.update(dataset=data, protocols={})
        _measure_protocols(results, copy, videos, run)
    if with_baselines and result.metrics.get("micro_auc_raw") is not None:
        scores = baseline_scores(copy.open("train"), videos)
        result.metrics["baselines"] = measure_baselines(scores, result.labels)
    folder = out or run.results_folder
    if folder and progress:
        result.save(folder)
    return result


def _measure_protocols(
    results: Mapping[str, Result], copy: DatasetCopy, videos: Sequence[Video], run: Run
) -> None:
    """Add the other protocols and ground truths to the metrics of protocol "all"."""
    metrics: dict[str, Any] = results["all"].metrics
    first = videos[0].ground_truth
    truths = {first: dict(results["all"].labels)}
    for truth in copy.ground_truths():
        try:
            if truth.name != first:
                truths[truth.name] = copy.labels(truth.name, videos)
        # Told in the metrics: half a copy of the one must not cost the scores by the other.
        except InputError as error:
            metrics.setdefault("not_measured", {})[truth.name] = str(error)
    for name, labels in truths.items():
        for protocol, result in results.items():
            parts = {}
            for video, values in labels.items():
                parts[video] = values[scored_frames(len(values), run.config.clips, protocol)]
            if (protocol, name) != ("all", first):
                metrics["protocols"][f"{protocol}, {name}"] = measure(result, parts)


def evaluate_once(
    run: Run | str | Path, videos: Sequence[Video], folder: str | Path, device: str = "auto"
) -> Result:
    """Return `evaluate`'s result, stored in a folder: several notebooks look at the same scores.

    A stored result is taken if it is of a run with the same calibration and of videos with the same
    names, lengths and labels.

    Args:
        run, videos, device: see `evaluate`.
        folder: where the result is stored.

    Raises:
        InputError: see `evaluate` and `Result.save`.
    """
    run = open_run(run)
    result = _stored_result(folder, run, videos)
    if result is None:
        is_main = processes(pick_device(device)).is_main_process
        result = evaluate_videos(run, videos, device, is_main)
        if is_main:
            result.save(folder)
    return result


def _stored_result(folder: str | Path, run: Run, videos: Sequence[Video]) -> Result | None:
    """Return the result in a folder; None if there is none, it cannot be read, or it is of another
    run or other videos, because then it is computed again.
    """
    try:
        result = Result.load(folder)
    except InputError:
        return None
    lengths = {video.name: len(video) for video in videos}
    labels = {video.name: video.labels for video in videos if video.labels is not None}
    # The metrics are written last, so a kill left the result incomplete.
    is_whole = bool(result.metrics) == (len(labels) == len(videos))
    is_whole &= lengths == {name: len(scores) for name, scores in result.scores.items()}
    calibration = Calibration.load(run.folder / "calibration.npz").arrays()
    is_same = _equal(result.labels, labels) and _equal(result.calibration.arrays(), calibration)
    return result if is_whole and is_same else None


def _equal(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> bool:
    has_same_names = first.keys() == second.keys()
    return has_same_names and all(np.array_equal(first[name], second[name]) for name in first)


def plot_run(result: Result, out: str | Path) -> None:
    """Write a score curve of each video, `curves/NAME.png`, and, if there are labels of both kinds,
    `roc.png` into a folder.

    Raises:
        InputError: the folder cannot be written, or the disk is full.
    """
    from vadlib.output.plots import plot_roc, plot_scores

    out = expand_home(out)
    shutil.rmtree(out / "curves", ignore_errors=True)  # those of other videos
    (out / "roc.png").unlink(missing_ok=True)
    for name in result.scores:
        # A name such as cam1/monday makes a folder.
        _save_plot(out / "curves" / f"{name}.png", plot_scores, result, name)
    if result.metrics.get("micro_auc_raw") is not None:
        curves = {"calibrated score": result.scores, "raw score": result.raw}
        _save_plot(out / "roc.png", plot_roc, result.labels, curves)


def _save_plot(path: Path, plot: Callable[..., object], *arguments: object) -> None:
    """Write what a function plots."""
    import matplotlib.pyplot as plt

    with atomic(path) as temporary:
        plot(*arguments)
        plt.savefig(temporary, dpi=120)
        plt.close()


def score_video(
    run: Run | str | Path,
    path: str | Path,
    out: str | Path,
    device: str = "auto",
    scene: str | None = None,
    progress: bool = True,
) -> Result:
    """Score one video while it is read, and write `scores.csv`, `curve.png` and `annotated.mp4`.

    Earlier files are replaced when all is done. Memory does not grow with the length of the video.

    Args:
        run: see `open_run`.
        path: a video file, or a folder of frame images.
        out: the folder to write to.
        device: where to compute.
        scene: which of the run's scenes it shows; None: see `find_scene`.
        progress: show a bar.

    Returns:
        The scores, without error maps. The scene of the video is "" if the run knows no scene that
        it could be.

    Raises:
        InputError: no run, one without calibration, no video, or see `find_scene` and
            `stream_scores`.
    """
    from vadlib.output.annotation import annotate
    from vadlib.output.plots import plot_scores

    run = open_run(run)
    calibration = Calibration.load(run.folder / "calibration.npz")
    threshold = calibration.threshold
    video = open_video(Path(path))
    seconds = video.seconds
    scene = find_scene(calibration, run.config.clips, video, scene)
    scored = stream_scores(run, calibration, video, scene, device)
    scores: list[float] = []

    def annotated() -> Iterator[np.ndarray]:
        bar = tqdm(scored, "scoring", len(video), unit="frame", disable=not progress)
        for frame, time in zip(bar, seconds, strict=True):
            scores.append(frame.score)
            yield annotate(frame.frame, frame.map, frame.score, threshold, time)

    out = expand_home(out)
    film = out / "annotated.mp4"
    try:
        with atomic(out / "scores.csv") as csv, atomic(film) as temporary, steady_memory():
            encode_video(temporary, annotated(), video.fps, seconds, film, ANNOTATED)
            values = np.array(scores)
            rows = np.transpose([np.arange(len(values)), seconds, values, values > threshold])
            np.savetxt(csv, rows, "%d,%f,%f,%d", header="frame,time,score,abnormal", comments="")
            result = Result({video.name: VideoResult(values, seconds, scene)}, calibration)
            _save_plot(out / "curve.png", plot_scores, result, video.name)
    finally:
        with suppress(OSError):  # only an empty folder goes, after an error
            out.rmdir()
    return result
