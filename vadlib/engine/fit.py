"""The training loop. It knows nothing of the model's insides; what it minimises is `objective_terms`."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from vadlib.config import require
from vadlib.data.clips import ClipDataset, DataConfig, too_short
from vadlib.device import autocast, pick_device, pick_precision
from vadlib.engine.samples import Batch, Samples, derived_generator, load_batches
from vadlib.errors import InputError
from vadlib.evaluation.errors import error_maps
from vadlib.evaluation.scores import calibrate, local_errors
from vadlib.files import atomic, write_json
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.objective import OBJECTIVES, objective_terms, total
from vadlib.model.run import Run, load_weights, read_config, save_weights
from vadlib.pseudo.mixer import PseudoAnomalyMixer

HELD_OUT = 0.125  # share of the training videos that calibrate the scores and are not trained on
CHECKPOINT_SECONDS = 60
MAX_BAD_STEPS = 5  # non-finite steps in a row before training stops


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Stored with the run."""

    epochs: int = 3  # passes over the clips: 5 to 10 minutes for Ped2 on two CPU cores
    seed: int = 0
    batch_size: int = 8  # small: more steps for the same clips bring the error down faster
    learning_rate: float = 1e-3  # of Adam; rises over the first steps, then falls to 0 along a cosine
    objective: str = "inpaint"  # "inpaint", or "none": rebuild normal clips only
    sparsity_weight: float = 2e-4  # of the entropy of the memory's addressing
    max_gradient: float = 1.0  # longer gradients are cut to this norm
    device: str = "auto"  # "auto", "cpu", "cuda" or "mps"
    precision: str = "auto"  # "auto": bf16 where the hardware has it, else float32; "fp32" or "bf16"
    workers: int = 0  # processes that read clips; 0 reads them in the training process

    def __post_init__(self):
        for name in ("epochs", "batch_size"):
            require(getattr(self, name) >= 1, f"TrainConfig.{name} = {getattr(self, name)}; expected at least 1")
        for name in ("seed", "workers", "sparsity_weight"):
            require(getattr(self, name) >= 0, f"TrainConfig.{name} = {getattr(self, name)}; expected at least 0")
        for name in ("learning_rate", "max_gradient"):
            require(getattr(self, name) > 0, f"TrainConfig.{name} = {getattr(self, name)}; expected more than 0")
        require(self.seed < 2**63, f"TrainConfig.seed = {self.seed}; expected less than 2**63")
        require(self.objective in OBJECTIVES, f"objective {self.objective!r} is unknown; expected one of: {', '.join(OBJECTIVES)}")


def fit(
    model: DualPathAutoencoder,
    clips: ClipDataset,
    mixer: PseudoAnomalyMixer | None,
    config: TrainConfig,
    out: str | Path,
    resume: bool = False,
    dataset: dict | None = None,
    progress: bool = True,
) -> Run:
    """Train the model and leave a run's folder that can be evaluated.

    Whole training videos are held out (with only one: its last part); at the end they calibrate the scores. A
    checkpoint is written every minute; a killed training goes on from it with `resume` and ends with the same weights.

    Args:
        model: trained in place.
        clips: all training videos.
        mixer: makes the pseudo-anomalies; None for none.
        config: how to train.
        out: the run's folder.
        resume: go on with an interrupted training in `out`; a finished one is only loaded, and none there is started.
        dataset: what the clips came from, such as {"name": "ped2"}, kept in `config.json`.
        progress: show bars.

    Returns:
        The run; its `model` is the argument, trained.

    Raises:
        InputError: `out` already holds a run and `resume` is off, or one of another configuration; too few clips for a batch;
            or training diverged.
    """
    out = Path(out)
    channels = clips.frames[0].shape[3]
    require(
        channels == model.config.channels, f"clips of {channels} channels, but the model takes {model.config.channels}; set its channels"
    )
    parts = _config_parts(model, clips, mixer, config, dataset)
    require_free(out, resume)
    if (out / "config.json").exists():
        _require_same(out, parts)
    run = Run(out, parts, clips.config, model)
    if resume and (out / "calibration.npz").exists():  # written last: the run is finished
        load_weights(model, out / "model.safetensors")
        model.eval()
        return run
    chosen, held_out = hold_out(clips)
    device = pick_device(config.device)
    samples = Samples(clips, chosen, mixer, config.seed)
    require(
        len(chosen) >= config.batch_size,
        f"{len(chosen)} training clips, fewer than a batch of {config.batch_size}; lower batch_size or clip_step",
    )
    model.to(device).train()
    trainer = Trainer(model, samples, config, device, out)
    if not trainer.load():
        first = next(load_batches(samples, samples.batches(0, config.batch_size)[:1], 0, False))
        model.fill_memories(first.normal.to(device), derived_generator(config.seed, 0, 0, 0))
    if not (out / "config.json").exists():  # after what can be refused, so that a refused training leaves no run behind
        write_json(out / "config.json", parts)
    trainer.train(progress)
    model.eval()
    save_weights(model, out / "model.safetensors")
    calibrate(_held_out_errors(run, held_out, device)).save(out / "calibration.npz")
    return run


