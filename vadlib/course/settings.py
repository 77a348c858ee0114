"""Settings of the notebooks: time budget, data, run folders, and a helper that kills a process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from vadlib.errors import require, require_known
from vadlib.files import folder_variable, require_folder_variable


def profile() -> str:
    """Return "quick" (a few minutes on two CPU cores) or "full" (all data).

    `VADLIB_PROFILE` decides; without it the profile is full if there is a GPU.

    Raises:
        InputError: `VADLIB_PROFILE` is neither.
    """
    name = os.environ.get("VADLIB_PROFILE", "").strip()
    if not name:
        import torch

        return "full" if torch.accelerator.is_available() else "quick"
    require_known(name, ("quick", "full"), "VADLIB_PROFILE")
    return name


def tutorial_data() -> str:
    """Return "ped2" where `VADLIB_DATA` holds `ped2/`, else "synthetic", which needs no files."""
    return "ped2" if _data_holds("ped2") else "synthetic"


def tutorial_detectors() -> list[str]:
    """Return the detectors that need no download.

    They are "motion", "boxes" on the synthetic scene, and "darknet" if `VADLIB_DATA` holds its
    weights.
    """
    detectors = ["motion"]
    if tutorial_data() == "synthetic":
        detectors.append("boxes")
    network = "weights/MobileNetV2-YOLOv3-Nano-coco"
    if _data_holds(f"{network}.weights") and _data_holds(f"{network}.cfg"):
        detectors.append("darknet")
    return detectors


def tutorial_patches() -> list[str]:
    """Return the patch sources that need no download.

    They are "builtin", "sprites", and "cifar100" if `VADLIB_DATA` holds it.
    """
    sources = ["builtin", "sprites"]
    if _data_holds("cifar100/train") or _data_holds("cifar-100-python"):
        sources.append("cifar100")
    return sources


def _data_holds(path: str) -> bool:
    folder = require_folder_variable("VADLIB_DATA", "the datasets' own folders, such as ped2/")
    return folder is not None and (folder / path).exists()


def run_folder(name: str, fresh: bool = False) -> Path:
    """Return the folder of a notebook's run, which is another one for each profile.

    It is in `VADLIB_RUNS`, else in `build/runs` of the repository around the working folder, else
    in `./runs`.

    Args:
        name: of the run.
        fresh: remove what an earlier run of that name left.
    """
    runs = folder_variable("VADLIB_RUNS")
    here = Path.cwd()
    for folder in (here, *here.parents):
        if runs is None and (folder / "notebooks" / "src").is_dir():
            runs = folder / "build" / "runs"
    own = (runs or here / "runs") / f"{name}-{profile()}"
    if fresh:
        shutil.rmtree(own, ignore_errors=True)
    return own


def kill_after(arguments: Sequence[str | Path], path: str | Path, seconds: float) -> int:
    """Start `python` without its output, and kill it some seconds after it wrote a file.

    A killed process cannot clean up (SIGKILL; on Windows TerminateProcess), as when the power
    fails.

    Args:
        arguments: such as "-m", "vadlib", "train" and its options.
        path: the file to wait for.
        seconds: from the file to the kill.

    Returns:
        The exit status: -9 on Linux and macOS.

    Raises:
        InputError: the process ended before it wrote the file.
    """
    command = [sys.executable, *arguments]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet) as process:
        try:
            while not Path(path).exists():
                # the file may appear between the two questions
                is_running = process.poll() is None or Path(path).exists()
                message = f"{path}: not written; the process ended with {process.returncode}"
                require(is_running, message, "missing-file", file=path)
                time.sleep(0.1)
            time.sleep(seconds)
        finally:
            process.kill()
    return process.returncode
