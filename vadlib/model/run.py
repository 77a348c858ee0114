"""A run's folder: its config and its weights."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from vadlib.config import RunConfig, read_config_file
from vadlib.errors import InputError, require, require_known
from vadlib.files import atomic, command_line, expand_home
from vadlib.model.network import DualPathAutoencoder

# Runs that ship with the package, each in a folder of its name.
PRETRAINED = Path(__file__).parents[1] / "pretrained"


@dataclass(frozen=True)
class Run:
    """A trained model with all that scoring needs.

    Attributes:
        folder: where the run's files are.
        config: all its settings, as in `config.json`.
        model: with its trained weights, in evaluation mode, on the device that last used it.
    """

    folder: Path
    config: RunConfig
    model: DualPathAutoencoder

    @property
    def results_folder(self) -> Path | None:
        """The default folder for an evaluation's files: the run's own, or None for a pretrained
        run, whose folder ships.
        """
        return None if self.folder.resolve().parent == PRETRAINED.resolve() else self.folder

    @classmethod
    def load(cls, folder: str | Path) -> "Run":
        """Load a run's folder, without pickle and without the device that it was trained on.

        Raises:
            InputError: no run there, a damaged file, an unknown config key, or weights of another
                shape.
        """
        folder = expand_home(folder)
        config = read_config(folder)
        model = DualPathAutoencoder(config.model)
        load_weights(model, folder / "model.safetensors")
        return cls(folder, config, model.eval())


def pretrained_names() -> list[str]:
    """Return the names that `load_pretrained` takes."""
    return sorted(path.parent.name for path in PRETRAINED.glob("*/config.json"))


def load_pretrained(name: str) -> Run:
    """Load a run of preset `fast` that ships with the package, with its recorded metrics.

    `NOTE.md` in its folder says how it was trained, and gives the terms of its data.

    Args:
        name: "synthetic" or "ped2".

    Raises:
        InputError: any other name.
    """
    require_known(name, pretrained_names(), "pretrained run", field="name")
    return Run.load(PRETRAINED / name)


def open_run(run: Run | str | Path) -> Run:
    """Return a run that is given as it is, by its folder, or by a pretrained name; a folder of that
    name wins if it holds a run.

    Raises:
        InputError: see `Run.load`.
    """
    if isinstance(run, Run):
        return run
    if str(run) in pretrained_names() and not (Path(run) / "config.json").is_file():
        return load_pretrained(str(run))
    return Run.load(run)


def read_config(folder: Path) -> RunConfig:
    """Read a run's `config.json`.

    Raises:
        InputError: there is none, or it does not hold all settings of a run.
    """
    path = folder / "config.json"
    origin = command_line("train", "--out", folder)
    message = f"{folder}: no run; expected a folder of `{origin}`, or {pretrained_names()}"
    require(folder.is_dir(), message, "missing-file", file=folder)
    require(path.is_file(), message, "not-a-run", file=folder)
    values = read_config_file(path)
    missing = ", ".join(field.name for field in fields(RunConfig) if field.name not in values)
    message = f"{path}: of an earlier version ({missing} missing); train the run again"
    require(not missing, message, "not-a-run", file=path, field=missing)
    return RunConfig().changed(values, path)


def continue_training(folder: Path) -> str:
    """Return the advice to continue the training of a run's folder, for a message."""
    command = command_line("train", "--resume", "--out", folder)
    return f"continue it with `{command}` (and the --root of the training, if it had one)"


def save_weights(model: torch.nn.Module, path: Path) -> None:
    """Write the weights as safetensors, atomically."""
    weights = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    with atomic(path) as temporary:
        save_file(weights, temporary)


def load_weights(model: torch.nn.Module, path: Path) -> None:
    """Load weights into a model of the same shape.

    Raises:
        InputError: the file is missing or damaged, or was saved by a model of another shape.
    """
    message = f"{path}: no such file; {continue_training(path.parent)}"
    require(path.is_file(), message, "not-a-run", file=path)
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        message = f"{path}: damaged ({error}); copy it again, or train the run again"
        raise InputError(message, "damaged-file", file=path) from error
    mismatch = first_mismatch(model, weights)
    message = f"{path}: weights of another model ({mismatch}); use their own config.json"
    require(mismatch is None, message, "other-run", file=path)
    model.load_state_dict(weights)


def first_mismatch(model: torch.nn.Module, weights: Mapping[str, torch.Tensor]) -> str | None:
    """Describe the first tensor in which the model and some weights differ; None where all fit."""
    own = model.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        shapes = [tuple(part[name].shape) if name in part else None for part in (weights, own)]
        if shapes[0] != shapes[1]:
            return f"{name} is {shapes[0]}, expected {shapes[1]}"
    return None
