"""All settings of a run: one dataclass for each part, `RunConfig` for the whole, and one table of
presets.

A run's `config.json` holds a whole `RunConfig`, and `--config` reads it. Unknown keys and values of
another type are refused.
"""

from __future__ import annotations

import inspect
import json
import math
import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar, get_args, get_origin, get_type_hints

from vadlib.errors import InputError, require, require_known

T = TypeVar("T")

# Motion is sought in frames whose shorter side has at most so many pixels, Ped2's: its thresholds
# were measured there.
WORKING_SIDE = 240
CELL = 8  # pixels; errors are kept as means over squares of this side
TINY = 1e-12  # the least value of what must not be 0
# The default recipe, whatever else the table of kinds holds.
DEFAULT_KINDS = ("skip", "shuffle", "noise", "object")
OBJECTIVES = ("inpaint", "maximize", "none")
PRECISIONS = ("auto", "fp32", "bf16")


def _published(side: int, width: int, slots: int, p: float) -> dict[str, dict[str, object]]:
    training = {"objective": "maximize", "learning_rate": 1e-4, "epochs": 30}
    return {
        "clips": {"size": (side, side)},
        "model": {"network": "published", "width": width, "slots": slots, "skip": True},
        "pseudo": {"p": p},
        "training": training | {"sparsity_weight": 2e-4, "separation_weight": 2e-4},
    }


