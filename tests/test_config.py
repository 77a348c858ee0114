"""Configs from JSON: what is not known, or of another type or range, is refused by name."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from vadlib.config import PRESETS, ClipConfig, PseudoConfig, RunConfig, TrainConfig, from_dict


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
    weights: dict[str, float] = dataclasses.field(default_factory=dict)


WRONG = {
    "count": [1.0, "1", True, None],  # a bool is no number, though Python counts it as one
    "rate": ["0.5", True],
    "name": [1],
    "on": [1],
    "size": [3, [3], [3, 4, 5], [3, 4.5], "34"],
    "kinds": [["a", 1], "ab", {"a": 1}],
    "nested": [[1]],
    "maybe": ["x"],
    "weights": [[1], {"a": "1"}],
}


@pytest.mark.parametrize("key", WRONG)
def test_a_value_of_another_type_is_refused_by_name(key):
    for value in WRONG[key]:
        with refused("wrong-type", file="run/config.json", field=f"Sample.{key}"):
            from_dict(Sample, {key: value}, Path("run/config.json"))


def test_an_unknown_key_is_refused_with_the_known_ones():
    with refused("unknown-key", field="Sample.cuont") as caught:
        from_dict(Sample, {"count": 1, "cuont": 2}, "here")
    assert caught.error.file is None
    assert all(field.name in str(caught.error) for field in dataclasses.fields(Sample))


@given(
    st.builds(
        Sample,
        st.integers(),
        st.floats(allow_nan=False) | st.integers(),  # an integer is a number
        st.text(),
        st.booleans(),
        st.none() | st.tuples(st.integers(), st.integers()),
        st.lists(st.text()).map(tuple),
        st.lists(st.lists(st.integers()).map(tuple)).map(tuple),
        st.none() | st.floats(allow_nan=False),
        st.dictionaries(st.text(), st.floats(allow_nan=False)),
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
    weights = {"sparsity_weight": 2e-4, "separation_weight": 2e-4}
    expected = TrainConfig(epochs=30, objective="maximize", learning_rate=1e-4, **weights)
    assert paper.training == RunConfig.preset("compact").training == expected
    assert (paper.pseudo.p, RunConfig.preset("compact").pseudo.p) == (0.01, 0.02)
    with refused("unknown-name", field="preset"):
        PseudoConfig.preset("huge")


def test_a_score_averages_over_the_length_of_a_clip_unless_told_otherwise():
    assert RunConfig().changed({"clips": {"length": 8}}).score.frames == 8
    changed = RunConfig().changed({"clips": {"length": 8}, "score": {"frames": 1}})
    assert changed.score.frames == 1


OUTSIDE = {
    "epochs": [0],
    "batch_size": [0],
    "seed": [-1, 2**63],
    "learning_rate": [0.0, float("inf")],
    "margin": [float("nan")],
    "separation_weight": [-1.0],
    "workers": [-1, 100_000],
    "length": [1],
    "crop": [(0, 8)],
    "channels": [2],
    "shorter_side": [7],
}


@pytest.mark.parametrize("field", OUTSIDE)
def test_values_outside_their_range_are_refused(field):
    cls = TrainConfig if hasattr(TrainConfig, field) else ClipConfig
    for value in OUTSIDE[field]:
        with refused("out-of-range", field=f"{cls.__name__}.{field}") as caught:
            from_dict(cls, {field: value}, "here")
        assert repr(value) in str(caught.error)


@pytest.mark.parametrize(("field", "value"), [("objective", "minimize"), ("precision", "fp16")])
def test_unknown_names_are_refused(field, value):
    with refused("unknown-name", field=f"TrainConfig.{field}"):
        TrainConfig(**{field: value})
