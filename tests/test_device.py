"""Devices are chosen by what is there, precisions by what the hardware does well."""

import platform
from types import SimpleNamespace

import pytest
import torch
from refusals import refused

from vadlib import device as devices
from vadlib.device import autocast, pick_device, pick_precision, processes


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["auto", "cuda", "mps"])
def test_a_device_is_taken_if_it_is_there(name):
    current = torch.accelerator.current_accelerator(check_available=True)
    own = current.type if current else "cpu"
    if name in ("auto", own):
        assert pick_device(name).type == own
    else:
        with refused("not-available", field="device"):
            pick_device(name)


@pytest.mark.parametrize("name", ["gpu", "", "meta"])
def test_an_unknown_device_is_refused(name):
    with refused("unknown-name", field="device"):
        pick_device(name)


@pytest.mark.parametrize("native", [True, False])
def test_precision_is_bf16_only_where_the_cpu_has_it(monkeypatch, native):
    cpu = torch.device("cpu")
    monkeypatch.setattr(devices, "_cpu_has_bf16", lambda: native)
    automatic = torch.bfloat16 if native else None
    table = [("", "auto", automatic), ("", "fp32", None), ("", "bf16", torch.bfloat16)]
    table += [("fp32", "auto", None), ("bf16", "auto", torch.bfloat16)]
    table += [("fp32", "bf16", torch.bfloat16)]  # asked for by name
    for variable, name, expected in table:
        monkeypatch.setenv("VADLIB_PRECISION", variable)
        assert pick_precision(name, cpu) is expected
    monkeypatch.setenv("VADLIB_PRECISION", "half")
    with refused("unknown-name", field="VADLIB_PRECISION"):
        pick_precision("auto", cpu)
    with refused("unknown-name", field="precision"):
        pick_precision("fp16", cpu)
    with refused("not-available", field="precision"):
        pick_precision("bf16", torch.device("mps"))


def test_autocast_of_none_leaves_float32():
    layer = torch.nn.Linear(4, 4)
    for precision in (None, torch.bfloat16):
        with autocast(torch.device("cpu"), precision):
            assert layer(torch.ones(1, 4)).dtype is (precision or torch.float32)


def test_alone_there_is_one_main_process_that_does_everything():
    state = processes()
    assert (state.num_processes, state.process_index, state.is_main_process) == (1, 0, True)
    part = torch.ones(2, requires_grad=True)
    assert devices.sum_over_processes(part) is part
    assert devices.share_out(lambda x: x * x, [3, 1, 2]) == [9, 1, 4]


@pytest.mark.parametrize(("device", "field"), [("mps", "WORLD_SIZE"), ("cuda", "LOCAL_WORLD_SIZE")])
def test_processes_that_cannot_work_together_are_refused(monkeypatch, device, field):
    """Each would train on its own without a word: they share no device, or there are fewer GPUs."""
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    alone = SimpleNamespace(num_processes=1, device=device)
    monkeypatch.setattr(devices, "PartialState", lambda **_: alone)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with refused("not-available", field=field):
        processes(torch.device(device))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told")
def test_steady_memory_saves_page_faults_while_it_lasts():
    import resource

    def faults():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(8):
            torch.ones(64 << 20, dtype=torch.uint8)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    without = faults()
    with devices.steady_memory():
        faults()
        assert faults() < without / 10
