"""Whole jobs from plain values: train a dataset by name, evaluate a run, plot it. The command line
and the notebooks call these.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TextIO

import numpy as np
import torch
from tqdm.auto import tqdm

from vadlib.config import (
    ClipConfig,
    ModelConfig,
    PseudoConfig,
    ScoreConfig,
    TrainConfig,
    from_dict,
)
from vadlib.data.catalog import DATASETS, find_copy, load_videos
from vadlib.data.clips import ClipDataset
from vadlib.data.copies import DatasetCopy
from vadlib.data.encode import ANNOTATED, encode_video
from vadlib.data.folder import open_video
from vadlib.data.video import Video
from vadlib.device import pick_device, processes, steady_memory
from vadlib.errors import InputError, require, require_known
from vadlib.evaluation.baselines import baseline_scores, measure_baselines
from vadlib.evaluation.calibration import Calibration
from vadlib.evaluation.error_maps import PROTOCOLS, scored_frames
from vadlib.evaluation.evaluate import evaluate as evaluate_videos
from vadlib.evaluation.evaluate import measure
from vadlib.evaluation.result import Result, VideoResult
from vadlib.evaluation.stream import find_scene, stream_scores
from vadlib.files import atomic, expand_home, require_writable
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import Run, current_shape, open_run
from vadlib.pseudo.detectors import find_boxes
from vadlib.pseudo.mixer import make_mixer
from vadlib.training.fit import fit, require_free

PARTS = ("dataset", "data", "model", "mixer", "training")  # of a run's config.json


@dataclass(frozen=True)
class DatasetConfig:
    """What a run was trained on."""

    name: str | None = None
    preset: str = "fast"  # what the other parts leave out is taken from it
    # their number, and a hash of them, are noted by `fit`; they choose nothing
    clips: int | None = None
    fingerprint: str | None = None


def train_run(
    data: str | None,
    root: Path | None,
    preset: str | None,
    chosen: Mapping[str, Mapping],
    out: Path,
    resume: bool = False,
    config: Path | None = None,
) -> Run:
    """Train on a dataset by name.

    Args:
        data, root: see `load_videos`; no data: the dataset that `config` names, else "synthetic".
        preset: of the model, the clips, the mixer, the training and the score; None: that of the
            run whose `config` it is, else `default_preset`.
        chosen: values of the parts "data", "model", "mixer" and "training"; None means not chosen.
            They win over `config`. Weights and strengths in `config` belong to the kinds that it
            names: with other kinds they are not used.
        out: the run's folder.
        resume: go on with an interrupted run.
        config: a JSON file with parts of a run's `config.json`, or that file itself, which repeats
            the run; they win over the preset.

    Raises:
        InputError: an unknown key or a wrong value, or what `load_videos`, `ClipDataset` and `fit`
            refuse.
    """
    out = expand_home(out)
    config = expand_home(config) if config else None
    where = str(config or "options")
    given = _read_config_file(config) if config else {}
    source = from_dict(DatasetConfig, given.get("dataset", {}), where)
    data = chosen_dataset(data, config)
    if preset is None:
        preset = source.preset if "dataset" in given else default_preset(data)
    parts = {part: dict(given.get(part, {})) for part in ("data", "model", "mixer", "training")}
    kinds = chosen.get("mixer", {}).get("kinds")
    if kinds is not None and list(kinds) != parts["mixer"].get("kinds", list(kinds)):
        parts["mixer"].pop("weights", None)
        parts["mixer"].pop("strengths", None)
    for part, values in chosen.items():
        parts[part] |= {key: value for key, value in values.items() if value is not None}
    cutting = from_dict(ClipConfig, asdict(_clips_of(data, preset)) | parts["data"], where)
    mixing = from_dict(PseudoConfig, asdict(PseudoConfig.preset(preset)) | parts["mixer"], where)
    training = from_dict(TrainConfig, asdict(TrainConfig.preset(preset)) | parts["training"], where)

    together = processes(pick_device(training.device))
    require_free(out, resume)
    videos = load_videos(data, "train", root)
    shape = (
        asdict(ModelConfig.preset(preset, channels=cutting.channels or videos[0].frames.shape[3]))
        | parts["model"]
    )
    torch.manual_seed(training.seed)
    model = DualPathAutoencoder(from_dict(ModelConfig, shape, where))
    dataset = {
        "name": data,
        "preset": preset,
        "detector": mixing.detector,
        "patches": mixing.patches,
    }
    with together.main_process_first():  # the others find frames, boxes and patches in the cache
        mixer = make_mixer(
            mixing.kinds, mixing.p, mixing.patches, mixing.weights, mixing.strengths, mixing.grain
        )
        shown = together.is_main_process
        pasting = "object" in mixing.kinds and mixing.p > 0
        boxes = find_boxes(videos, mixing.detector, shown, training.device) if pasting else None
        clips = ClipDataset(videos, cutting, boxes, shown)
    score = ScoreConfig.preset(preset, frames=cutting.length)
    return fit(model, clips, mixer, training, out, resume, dataset, score=score)


def _clips_of(data: str, preset: str) -> ClipConfig:
    """The preset's clips, of frames that are shrunk further where the dataset asks for it."""
    config = ClipConfig.preset(preset)
    asked = DATASETS[data].shorter_side if data in DATASETS else None
    if asked is None or config.shorter_side is None:
        return config
    return replace(config, shorter_side=min(asked, config.shorter_side))


