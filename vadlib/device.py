"""The device, the precision and the processes that compute."""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import gather_object, reduce
from torch import Tensor

from vadlib.config import PRECISIONS
from vadlib.errors import InputError, require, require_known

T = TypeVar("T")
R = TypeVar("R")


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of that name; "auto" is CUDA, else MPS, else the CPU.

    Each of several processes has its own GPU.

    Raises:
        InputError: the name is unknown, or this machine has no such device.
    """
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    if name != "auto":
        require_known(name.split(":")[0], ("auto", "cpu", "cuda", "mps"), "device")
        try:
            device = torch.device(name)
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError) as error:
            message = f"device {name!r} cannot be used ({str(error).splitlines()[0]})"
            raise InputError(message, "not-available", field="device") from error
    state = processes(device)
    return state.device if state.num_processes > 1 else device


def processes(device: torch.device | None = None) -> PartialState:
    """Return this process's place among those that `torchrun` or `accelerate launch` started.

    A process alone is the main one of one.

    Args:
        device: of the first call, which joins the group: GPUs use NCCL, CPUs gloo. None:
            `pick_device("auto")`.

    Raises:
        InputError: several processes were started for a device that they cannot share.
    """
    count = int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else 1
    if count == 1:
        return PartialState()
    device = device or pick_device("auto")
    if device.type == "cuda":
        local, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", 1)), torch.cuda.device_count()
        message = f"{local} processes for {gpus} GPUs; start at most one for each"
        require(local <= gpus, message, "not-available", field="LOCAL_WORLD_SIZE")
    # The others wait while one decodes a dataset or looks for people in it, for longer than the
    # ten minutes of the default. Without `cpu`, Accelerate silently treats processes that were
    # started for a CPU as separate ones.
    state = PartialState(cpu=device.type == "cpu", timeout=timedelta(days=1))
    message = f"{count} processes, but {state.num_processes} can share {state.device}; start one"
    require(count == state.num_processes, message, "not-available", field="WORLD_SIZE")
    atexit.unregister(state.destroy_process_group)
    atexit.register(state.destroy_process_group)
    return state


def sum_over_processes(part: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes; its gradient is that of this process's part.

    If every process minimises such a sum, their gradients add up to that of the whole.
    """
    if processes().num_processes == 1:
        return part
    total: Tensor = reduce(part.detach().clone(), "sum")
    return part + (total - part.detach())


def share_out(job: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Return `[job(item) for item in items]`; each process does its share and gets all results."""
    state = processes()
    mine = range(state.process_index, len(items), state.num_processes)
    results = dict(gather_object([(i, job(items[i])) for i in mine]))
    return [results[i] for i in range(len(items))]


@contextmanager
def steady_memory() -> Iterator[None]:
    """Keep freed memory inside the process for reuse (Linux with glibc only).

    Otherwise tensors of more than 32 MB are mapped again for each operation, and the kernel clears
    all their pages: a step takes 1.2 times as long on whole frames (preset "paper"), 1.06 times
    as long with the preset "fast".
    """
    if not sys.platform.startswith("linux") or not hasattr(libc := ctypes.CDLL(None), "mallopt"):
        yield
        return
    # Options of malloc.h: -1 M_TRIM_THRESHOLD, -2 M_TOP_PAD, -3 M_MMAP_THRESHOLD, -4 M_MMAP_MAX.
    for option, value in {-4: 0, -1: 2**31 - 1, -2: 2**26}.items():
        libc.mallopt(option, value)
    try:
        yield
    finally:
        # What glibc's dynamic tuning, which the first call of mallopt ends, reaches in a process
        # that frees large arrays.
        for option, value in {-4: 2**16, -3: 2**25, -1: 2**26, -2: 2**17}.items():
            libc.mallopt(option, value)
        libc.malloc_trim(0)


def pick_precision(name: str, device: torch.device) -> torch.dtype | None:
    """Return the autocast dtype, or None for plain float32.

    "auto" is the value of the environment variable `VADLIB_PRECISION`, if it is set. Otherwise it
    is bf16 where the hardware multiplies it natively, else float32: on other CPUs bf16 is emulated,
    and slow.

    Args:
        name: "auto", "fp32" or "bf16".
        device: where the model computes.

    Raises:
        InputError: an unknown name, or bf16 on MPS.
    """
    field, variable = "precision", os.environ.get("VADLIB_PRECISION", "").strip()
    if name == "auto" and variable:
        field, name = "VADLIB_PRECISION", variable
    require_known(name, PRECISIONS, field)
    message = "precision bf16 is not supported on mps; use fp32 or auto"
    require((name, device.type) != ("bf16", "mps"), message, "not-available", field="precision")
    if name == "auto" and device.type == "cuda":
        name = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    is_native = name == "auto" and device.type == "cpu" and _cpu_has_bf16()
    return torch.bfloat16 if name == "bf16" or is_native else None


def _cpu_has_bf16() -> bool:
    # private, so it may go
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, test, bool)() for test in tests)


def autocast(device: torch.device, precision: torch.dtype | None) -> AbstractContextManager[object]:
    """Return a context in which convolutions compute with that precision; None is float32."""
    if not torch.amp.is_autocast_available(device.type):  # the meta device computes nothing
        return nullcontext()
    return torch.autocast(device.type, precision or torch.bfloat16, precision is not None)