# What each preset changes in the defaults, by the part of `RunConfig`.
# fast: ours, for a CPU. A window of 48 pixels around what moves holds a person of Ped2 and her next
#   steps; larger frames are shrunk to Ped2's height.
# short: the same network at half the width on smaller frames, for a training of minutes. People are
#   half as tall there, and so is the window of the score.
# paper, compact: the first and the second release of Wei et al., layer by layer, on whole frames,
#   with their objective, rate and epochs. Batches stay ours: theirs hold 2 clips.
PRESETS: dict[str, dict[str, dict[str, object]]] = {
    "fast": {"clips": {"crop": (48, 48), "clip_step": 4, "shorter_side": WORKING_SIDE}},
    "short": {
        "clips": {"crop": (48, 48), "clip_step": 4, "shorter_side": WORKING_SIDE // 2},
        "model": {"width": 8},
        "training": {"epochs": 2, "batch_size": 4},
        "score": {"window": 16},
    },
    "compact": _published(128, 16, 500, 0.02),
    "paper": _published(256, 32, 2000, 0.01),
}


def number(default: T, low: float, high: float = 10**9, step: int = 0) -> T:
    """Return the field of a config that holds numbers from `low` to `high`, or None.

    Args:
        default: the default of the field; a tuple holds several such numbers.
        low: the least number.
        high: the largest number.
        step: integers only, in steps of so many from `low`; 0: any number.
    """

    def fits(value: float) -> bool:
        is_step = step == 0 or (isinstance(value, int) and (value - low) % step == 0)
        return low <= value <= high and is_step

    expected = f"{low} to {high}" + (f" in steps of {step}" if step else "")
    return field(default=default, metadata={"fits": fits, "expected": expected})


@dataclass(frozen=True)
class Part:
    """A part of `RunConfig`, which has its own presets."""

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            path = f"{type(self).__name__}.{setting.name}"
            message = f"{path} = {value!r}; expected {setting.metadata.get('expected')}"
            for item in value if isinstance(value, tuple) else (value,):
                fits = item is None or not setting.metadata or setting.metadata["fits"](item)
                require(fits, message, "out-of-range", field=path)

    @classmethod
    def preset(cls, name: str, **changes: object) -> Self:
        """Return the part of a preset, with some fields changed.

        Args:
            name: "fast", "short", "compact" or "paper"; see `PRESETS`.
            changes: field name -> value, such as `channels=3`.

        Raises:
            InputError: the name is unknown, or a value is outside its range.
        """
        parts = vars(RunConfig.preset(name)).values()
        [part] = [part for part in parts if isinstance(part, cls)]
        return replace(part, **changes)


@dataclass(frozen=True)
class ClipConfig(Part):
    """How frames become clips. Scoring prepares frames exactly as training did."""

    length: int = number(16, 2)  # frames a clip; one shows no motion
    # (height, width) that frames are resized to; None keeps the native size
    size: tuple[int, int] | None = number(None, 1)
    # without `size`: larger frames are shrunk until their shorter side has so many pixels
    shorter_side: int | None = number(None, 8)
    # 1 makes colour grey, 3 repeats grey; None keeps what the dataset has
    channels: int | None = number(None, 1, 3, step=2)
    # distance between the frames of a clip; 2 doubles the time it spans
    frame_step: int = number(1, 1)
    # distance between clip starts in training; scoring has its own, half-overlapping step
    clip_step: int = number(1, 1)
    # (height, width) of windows cut around what moves; None takes whole frames
    crop: tuple[int, int] | None = number(None, 1)


@dataclass(frozen=True)
class PseudoConfig(Part):
    """Which pseudo-anomalies to make, by name."""

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

    network: str = "fast"  # "fast": ours; "published": the paper's, layer by layer
    channels: int = number(1, 1, 3, step=2)  # 1 grey, 3 RGB
    # feature channels at the first level; they double at each further level
    width: int = number(16, 8, 512, step=8)
    slots: int = number(256, 1, 100_000)  # slots in each memory
    # of the memory's addressing: cosine similarities are in [-1, 1], too flat for a softmax
    sharpness: float = number(10.0, 0)
    # addressing weights below this share of the largest are cut off
    shrink: float = number(0.05, 0, 0.999)
    # join encoder features to the decoders' at one level: sharper, but anomalies pass around the
    # memory
    skip: bool = False
    # 2: M_n and M_p; 1: both paths read M_n; 0: features pass as they are
    memories: int = number(2, 0, 2)
    decoders: int = number(2, 1, 2)  # 2: D_n and D_p; 1: both paths are decoded by D_n


@dataclass(frozen=True)
class TrainConfig(Part):
    """How to train."""

    # passes over the clips: about 20 minutes for Ped2 on two CPU cores
    epochs: int = number(6, 1)
    seed: int = number(0, 0, 2**63 - 1)
    # of all processes together; small: more steps for the same clips bring the error down faster
    batch_size: int = number(8, 1)
    # of Adam; rises over the first steps, then falls to 0 along a cosine
    learning_rate: float = number(1e-3, TINY)
    # "inpaint"; "maximize", the paper's; "none": reconstruct normal clips only
    objective: str = "inpaint"
    # mean squared error, pixels in [-1, 1], up to which "maximize" drives the pseudo path: an
    # untrained decoder, which paints grey, has about 0.1, a trained one 0.01 to 0.02
    margin: float = number(0.5, TINY)
    # of the entropy of the memory's addressing; 0 is off, the paper's is 2e-4
    sparsity_weight: float = number(0.0, 0)
    # of the distances between the two paths; 0 is off, the paper's is 2e-4
    separation_weight: float = number(0.0, 0)
    max_gradient: float = number(1.0, TINY)  # longer gradients are cut to this norm
    device: str = "auto"  # "auto", "cpu", "cuda" or "mps"
    # "auto": bf16 where the hardware has it, else float32; "fp32" or "bf16"
    precision: str = "auto"
    # processes that read clips ahead; 0: the training process reads; None: 0 on a CPU, up to 4 for
    # a GPU
    workers: int | None = number(None, 0, 64)
    # torch.compile: a minute at the beginning; steps were slower on a CPU, and are unmeasured on a
    # GPU
    compile: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require_known(self.precision, PRECISIONS, "TrainConfig.precision")
        require_known(self.objective, OBJECTIVES, "TrainConfig.objective")


@dataclass(frozen=True)
class ScoreConfig(Part):
    """How error maps become one number a frame. The default was chosen on held-out normal videos
    with pseudo-anomalies.

    The published scores are `ScoreConfig(contrast=0, window=None, frames=1)`, which ranks frames as
    the PSNR of the reconstruction does (first release), and `ScoreConfig(contrast=0, window=8,
    mean=0.4, frames=1, smoothing=32)` (second release; there of errors, here of their logarithms).
    """

    plain: float = 1.0  # weight of D_n's squared error
    temporal: float = 0.0  # weight of the error of its differences of consecutive frames
    # weight of D_n against D_p: the share that D_n's error has in the sum of both, over the whole
    # frame
    contrast: float = 1.0
    # weights of further components of `vadlib.evaluation.scores.COMPONENTS`, by name
    weights: dict[str, float] = field(default_factory=dict)
    # errors are those of a frame's worst square of so many pixels, a person's height; None: of the
    # whole frame
    window: int | None = number(32, CELL, 100_000, step=CELL)
    mean: float = number(0.0, 0, 1)  # share of the whole frame's score beside the worst window's
    # errors are averaged over so many frames: the length of a clip
    frames: int = number(16, 1, step=1)
    # sigma, in frames, of a Gaussian over the scores; 0 is off
    smoothing: float = number(0.0, 0)
    # averages and smoothing reach back only, not ahead; errors still look ahead to the end of their
    # clips
    causal: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        weights = self._all_weights()
        fits = all(0 <= weight < math.inf for weight in weights.values()) and any(weights.values())
        message = f"ScoreConfig weights {weights}; expected numbers >= 0, not all 0"
        require(fits, message, "out-of-range", field="ScoreConfig.weights")

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
        return named | self.weights


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

    def changed(self, values: Mapping[str, object], source: str | Path = "options") -> RunConfig:
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
        parts: dict[str, Any] = dict(values)
        if "length" in parts.get("clips", {}) and "frames" not in parts.get("score", {}):
            return replace(config, score=replace(config.score, frames=config.clips.length))
        return config


def read_config_file(path: Path) -> dict[str, object]:
    """Return the values of a JSON file with some or all parts of a run's config.json.

    Raises:
        InputError: there is no such file, or it does not hold a JSON object.
    """
    advice = f"expected a JSON object with some of {', '.join(asdict(RunConfig()))}"
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
    hints = get_type_hints(cls)
    file = source if isinstance(source, Path) else None
    arguments = {}
    for key, value in values.items():
        path = f"{cls.__name__}.{key}"
        message = f"{source}: unknown key {key!r} in {cls.__name__}; known keys: {', '.join(hints)}"
        require(key in hints, message, "unknown-key", file=file, field=path)
        is_part = is_dataclass(hints[key])
        hint = dict if is_part else hints[key]
        message = f"{source}: {path} = {value!r}; expected {inspect.formatannotation(hint)}"
        require(_matches(value, hint), message, "wrong-type", file=file, field=path)
        arguments[key] = from_dict(hints[key], value, source) if is_part else _as_tuple(value)
    return cls(**arguments)


def _as_tuple(value: object) -> object:
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


def _matches(value: object, hint: Any) -> bool:
    """Return whether a value of JSON, or a tuple, is of the type that the hint names."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is types.UnionType:
        return any(_matches(value, option) for option in arguments)
    if origin is tuple and isinstance(value, (tuple, list)):
        arguments = arguments[:1] * len(value) if arguments[-1] is ... else arguments
        return len(value) == len(arguments) and all(map(_matches, value, arguments))
    if origin is dict and isinstance(value, dict):
        return all(_matches(item, arguments[1]) for item in value.values())
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else origin or hint)