def default_preset(data: str) -> str:
    """Return "short" for the rendered street, so that a first try takes minutes, and "fast" for all
    other datasets.
    """
    return "short" if data == "synthetic" else "fast"


def chosen_dataset(data: str | None, config: Path | None) -> str:
    """Return the dataset that `train_run` takes: `data`, else the one that the file `config` names,
    else "synthetic".

    Raises:
        InputError: the file is none or is wrong, or it has a part "dataset" without a name.
    """
    if data is not None:
        return data
    config = expand_home(config) if config else None
    part = _read_config_file(config).get("dataset") if config else None
    if part is None:
        return "synthetic"
    name = from_dict(DatasetConfig, part, str(config)).name
    require(
        name is not None,
        f"{config}: its part dataset does not name a dataset; name one with --data",
        "conflict",
        file=config,
        field="dataset.name",
    )
    return name


def evaluate_run(
    run: Run | str | Path,
    data: str | None,
    root: Path | None,
    device: str = "auto",
    with_baselines: bool = False,
    ground_truth: str | None = None,
    protocol: str = "all",
    out: Path | None = None,
) -> Result:
    """Score the test videos of a dataset (by default the run's own) and leave `scores.npz` and
    `metrics.json` in a folder.

    Without labels there are scores, but no metrics. The flat metrics are of protocol "all" and the
    chosen ground truth; what else was measured stands under "protocols", by names such as "center,
    vol": each further ground truth that the copy has, and, with `protocol` "center", all of them
    under that protocol too, which takes another, longer pass.

    Args:
        run, data, root, device: see `evaluate` and `load_videos`.
        with_baselines: the metrics get a part "baselines": what scores without learning reach on
            the same videos; see `baseline_scores`.
        ground_truth: see `load_videos`.
        protocol: "all", or "center" beside it.
        out: that folder; None: the run's own, or none for a pretrained run, whose folder is the
            package's.
    """
    run = open_run(run)
    data = data or run.config["dataset"].get("name")
    require(
        data is not None,
        f"{run.folder}: its config does not name a dataset; name one with --data",
        "nothing-to-do",
        file=run.folder,
        field="data",
    )
    require_known(protocol, PROTOCOLS, "protocol")
    copy = find_copy(data, root, ground_truth)
    videos = copy.open("test", ground_truth)
    shown = processes(pick_device(device)).is_main_process
    result = evaluate_videos(run, videos, device, shown)
    if result.metrics:
        result.metrics["dataset"] = data
        result.metrics["protocols"] = {}
        found = {result.protocol: result}
        if protocol == "center":
            centre = evaluate_videos(run, videos, device, shown, protocol)
            # without its maps, of a large set 1.5 GB
            without_maps = {name: replace(part, maps=None) for name, part in centre.videos.items()}
            found[protocol] = replace(centre, videos=without_maps)
        truths, unusable = _ground_truths(copy, videos)
        for kind, labels in truths.items():
            for name, scored in found.items():
                if (name, kind) != ("all", videos[0].ground_truth):
                    kept = {
                        v.name: labels[v.name][scored_frames(len(v), run.data, name)]
                        for v in videos
                    }
                    result.metrics["protocols"][f"{name}, {kind}"] = measure(scored, kept)
        if unusable:
            result.metrics["not_measured"] = unusable
    if with_baselines and result.metrics.get("micro_auc_raw") is not None:
        scores = baseline_scores(copy.open("train"), videos)
        result.metrics["baselines"] = measure_baselines(scores, result.labels)
    out = expand_home(out) if out else run.results_folder
    if out and processes().is_main_process:
        result.save(out)
    return result


