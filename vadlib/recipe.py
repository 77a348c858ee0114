"""Whole jobs from plain values: train a dataset by name, evaluate a run, plot it. The command line and the notebooks call these."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from vadlib.config import from_dict, require
from vadlib.data.catalog import load_videos
from vadlib.data.clips import ClipDataset, DataConfig
from vadlib.device import pick_device, processes
from vadlib.engine.config import TrainConfig
from vadlib.engine.fit import fit, require_free
from vadlib.errors import InputError
from vadlib.evaluation.evaluate import Result
from vadlib.evaluation.evaluate import evaluate as evaluate_videos
from vadlib.evaluation.metrics import macro_auc, micro_auc, per_video
from vadlib.evaluation.yardstick import yardstick_scores
from vadlib.model.network import DualPathAutoencoder, ModelConfig
from vadlib.model.run import Run
from vadlib.pseudo.detectors import find_boxes
from vadlib.pseudo.mixer import KINDS, make_mixer


@dataclass(frozen=True)
class MixerConfig:
    """Which pseudo-anomalies to make, by name."""

    kinds: tuple[str, ...] = tuple(KINDS)
    p: float = 0.2  # probability that a clip becomes one
    detector: str = "motion"  # finds the people to paste onto; see `find_boxes`
    patches: str = "builtin"  # the pictures to paste; see `load_patches`
    weights: tuple[float, ...] | None = None  # how often each kind is drawn, compared with the others; None: equally
    strengths: tuple[tuple[float, float], ...] | None = None  # the range of each kind; None: its default

    @classmethod
    def preset(cls, name: str) -> MixerConfig:
        """What goes with the model preset of that name: the published ones turn one clip in a hundred, or in fifty."""
        return cls(p={"paper": 0.01, "compact": 0.02}.get(name, cls.p))


def train_run(
    data: str, root: Path | None, preset: str, chosen: Mapping[str, Mapping], out: Path, resume: bool = False, config: Path | None = None
) -> Run:
    """Train on a dataset by name.

    Args:
        data, root: see `load_videos`.
        preset: of the model, the clips, the mixer and the training.
        chosen: values of the parts "data", "model", "mixer" and "training"; None means not chosen. They win over `config`.
        out: the run's folder.
        resume: go on with an interrupted run.
        config: a JSON file with the same parts; they win over the preset.

    Raises:
        InputError: an unknown key or a wrong value, or what `load_videos`, `ClipDataset` and `fit` refuse.
    """
    given = _read_config_file(config) if config else {}
    parts = {part: dict(given.get(part, {})) for part in ("data", "model", "mixer", "training")}
    for part, values in chosen.items():
        parts[part] |= {key: value for key, value in values.items() if value is not None}
    where = str(config or "options")
    cutting = from_dict(DataConfig, asdict(DataConfig.preset(preset)) | parts["data"], where)
    mixing = from_dict(MixerConfig, asdict(MixerConfig.preset(preset)) | parts["mixer"], where)
    training = from_dict(TrainConfig, asdict(TrainConfig.preset(preset)) | parts["training"], where)

    together = processes(pick_device(training.device))
    require_free(out, resume)
    videos = load_videos(data, "train", root)
    shape = asdict(ModelConfig.preset(preset, channels=cutting.channels or videos[0].frames.shape[3])) | parts["model"]
    torch.manual_seed(training.seed)
    model = DualPathAutoencoder(from_dict(ModelConfig, shape, where))
    dataset = {"name": data, "preset": preset, "detector": mixing.detector, "patches": mixing.patches}
    with together.main_process_first():  # the others find frames, boxes and patches in the cache
        mixer = make_mixer(mixing.kinds, mixing.p, mixing.patches, mixing.weights, mixing.strengths)
        shown = together.is_main_process
        pasting = "object" in mixing.kinds and mixing.p > 0
        boxes = find_boxes(videos, mixing.detector, shown, training.device) if pasting else None
        clips = ClipDataset(videos, cutting, boxes, shown)
    return fit(model, clips, mixer, training, out, resume, dataset)


def evaluate_run(
    run: Run | Path,
    data: str | None,
    root: Path | None,
    device: str = "auto",
    with_yardstick: bool = False,
    ground_truth: str | None = None,
) -> Result:
    """Score the test videos of a dataset (by default the run's own) and leave `scores.npz` and `metrics.json` in the run's folder.

    Without labels there are scores, but no metrics. With `with_yardstick` the metrics have a part "yardstick": motion energy, without
    learning, on the same videos. `ground_truth`: see `load_videos`.
    """
    run = run if isinstance(run, Run) else Run.load(run)
    data = data or run.config["dataset"].get("name")
    require(data is not None, f"{run.folder}: its config does not name a dataset; name one with --data")
    videos = load_videos(data, "test", root, ground_truth)
    result = evaluate_videos(run, videos, device, progress=processes(pick_device(device)).is_main_process)
    if result.metrics:
        result.metrics["dataset"] = data
    if result.metrics and with_yardstick:
        result.metrics["yardstick"] = measure_yardstick(yardstick_scores(load_videos(data, "train", root), videos), result.labels)
    if processes().is_main_process:
        result.save(run.folder)
    return result


def measure_yardstick(scores: dict, labels: dict) -> dict:
    """Raw and per-video micro AUC, and macro AUC, of the yardstick's scores."""
    return {
        "micro_auc_raw": micro_auc(scores, labels),
        "micro_auc_per_video": micro_auc(per_video(scores), labels),
        "macro_auc": macro_auc(scores, labels)[0],
    }


def plot_run(result: Result, out: Path) -> None:
    """Write a score curve of each video, `curves/NAME.png`, and, if there are labels of both kinds, `roc.png` into a folder."""
    import matplotlib.pyplot as plt

    from vadlib.view.plots import plot_roc, plot_scores

    shutil.rmtree(out / "curves", ignore_errors=True)  # those of other videos
    (out / "roc.png").unlink(missing_ok=True)
    plots = {out / "curves" / f"{name}.png": lambda name=name: plot_scores(result, name) for name in result.scores}
    if result.metrics.get("micro_auc_raw") is not None:
        plots[out / "roc.png"] = lambda: plot_roc(result)
    for path, plot in plots.items():
        path.parent.mkdir(parents=True, exist_ok=True)  # one's own videos may be called cam1/monday
        figure = plot().figure
        figure.savefig(path, dpi=120)
        plt.close(figure)


def _read_config_file(path: Path) -> dict:
    require(path.is_file(), f"{path}: no such file; expected JSON with some of the parts data, model, mixer, training")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from error
    require(isinstance(values, dict), f"{path}: expected a JSON object with some of the parts data, model, mixer, training")
    for part, inside in values.items():
        if part not in ("data", "model", "mixer", "training"):
            raise InputError(f"{path}: unknown key {part!r}; known keys: data, model, mixer, training")
        require(isinstance(inside, dict), f"{path}: {part} = {inside!r}; expected an object")
    return values
