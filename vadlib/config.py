"""All settings of a run: one dataclass for each part, `RunConfig` for the whole, and one table of
presets.

A run's `config.json` holds a whole `RunConfig`, and `--config` reads it. Unknown keys and values of
another type are refused.
"""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from vadlib.errors import InputError, require, require_known

T = TypeVar("T")

# Motion is sought in frames whose shorter side has at most so many pixels, Ped2's: its thresholds
# were measured there.
WORKING_SIDE = 240
CELL = 8  # pixels; errors are kept as means over squares of this side
# The default recipe, whatever else the table of kinds holds.
DEFAULT_KINDS = ("skip", "shuffle", "noise", "object")
OBJECTIVES = ("inpaint", "maximize", "none")
PRECISIONS = ("auto", "fp32", "bf16")

# What each preset changes in the defaults, by the part of `RunConfig`.
# fast: ours, for a CPU. A window of 48 pixels around what moves holds a person of Ped2 and her next
#   steps; larger frames are shrunk to Ped2's height.
# short: the same network at half the width on smaller frames, for a training of minutes. People are
#   half as tall there, and so is the window of the score.
# paper, compact: the first and the second release of Wei et al., layer by layer, on whole frames,
#   with their objective, rate and epochs. Batches stay ours: theirs hold 2 clips.
_PUBLISHED_TRAINING = {
    "objective": "maximize",
    "sparsity_weight": 2e-4,
    "separation_weight": 2e-4,
    "learning_rate": 1e-4,
    "epochs": 30,
}
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "fast": {"clips": {"crop": (48, 48), "clip_step": 4, "shorter_side": WORKING_SIDE}},
    "short": {
        "clips": {"crop": (48, 48), "clip_step": 4, "shorter_side": WORKING_SIDE // 2},
        "model": {"width": 8},
        "training": {"epochs": 2, "batch_size": 4},
        "score": {"window": 16},
    },
    "compact": {
        "clips": {"size": (128, 128)},
        "model": {"network": "published", "width": 16, "slots": 500, "skip": True},
        "pseudo": {"p": 0.02},
        "training": _PUBLISHED_TRAINING,
    },
    "paper": {
        "clips": {"size": (256, 256)},
        "model": {"network": "published", "width": 32, "slots": 2000, "skip": True},
        "pseudo": {"p": 0.01},
        "training": _PUBLISHED_TRAINING,
    },
}


class Part:
    """A part of `RunConfig`, which has its own presets."""

    part: ClassVar[str]

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Self:
        """Return the part of a preset, with some fields changed.

        Args:
            name: "fast", "short", "compact" or "paper"; see `PRESETS`.
            changes: field name -> value, such as `channels=3`.

        Raises:
            InputError: the name is unknown, or a value is outside its range.
        """
        require_known(name, PRESETS, "preset")
        return cls(**PRESETS[name].get(cls.part, {}) | changes)


@dataclass(frozen=True)
class ClipConfig(Part):
    """How frames become clips. Scoring prepares frames exactly as training did."""

    part = "clips"

    length: int = 16  # frames a clip
    # (height, width) that frames are resized to; None keeps the native size
    size: tuple[int, int] | None = None
    # without `size`: larger frames are shrunk until their shorter side has so many pixels
    shorter_side: int | None = None
    # 1 makes colour grey, 3 repeats grey; None keeps what the dataset has
    channels: int | None = None
    frame_step: int = 1  # distance between the frames of a clip; 2 doubles the time it spans
    # distance between clip starts in training; scoring has its own, half-overlapping step
    clip_step: int = 1
    # (height, width) of windows cut around what moves; None takes whole frames
    crop: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        require_field(self, "length", self.length >= 2, "at least 2: one frame shows no motion")
        require_field(self, "frame_step", self.frame_step >= 1, "at least 1")
        require_field(self, "clip_step", self.clip_step >= 1, "at least 1")
        side = self.shorter_side
        require_field(self, "shorter_side", side is None or side >= 8, "at least 8, or None")
        require_field(self, "channels", self.channels in (None, 1, 3), "1 (grey), 3 (RGB), or None")
        expected = "(height, width) of at least 1 each, or None"
        require_field(self, "size", self.size is None or min(self.size) >= 1, expected)
        require_field(self, "crop", self.crop is None or min(self.crop) >= 1, expected)