def evaluate_once(
    run: Run | str | Path, videos: Sequence[Video], folder: Path, device: str = "auto"
) -> Result:
    """`evaluate`, whose result is kept: several notebooks look at the same scores.

    A result that lies there is taken if it is of a run with the same calibration and of videos with
    the same names, lengths and labels.

    Args:
        run, videos, device: see `evaluate`.
        folder: where the result lies, or will lie.

    Raises:
        InputError: what `evaluate` refuses, or a folder that cannot be written.
    """
    run, folder = open_run(run), expand_home(folder)
    kept = _kept_result(folder)
    if kept is not None:
        calibration = Calibration.load(run.folder / "calibration.npz")
        labels = {video.name: video.labels for video in videos if video.labels is not None}
        complete = bool(kept.metrics) == (len(labels) == len(videos))  # they are written last
        lengths = {name: len(curve) for name, curve in kept.scores.items()} == {
            video.name: len(video) for video in videos
        }
        if (
            complete
            and lengths
            and _equal(kept.labels, labels)
            and _equal(kept.calibration.arrays(), calibration.arrays())
        ):
            return kept
    require_writable(folder)
    main = processes(pick_device(device)).is_main_process
    result = evaluate_videos(run, videos, device, main)
    if main:
        result.save(folder)
    return result


def _kept_result(folder: Path) -> Result | None:
    """What lies there; None where nothing does, or nothing that can be read: it is made again then."""
    try:
        return Result.load(folder) if (folder / "scores.npz").is_file() else None
    except InputError:
        return None


def _equal(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> bool:
    return first.keys() == second.keys() and all(
        np.array_equal(first[name], second[name]) for name in first
    )


def _ground_truths(
    copy: DatasetCopy, videos: Sequence[Video]
) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, str]]:
    """All frame labels that a copy has for its test videos, by name, and why others cannot be used."""
    truths = {videos[0].ground_truth: {v.name: v.labels for v in videos}}
    unusable = {}
    for truth in copy.ground_truths():
        if truth.name not in truths:
            try:
                truths[truth.name] = copy.labels(truth.name, videos)
            # told in the metrics: half a copy of the one must not cost the scores by the other
            except InputError as error:
                unusable[truth.name] = str(error)
    return truths, unusable


def plot_run(result: Result, out: Path) -> None:
    """Write a score curve of each video, `curves/NAME.png`, and, if there are labels of both kinds,
    `roc.png` into a folder.

    Raises:
        InputError: the folder cannot be written, or the disk is full.
    """
    import matplotlib.pyplot as plt

    from vadlib.output.plots import plot_roc, plot_scores

    out = expand_home(out)
    shutil.rmtree(out / "curves", ignore_errors=True)  # those of other videos
    (out / "roc.png").unlink(missing_ok=True)
    plots = {
        out / "curves" / f"{name}.png": lambda name=name: plot_scores(result, name)
        for name in result.scores
    }
    if result.metrics.get("micro_auc_raw") is not None:
        plots[out / "roc.png"] = lambda: plot_roc(
            result.labels, {"calibrated score": result.scores, "raw score": result.raw}
        )
    for path, plot in plots.items():
        figure = plot().figure
        with atomic(path) as temporary:  # makes folders: one's own videos may be called cam1/monday
            figure.savefig(temporary, dpi=120)
        plt.close(figure)


