"""A run's folder is written atomically and read without trust."""

from dataclasses import asdict

import pytest
import torch
from refusals import refused

from vadlib.config import ClipConfig, ModelConfig, RunConfig
from vadlib.files import write_json
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import Run, save_weights

CONFIG = RunConfig(clips=ClipConfig(length=8), model=ModelConfig(width=8, slots=4))


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    write_json(tmp_path / "config.json", asdict(CONFIG))
    save_weights(DualPathAutoencoder(CONFIG.model), tmp_path / "model.safetensors")
    return tmp_path


def test_a_run_loads_with_the_same_config_and_weights(folder):
    run = Run.load(folder)
    assert run.config == CONFIG
    torch.manual_seed(0)
    loaded = run.model.state_dict()
    for name, value in DualPathAutoencoder(CONFIG.model).state_dict().items():
        assert torch.equal(value, loaded[name])
    assert not run.model.training


def test_weights_of_another_shape_or_damaged_are_refused(folder):
    path = folder / "model.safetensors"
    write_json(folder / "config.json", asdict(CONFIG) | {"model": {"width": 8, "slots": 5}})
    with refused("other-run", file=path) as caught:
        Run.load(folder)
    for part in ("memory.slots", "(4, 32)", "(5, 32)"):
        assert part in str(caught.error)
    for content in (b"", b"\x80\x04pickle", b"\x00" * 64):
        path.write_bytes(content)
        with refused("damaged-file", file=path):
            Run.load(folder)
    for text, code in (("{", "wrong-format"), ("[]", "wrong-type"), ('{"clips": {}}', "not-a-run")):
        (folder / "config.json").write_text(text)
        with refused(code, file=folder / "config.json"):
            Run.load(folder)