@dataclass(frozen=True)
class PseudoConfig(Part):
    """Which pseudo-anomalies to make, by name."""

    part = "pseudo"

    kinds: tuple[str, ...] = DEFAULT_KINDS
    p: float = 0.5  # probability that a clip becomes one; the paper uses 0.01 and 0.02
    detector: str = "motion"  # finds the people to paste onto; see `find_boxes`
    patches: str = "builtin"  # the pictures to paste; see `load_patches`
    # how often each kind is drawn, compared with the others; None: equally
    weights: tuple[float, ...] | None = None
    # the range of each kind; None: its default
    strengths: tuple[tuple[float, float], ...] | None = None
    grain: int = 1  # of the noise, in pixels; see `AddNoise`


@dataclass(frozen=True)
class ModelConfig(Part):
    """The network's shape. A checkpoint loads only into the same shape."""

    part = "model"

    network: str = "fast"  # "fast": ours; "published": the paper's, layer by layer
    channels: int = 1  # 1 grey, 3 RGB
    width: int = 16  # feature channels at the first level; they double at each further level
    slots: int = 256  # slots in each memory
    # of the memory's addressing: cosine similarities are in [-1, 1], too flat for a softmax
    sharpness: float = 10.0
    shrink: float = 0.05  # addressing weights below this share of the largest are cut off
    # join encoder features to the decoders' at one level: sharper, but anomalies pass around the
    # memory
    skip: bool = False
    memories: int = 2  # 2: M_n and M_p; 1: both paths read M_n; 0: features pass as they are
    decoders: int = 2  # 2: D_n and D_p; 1: both paths are decoded by D_n

    def __post_init__(self) -> None:
        require_field(self, "channels", self.channels in (1, 3), "1 (grey) or 3 (RGB)")
        width_fits = 8 <= self.width <= 512 and self.width % 8 == 0
        require_field(self, "width", width_fits, "a multiple of 8, at most 512")
        require_field(self, "slots", 1 <= self.slots <= 100_000, "1 to 100000")
        require_field(self, "sharpness", self.sharpness >= 0, "at least 0")
        require_field(self, "shrink", 0 <= self.shrink < 1, "0 <= shrink < 1")
        require_field(self, "memories", self.memories in (0, 1, 2), "0, 1 or 2")
        require_field(self, "decoders", self.decoders in (1, 2), "1 or 2")


@dataclass(frozen=True)
class TrainConfig(Part):
    """How to train."""

    part = "training"

    epochs: int = 6  # passes over the clips: about 20 minutes for Ped2 on two CPU cores
    seed: int = 0
    # of all processes together; small: more steps for the same clips bring the error down faster
    batch_size: int = 8
    # of Adam; rises over the first steps, then falls to 0 along a cosine
    learning_rate: float = 1e-3
    # "inpaint"; "maximize", the paper's; "none": reconstruct normal clips only
    objective: str = "inpaint"
    # mean squared error, pixels in [-1, 1], up to which "maximize" drives the pseudo path: an
    # untrained decoder, which paints grey, has about 0.1, a trained one 0.01 to 0.02
    margin: float = 0.5
    # of the entropy of the memory's addressing; 0 is off, the paper's is 2e-4
    sparsity_weight: float = 0.0
    # of the distances between the two paths; 0 is off, the paper's is 2e-4
    separation_weight: float = 0.0
    max_gradient: float = 1.0  # longer gradients are cut to this norm
    device: str = "auto"  # "auto", "cpu", "cuda" or "mps"
    # "auto": bf16 where the hardware has it, else float32; "fp32" or "bf16"
    precision: str = "auto"
    # processes that read clips ahead; 0: the training process reads; None: 0 on a CPU, up to 4 for
    # a GPU
    workers: int | None = None
    # torch.compile: a minute at the beginning; steps were slower on a CPU, and are unmeasured on a
    # GPU
    compile: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            require_field(self, name, getattr(self, name) >= 1, "at least 1")
        for name in ("sparsity_weight", "separation_weight"):
            require_field(self, name, 0 <= getattr(self, name) < math.inf, "a number from 0")
        for name in ("learning_rate", "max_gradient", "margin"):
            require_field(self, name, 0 < getattr(self, name) < math.inf, "a number above 0")
        require_field(self, "seed", 0 <= self.seed < 2**63, "0 to 2**63 - 1")
        workers_fit = self.workers is None or 0 <= self.workers <= 64
        require_field(self, "workers", workers_fit, "0 to 64, or None")
        require_known_field(self, "precision", PRECISIONS)
        require_known_field(self, "objective", OBJECTIVES)