def score_video(
    run: Run | str | Path,
    path: Path,
    out: Path,
    device: str = "auto",
    scene: str | None = None,
    progress: bool = True,
) -> Result:
    """Score one video of one's own while it is read, and write `scores.csv`, `curve.png` and
    `annotated.mp4` into a folder.

    The files of an earlier time are replaced when all is done; memory does not grow with the
    video's length.

    Args:
        run: what `fit` returned, a run's folder, or a pretrained name.
        path: a video file, or a folder of frame images.
        out: the folder to write to.
        device: where to compute.
        scene: which of the run's scenes it shows; None: see `find_scene`.
        progress: show a bar.

    Returns:
        The scores, without error maps. The scene of the video is "" if the run knows no scene that
        it could be.

    Raises:
        InputError: no run, one without calibration, no video, or what `find_scene` and
            `stream_scores` refuse.
    """
    import matplotlib.pyplot as plt

    from vadlib.output.annotation import annotate
    from vadlib.output.plots import plot_scores

    run, out = open_run(run), expand_home(out)
    calibration = Calibration.load(run.folder / "calibration.npz")
    video = open_video(path)
    scene, seconds, scores = find_scene(calibration, run.data, video, scene), video.seconds, []
    scored = stream_scores(run, calibration, video, scene, device)

    def annotated(table: TextIO) -> Iterator[np.ndarray]:
        table.write("frame,time,score,abnormal\n")
        for t, found in enumerate(
            tqdm(scored, "scoring", len(video), unit="frame", disable=not progress)
        ):
            scores.append(found.score)
            table.write(
                f"{t},{seconds[t]:.6f},{found.score:.6f},{int(found.score > calibration.threshold)}\n"
            )
            yield annotate(found.frame, found.map, found.score, calibration.threshold, seconds[t])

    new = not out.exists()
    try:
        paths = (out / name for name in ("scores.csv", "curve.png", "annotated.mp4"))
        with ExitStack() as files, steady_memory():
            rows, curve, film = (files.enter_context(atomic(path)) for path in paths)
            with rows.open("w", encoding="utf-8") as table:
                encode_video(
                    film, annotated(table), video.fps, seconds, out / "annotated.mp4", ANNOTATED
                )
            name = video.name
            scored_video = VideoResult(np.array(scores), seconds, scene)
            result = Result({name: scored_video}, calibration)
            figure = plot_scores(result, name).figure
            figure.savefig(curve, dpi=120)
            plt.close(figure)
    except BaseException:
        if new and out.is_dir() and not any(out.iterdir()):
            out.rmdir()
        raise
    return result


def _read_config_file(path: Path) -> dict:
    require(
        path.is_file(),
        f"{path}: no such file; expected JSON with some of the parts {', '.join(PARTS)}",
        "missing-file",
        file=path,
        field="config",
    )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path}: not JSON ({error}); correct the file", "wrong-format", file=path
        ) from error
    require(
        isinstance(values, dict),
        f"{path}: expected a JSON object with some of the parts {', '.join(PARTS)}",
        "wrong-type",
        file=path,
    )
    for part, inside in values.items():
        if part not in PARTS:
            raise InputError(
                f"{path}: unknown key {part!r}; known keys: {', '.join(PARTS)}",
                "unknown-key",
                file=path,
                field=part,
            )
        require(
            isinstance(inside, dict),
            f"{path}: {part} = {inside!r}; expected an object",
            "wrong-type",
            file=path,
            field=part,
        )
    return current_shape(values)
