"""Fitting a model: what is held out, what a run's folder holds, and how a training goes on after an
interruption.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from vadlib.config import ClipConfig, ScoreConfig, TrainConfig
from vadlib.data.clips import ClipDataset, too_short
from vadlib.device import pick_device, processes, share_out, steady_memory
from vadlib.errors import InputError, require
from vadlib.evaluation.calibration import calibrate
from vadlib.evaluation.components import ErrorMaps
from vadlib.evaluation.error_maps import error_maps
from vadlib.files import expand_home, write_json
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import Run, current_shape, load_weights, read_config, save_weights
from vadlib.pseudo.mixer import PseudoAnomalyMixer, mixer_part
from vadlib.training.footprint import check_memory
from vadlib.training.samples import Samples, derived_generator, load_batches
from vadlib.training.trainer import Trainer, plain_errors

HELD_OUT = 0.125  # share of the training videos that calibrate the scores and are not trained on


def fit(
    model: DualPathAutoencoder,
    clips: ClipDataset,
    mixer: PseudoAnomalyMixer | None,
    config: TrainConfig,
    out: str | Path,
    resume: bool = False,
    dataset: dict | None = None,
    progress: bool = True,
    score: ScoreConfig | None = None,
) -> Run:
    """Train the model and leave a run's folder that can be evaluated.

    Whole training videos are held out (with only one: its last part); at the end they calibrate the
    scores. A checkpoint is written every minute; a killed training goes on from it with `resume`
    and ends with the same weights. Under `torchrun` all processes call this with the same
    arguments; each takes its share of every batch, and the main one writes.

    Args:
        model: trained in place.
        clips: all training videos.
        mixer: makes the pseudo-anomalies; None for none.
        config: how to train.
        out: the run's folder.
        resume: go on with an interrupted training in `out`; a finished one is only loaded, and none
            there is started.
        dataset: what the clips came from, kept in `config.json`, for instance {"name": "ped2",
            "preset": "fast", "detector": "motion"}; what is left out takes its default when that
            file is given to `--config`.
        progress: show bars.
        score: the score that the run is calibrated for; None: the default, averaged over as many
            frames as a clip has.

    Returns:
        The run; its `model` is the argument, trained.

    Raises:
        InputError: `out` already holds a run and `resume` is off, or one of another configuration;
            too few clips for a batch; a batch too large for the memory that is free; training
            diverged; or a file cannot be written. A training that wrote a checkpoint can be
            continued.
    """
    out = expand_home(out)
    channels = clips.frames[0].shape[3]
    require(
        channels == model.config.channels,
        f"clips of {channels} channels, but the model takes {model.config.channels}; set its channels",
        "wrong-shape",
        field="ModelConfig.channels",
    )
    parts = _config_parts(model, clips, mixer, config, dataset)
    require_free(out, resume)
    if (out / "config.json").exists():
        _require_same(out, parts)
    run = Run(out, parts, clips.config, model)
    # the run is finished
    if resume and (out / "calibration.npz").exists() and (out / "model.safetensors").exists():
        load_weights(model, out / "model.safetensors")
        model.eval()
        return run
    chosen, held_out = hold_out(clips)
    device = pick_device(config.device)
    samples = Samples(clips, chosen, mixer, config.seed)
    require(
        len(chosen) >= config.batch_size,
        f"{len(chosen)} training clips, fewer than a batch of {config.batch_size}; lower batch_size or clip_step",
        "too-few",
        field="TrainConfig.batch_size",
    )
    together = processes()
    alone = f"batch_size = {config.batch_size} for {together.num_processes} processes; expected at least one clip for each"
    require(
        config.batch_size >= together.num_processes,
        alone,
        "conflict",
        field="TrainConfig.batch_size",
    )
    model.to(device).train()
    trainer = Trainer(model, samples, config, device, out)
    first = next(load_batches(samples, samples.batches(0, config.batch_size)[:1], 0, False))
    with plain_errors(config, device):
        check_memory(trainer, first, progress)
        # of several processes the main one's weights go to all
        if not trainer.load() and together.is_main_process:
            model.fill_memories(first.normal.to(device), derived_generator(config.seed, 0, 0, 0))
        together.wait_for_everyone()  # until all have found the folder free
        # After what can be refused, so that a refused training leaves no run behind.
        with _config_file(out, parts), steady_memory():
            trainer.train(progress)
            model.eval()
            broken = [
                name
                for name, value in model.state_dict().items()
                if not torch.isfinite(value).all()
            ]
            require(
                not broken,
                f"{out}: training ended with non-finite weights ({', '.join(broken[:3])}); lower learning_rate",
                "diverged",
                file=out,
                field="TrainConfig.learning_rate",
            )
            if together.is_main_process:
                save_weights(model, out / "model.safetensors")
            together.wait_for_everyone()
            # batch norm counts in each process: all go on with what was saved
            load_weights(model, out / "model.safetensors")
            calibration = calibrate(
                _held_out_errors(run, held_out, device),
                _score(trainer, score or ScoreConfig(frames=clips.config.length)),
            )
    if together.is_main_process:
        calibration.save(out / "calibration.npz")
    together.wait_for_everyone()
    return run


@contextmanager
def _config_file(out: Path, parts: dict) -> Iterator[None]:
    """Write `config.json` unless it is there, and remove it where the training fails before its
    first checkpoint.

    Then there is nothing to continue, and the folder is free for the next try.
    """
    path = out / "config.json"
    is_new = processes().is_main_process and not path.exists()
    if is_new:
        write_json(path, parts)
    try:
        yield
    except InputError:
        if is_new and not (out / "state.pt").exists():
            path.unlink()
        raise


def require_free(out: Path, resume: bool) -> None:
    """Raise `InputError` where a training could not put its run."""
    require(
        not out.exists() or out.is_dir(),
        f"{out}: a file; expected a folder for the run",
        "wrong-kind-of-file",
        file=out,
        field="out",
    )
    taken = (out / "config.json").exists() and not resume
    require(
        not taken,
        f"{out}: already holds a run; continue it (--resume, or resume=True), or choose another folder",
        "already-exists",
        file=out,
        field="out",
    )


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
    # of each video; its length where none is
    first_held_out = np.array([len(frames) for frames in clips.frames])
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
                f"video {clips.videos[v].name}: {len(clips.frames[v])} frames, but the only video of a scene needs at least {4 * span}, "
                "because a part of it is held out for calibration; add a video of this scene, or make clips shorter",
                "too-few",
            )
    # A clip may be changed by frames after it (skipping looks ahead); those of a held-out tail may
    # be seen as a pseudo- anomaly's end, never as a normal clip to rebuild.
    ends = clips.index[:, 1] + (clips.config.length - 1) * clips.config.frame_step + 1
    chosen = np.flatnonzero(ends <= last_trained[clips.index[:, 0]])
    for video, frames, first in zip(clips.videos, clips.frames, first_held_out, strict=True):
        if first < len(frames) < span:
            raise too_short(video, len(frames), span)
    parts = zip(clips.videos, clips.frames, first_held_out, strict=True)
    return chosen, [
        (video.scene, frames[first:]) for video, frames, first in parts if first < len(frames)
    ]


def _score(trainer: Trainer, score: ScoreConfig) -> ScoreConfig:
    """The score, without its contrast where the pseudo path has learned nothing that could be
    compared with.
    """
    learned = trainer.model.two_paths and any(row.get("pseudo", 0) > 0 for row in trainer.history)
    return score if learned else replace(score, contrast=0)


def _held_out_errors(
    run: Run, held_out: Sequence[tuple[str, np.ndarray]], device: torch.device
) -> dict[str, list[ErrorMaps]]:
    precision = run.config["training"]["precision"]
    maps = share_out(
        lambda part: error_maps(run.model, part[1], run.data, device, precision), held_out
    )
    scenes: dict[str, list[ErrorMaps]] = {}
    for (scene, _), errors in zip(held_out, maps, strict=True):
        scenes.setdefault(scene, []).append(errors)
    return scenes


def _config_parts(
    model: DualPathAutoencoder,
    clips: ClipDataset,
    mixer: PseudoAnomalyMixer | None,
    config: TrainConfig,
    dataset: dict | None,
) -> dict:
    mixing = mixer.settings() if mixer else mixer_part(0.0, [], [])
    data: ClipConfig = clips.config
    source = (dataset or {}) | {"clips": len(clips), "fingerprint": fingerprint(clips)}
    parts = {
        "dataset": source,
        "data": asdict(data),
        "model": asdict(model.config),
        "mixer": mixing,
        "training": asdict(config),
    }
    return current_shape(_as_json(parts))  # moves the detector to the mixer


def fingerprint(clips: ClipDataset) -> str:
    """Another one for other videos, other windows or other boxes: a training must not go on with
    those.
    """
    digest = hashlib.sha256(clips.index.tobytes())
    for video, frames, boxes in zip(clips.videos, clips.frames, clips.boxes, strict=True):
        digest.update(repr((video.name, frames.shape)).encode())
        digest.update(frames[[0, len(frames) // 2, -1]].tobytes())  # some pixels stand for all
        for found in boxes or []:
            digest.update(repr(len(found)).encode() + found.tobytes())
    return digest.hexdigest()[:16]


def _as_json(value):
    if isinstance(value, dict):
        return {key: _as_json(v) for key, v in value.items()}
    return [_as_json(v) for v in value] if isinstance(value, (tuple, list)) else value


def _require_same(out: Path, parts: dict) -> None:
    stored = read_config(out)
    # Where a run computes does not change what it is, so a run may go on elsewhere.
    free = {"device", "workers", "compile"}
    for part, values in parts.items():
        for key in dict.fromkeys([*values, *stored[part]]):
            if key in free:
                continue
            old, new = stored[part].get(key), values.get(key)
            require(
                old == new,
                f"{out / 'config.json'}: {part}.{key} was {old!r}, now {new!r}; resume with the same settings, or choose another folder",
                "other-run",
                file=out / "config.json",
                field=f"{part}.{key}",
            )