@dataclass(frozen=True)
class ScoreConfig(Part):
    """How error maps become one number a frame. The default was chosen on held-out normal videos
    with pseudo-anomalies.

    The published scores are `ScoreConfig(contrast=0, window=None, frames=1)`, which ranks frames as
    the PSNR of the reconstruction does (first release), and `ScoreConfig(contrast=0, window=8,
    mean=0.4, frames=1, smoothing=32)` (second release; there of errors, here of their logarithms).
    """

    part = "score"

    plain: float = 1.0  # weight of D_n's squared error
    temporal: float = 0.0  # weight of the error of its differences of consecutive frames
    # weight of D_n against D_p: the share that D_n's error has in the sum of both, over the whole
    # frame
    contrast: float = 1.0
    # weights of further components of `vadlib.evaluation.scores.COMPONENTS`, by name
    weights: dict[str, float] = field(default_factory=dict)
    # errors are those of a frame's worst square of so many pixels, a person's height; None: of the
    # whole frame
    window: int | None = 32
    mean: float = 0.0  # share of the whole frame's score beside the worst window's
    frames: int = 16  # errors are averaged over so many frames: the length of a clip
    smoothing: float = 0.0  # sigma, in frames, of a Gaussian over the scores; 0 is off
    # averages and smoothing reach back only, not ahead; errors still look ahead to the end of their
    # clips
    causal: bool = False

    def __post_init__(self) -> None:
        weights = self._all_weights().values()
        fits = all(0 <= weight < math.inf for weight in weights) and sum(weights) > 0
        message = f"ScoreConfig weights {self._all_weights()}; expected numbers >= 0, not all 0"
        require(fits, message, "out-of-range", field="ScoreConfig.weights")
        is_multiple = isinstance(self.window, int) and self.window in range(CELL, 100_000, CELL)
        expected = f"a multiple of {CELL}, or None for the whole frame"
        require_field(self, "window", self.window is None or is_multiple, expected)
        require_field(self, "mean", 0 <= self.mean <= 1, "a share in [0, 1]")
        frames_fit = self.frames >= 1 and self.frames == int(self.frames)
        require_field(self, "frames", frames_fit, "1, 2, 3, ...")
        require_field(self, "smoothing", 0 <= self.smoothing < math.inf, "at least 0")

    @property
    def shares(self) -> dict[str, float]:
        """The components that count, and their shares, which sum to 1."""
        weights = self._all_weights()
        total = sum(weights.values())
        return {name: weight / total for name, weight in weights.items() if weight > 0}

    @property
    def windows(self) -> dict[int | None, float]:
        """The windows that count, and their shares."""
        shares = {self.window: 1 - self.mean}
        shares[None] = shares.get(None, 0) + self.mean
        return {window: share for window, share in shares.items() if share > 0}

    def _all_weights(self) -> dict[str, float]:
        named = {"plain": self.plain, "temporal": self.temporal, "contrast": self.contrast}
        return named | dict(self.weights)


