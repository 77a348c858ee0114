"""Which device computes, with which precision, and in how many processes."""

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

# decides what "auto" means, for everything that runs in this environment
PRECISION_VARIABLE = "VADLIB_PRECISION"
T = TypeVar("T")
R = TypeVar("R")


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" takes CUDA, else MPS, else the CPU. Of several processes each
    has its own GPU.

    Raises:
        InputError: the name is unknown, or this machine has no such device.
    """
    device = _find_device(name)
    return processes(device).device if _launched() > 1 else device


def _find_device(name: str) -> torch.device:
    if name == "auto":
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        message = f"device {name!r} is unknown; expected auto, cpu, cuda or mps"
        raise InputError(message, "unknown-name", field="device") from error
    try:
        torch.empty(1, device=device).item()  # the meta device makes tensors, but no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            f"device {name!r} cannot be used here ({str(error).splitlines()[0]}); expected auto, cpu, cuda or mps",
            "not-available",
            field="device",
        ) from error
    return device


def processes(device: torch.device | None = None) -> PartialState:
    """This process's place among those that `torchrun` or `accelerate launch` started; alone, it is
    the main one of one.

    Args:
        device: of the first call, which joins the group: GPUs speak NCCL, CPUs gloo. None:
            `pick_device("auto")`.

    Raises:
        InputError: several processes were started for a device that cannot be shared by them.
    """
    if _launched() == 1:
        return PartialState()
    # Without a word, Accelerate takes processes that were started for a CPU for separate ones,
    # unless it is told `cpu`.
    device = device or _find_device("auto")
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    enough = device.type != "cuda" or here <= torch.cuda.device_count()
    require(
        enough,
        f"{here} processes for {torch.cuda.device_count()} GPUs; start at most one for each",
        "not-available",
        field="LOCAL_WORLD_SIZE",
    )
    # The others wait while one decodes a dataset or finds people in it, for longer than the group's
    # usual ten minutes.
    state = PartialState(cpu=device.type == "cpu", timeout=timedelta(days=1))
    found = f"{_launched()} processes were started, but {state.num_processes} can work together"
    require(
        state.num_processes == _launched(),
        f"{found} on {state.device}; start one, or use the CPU or CUDA",
        "not-available",
        field="WORLD_SIZE",
    )
    atexit.unregister(state.destroy_process_group)
    atexit.register(state.destroy_process_group)
    return state


def sum_over_processes(part: Tensor) -> Tensor:
    """The sum of a tensor over all processes; its gradient is that of this process's part alone.

    Where every process minimises such a sum, the gradients of all of them add up to that of the
    whole.
    """
    if processes().num_processes == 1:
        return part
    return part + (reduce(part.detach().clone(), "sum") - part.detach())


def share_out(job: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """`[job(item) for item in items]`, each process doing its share and getting all results."""
    state = processes()
    if state.num_processes == 1:
        return [job(item) for item in items]
    mine = range(state.process_index, len(items), state.num_processes)
    results = dict(gather_object([(i, job(items[i])) for i in mine]))
    return [results[i] for i in range(len(items))]


def _launched() -> int:
    """How many processes a launcher started; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else 1


@contextmanager
def steady_memory() -> Iterator[None]:
    """While it lasts, freed memory stays with the process and is used again. Of use on Linux with
    glibc only.

    Tensors of more than 32 MB are otherwise mapped anew for each operation, and the kernel clears
    every page of them: a third of the time of a training step on whole frames.
    """
    if not sys.platform.startswith("linux") or not hasattr(libc := ctypes.CDLL(None), "mallopt"):
        yield
        return
    trim_threshold, top_pad, mmap_threshold, mmap_max = -1, -2, -3, -4  # of malloc.h
    for option, value in ((mmap_max, 0), (trim_threshold, 2**31 - 1), (top_pad, 2**26)):
        libc.mallopt(option, value)
    try:
        yield
    finally:
        # Where glibc's own adjustment, which ends with the first call of mallopt, leaves a process
        # that frees large arrays.
        for option, value in (
            (mmap_max, 2**16),
            (mmap_threshold, 2**25),
            (trim_threshold, 2**26),
            (top_pad, 2**17),
        ):
            libc.mallopt(option, value)
        libc.malloc_trim(0)


def pick_precision(name: str, device: torch.device) -> torch.dtype | None:
    """The autocast dtype, or None for plain float32.

    "auto" takes what the environment variable `VADLIB_PRECISION` names, if it is set. Otherwise it
    takes bf16 where the hardware multiplies it natively, else float32: on other CPUs bf16 is
    emulated, and slow.

    Args:
        name: "auto", "fp32" or "bf16".
        device: where the model computes.

    Raises:
        InputError: an unknown name, or bf16 on MPS.
    """
    where = "precision"
    chosen = os.environ.get(PRECISION_VARIABLE, "").strip()
    if name == "auto" and chosen:
        where = PRECISION_VARIABLE
        name = chosen
    require_known(name, PRECISIONS, where)
    if name == "fp32":
        return None
    if name == "bf16":
        if device.type == "mps":
            raise InputError(
                "precision bf16 is not supported on mps; use fp32 or auto",
                "not-available",
                field="precision",
            )
        return torch.bfloat16
    native = (
        torch.cuda.is_bf16_supported(including_emulation=False)
        if device.type == "cuda"
        else device.type == "cpu" and _cpu_has_bf16()
    )
    return torch.bfloat16 if native else None


def _cpu_has_bf16() -> bool:
    # private, so it may go
    with_avx512 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    with_amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    return bool(with_avx512() or with_amx())


def autocast(device: torch.device, precision: torch.dtype | None) -> AbstractContextManager:
    """Context in which convolutions compute with that precision; None computes in float32."""
    if not torch.amp.is_autocast_available(device.type):  # the meta device computes nothing
        return nullcontext()
    return torch.autocast(
        device.type, dtype=precision or torch.bfloat16, enabled=precision is not None
    )
