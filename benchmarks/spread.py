"""Measure how far the notebooks' results move from machine to machine, and derive tolerances.

    python benchmarks/spread.py run [--settings "one thread" ...]     execute the notebooks
    python benchmarks/spread.py table       write benchmarks/spread.csv and the tolerances

`run` resumes where it stopped. Each setting changes one thing of the reference: float32, two
threads, the widest instructions of this machine, seed 0. The last one changes three at once. The
notebooks run in the quick profile, on the rendered street and on Ped2 (`VADLIB_DATA`). Results
whose tolerance is 0 in `notebooks/expected.json` depend on the data alone and must not move. For
the others the tolerance becomes `MARGIN` times the largest move, rounded up to two digits, and at
least `LEAST`, or 1 for a count: other processors than this one were not measured.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import sys
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import notebooks as tools  # noqa: E402

WORK = ROOT / "build" / "spread"
TABLE = ROOT / "benchmarks" / "spread.csv"
MARGIN = 1.5
LEAST = 0.002
REFERENCE = {"VADLIB_PRECISION": "fp32", "OMP_NUM_THREADS": "2", "VADLIB_PROFILE": "quick"}
NARROW = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
SETTINGS: dict[str, dict[str, str]] = {
    "reference": {},
    "bf16": {"VADLIB_PRECISION": "bf16"},
    "one thread": {"OMP_NUM_THREADS": "1"},
    "AVX2": NARROW,
    "seed 1": {"seed": "1"},
    "one thread, AVX2, seed 1": {"OMP_NUM_THREADS": "1", "seed": "1"} | NARROW,
}
# What another seed replaces in a notebook's code.
SEEDS = {
    "seed=0)": "seed=1)",
    "seed=0,": "seed=1,",
    "torch.manual_seed(0)": "torch.manual_seed(1)",
    '"training": {"epochs"': '"training": {"seed": 1, "epochs"',
}


def with_seed(source: str) -> str:
    """Return a code cell with other seeds of weights and trainings; the seeds of single
    pseudo-anomalies stay.
    """
    for old, new in SEEDS.items():
        source = source.replace(old, new)
    return source


def has_seed(name: str) -> bool:
    """Return whether another seed changes a notebook's code."""
    for cell in tools.copy_of(tools.SOURCES / f"{name}.py").cells:
        is_own = cell.cell_type == "code" and cell.id not in tools.ADDED
        if is_own and with_seed(cell.source) != cell.source:
            return True
    return False


def execute(name: str, setting: str, data: str) -> dict:
    """Execute a copy of a notebook in a setting and return its report."""
    notebook = tools.copy_of(tools.SOURCES / f"{name}.py")
    changes = dict(SETTINGS[setting])
    if changes.pop("seed", None):
        for cell in notebook.cells:
            if cell.cell_type == "code" and cell.id not in tools.ADDED:
                cell.source = with_seed(cell.source)
    folder = WORK / setting.replace(", ", "_").replace(" ", "_") / data
    environment = os.environ | REFERENCE | changes | {"VADLIB_RUNS": str(folder / "runs")}
    environment.pop("VADLIB_DATA", None)
    if data == "ped2":
        environment["VADLIB_DATA"] = str(Path(os.environ["VADLIB_DATA"]).resolve())
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=None, kernel_name="python3", resources=resources)
    folder.mkdir(parents=True, exist_ok=True)
    client.execute(env=environment)
    nbformat.write(notebook, folder / f"{name}.ipynb")
    return tools.report(notebook)


def run(settings: list[str], datasets: list[str], names: list[str]) -> None:
    for setting, data, name in product(settings, datasets, names):
        path = WORK / "reports" / f"{setting}, {data}, {name}.json"
        is_reference = setting == "seed 1" and not has_seed(name)
        if path.exists() or is_reference:
            continue
        report = execute(name, setting, data)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=2), encoding="utf-8")
        progress = f"{setting:26}{data:10}{name:32}{report['seconds']:6.0f} s"
        print(progress, report["results"], flush=True)


def round_up(value: float) -> float:
    """Round up to two significant digits: 0.0123 -> 0.013."""
    if value == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return round(math.ceil(value / unit - 1e-9) * unit, 10)


def read_report(setting: str, data: str, name: str) -> dict:
    path = WORK / "reports" / f"{setting}, {data}, {name}.json"
    if setting == "seed 1" and not has_seed(name):
        path = WORK / "reports" / f"reference, {data}, {name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def table(names: list[str]) -> None:
    whole = json.loads(tools.EXPECTED_RESULTS.read_text(encoding="utf-8"))
    rows = []
    for name in names:
        entry = whole["notebooks"][name]
        notebook_rows = []
        for data in ("synthetic", "ped2"):
            notebook_rows += spread_rows(name, data, entry["results"])
        for result, tolerance in entry["tolerances"].items():
            values = [row for row in notebook_rows if row["result"] == result]
            if tolerance != 0:
                entry["tolerances"][result] = new_tolerance(values)
        rows += notebook_rows
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows[0])
        for row in rows:
            cells = row.values()
            writer.writerow(f"{cell:.4f}" if isinstance(cell, float) else cell for cell in cells)
    tools.EXPECTED_RESULTS.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    print(TABLE.read_text(encoding="utf-8"))


def spread_rows(name: str, data: str, results: Iterable[str]) -> list[dict]:
    """Return the rows of a notebook on a dataset, and print the claims that do not hold."""
    reports = {setting: read_report(setting, data, name) for setting in SETTINGS}
    for setting, report in reports.items():
        broken = [claim for claim, holds in report["claims"].items() if not holds]
        if broken:
            print(f"{setting}, {data}, {name}: does not hold: {'; '.join(broken)}")
    rows = []
    for result in results:
        values = {setting: report["results"][result] for setting, report in reports.items()}
        move = max(abs(value - values["reference"]) for value in values.values())
        row = {"notebook": name, "result": result, "data": data}
        rows.append(row | values | {"largest move": move})
    return rows


def new_tolerance(rows: list[dict]) -> float:
    """Return the tolerance of a result that has these rows."""
    move = max(row["largest move"] for row in rows)
    numbers = [row[setting] for row in rows for setting in SETTINGS]
    is_count = all(number == int(number) for number in numbers)
    return max(round_up(MARGIN * move), 1 if is_count else LEAST)


def main() -> None:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("command", choices=["run", "table"])
    parser.add_argument("--settings", nargs="*", default=list(SETTINGS), choices=SETTINGS)
    datasets = ["synthetic", "ped2"]
    parser.add_argument("--data", nargs="*", default=datasets, choices=datasets)
    names = [source.stem for source in tools.sources()]
    parser.add_argument("--notebooks", nargs="*", default=names)
    options = parser.parse_args()
    if options.command == "run":
        run(options.settings, options.data, options.notebooks)
    else:
        table(options.notebooks)


if __name__ == "__main__":
    main()
