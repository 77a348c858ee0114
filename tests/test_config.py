"""Configs from JSON: what is not known, or of another type, is refused by name."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from vadlib.config import ClipConfig, ModelConfig, TrainConfig, from_dict
from vadlib.errors import require_known


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
    [
        ("count", 3, 3),
        ("rate", 2, 2),  # an integer is a number
        ("rate", 0.25, 0.25),
        ("name", "", ""),
        ("on", True, True),
        ("size", None, None),
        ("size", [3, 4], (3, 4)),
        ("size", (3, 4), (3, 4)),
        ("kinds", [], ()),
        ("kinds", ["a", "b", "c"], ("a", "b", "c")),
        ("nested", [[1], [2, 3]], ((1,), (2, 3))),
        ("maybe", None, None),
        ("maybe", 1, 1),
    ],
)
def test_values_of_the_right_type(key, value, expected):
    config = from_dict(Sample, {key: value}, "here")
    assert getattr(config, key) == expected
    assert config == dataclasses.replace(Sample(), **{key: expected})


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
    for field in dataclasses.fields(Sample):
        assert field.name in str(caught.error)


def test_nothing_given_is_all_defaults():
    assert from_dict(Sample, {}, "here") == Sample()


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


@pytest.mark.parametrize(
    "config",
    [
        ClipConfig(),
        ClipConfig.preset("fast"),
        ClipConfig(size=(8, 9)),
        TrainConfig(),
        ModelConfig(channels=3),
    ],
)
def test_the_runs_configs_survive_json(config):
    assert (
        from_dict(type(config), json.loads(json.dumps(dataclasses.asdict(config))), "here")
        == config
    )


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("epochs", 0, "out-of-range"),
        ("seed", -1, "out-of-range"),
        ("learning_rate", 0.0, "out-of-range"),
        ("learning_rate", float("nan"), "out-of-range"),
        ("sparsity_weight", float("nan"), "out-of-range"),
        ("objective", "minimize", "unknown-name"),
    ],
)
def test_values_outside_their_range_are_refused(field, value, code):
    with refused(code, field=f"TrainConfig.{field}") as caught:
        from_dict(TrainConfig, {field: value}, "here")
    assert repr(value) in str(caught.error)


def test_a_name_must_be_known():
    require_known("fast", ["fast", "paper"], "preset")
    with refused("unknown-name", field="preset") as caught:
        require_known("slow", ["fast", "paper"], "preset")
    for name in ("slow", "fast", "paper"):
        assert name in str(caught.error)
    with refused("unknown-name", field="View.video"):
        require_known("9", {"1": None}, "video", field="View.video")
