"""Which device computes, and with which precision."""

from __future__ import annotations

import torch

from vadlib.errors import InputError


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" takes CUDA, else MPS, else the CPU.

    Raises:
        InputError: the name is unknown, or this machine has no such device.
    """
    try:
        if name == "auto":
            return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"device {name!r} cannot be used here ({str(error).splitlines()[0]}); expected auto, cpu, cuda or mps") from error
    return device


def pick_precision(name: str, device: torch.device) -> torch.dtype | None:
    """The autocast dtype, or None for plain float32.

    "auto" takes bf16 where the hardware multiplies it natively, else float32: on other CPUs bf16 is emulated, and slow.

    Raises:
        InputError: an unknown name, or bf16 on MPS.
    """
    if name not in ("auto", "fp32", "bf16"):
        raise InputError(f"precision {name!r} is unknown; expected auto, fp32 or bf16")
    if name == "fp32":
        return None
    if name == "bf16":
        if device.type == "mps":
            raise InputError("precision bf16 is not supported on mps; use fp32 or auto")
        return torch.bfloat16
    native = torch.cuda.is_bf16_supported(including_emulation=False) if device.type == "cuda" else device.type == "cpu" and _cpu_has_bf16()
    return torch.bfloat16 if native else None


def _cpu_has_bf16() -> bool:
    with_avx512 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)  # private, so it may go
    with_amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    return bool(with_avx512() or with_amx())


def autocast(device: torch.device, precision: torch.dtype | None) -> torch.autocast:
    """Context in which convolutions compute with that precision; None computes in float32."""
    return torch.autocast(device.type, dtype=precision or torch.bfloat16, enabled=precision is not None)
