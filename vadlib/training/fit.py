"""`fit`: prepare a training, train, and calibrate the scores; continue after an interruption."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from vadlib.config import PseudoConfig, RunConfig, ScoreConfig, TrainConfig
from vadlib.data.clips import ClipDataset, too_short
from vadlib.device import pick_device, processes, share_out, steady_memory
from vadlib.errors import InputError, require
from vadlib.evaluation.calibration import calibrate
from vadlib.evaluation.error_maps import error_maps
from vadlib.evaluation.scores import ErrorMaps
from vadlib.files import expand_home, write_json
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import Run, load_weights, read_config, save_weights
from vadlib.pseudo.mixer import PseudoAnomalyMixer
from vadlib.training.samples import Samples, derived_generator, load_batches
from vadlib.training.trainer import Trainer, plain_errors

HELD_OUT = 0.125  # share of the training videos that calibrate the scores and are not trained on
# These settings do not change what a run is, so it may be continued with others.
FREE_SETTINGS = ("training.device", "training.workers", "training.compile")


def fit(
    model: DualPathAutoencoder,
    clips: ClipDataset,
    mixer: PseudoAnomalyMixer | None,
    config: TrainConfig,
    out: str | Path,
    resume: bool = False,
    dataset: str | None = None,
    progress: bool = True,
    score: ScoreConfig | None = None,
) -> Run:
    """Train the model and leave a run's folder that can be evaluated.

    Whole training videos are held out (with only one: its last part); at the end they calibrate the
    scores. A checkpoint is written every minute. With `resume` a killed training continues from it
    and ends with the same weights. Under `torchrun` all processes call this with the same
    arguments; each takes its share of every batch, and the main one writes.

    Args:
        model: trained in place.
        clips: all training videos.
        mixer: makes the pseudo-anomalies; None for none.
        config: how to train.
        out: the run's folder.
        resume: continue an interrupted training in `out`; load it if it has finished; start it if
            there is none.
        dataset: the name of the dataset, noted in `config.json` for `--config` and `evaluate`.
        progress: show bars.
        score: the score that the run is calibrated for; None: the default, averaged over as many
            frames as a clip has.

    Returns:
        The run; its `model` is the argument, trained.

    Raises:
        InputError: `out` already holds a run and `resume` is off, or one of another configuration;
            kinds of different grain or patches; too few clips for a batch; a batch too large for
            the memory; training diverged; or a file cannot be written. A training that wrote a
            checkpoint can be continued.
    """
    score = score or ScoreConfig(frames=clips.config.length)
    run = Run(expand_home(out), _settings(model, clips, mixer, config, dataset, score), model)
    require_free(run.folder, resume)
    if (run.folder / "config.json").exists():
        _require_same(run)
    names = ("calibration.npz", "model.safetensors")
    if resume and all((run.folder / name).exists() for name in names):
        load_weights(model, run.folder / "model.safetensors")
        model.eval()
        return run
    trainer, held_out = prepare(run, clips, mixer)
    with plain_errors(config, trainer.device):
        _start(trainer)
        # From here on nothing is refused, so a refused training leaves no run behind.
        with _config_file(run), steady_memory():
            trainer.train(progress)
            _save_model(run)
            _calibrate(run, trainer, held_out)
    return run


def _settings(
    model: DualPathAutoencoder,
    clips: ClipDataset,
    mixer: PseudoAnomalyMixer | None,
    config: TrainConfig,
    dataset: str | None,
    score: ScoreConfig,
) -> RunConfig:
    """Collect the settings of all parts of a run."""
    _require_repeatable(mixer)
    channels = clips.frames[0].shape[3]
    expected = model.config.channels
    message = f"clips of {channels} channels, but the model takes {expected}; set its channels"
    require(channels == expected, message, "wrong-shape", field="ModelConfig.channels")
    return RunConfig(
        dataset=dataset,
        clips=clips.config,
        pseudo=mixer.config if mixer else PseudoConfig((), 0.0, weights=(), strengths=()),
        model=model.config,
        training=config,
        score=score,
        clip_count=len(clips),
        fingerprint=fingerprint(clips, mixer),
    )


def _require_repeatable(mixer: PseudoAnomalyMixer | None) -> None:
    """Refuse kinds with different grains or patches: `config.json` holds one of each."""
    settings = [kind.settings() for kind in mixer.kinds] if mixer else []
    for name in ("grain", "patches"):
        values = [of_kind[name] for of_kind in settings if name in of_kind]
        is_same = all(value == values[0] for value in values)
        message = f"mixer: {name} = {values}; expected one {name} for all kinds, as config.json has"
        require(is_same, message, "conflict", field=f"PseudoConfig.{name}")


def prepare(
    run: Run, clips: ClipDataset, mixer: PseudoAnomalyMixer | None
) -> tuple[Trainer, list[tuple[str, np.ndarray]]]:
    """Split the clips; return the trainer, and (scene, frames) of what is held out."""
    config = run.config.training
    positions, held_out = hold_out(clips)
    device = pick_device(config.device)
    samples = Samples(clips, positions, mixer, config.seed)
    size = config.batch_size
    field = "TrainConfig.batch_size"
    message = f"{len(positions)} training clips, fewer than a batch of {size}; lower "
    require(len(positions) >= size, message + "batch_size or clip_step", "too-few", field=field)
    count = processes().num_processes
    message = f"batch_size = {size} for {count} processes; expected at least one clip for each"
    require(size >= count, message, "conflict", field=field)
    run.model.to(device).train()
    return Trainer(run.model, samples, config, device, run.folder), held_out


def _start(trainer: Trainer) -> None:
    """Load the checkpoint, or else fill the memories with features of the first batch."""
    if not trainer.load() and processes().is_main_process:
        samples = trainer.samples
        config = trainer.config
        batches = samples.batches(0, config.batch_size)[:1]
        first = next(load_batches(samples, batches, 0, False))
        generator = derived_generator(config.seed, 0, 0, 0)
        trainer.model.fill_memories(first.normal.to(trainer.device), generator)
    # The other processes get the main one's weights, and no process writes before all have seen
    # that the folder is free.
    processes().wait_for_everyone()


def _save_model(run: Run) -> None:
    """Write the weights; all processes continue with those, since batch norm counts in each."""
    run.model.eval()
    path = run.folder / "model.safetensors"
    for name, value in run.model.state_dict().items():
        is_finite = bool(torch.isfinite(value).all())
        message = f"{path}: training ended with non-finite weights ({name}); lower learning_rate"
        require(is_finite, message, "diverged", file=run.folder, field="TrainConfig.learning_rate")
    if processes().is_main_process:
        save_weights(run.model, path)
    processes().wait_for_everyone()
    load_weights(run.model, path)


def _calibrate(run: Run, trainer: Trainer, held_out: list[tuple[str, np.ndarray]]) -> None:
    """Score the held-out frames and write `calibration.npz`."""
    config = run.config

    def errors_of(part: tuple[str, np.ndarray]) -> ErrorMaps:
        precision = config.training.precision
        return error_maps(run.model, part[1], config.clips, trainer.device, precision)

    scenes: dict[str, list[ErrorMaps]] = {}
    for (scene, _), maps in zip(held_out, share_out(errors_of, held_out), strict=True):
        scenes.setdefault(scene, []).append(maps)
    score = config.score
    learned = any(row.get("pseudo", 0) > 0 for row in trainer.history)
    if not (run.model.two_paths and learned):
        score = replace(score, contrast=0)  # the pseudo path is nothing to compare with
    calibration = calibrate(scenes, score)
    if processes().is_main_process:
        calibration.save(run.folder / "calibration.npz")
    processes().wait_for_everyone()


@contextmanager
def _config_file(run: Run) -> Iterator[None]:
    """Write `config.json` unless it exists; remove it if the training fails before its first
    checkpoint, because then there is nothing to continue.
    """
    path = run.folder / "config.json"
    is_new = processes().is_main_process and not path.exists()
    if is_new:
        write_json(path, asdict(run.config))
    try:
        yield
    except InputError:
        if is_new and not (run.folder / "state.pt").exists():
            path.unlink()
        raise


def require_free(out: Path, resume: bool) -> None:
    """Raise `InputError` where a training could not put its run."""
    message = f"{out}: a file; expected a folder for the run"
    is_file = out.exists() and not out.is_dir()
    require(not is_file, message, "wrong-kind-of-file", file=out, field="out")
    is_free = resume or not (out / "config.json").exists()
    message = f"{out}: already holds a run; continue it (--resume), or choose another folder"
    require(is_free, message, "already-exists", file=out, field="out")


def hold_out(clips: ClipDataset) -> tuple[np.ndarray, list[tuple[str, np.ndarray]]]:
    """Split the clips: positions in `clips` to train on, and (scene, frames) of what is held out.

    Of each scene with several videos, every eighth video is held out, at least one, spread evenly.
    Of a scene with one video its last fifth is, after a gap of a clip; only the look-ahead of a
    skipping pseudo-anomaly may reach into it.

    Raises:
        InputError: a single video too short to split.
    """
    scenes: dict[str, list[int]] = {}
    for v, video in enumerate(clips.videos):
        scenes.setdefault(video.scene, []).append(v)
    span = clips.config.length * clips.config.frame_step
    lengths = np.array([len(frames) for frames in clips.frames])
    trained_until = lengths.copy()  # of each video: a clip must end before it to be trained on
    held_out_from = lengths.copy()
    for members in scenes.values():
        if len(members) == 1:
            v = members[0]
            held_out_from[v] = lengths[v] - max(span, lengths[v] // 5)
            trained_until[v] = held_out_from[v] - span
            name = f"video {clips.videos[v].name}"
            message = f"{name}: {lengths[v]} frames, but the only video of a scene needs at least "
            message += f"{4 * span}, because a part of it is held out for calibration; add a video "
            message += "of this scene, or make clips shorter"
            require(trained_until[v] >= span, message, "too-few")
        else:
            count = max(1, round(HELD_OUT * len(members)))
            for k in range(count):
                v = members[int((k + 0.5) * len(members) / count)]
                trained_until[v] = held_out_from[v] = 0
    # Frames of a held-out tail may be seen as the end of a pseudo-anomaly that skips frames, never
    # in a normal clip.
    ends = clips.index[:, 1] + (clips.config.length - 1) * clips.config.frame_step + 1
    positions = np.flatnonzero(ends <= trained_until[clips.index[:, 0]])
    held_out = []
    for video, frames, first in zip(clips.videos, clips.frames, held_out_from, strict=True):
        if first < len(frames) < span:
            raise too_short(video, len(frames), span)
        if first < len(frames):
            held_out.append((video.scene, frames[first:]))
    return positions, held_out


def fingerprint(clips: ClipDataset, mixer: PseudoAnomalyMixer | None) -> str:
    """Return a hash of the videos, windows, boxes and kinds; a resumed training is refused if it
    changed.
    """
    digest = hashlib.sha256(clips.index.tobytes())
    for video, frames, boxes in zip(clips.videos, clips.frames, clips.boxes, strict=True):
        digest.update(repr((video.name, frames.shape)).encode())
        digest.update(frames[[0, len(frames) // 2, -1]].tobytes())  # some pixels stand for all
        for of_frame in boxes or []:
            digest.update(repr(len(of_frame)).encode() + of_frame.tobytes())
    for kind in mixer.kinds if mixer else []:
        digest.update(repr((kind.name, kind.settings())).encode())
    return digest.hexdigest()[:16]


def _require_same(run: Run) -> None:
    """Refuse to continue a run with other settings."""
    path = run.folder / "config.json"
    stored = _flat(read_config(run.folder))
    for name, value in _flat(run.config).items():
        is_same = name in FREE_SETTINGS or value == stored[name]
        message = f"{path}: {name} was {stored[name]!r}, now {value!r}; resume with the same "
        message += "settings, or choose another folder"
        require(is_same, message, "other-run", file=path, field=name)


def _flat(config: RunConfig) -> dict[str, object]:
    """Return all settings by names such as "training.epochs"."""
    flat: dict[str, object] = {}
    for key, value in asdict(config).items():
        parts = value if isinstance(value, dict) else {"": value}
        flat |= {f"{key}.{name}".strip("."): inner for name, inner in parts.items()}
    return flat
