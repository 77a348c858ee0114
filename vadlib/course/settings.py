"""How long the notebooks may take, what they work on, where their runs lie, and how one of them is
killed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from vadlib.errors import require
from vadlib.files import folder_variable, require_folder_variable


def profile() -> str:
    """ "quick" (a few minutes on two CPU cores) or "full" (all data): what `VADLIB_PROFILE` says,
    else full with a GPU.

    Raises:
        InputError: `VADLIB_PROFILE` is neither.
    """
    chosen = os.environ.get("VADLIB_PROFILE", "").strip()
    if not chosen:
        import torch

        return "full" if torch.accelerator.is_available() else "quick"
    require(
        chosen in ("quick", "full"),
        f"VADLIB_PROFILE = {chosen!r}; expected quick or full",
        "unknown-name",
        field="VADLIB_PROFILE",
    )
    return chosen


def tutorial_data() -> str:
    """ "ped2" where `VADLIB_DATA` names a folder that holds `ped2/`, else "synthetic", which needs
    nothing.
    """
    folder = _data_folder()
    return "ped2" if folder and (folder / "ped2").is_dir() else "synthetic"


def tutorial_detectors() -> list[str]:
    """Detectors that need no download: "motion"; "boxes" on the synthetic scene; "darknet" where
    its weights lie below `VADLIB_DATA`.
    """
    folder = _data_folder()
    files = [
        Path(folder or "", "weights", f"MobileNetV2-YOLOv3-Nano-coco.{ending}")
        for ending in ("weights", "cfg")
    ]
    there = folder is not None and all(path.is_file() for path in files)
    return ["motion", *["boxes"] * (tutorial_data() == "synthetic"), *["darknet"] * there]


def tutorial_patches() -> list[str]:
    """Patch sources that need no download here: "builtin", "sprites"; "cifar100" where it lies
    below `VADLIB_DATA`.
    """
    folder = _data_folder()
    there = folder is not None and any(
        (folder / name).is_dir() for name in ("cifar100/train", "cifar-100-python")
    )
    return ["builtin", "sprites", *["cifar100"] * there]


def _data_folder() -> Path | None:
    return require_folder_variable("VADLIB_DATA", "the datasets' own folders, such as ped2/")


def run_folder(name: str, fresh: bool = False) -> Path:
    """The folder of a notebook's run, one a profile, so that a quick run is never taken for a full
    one.

    It lies in `VADLIB_RUNS`, else in `build/runs` of the repository around the working folder, else
    in `./runs`.

    Args:
        name: of the run.
        fresh: remove what an earlier run of that name has left.
    """
    here = Path.cwd()
    repository = next(
        (p for p in (here, *here.parents) if (p / "notebooks" / "src").is_dir()), None
    )
    runs = folder_variable("VADLIB_RUNS") or (
        repository / "build" / "runs" if repository else here / "runs"
    )
    folder = runs / f"{name}-{profile()}"
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    return folder


def kill_after(arguments: Sequence[str | Path], path: str | Path, seconds: float) -> int:
    """Start `python` with these arguments and without its output, kill it some seconds after it
    wrote the file `path`.

    A killed process gets no chance to clean up (SIGKILL; on Windows TerminateProcess), as when the
    power fails.

    Args:
        arguments: such as "-m", "vadlib", "train" and its options.
        path: a file that it writes.
        seconds: from the file to the end.

    Returns:
        The exit status: -9 on Linux and macOS.

    Raises:
        InputError: the process ended before it wrote the file.
    """
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            while not Path(path).exists():
                going = process.poll() is None or Path(path).exists()
                require(
                    going,
                    f"{path}: not written; the process ended with status {process.returncode}",
                    "missing-file",
                    file=path,
                )
                time.sleep(0.1)
            time.sleep(seconds)
        finally:
            process.kill()
    return process.returncode
