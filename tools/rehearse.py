"""Rehearse the students' notebooks where a classroom may differ from this machine. Each must end,
or stop with one helpful sentence.

python tools/rehearse.py [NAME ...]    such as 00_quickstart; none: all

    offline      no network, no GPU, processes that are spawned (as on Windows and macOS), a user
                 folder called Zoë Müller
    no widgets   ipywidgets is not installed
    read-only    the working folder cannot be written to
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from notebooks import NOTEBOOKS, SOURCES, generate, sources

# Python runs a module of this name before anything else. The kernel talks to its client over the
# loopback device.
SITE = {
    "offline": """
import multiprocessing
import socket

multiprocessing.set_start_method("spawn")
connect = socket.socket.connect
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def refuse(self, address):
    is_internet = self.family in (socket.AF_INET, socket.AF_INET6)
    if is_internet and address[0] not in LOOPBACK:
        raise OSError(f"no network in this rehearsal: {address}")
    return connect(self, address)


socket.socket.connect = refuse
""",
    "no widgets": """
import sys


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "ipywidgets":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Absent())
""",
    "read-only": "",
}
# Nobody can write there, the administrator included, who may write to a folder without permission.
READ_ONLY = Path("/sys")


def rehearse(name: str, condition: str, folder: Path) -> str:
    """Execute a notebook under a condition; return "ended", or the sentence with which it stopped.

    If `VADLIB_RUNS` is set, trainings that are there are loaded.

    Raises:
        SystemExit: it stopped with anything but an `InputError` of one line.
    """
    site, home = folder / condition.replace(" ", "-"), folder / "Zoë Müller"
    site.mkdir(parents=True, exist_ok=True)
    home.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(SITE[condition], encoding="utf-8")
    paths = filter(None, [str(site), os.environ.get("PYTHONPATH")])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    if condition == "offline":
        environment |= {"CUDA_VISIBLE_DEVICES": "", "HOME": str(home), "USERPROFILE": str(home)}
        environment.pop("VADLIB_CACHE", None)  # the user's folder is used then
    environment.setdefault("VADLIB_RUNS", str(home / "runs"))
    if condition == "read-only":
        environment.pop("VADLIB_RUNS")
    notebook = nbformat.reads(generate(SOURCES / f"{name}.py", student=True), as_version=4)
    working_folder = READ_ONLY if condition == "read-only" else NOTEBOOKS
    options = {"resources": {"metadata": {"path": str(working_folder)}}}
    options |= {"extra_arguments": ["--IPKernelApp.log_level=ERROR"]}
    client = NotebookClient(notebook, timeout=1200, kernel_name="python3", **options)
    expected = "expected its end, or an InputError of one line"
    try:
        client.execute(env=environment)
    except CellExecutionError as error:
        if error.ename != "InputError" or "\n" in error.evalue.strip():
            sys.exit(f"{name}, {condition}: {error.ename}: {error.evalue}; {expected}")
        return f"stopped: {error.evalue}"
    except (CellTimeoutError, DeadKernelError) as error:
        sys.exit(f"{name}, {condition}: {type(error).__name__}; {expected}")
    return "ended"


def main() -> None:
    names = sys.argv[1:] or [source.stem for source in sources()]
    with tempfile.TemporaryDirectory() as folder:
        for condition in SITE:
            for name in names:
                started = time.monotonic()
                outcome = rehearse(name, condition, Path(folder))
                seconds = time.monotonic() - started
                print(f"{condition:12}{name:32}{seconds:5.0f} s  {outcome}", flush=True)


if __name__ == "__main__":
    main()
