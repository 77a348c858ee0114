"""Configs from JSON: what is not known, or of another type, is refused by name."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vadlib.config import from_dict, require
from vadlib.data.clips import DataConfig
from vadlib.engine.config import TrainConfig
from vadlib.errors import InputError
from vadlib.model.network import ModelConfig


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
        ("count", [1], "int"),
        ("rate", "0.5", "float"),
        ("rate", True, "float"),
        ("rate", None, "float"),
        ("name", 1, "str"),
        ("name", ["a"], "str"),
        ("on", 1, "bool"),
        ("on", "true", "bool"),
        ("size", 3, r"tuple\[int, int\] or null"),
        ("size", [3], r"tuple\[int, int\] or null"),
        ("size", [3, 4, 5], r"tuple\[int, int\] or null"),
        ("size", [3, 4.5], r"tuple\[int, int\] or null"),
        ("size", [3, True], r"tuple\[int, int\] or null"),
        ("size", "34", r"tuple\[int, int\] or null"),
        ("kinds", ["a", 1], r"tuple\[str, \.\.\.\]"),
        ("kinds", "ab", r"tuple\[str, \.\.\.\]"),
        ("kinds", {"a": 1}, r"tuple\[str, \.\.\.\]"),
        ("nested", [1], "tuple"),
        ("maybe", "x", "float or null"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(key, value, expected):
    with pytest.raises(InputError, match=rf"^run/config\.json: Sample\.{key} = .*; expected {expected}"):
        from_dict(Sample, {key: value}, "run/config.json")


def test_an_unknown_key_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"^here: unknown key 'cuont' in Sample; known keys: count, rate, name"):
        from_dict(Sample, {"count": 1, "cuont": 2}, "here")


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
    "config", [DataConfig(), DataConfig.preset("fast"), DataConfig(size=(8, 9)), TrainConfig(), ModelConfig(channels=3)]
)
def test_the_runs_configs_survive_json(config):
    assert from_dict(type(config), json.loads(json.dumps(dataclasses.asdict(config))), "here") == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, r"epochs = 0; expected at least 1"),
        ({"seed": -1}, r"seed = -1; expected at least 0"),
        ({"learning_rate": 0.0}, r"learning_rate = 0\.0; expected more than 0"),
        ({"learning_rate": float("nan")}, r"learning_rate = nan; expected more than 0"),
        ({"sparsity_weight": float("nan")}, r"sparsity_weight = nan; expected at least 0"),
        ({"objective": "minimize"}, r"objective 'minimize' is unknown; expected one of: .*inpaint"),
    ],
)
def test_values_outside_their_range_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        from_dict(TrainConfig, values, "here")


def test_require():
    require(True, "never said")
    with pytest.raises(InputError, match=r"^said$"):
        require(False, "said")