def require_free(out: Path, resume: bool) -> None:
    """Raise `InputError` where a training could not put its run."""
    require(not out.exists() or out.is_dir(), f"{out}: a file; expected a new folder for the run")
    taken = (out / "config.json").exists() and not resume
    require(not taken, f"{out}: already holds a run; go on with it (--resume, or resume=True), or choose another folder")


def hold_out(clips: ClipDataset) -> tuple[np.ndarray, list[tuple[str, np.ndarray]]]:
    """Split the clips: positions in `clips` to train on, and (scene, frames) of what is held out.

    Of each scene with several videos, every eighth video is held out, at least one, spread evenly. Of a scene with one video
    its last fifth is, after a gap of a clip; only the look-ahead of a skipping pseudo-anomaly may reach into it.

    Raises:
        InputError: a single video too short to split.
    """
    scenes: dict[str, list[int]] = {}
    for v, video in enumerate(clips.videos):
        scenes.setdefault(video.scene, []).append(v)
    span = clips.config.length * clips.config.frame_step
    first_held_out = np.array([len(frames) for frames in clips.frames])  # of each video; its length where none is
    last_trained = first_held_out.copy()
    for members in scenes.values():
        if len(members) > 1:
            count = max(1, round(HELD_OUT * len(members)))
            for k in range(count):
                v = members[int((k + 0.5) * len(members) / count)]
                first_held_out[v] = last_trained[v] = 0
        else:
            v = members[0]
            first_held_out[v] = len(clips.frames[v]) - max(span, len(clips.frames[v]) // 5)
            last_trained[v] = first_held_out[v] - span
            require(
                last_trained[v] >= span,
                f"video {clips.videos[v].name}: {len(clips.frames[v])} frames; its scene has no other video, so a part is held out "
                f"for calibration, which takes at least {4 * span} frames: add a video, or make clips shorter",
            )
    # A clip may be changed by frames after it (skipping looks ahead); those of a held-out tail may be seen as a pseudo-
    # anomaly's end, never as a normal clip to rebuild.
    ends = clips.index[:, 1] + (clips.config.length - 1) * clips.config.frame_step + 1
    chosen = np.flatnonzero(ends <= last_trained[clips.index[:, 0]])
    for video, frames, first in zip(clips.videos, clips.frames, first_held_out, strict=True):
        if first < len(frames) < span:
            raise too_short(video, len(frames), span)
    parts = zip(clips.videos, clips.frames, first_held_out, strict=True)
    return chosen, [(video.scene, frames[first:]) for video, frames, first in parts if first < len(frames)]


class Trainer:
    """Weights, optimiser and position of one training, which a checkpoint holds and brings back."""

    def __init__(self, model: DualPathAutoencoder, samples: Samples, config: TrainConfig, device: torch.device, out: Path):
        self.model, self.samples, self.config, self.device, self.out = model, samples, config, device, out
        self.precision = training_precision(config.precision, device, samples.clips.config.length)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
        self.per_epoch = len(samples.chosen) // config.batch_size
        self.step = 0
        self.sums: dict[str, list[float]] = {}  # of the current epoch: each term's sum, and the number of steps that had it
        self.outcomes: list[int] = []  # the mixer's, of the current epoch
        self.history: list[dict] = []
        self.bad_steps = 0

    def train(self, progress: bool) -> None:
        """Go from the current step to the end."""
        steps, saved = self.config.epochs * self.per_epoch, time.monotonic()
        bar = tqdm(
            total=steps * self.config.batch_size,
            initial=self.step * self.config.batch_size,
            desc="training",
            unit="clip",
            disable=not progress,
        )
        with bar:
            while self.step < steps:
                epoch, done = divmod(self.step, self.per_epoch)
                batches = self.samples.batches(epoch, self.config.batch_size, skip=done)
                for batch in load_batches(self.samples, batches, self.config.workers, self.device.type == "cuda"):
                    terms = self.update(batch, steps)
                    bar.update(self.config.batch_size)
                    bar.set_postfix({"epoch": epoch + 1, "error": f"{terms['rebuild']:.4f}"}, refresh=False)
                    # Not at an epoch's end: there the history's row is still to be written, and a save follows.
                    if time.monotonic() - saved > CHECKPOINT_SECONDS and self.step % self.per_epoch:
                        self.save()
                        saved = time.monotonic()
                means = {name: value / max(1, count) for name, (value, count) in self.sums.items()}
                counts = self.samples.mixer.count(self.outcomes) if self.samples.mixer else {}
                self.history.append({"epoch": epoch + 1} | means | counts)
                self.sums, self.outcomes = {}, []
                self.save()
        self.write_history()

    def update(self, batch: Batch, steps: int) -> dict[str, float]:
        """One step; returns the unweighted terms. A non-finite loss or gradient leaves the weights as they are."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * schedule(self.step, steps)
        batch = Batch(*(part.to(self.device, non_blocking=True) for part in batch))
        with autocast(self.device, self.precision):
            terms = objective_terms(self.model, batch.normal, batch.inputs, batch.is_pseudo, self.config.objective)
        self.outcomes += batch.outcome.tolist()
        self.optimizer.zero_grad(set_to_none=True)
        total(terms, self.config.sparsity_weight).backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_gradient)
        values = {name: float(value.detach()) for name, value in terms.items()}
        if math.isfinite(sum(values.values())) and bool(torch.isfinite(norm)):
            self.optimizer.step()
            self.bad_steps = 0
            for name, value in values.items():
                so_far, count = self.sums.get(name, [0.0, 0])
                self.sums[name] = [so_far + value, count + (value != 0)]  # a term without clips of its kind is exactly 0
        else:
            self.bad_steps += 1
            tqdm.write(f"step {self.step}: the loss or its gradient is not finite; skipped")
            if self.bad_steps >= MAX_BAD_STEPS:
                raise InputError(
                    f"training diverged: {MAX_BAD_STEPS} non-finite steps in a row; lower learning_rate, or set precision to fp32"
                )
        self.step += 1
        return values

    def save(self) -> None:
        """Write `state.pt` and `history.csv`, atomically."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        state |= {"step": self.step, "sums": self.sums, "outcomes": self.outcomes, "history": self.history}
        with atomic(self.out / "state.pt") as temporary:
            torch.save(state, temporary)
        self.write_history()

    def write_history(self) -> None:
        """Write `history.csv`: one row an epoch, the mean of each term and what the mixer made and could not make."""
        if self.history:
            with atomic(self.out / "history.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(self.history[0]))
                writer.writeheader()
                writer.writerows(self.history)

    def load(self) -> bool:
        """Go on from `state.pt`, if there is one.

        Raises:
            InputError: it is damaged, or from another model.
        """
        path = self.out / "state.pt"
        if not path.exists():
            return False
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        except Exception as error:  # torch raises many kinds for a damaged file; all mean the same to the user
            first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{path}: a damaged checkpoint, or one of another model ({first_line}); remove it to start over") from error
        self.step, self.sums, self.outcomes, self.history = (state[key] for key in ("step", "sums", "outcomes", "history"))
        return True


def training_precision(name: str, device: torch.device, length: int) -> torch.dtype | None:
    """`pick_precision`, but float32 on a CPU for clips that are 2 frames deep anywhere in the network.

    There the bf16 weight gradients of 3 x 3 x 3 convolutions were measured to be wrong, at random, on AMD CPUs.

    Raises:
        InputError: bf16 was asked for by name with such clips.
    """
    precision = pick_precision(name, device)
    if device.type != "cpu" or precision is None or all(-(-length // stride) != 2 for stride in (1, 2, 4)):
        return precision
    require(name == "auto", f"precision bf16 with clips of {length} frames: gradients at depth 2 are wrong on CPUs; use fp32, or 16 frames")
    return None


def schedule(step: int, steps: int) -> float:
    """Factor of the learning rate: rises over the first 2% of the steps, then falls to 0 along half a cosine."""
    warm = max(1, steps // 50)
    return min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * step / max(1, steps)))


def _held_out_errors(run: Run, held_out: Sequence[tuple[str, np.ndarray]], device: torch.device) -> dict[str, list[np.ndarray]]:
    local: dict[str, list[np.ndarray]] = {}
    for scene, frames in held_out:
        maps = error_maps(run.model, frames, run.data, device, run.config["training"]["precision"])
        local.setdefault(scene, []).append(local_errors(maps, run.data.length))
    return local


def _config_parts(
    model: DualPathAutoencoder, clips: ClipDataset, mixer: PseudoAnomalyMixer | None, config: TrainConfig, dataset: dict | None
) -> dict:
    mixing = {"p": mixer.p, "kinds": [kind.settings() for kind in mixer.kinds]} if mixer else {"p": 0.0, "kinds": []}
    mixing["weights"] = mixer.weights if mixer else []
    data: DataConfig = clips.config
    parts = {"dataset": dataset or {}, "data": asdict(data), "model": asdict(model.config), "mixer": mixing, "training": asdict(config)}
    return _as_json(parts)


def _as_json(value):
    if isinstance(value, dict):
        return {key: _as_json(v) for key, v in value.items()}
    return [_as_json(v) for v in value] if isinstance(value, (tuple, list)) else value


def _require_same(out: Path, parts: dict) -> None:
    stored = read_config(out)
    # Where a run computes does not change what it is, so a run may go on elsewhere.
    free = {"device", "workers"}
    for part, values in parts.items():
        for key in (values.keys() | stored[part].keys()) - free:
            old, new = stored[part].get(key), values.get(key)
            require(
                old == new,
                f"{out / 'config.json'}: {part}.{key} was {old!r}, now {new!r}; resume with the same settings, or choose another folder",
            )
