"""A run's folder is written atomically and read without trust."""

import json
from dataclasses import asdict

import pytest
import torch
from refusals import refused

from vadlib.config import ClipConfig, ModelConfig, RunConfig
from vadlib.files import atomic, write_json
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import Run, save_weights

CONFIG = RunConfig(clips=ClipConfig(length=8), model=ModelConfig(width=8, slots=4))


def write_run(folder, model, **model_fields):
    config = asdict(CONFIG)
    config["model"] |= model_fields
    write_json(folder / "config.json", config)
    save_weights(model, folder / "model.safetensors")


@pytest.fixture
def model():
    torch.manual_seed(0)
    return DualPathAutoencoder(CONFIG.model)


def test_a_run_loads_with_the_same_config_and_weights(tmp_path, model):
    write_run(tmp_path, model)
    run = Run.load(tmp_path)
    assert run.config == CONFIG
    loaded = run.model.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in model.state_dict().items())
    assert not run.model.training


def test_another_shape_is_refused_by_name(tmp_path, model):
    write_run(tmp_path, model, slots=5)
    with refused("other-run", file=tmp_path / "model.safetensors") as caught:
        Run.load(tmp_path)
    for part in ("memory.slots", "(4, 32)", "(5, 32)"):
        assert part in str(caught.error)


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"\x00" * 64])
def test_damaged_weights_are_refused(tmp_path, model, content):
    write_run(tmp_path, model)
    (tmp_path / "model.safetensors").write_bytes(content)
    with refused("damaged-file", file=tmp_path / "model.safetensors"):
        Run.load(tmp_path)


def test_unknown_config_keys_are_refused(tmp_path, model):
    write_run(tmp_path, model, depth=3)
    with refused("unknown-key", file=tmp_path / "config.json", field="ModelConfig.depth"):
        Run.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "wrong-format"),
        ("{", "wrong-format"),
        ("[]", "wrong-type"),
        (json.dumps({"clips": {}}), "not-a-run"),
    ],
)
def test_a_broken_config_is_refused(tmp_path, text, code):
    (tmp_path / "config.json").write_text(text)
    with refused(code, file=tmp_path / "config.json"):
        Run.load(tmp_path)


def test_atomic_keeps_the_old_file_when_writing_fails(tmp_path):
    path = tmp_path / "metrics.json"
    write_json(path, {"old": 1})

    def fail():
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        fail()
    assert json.loads(path.read_text()) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.json"]


def test_an_unwritable_folder_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with refused("not-writable", file=tmp_path / "file"):
        write_json(tmp_path / "file" / "config.json", {})
