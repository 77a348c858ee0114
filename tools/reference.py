"""Time a short reference workload: how slow this machine is now, compared with the reference
machine, for which the budgets are stated.

    python tools/reference.py

The reference machine has two cores without native bf16 and no GPU: it trains the preset `fast` on
32 clips a second in float32. The workload does what the notebooks spend their time on: 3-D
convolutions forward and backward, matrix products and JPEG decoding. A notebook's budget holds for
the reference machine; on a machine that takes twice as long for the workload, because it is slower
or busy, twice the budget is allowed.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

# Seconds of each part on the reference machine, and its share in the notebooks' computing time.
# Measured on two cores of an AMD EPYC in float32 (0.107, 0.048 and 0.045 s), where `fast` trains on
# 56 clips a second, and scaled to the 32 of the reference machine; decoding, of which no such ratio
# is known, by the same factor.
REFERENCE_SECONDS = {"convolution": 0.187, "product": 0.084, "decoding": 0.079}
SHARES = {"convolution": 0.7, "product": 0.1, "decoding": 0.2}
REPEATS = 3


def convolution() -> None:
    """Run two 3-D convolutions of the preset `fast`, forward and backward, on eight windows."""
    layers = torch.nn.Sequential(
        torch.nn.Conv3d(16, 16, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv3d(16, 32, 3, stride=2, padding=1),
    )
    layers.to(memory_format=torch.channels_last_3d)
    features = torch.ones(8, 16, 16, 24, 24).contiguous(memory_format=torch.channels_last_3d)
    for _ in range(4):
        layers(features.requires_grad_()).sum().backward()


def product() -> None:
    """Multiply two square matrices four times."""
    matrix = torch.ones(1024, 1024)
    for _ in range(4):
        matrix @ matrix


def decoding() -> None:
    """Decode one JPEG of 640 x 360 pixels fifty times."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (45, 80, 3), np.uint8)
    _, data = cv2.imencode(".jpg", cv2.resize(coarse, (640, 360)))
    for _ in range(50):
        cv2.imdecode(data, cv2.IMREAD_COLOR)


PARTS: dict[str, Callable[[], None]] = {
    "convolution": convolution,
    "product": product,
    "decoding": decoding,
}


def measure() -> dict[str, float]:
    """Return the seconds of each part: the mean of a few repetitions after a first one."""
    seconds = {}
    for name, part in PARTS.items():
        part()
        started = time.perf_counter()
        for _ in range(REPEATS):
            part()
        seconds[name] = (time.perf_counter() - started) / REPEATS
    return seconds


def slowness(seconds: dict[str, float]) -> float:
    """Return how many times as long this machine takes as the reference machine."""
    return sum(share * seconds[name] / REFERENCE_SECONDS[name] for name, share in SHARES.items())


def cpu_name() -> str:
    """Return the processor's name and the number of threads that torch uses."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        name = names[0] if names else name
    return f"{name}, {torch.get_num_threads()} threads"


if __name__ == "__main__":
    measured = measure()
    report = {"cpu": cpu_name(), "slowness": round(slowness(measured), 3), "seconds": measured}
    print(json.dumps(report, indent=2))
