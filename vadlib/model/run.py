"""A run's folder: its config and its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file, save_file

from vadlib.config import ClipConfig, ModelConfig, from_dict
from vadlib.errors import InputError, require, require_known
from vadlib.files import atomic, command_line, expand_home
from vadlib.model.network import DualPathAutoencoder
from vadlib.pseudo.mixer import mixer_part

# runs that come with the package, each in a folder of its name
PRETRAINED = Path(__file__).parents[1] / "pretrained"


@dataclass(frozen=True)
class Run:
    """A trained model with all that scoring needs.

    Attributes:
        folder: where the run's files are.
        config: the parts "dataset", "data", "model", "mixer" and "training", as in `config.json`.
        data: how frames were prepared in training.
        model: with its trained weights, in evaluation mode, on the device that last used it.
    """

    folder: Path
    config: dict
    data: ClipConfig
    model: DualPathAutoencoder

    @property
    def results_folder(self) -> Path | None:
        """Where an evaluation leaves its files unless told otherwise: the run's folder; None for a
        pretrained run, whose folder ships.
        """
        return None if self.folder.resolve().parent == PRETRAINED.resolve() else self.folder

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Load a run's folder, without pickle and without the device that it was trained on.

        Raises:
            InputError: no run there, a damaged file, an unknown config key, or weights of another
                shape.
        """
        folder = expand_home(folder)
        config = read_config(folder)
        path = folder / "config.json"
        model = DualPathAutoencoder(from_dict(ModelConfig, config["model"], path))
        load_weights(model, folder / "model.safetensors")
        return cls(folder, config, from_dict(ClipConfig, config["data"], path), model.eval())


def pretrained_names() -> list[str]:
    """What `load_pretrained` takes."""
    return sorted(path.parent.name for path in PRETRAINED.glob("*/config.json"))


def load_pretrained(name: str) -> Run:
    """A run of preset `fast` that ships with the package: its weights, what calibrates it, its
    settings and its recorded metrics.

    How it was made, and the terms of the data that it was made of, stand in `NOTE.md` of its
    folder.

    Args:
        name: "synthetic" or "ped2".

    Raises:
        InputError: any other name.
    """
    require_known(name, pretrained_names(), "pretrained run", field="name")
    return Run.load(PRETRAINED / name)


def open_run(run: Run | str | Path) -> Run:
    """A run as it is, by its folder, or by a pretrained name; where a folder of that name holds a
    run, it is meant.

    Raises:
        InputError: what `Run.load` refuses.
    """
    if isinstance(run, Run):
        return run
    named = str(run) in pretrained_names() and not (Path(run) / "config.json").is_file()
    return load_pretrained(str(run)) if named else Run.load(run)


def read_config(folder: Path) -> dict:
    """The parts of a run's `config.json`, in the shape of today; see `current_shape`.

    Raises:
        InputError: there is none, or it is not JSON with the parts of a run.
    """
    path = folder / "config.json"
    shipped = f"or the name of a pretrained run ({', '.join(pretrained_names())})"
    require(
        folder.is_dir(),
        f"{folder}: no such run; expected a folder written by `{command_line('train', '--out', folder)}`, {shipped}",
        "missing-file",
        file=folder,
    )
    require(
        path.is_file(),
        f"{folder}: not a run (no config.json in it); expected a folder written by `vadlib train`",
        "not-a-run",
        file=folder,
    )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path}: not JSON ({error}); restore it, or train the run again",
            "wrong-format",
            file=path,
        ) from error
    parts = ("dataset", "data", "model", "mixer", "training")
    missing = [
        part
        for part in parts
        if not isinstance(config, dict) or not isinstance(config.get(part), dict)
    ]
    require(
        not missing,
        f"{path}: the parts {', '.join(missing)} are missing; restore it, or train the run again",
        "not-a-run",
        file=path,
        field=", ".join(missing),
    )
    return current_shape(config)


def continue_training(folder: Path) -> str:
    """Return the advice to continue the training of a run's folder, for a message."""
    return f"continue it with `{command_line('train', '--resume', '--out', folder)}` (and the --root of the training, if it had one)"


def current_shape(config: Mapping) -> dict:
    """Return the parts of a config.json, those that earlier versions wrote in another shape
    converted.

    Earlier, each of the mixer's kinds was a list: its name, the range of its strength, and what
    else it takes. The detector and the patches were in the part "dataset".
    """
    config = dict(config)
    mixer, dataset = config.get("mixer", {}), config.get("dataset", {})
    if not isinstance(mixer, dict) or not isinstance(dataset, dict):
        return config
    moved = {name: dataset[name] for name in ("detector", "patches") if name in dataset}
    if moved:
        config["dataset"] = {name: value for name, value in dataset.items() if name not in moved}
    kinds = mixer.get("kinds")
    if isinstance(kinds, list) and all(map(_is_earlier_kind, kinds)):
        mixer = _named_kinds(kinds) | {
            name: value for name, value in mixer.items() if name != "kinds"
        }
    if moved or mixer:
        config["mixer"] = moved | mixer
    return config


def _is_earlier_kind(entry) -> bool:
    if not isinstance(entry, list) or len(entry) < 3 or not isinstance(entry[0], str):
        return False
    return all(isinstance(value, (int, float)) for value in entry[1:3])


def _named_kinds(entries: list[list]) -> dict:
    """Convert the mixer's kinds of an earlier version; see `current_shape`."""
    further_names = {"noise": "grain", "object": "patches"}
    kinds = []
    for name, low, high, *further in entries:
        settings = {"strength": [low, high]}
        if name in further_names and len(further) == 1:
            settings[further_names[name]] = further[0]
        elif further:
            settings[name] = further
        kinds.append((name, settings))
    part = mixer_part(0.0, [], kinds)
    return {name: value for name, value in part.items() if name not in ("p", "weights")}


def save_weights(model: torch.nn.Module, path: Path) -> None:
    """Write the weights as safetensors, atomically."""
    with atomic(path) as temporary:
        save_file(
            {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()},
            temporary,
        )


def load_weights(model: torch.nn.Module, path: Path) -> None:
    """Load weights into a model of the same shape.

    Raises:
        InputError: the file is missing or damaged, or was saved by a model of another shape.
    """
    require(
        path.is_file(),
        f"{path}: no such file; the training is not complete, so {continue_training(path.parent)}",
        "not-a-run",
        file=path,
    )
    try:
        weights = load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(
            f"{path}: a damaged file ({error}); copy it again, or train the run again",
            "damaged-file",
            file=path,
        ) from error
    if mismatch := first_mismatch(model, weights):
        raise InputError(
            f"{path}: weights of another model ({mismatch}); use the config.json that was saved with them",
            "other-run",
            file=path,
        )
    model.load_state_dict(weights)


def first_mismatch(model: torch.nn.Module, weights: Mapping[str, torch.Tensor]) -> str | None:
    """The first tensor that the model and some weights do not share, in words; None where all fit."""
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            return f"{name} is {found.get(name, 'missing')}, expected {expected.get(name, 'no such tensor')}"
    return None
