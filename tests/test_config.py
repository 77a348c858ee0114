"""Configs from JSON: what is not known, or of another type, is refused by name."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from vadlib.config import PRESETS, ClipConfig, RunConfig, TrainConfig, from_dict


@dataclasses.dataclass(frozen=True)
class Sample:
    count: int = 1
    rate: float = 0.5
    name: str = "a"
    on: bool = False
    size: tuple[int, int] | None = None
    kinds: tuple[str, ...] = ()
    nested: tuple[tuple[int, ...], ...] = ()
    maybe: float | None = None


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [("rate", 2, 2), ("size", (3, 4), (3, 4)), ("maybe", 1, 1)],  # an integer is a number
)
def test_values_of_the_right_type(key, value, expected):
    assert from_dict(Sample, {key: value}, "here") == Sample(**{key: expected})


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("count", 1.0, "int"),
        ("count", "1", "int"),
        ("count", True, "int"),  # a bool is no number, though Python counts it as one
        ("count", None, "int"),
        ("rate", "0.5", "float"),
        ("rate", True, "float"),
        ("name", 1, "str"),
        ("on", 1, "bool"),
        ("size", 3, "int"),
        ("size", [3], "int"),
        ("size", [3, 4, 5], "int"),
        ("size", [3, 4.5], "int"),
        ("size", "34", "int"),
        ("kinds", ["a", 1], "str"),
        ("kinds", "ab", "str"),
        ("kinds", {"a": 1}, "str"),
        ("nested", [1], "tuple"),
        ("maybe", "x", "float"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(key, value, expected):
    with refused("wrong-type", file="run/config.json", field=f"Sample.{key}") as caught:
        from_dict(Sample, {key: value}, Path("run/config.json"))
    assert expected in str(caught.error)


def test_an_unknown_key_is_refused_with_the_known_ones():
    with refused("unknown-key", field="Sample.cuont") as caught:
        from_dict(Sample, {"count": 1, "cuont": 2}, "here")
    assert caught.error.file is None
    assert all(field.name in str(caught.error) for field in dataclasses.fields(Sample))


@given(
    st.builds(
        Sample,
        st.integers(),
        st.floats(allow_nan=False),
        st.text(),
        st.booleans(),
        st.none() | st.tuples(st.integers(), st.integers()),
        st.lists(st.text()).map(tuple),
        st.lists(st.lists(st.integers()).map(tuple)).map(tuple),
        st.none() | st.floats(allow_nan=False),
    )
)
def test_a_config_survives_json(config):
    assert from_dict(Sample, json.loads(json.dumps(dataclasses.asdict(config))), "here") == config


@pytest.mark.parametrize("name", PRESETS)
def test_a_whole_preset_survives_json_and_has_the_presets_of_its_parts(name):
    config = RunConfig.preset(name)
    assert RunConfig().changed(json.loads(json.dumps(dataclasses.asdict(config)))) == config
    for part in (config.clips, config.pseudo, config.model, config.training, config.score):
        assert type(part).preset(name) == part


def test_presets_are_those_of_the_paper():
    paper = RunConfig.preset("paper")
    assert (paper.training.objective, paper.training.epochs) == ("maximize", 30)
    assert paper.training.sparsity_weight == paper.training.separation_weight == 2e-4
    assert (paper.pseudo.p, RunConfig.preset("compact").pseudo.p) == (0.01, 0.02)
    with refused("unknown-name", field="preset"):
        RunConfig.preset("huge")


def test_a_score_averages_over_the_length_of_a_clip_unless_told_otherwise():
    assert RunConfig().changed({"clips": {"length": 8}}).score.frames == 8
    changed = RunConfig().changed({"clips": {"length": 8}, "score": {"frames": 1}})
    assert changed.score.frames == 1


@pytest.mark.parametrize(
    ("cls", "field", "value", "code"),
    [
        (TrainConfig, "epochs", 0, "out-of-range"),
        (TrainConfig, "batch_size", 0, "out-of-range"),
        (TrainConfig, "seed", -1, "out-of-range"),
        (TrainConfig, "seed", 2**63, "out-of-range"),
        (TrainConfig, "learning_rate", 0.0, "out-of-range"),
        (TrainConfig, "learning_rate", float("inf"), "out-of-range"),
        (TrainConfig, "margin", float("nan"), "out-of-range"),
        (TrainConfig, "separation_weight", -1.0, "out-of-range"),
        (TrainConfig, "sparsity_weight", float("nan"), "out-of-range"),
        (TrainConfig, "workers", -1, "out-of-range"),
        (TrainConfig, "workers", 100_000, "out-of-range"),
        (TrainConfig, "objective", "minimize", "unknown-name"),
        (TrainConfig, "precision", "fp16", "unknown-name"),
        (ClipConfig, "length", 1, "out-of-range"),
        (ClipConfig, "crop", (0, 8), "out-of-range"),
    ],
)
def test_values_outside_their_range_are_refused(cls, field, value, code):
    with refused(code, field=f"{cls.__name__}.{field}") as caught:
        from_dict(cls, {field: value}, "here")
    assert repr(value) in str(caught.error)
