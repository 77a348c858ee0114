"""`fit`: prepare a training, train, and calibrate the scores; continue after an interruption."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np

from vadlib.config import PseudoConfig, RunConfig, ScoreConfig, TrainConfig
from vadlib.data.clips import ClipDataset, too_short
from vadlib.device import processes, share_out, steady_memory
from vadlib.errors import require
from vadlib.evaluation.calibration import calibrate
from vadlib.evaluation.error_maps import error_maps
from vadlib.evaluation.scores import COMPONENTS, ErrorMaps
from vadlib.files import expand_home, write_json
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import Run, load_weights, read_config, save_weights
from vadlib.pseudo.mixer import PseudoAnomalyMixer
from vadlib.training.samples import Samples, derived_generator, load_batches
from vadlib.training.trainer import Trainer, refuse_divergence, refuse_lacks

RESULTS = ("model.safetensors", "calibration.npz")  # of a finished run


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
    pseudo = mixer.config if mixer else PseudoConfig((), 0.0, weights=(), strengths=())
    notes = (len(clips), fingerprint(clips, mixer))
    settings = RunConfig(dataset, clips.config, pseudo, model.config, config, score, *notes)
    run = Run(expand_home(out), settings, model)
    _require_consistent(run, clips, mixer)
    require_free(run.folder, resume)
    path = run.folder / "config.json"
    is_begun = path.exists()
    if is_begun:
        _require_same(run, path)
    if is_begun and all((run.folder / name).exists() for name in RESULTS):
        load_weights(model, run.folder / "model.safetensors")
        model.eval()
        return run
    positions, held_out = hold_out(clips)
    trainer = Trainer(run, Samples(clips, positions, mixer, config.seed))
    try:
        with steady_memory():
            _start(trainer, path, is_begun)
            trainer.train(progress)
            _finish(trainer, held_out)
    except Exception as error:
        # Without a checkpoint there is nothing to continue, so no run is left behind.
        if not is_begun and not trainer.path.exists():
            path.unlink(missing_ok=True)
        refuse_lacks(error, trainer.device)
        raise
    return run


def _require_consistent(run: Run, clips: ClipDataset, mixer: PseudoAnomalyMixer | None) -> None:
    """Refuse clips of other channels than the model's, and kinds that `config.json` cannot hold."""
    channels, expected = clips.frames[0].shape[3], run.config.model.channels
    message = f"clips of {channels} channels; the model takes {expected}"
    require(channels == expected, message, "wrong-shape", field="ModelConfig.channels")
    kinds = [kind.settings() for kind in mixer.kinds] if mixer else []
    for name in ("grain", "patches"):
        values = {settings[name] for settings in kinds if name in settings}
        message = f"mixer: {name} = {values}; expected the same for all kinds"
        require(len(values) <= 1, message, "conflict", field=f"PseudoConfig.{name}")


def _start(trainer: Trainer, path: Path, is_begun: bool) -> None:
    """Load the checkpoint, or else fill the memories with features of the first batch; write
    `config.json` unless it exists.
    """
    if is_begun and trainer.path.exists():
        trainer.load()
    elif processes().is_main_process:
        keys = trainer.samples.batches(0, trainer.config.batch_size)[:1]
        [batch] = load_batches(trainer.samples, keys, 0, False)
        generator = derived_generator(trainer.config.seed, 0, 0, 0)
        trainer.model.fill_memories(batch.normal.to(trainer.device), generator)
    # The other processes get the main one's weights, and no process writes before all have seen
    # that the folder is free.
    processes().wait_for_everyone()
    if processes().is_main_process and not is_begun:
        write_json(path, asdict(trainer.run.config))


def _finish(trainer: Trainer, held_out: list[tuple[str, np.ndarray]]) -> None:
    """Write the weights, score the held-out frames, and write `calibration.npz`."""
    state, run = processes(), trainer.run
    config, model = run.config, run.model.eval()
    path = run.folder / "model.safetensors"
    for tensor in model.state_dict().values():
        refuse_divergence(bool(tensor.isfinite().all()), run.folder)
    if state.is_main_process:
        save_weights(model, path)
    state.wait_for_everyone()
    load_weights(model, path)  # in all processes, since batch norm counts in each

    def errors_of(part: tuple[str, np.ndarray]) -> ErrorMaps:
        return error_maps(model, part[1], config.clips, trainer.device, config.training.precision)

    scenes: dict[str, list[ErrorMaps]] = {}
    for (scene, _), maps in zip(held_out, share_out(errors_of, held_out), strict=True):
        scenes.setdefault(scene, []).append(maps)
    has_learned = any(row.get("pseudo", 0) > 0 for row in trainer.history)
    score = asdict(config.score)
    for name in config.score.shares:
        if COMPONENTS[name].needs_pseudo_path and not (model.two_paths and has_learned):
            weights = score["weights"] if name in score["weights"] else score
            weights[name] = 0
    calibration = calibrate(scenes, ScoreConfig(**score))
    refuse_divergence(math.isfinite(calibration.threshold), run.folder)
    if state.is_main_process:
        calibration.save(run.folder / "calibration.npz")
    state.wait_for_everyone()


def require_free(out: Path, resume: bool) -> None:
    """Raise `InputError` where a training could not put its run."""
    message = f"{out}: a file; expected a folder for the run"
    require(out.is_dir() or not out.exists(), message, "wrong-kind-of-file", file=out, field="out")
    message = f"{out}: already holds a run; continue it (--resume), or choose another folder"
    is_free = resume or not (out / "config.json").exists()
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
    config = clips.config
    span = config.length * config.frame_step
    lengths = np.array([len(frames) for frames in clips.frames])
    held_out_from = lengths.copy()
    for members in scenes.values():
        count = max(1, round(len(members) / 8))
        spread = (np.arange(count) + 0.5) * len(members) / count
        held_out_from[np.array(members)[spread.astype(int)]] = 0
        if len(members) == 1:
            [v] = members
            held_out_from[v] = lengths[v] - max(span, lengths[v] // 5)
            name = clips.videos[v].name
            message = f"{name}: {lengths[v]} frames; expected {3 * span}, or a second video"
            require(held_out_from[v] >= 2 * span, message, "too-few")
    is_split = held_out_from < lengths
    # A clip must end before this frame to be trained on.
    trained_until = np.where(is_split, held_out_from - span, lengths)
    ends = clips.index[:, 1] + (config.length - 1) * config.frame_step + 1
    positions = np.flatnonzero(ends <= trained_until[clips.index[:, 0]])
    held_out = []
    for v in np.flatnonzero(is_split).tolist():
        frames = clips.frames[v][held_out_from[v] :]
        if len(frames) < span:
            raise too_short(clips.videos[v], len(frames), span)
        held_out.append((clips.videos[v].scene, frames))
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


def _require_same(run: Run, path: Path) -> None:
    """Refuse to continue a run with other settings."""
    stored = _flat(read_config(run.folder))
    for name, value in _flat(run.config).items():
        message = f"{path}: {name} was {stored[name]!r}, now {value!r}; choose another folder"
        # These do not change what a run is.
        is_free = name in ("training.device", "training.workers", "training.compile")
        require(is_free or value == stored[name], message, "other-run", file=path, field=name)


def _flat(config: RunConfig) -> dict[str, object]:
    """Return all settings by names such as "training.epochs"."""
    flat: dict[str, object] = {}
    for key, value in asdict(config).items():
        parts = value if isinstance(value, dict) else {"": value}
        flat |= {f"{key}.{name}".strip("."): inner for name, inner in parts.items()}
    return flat
