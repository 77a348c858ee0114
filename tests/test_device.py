"""Devices are chosen by what is there, precisions by what the hardware does well."""

import pytest
import torch

from vadlib import device as devices
from vadlib.device import autocast, pick_device, pick_precision
from vadlib.errors import InputError


def test_auto_takes_an_accelerator_where_there_is_one():
    expected = torch.accelerator.current_accelerator().type if torch.accelerator.is_available() else "cpu"
    assert pick_device("auto").type == expected


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused_by_name(name):
    if torch.accelerator.is_available() and torch.accelerator.current_accelerator().type == name:
        assert pick_device(name).type == name
    else:
        with pytest.raises(InputError, match=f"device '{name}' cannot be used here"):
            pick_device(name)


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x"])
def test_an_unknown_device_is_refused(name):
    with pytest.raises(InputError, match="expected auto, cpu, cuda or mps"):
        pick_device(name)


def test_precision_is_bf16_only_where_the_cpu_has_it(monkeypatch):
    cpu = torch.device("cpu")
    for native, expected in ((True, torch.bfloat16), (False, None)):
        monkeypatch.setattr(devices, "_cpu_has_bf16", lambda native=native: native)
        assert pick_precision("auto", cpu) is expected
    assert pick_precision("fp32", cpu) is None
    assert pick_precision("bf16", cpu) is torch.bfloat16
    with pytest.raises(InputError, match="precision 'fp16' is unknown"):
        pick_precision("fp16", cpu)


def test_autocast_of_none_leaves_float32():
    layer, x, cpu = torch.nn.Linear(4, 4), torch.ones(1, 4), torch.device("cpu")
    with autocast(cpu, None):
        assert layer(x).dtype is torch.float32
    with autocast(cpu, torch.bfloat16):
        assert layer(x).dtype is torch.bfloat16
