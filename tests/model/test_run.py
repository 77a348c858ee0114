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


@pytest.fixture
def write_run(tmp_path):
    """(fields of the config's model) -> the weights' path."""

    def write(**fields):
        torch.manual_seed(0)
        config = asdict(CONFIG)
        write_json(tmp_path / "config.json", config | {"model": config["model"] | fields})
        save_weights(DualPathAutoencoder(CONFIG.model), tmp_path / "model.safetensors")
        return tmp_path / "model.safetensors"

    return write


def test_a_run_loads_with_the_same_config_and_weights(tmp_path, write_run):
    write_run()
    run = Run.load(tmp_path)
    assert run.config == CONFIG
    torch.manual_seed(0)
    loaded = run.model.state_dict()
    for name, value in DualPathAutoencoder(CONFIG.model).state_dict().items():
        assert torch.equal(value, loaded[name])
    assert not run.model.training


def test_another_shape_is_refused_by_name(tmp_path, write_run):
    with refused("other-run", file=write_run(slots=5)) as caught:
        Run.load(tmp_path)
    for part in ("memory.slots", "(4, 32)", "(5, 32)"):
        assert part in str(caught.error)


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"\x00" * 64])
def test_damaged_weights_are_refused(tmp_path, write_run, content):
    path = write_run()
    path.write_bytes(content)
    with refused("damaged-file", file=path):
        Run.load(tmp_path)


UNKNOWN = asdict(CONFIG) | {"model": {"depth": 3}}


@pytest.mark.parametrize(
    ("text", "code", "field"),
    [
        ("", "wrong-format", ""),
        ("{", "wrong-format", ""),
        ("[]", "wrong-type", ""),
        (json.dumps({"clips": {}}), "not-a-run", None),
        (json.dumps(UNKNOWN), "unknown-key", "ModelConfig.depth"),
    ],
    ids=["empty", "cut", "list", "parts", "unknown"],
)
def test_a_broken_config_is_refused(tmp_path, text, code, field):
    (tmp_path / "config.json").write_text(text)
    with refused(code, file=tmp_path / "config.json", field=field):
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
    assert list(tmp_path.iterdir()) == [path]


def test_an_unwritable_folder_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with refused("not-writable", file=tmp_path / "file"):
        write_json(tmp_path / "file" / "config.json", {})