@dataclass(frozen=True)
class RunConfig:
    """All settings of a run. `vadlib train --config RUN/config.json` repeats it."""

    dataset: str | None = None  # by name; None: videos that were not loaded by name
    clips: ClipConfig = field(default_factory=ClipConfig)
    pseudo: PseudoConfig = field(default_factory=PseudoConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainConfig = field(default_factory=TrainConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    # Notes of `fit`, which choose nothing: the number of clips, and a hash of videos, windows and
    # boxes
    clip_count: int | None = None
    fingerprint: str | None = None

    @classmethod
    def preset(cls, name: str) -> RunConfig:
        """Return all parts of a preset; see `Part.preset`."""
        require_known(name, PRESETS, "preset")
        return cls().changed(PRESETS[name], "PRESETS")

    def changed(self, values: Mapping[str, Any], source: str | Path = "options") -> RunConfig:
        """Return a copy with some values changed; a part changes only the fields that it names.

        A score averages over the length of a clip, so `score.frames` follows `clips.length` unless
        the values name it.

        Args:
            values: as in `config.json`.
            source: see `from_dict`.

        Raises:
            InputError: an unknown key, a value of the wrong type, or one outside its range.
        """
        merged = asdict(self)
        for key, value in values.items():
            is_part = isinstance(value, Mapping) and isinstance(merged.get(key), dict)
            merged[key] = merged[key] | value if is_part else value
        config = from_dict(RunConfig, merged, source)
        if "length" in values.get("clips", {}) and "frames" not in values.get("score", {}):
            return replace(config, score=replace(config.score, frames=config.clips.length))
        return config


def read_config_file(path: Path) -> dict[str, Any]:
    """Return the values of a JSON file with some or all parts of a run's config.json.

    Raises:
        InputError: there is no such file, or it does not hold a JSON object.
    """
    keys = ", ".join(f.name for f in fields(RunConfig))
    advice = f"expected a JSON object with some of {keys}"
    require(path.is_file(), f"{path}: no such file; {advice}", "missing-file", file=path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        message = f"{path}: not JSON ({error}); {advice}"
        raise InputError(message, "wrong-format", file=path) from error
    require(isinstance(values, dict), f"{path}: {advice}", "wrong-type", file=path)
    return dict(values)


def from_dict(cls: type[T], values: Mapping[str, Any], source: str | Path) -> T:
    """Build the dataclass `cls` from `values`; JSON's lists become tuples.

    Args:
        cls: a dataclass whose fields are numbers, strings, booleans, tuples of those, None, or
            such dataclasses.
        values: field name -> value; fields left out keep their defaults.
        source: the origin of the values for the message, such as "options"; a `Path` is the error's
            `file`.

    Raises:
        InputError: an unknown key or a value of the wrong type, named with what was expected.
    """
    hints = typing.get_type_hints(cls)
    names = [f.name for f in fields(cls)]  # type: ignore[arg-type]  # a dataclass, see above
    file = source if isinstance(source, Path) else None
    arguments = {}
    for key, value in values.items():
        path = f"{cls.__name__}.{key}"
        message = f"{source}: unknown key {key!r} in {cls.__name__}; known keys: {', '.join(names)}"
        require(key in names, message, "unknown-key", file=file, field=path)
        is_part = is_dataclass(hints[key])
        fits = isinstance(value, Mapping) if is_part else _matches(value, hints[key])
        message = f"{source}: {path} = {value!r}; expected {_type_name(hints[key])}"
        require(fits, message, "wrong-type", file=file, field=path)
        arguments[key] = from_dict(hints[key], value, source) if is_part else _as_tuple(value)
    return cls(**arguments)


def require_field(config: object, name: str, condition: bool, expected: str) -> None:
    """Raise `InputError` with the code "out-of-range" about a field of a config unless the
    condition holds.

    Args:
        config: the dataclass instance; the message gives the field's value.
        name: the field's name.
        condition: whether its value is valid.
        expected: the requirement in words, such as "at least 1".
    """
    path = f"{type(config).__name__}.{name}"
    message = f"{path} = {getattr(config, name)!r}; expected {expected}"
    require(condition, message, "out-of-range", field=path)


def require_known_field(config: object, name: str, known: Iterable[str]) -> None:
    """Raise `InputError` with the code "unknown-name" unless a field of a config holds one of the
    known names.
    """
    path = f"{type(config).__name__}.{name}"
    value = getattr(config, name)
    names = list(known)
    message = f"{path} = {value!r}; expected one of: {', '.join(names)}"
    require(value in names, message, "unknown-name", field=path)


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


def _matches(value: object, hint: Any) -> bool:
    """Return whether a value of JSON, or a tuple, is of the type that the hint names."""
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return any(_matches(value, option) for option in arguments)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, (tuple, list)):
            return False
        if arguments[-1] is Ellipsis:
            arguments = arguments[:1] * len(value)
        items_match = map(_matches, value, arguments)
        return len(value) == len(arguments) and all(items_match)
    if typing.get_origin(hint) is dict:
        return isinstance(value, dict) and all(_matches(v, arguments[1]) for v in value.values())
    if isinstance(value, bool):
        return hint is bool
    if hint is float:
        return isinstance(value, (int, float))
    return isinstance(value, hint)


def _type_name(hint: Any) -> str:
    if is_dataclass(hint):
        return "an object"
    is_class = isinstance(hint, type) and not typing.get_args(hint)
    return hint.__name__ if is_class else str(hint).replace("None", "null")
