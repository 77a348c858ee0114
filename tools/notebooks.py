"""Generate, check and run the notebooks.

python tools/notebooks.py build    generate notebooks/NN_name.ipynb from notebooks/src/NN_name.py
python tools/notebooks.py check    fail if one of them differs from what `build` generates
python tools/notebooks.py student  write an edition without answers to build/student
python tools/notebooks.py copy     write fresh copies to build/test/notebooks, for nbmake
python tools/notebooks.py record   store results and times of the executed copies in expected.json
python tools/notebooks.py table    write README's table of times and memory from expected.json
python tools/notebooks.py run      execute all; leave notebooks and HTML in build/notebooks
python tools/notebooks.py book     build a website in build/book; execute missing notebooks first
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import jupytext
import nbformat
import reference
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
SOURCES = NOTEBOOKS / "src"
COPIES = ROOT / "build" / "test" / "notebooks"
EXECUTED = ROOT / "build" / "notebooks"
STUDENT = ROOT / "build" / "student"
EXPECTED_RESULTS = NOTEBOOKS / "expected.json"
README = ROOT / "README.md"
# The first cell of a copy and its last one time the reference workload; neither counts as the
# notebook's own time.
REFERENCE = f"""import json
import runpy

print(json.dumps(runpy.run_path({str(Path(reference.__file__).resolve())!r})["measure"]()))"""
# Linux knows the peak of a process's memory, mapped files included; elsewhere it is left out.
REPORT = """import json
from pathlib import Path

import torch

import vadlib as vad
from vadlib import course
from vadlib.device import pick_device, pick_precision

status = Path("/proc/self/status").read_text() if Path("/proc/self/status").is_file() else ""
peak = [int(line.split()[1]) / 1e6 for line in status.splitlines() if line.startswith("VmHWM")]
precision = pick_precision("auto", pick_device("auto")) or torch.float32
print(json.dumps({
    "where": f"{course.profile()}, {course.tutorial_data()}",
    "precision": str(precision).removeprefix("torch."),
    "memory": peak[0] if peak else None,
    "results": {RESULTS},
    "claims": {CLAIMS},
}))"""
ADDED = ("reference-before", "report", "reference-after")  # ids of the cells that only copies have
RECORDED = ("quick, synthetic", "quick, ped2")  # what README's table shows, in this order
PAGES = (NOTEBOOKS / "glossary.md", NOTEBOOKS / "field.md")  # the notebooks link to them
DOCS = ROOT / "docs"
BOOK = ROOT / "build" / "book"
STUB = "answer = None  # your answer"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
WIDGET = "application/vnd.jupyter.widget-view+json"
# nbconvert's page without what it would fetch from other hosts: require.js, MathJax, Mermaid, and
# the widgets' renderer. Long lines of code are wrapped, not cut off.
WRAP = "<style>.highlight pre {white-space: pre-wrap !important}</style>"
OFFLINE_PAGE = f"{{% extends 'index.html.j2' %}}{{% block html_head_css %}}{WRAP}{{% endblock %}}"
for name in ("js", "js_mathjax", "js_mermaidjs"):
    OFFLINE_PAGE += f"{{% block html_head_{name} %}}{{% endblock %}}"
OFFLINE_PAGE += "{% block jupyter_widgets %}{% endblock %}"


def sources() -> list[Path]:
    """Return the notebooks' sources, in reading order."""
    return sorted(SOURCES.glob("[0-9][0-9]_*.py"))


def notebook_of(source: Path) -> Path:
    return NOTEBOOKS / f"{source.stem}.ipynb"


def generate(source: Path, student: bool = False) -> str:
    """Generate the text of a notebook. The same source gives the same text: cell ids count cells.

    The student edition leaves out cells with the tag "solution", and keeps the last statement, the
    check, of a cell with the tag "exercise".
    """
    notebook = jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent")
    if student:
        notebook.cells = [cell for cell in notebook.cells if "solution" not in tags(cell)]
    for cell in notebook.cells:
        if student and "exercise" in tags(cell):
            cell.source = f"{STUB}\n{split_exercise(cell.source)[1]}"
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{i:02d}"
        cell["metadata"] = {"tags": tags(cell)} if tags(cell) else {}
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    generated = nbformat.v4.new_notebook(cells=notebook.cells, metadata=metadata)
    generated.nbformat_minor = 5
    nbformat.validate(generated)
    return nbformat.writes(generated) + "\n"


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def split_exercise(cell: str) -> tuple[str, str]:
    """Split a cell with the tag "exercise" into the solution and its last statement, the check."""
    lines = cell.split("\n")
    first = ast.parse(cell).body[-1].lineno - 1
    solution, check = "\n".join(lines[:first]), "\n".join(lines[first:])
    if not check.startswith("course.check_answer(") or "answer = " not in solution:
        expected = (
            "a cell with the tag `exercise` sets `answer` and ends with course.check_answer()"
        )
        sys.exit(f"{expected}:\n{cell}")
    return solution, check


def differences() -> list[str]:
    """List the notebooks that differ from their sources, one line each."""
    wrong = []
    notebooks = {notebook_of(source): source for source in sources()}
    for notebook, source in notebooks.items():
        if not notebook.exists():
            wrong.append(f"{notebook.name}: missing; run `make notebooks`")
        elif notebook.read_text(encoding="utf-8") != generate(source):
            wrong.append(f"{notebook.name}: differs from {source}; edit that, run `make notebooks`")
    for notebook in NOTEBOOKS.glob("*.ipynb"):
        if notebook not in notebooks:
            wrong.append(f"{notebook.name}: has no source in {SOURCES}")
    return wrong


def build() -> None:
    for source in sources():
        notebook_of(source).write_text(generate(source), encoding="utf-8", newline="\n")
        print(notebook_of(source).relative_to(ROOT))


def check() -> None:
    wrong = differences()
    if wrong:
        sys.exit("\n".join(wrong))


def student() -> None:
    """Write an edition without answers to a new folder: an existing one may hold solutions."""
    if STUDENT.exists() and any(STUDENT.iterdir()):
        sys.exit(f"{STUDENT}: exists, perhaps with a student's answers; move or delete it first")
    STUDENT.mkdir(parents=True, exist_ok=True)
    copy_pages(STUDENT)
    for source in sources():
        text = generate(source, student=True)
        (STUDENT / f"{source.stem}.ipynb").write_text(text, encoding="utf-8", newline="\n")
    print(f"the students' edition is in {STUDENT}")


def copy() -> None:
    """Write fresh copies, so that no test reads an earlier execution."""
    shutil.rmtree(COPIES, ignore_errors=True)
    COPIES.mkdir(parents=True)
    for source in sources():
        nbformat.write(copy_of(source), COPIES / f"{source.stem}.ipynb")


def copy_of(source: Path) -> NotebookNode:
    """Add cells that time the reference workload, and one that prints results and memory."""
    notebook = nbformat.read(notebook_of(source), as_version=4)
    entry = expected()[source.stem]
    results = [f"{name!r}: float({code})" for name, code in entry["results"].items()]
    claims = [f"{claim!r}: bool({code})" for claim, code in entry["claims"].items()]
    code = REPORT.replace("RESULTS", ", ".join(results)).replace("CLAIMS", ", ".join(claims))
    added = [REFERENCE, code, REFERENCE]
    cells = [
        nbformat.v4.new_code_cell(text, id=name) for text, name in zip(added, ADDED, strict=True)
    ]
    notebook.cells = [cells[0], *notebook.cells, *cells[1:]]
    return notebook


def expected() -> dict[str, dict]:
    """Read the budgets and expected results; `notebooks/expected.json` explains them."""
    entries = json.loads(EXPECTED_RESULTS.read_text(encoding="utf-8"))["notebooks"]
    missing = [source.stem for source in sources() if source.stem not in entries]
    if missing:
        names = ", ".join(missing)
        sys.exit(f"{names}: no entry in {EXPECTED_RESULTS}; add minutes, memory and results")
    return entries


def report(notebook: NotebookNode) -> dict:
    """Return what an executed copy printed, its seconds, and the machine's slowness.

    "slowness" is the larger of the two timings of the reference workload; see `reference.slowness`.
    """
    cells = {cell.id: cell for cell in notebook.cells}
    outputs = [json.loads(_printed(cells[cell_id])) for cell_id in ADDED]
    own = [cell for cell in notebook.cells if cell.id not in ADDED and "execution" in cell.metadata]
    first = own[0].metadata["execution"]["iopub.status.busy"]
    last = own[-1].metadata["execution"]["iopub.status.idle"]
    seconds = (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
    slowness = max(reference.slowness(outputs[0]), reference.slowness(outputs[2]))
    return outputs[1] | {"seconds": seconds, "slowness": slowness}


def _printed(cell: NotebookNode) -> str:
    return "".join(output["text"] for output in cell.outputs if output.get("name") == "stdout")


def record() -> None:
    """Store the results of the executed copies in `expected.json`; tolerances stay."""
    whole = json.loads(EXPECTED_RESULTS.read_text(encoding="utf-8"))
    missing = [source.stem for source in sources() if not is_executed(source, COPIES)]
    if missing:
        sys.exit(f"{', '.join(missing)}: no executed copy in {COPIES}; run `make test`")
    for source in sources():
        measured = report(nbformat.read(COPIES / f"{source.stem}.ipynb", as_version=4))
        entry = whole["notebooks"][source.stem]
        values = {name: round(value, 4) for name, value in measured["results"].items()}
        entry.setdefault("values", {})[measured["where"]] = values
        entry.setdefault("seconds", {})[measured["where"]] = {
            "measured": round(measured["seconds"]),
            "reference": round(measured["seconds"] / measured["slowness"]),
        }
        whole["machine"] = {"cpu": reference.cpu_name(), "precision": measured["precision"]}
        usage = f"{measured['seconds']:6.0f} s {measured['memory'] or 0:6.2f} GB"
        print(f"{source.stem:32}{usage}", measured["results"])
    EXPECTED_RESULTS.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


def table() -> None:
    """Write the table of notebooks in README again; the text of each row stays."""
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")


def with_table(readme: str) -> str:
    """Return README with the rows of its table, and the line below it, from `expected.json`."""
    whole = json.loads(EXPECTED_RESULTS.read_text(encoding="utf-8"))
    for name, entry in whole["notebooks"].items():
        seconds = [entry["seconds"][setting]["measured"] for setting in RECORDED]
        budget, memory = f"{entry['minutes']:g} min", f"{entry['memory_gb']:g} GB"
        cells = f"{budget} | {seconds[0]} s | {seconds[1]} s | {memory} |"
        row = rf"^(\| `{name}` \| [^|]*\|).*$"
        readme = re.sub(row, rf"\1 {cells}", readme, flags=re.MULTILINE)
    totals, scaled = [], []
    for setting in RECORDED:
        times = [entry["seconds"][setting] for entry in whole["notebooks"].values()]
        totals.append(sum(time["measured"] for time in times) / 60)
        scaled.append(sum(time["reference"] for time in times) / 60)
    machine = whole["machine"]
    line = (
        f"Measured on {machine['cpu']}, {machine['precision']}: {totals[0]:.1f} minutes in all on "
        f"the street, {totals[1]:.1f} on Ped2; {scaled[0]:.1f} and {scaled[1]:.1f} on the "
        "reference machine."
    )
    return re.sub(r"^Measured on .*$", line, readme, flags=re.MULTILINE)


def copy_pages(folder: Path) -> None:
    for page in PAGES:
        shutil.copy(page, folder)


def run() -> None:
    EXECUTED.mkdir(parents=True, exist_ok=True)
    copy_pages(EXECUTED)
    for source in sources():
        execute(source)
    print(f"executed notebooks and HTML are in {EXECUTED.relative_to(ROOT)}")


def execute(source: Path) -> None:
    """Execute one notebook; it, and its HTML, are left in build/notebooks."""
    if os.environ.get("VADLIB_DATA"):  # notebooks run in their own folder
        os.environ["VADLIB_DATA"] = str(Path(os.environ["VADLIB_DATA"]).resolve())
    EXECUTED.mkdir(parents=True, exist_ok=True)
    notebook = nbformat.read(notebook_of(source), as_version=4)
    target, started = EXECUTED / f"{source.stem}.ipynb", time.monotonic()
    print(f"{source.stem} ...", end=" ", flush=True)
    # The kernel's warnings are about the connection to it; what the notebook itself warns of stays
    # in its outputs.
    options = {"extra_arguments": ["--IPKernelApp.log_level=ERROR"]}
    options |= {"resources": {"metadata": {"path": str(NOTEBOOKS)}}}
    client = NotebookClient(notebook, timeout=None, kernel_name="python3", **options)
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        nbformat.write(notebook, target)
        lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
        reason = lines[-1] if lines else type(error).__name__
        sys.exit(f"failed\n{source.stem}: {reason}\nup to the failed cell it is in {target}")
    nbformat.write(notebook, target)
    target.with_suffix(".html").write_text(to_html(notebook, source.stem), encoding="utf-8")
    print(f"{time.monotonic() - started:.0f} s")


def is_executed(source: Path, folder: Path) -> bool:
    """Return whether a folder holds the current notebook with all cells executed; a copy's extra
    cells do not matter.
    """
    path = folder / f"{source.stem}.ipynb"
    if not path.is_file():
        return False
    cells = nbformat.read(path, as_version=4).cells
    current = nbformat.read(notebook_of(source), as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    if not all(cell.execution_count for cell in code):
        return False
    outputs = [output for cell in code for output in cell.outputs]
    if any(output.output_type == "error" for output in outputs):
        return False
    own = [cell.source for cell in cells if cell.id not in ADDED]
    return own == [cell.source for cell in current]


def book(executed: Path = EXECUTED, target: Path = BOOK) -> None:
    """Build a website of the executed notebooks and of docs/; execute missing notebooks first."""
    pages = target / "source"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(ROOT / "book", pages)
    copy_pages(pages)
    shutil.copytree(DOCS, pages, dirs_exist_ok=True)
    for source in sources():
        folder = executed
        if not is_executed(source, folder):
            folder = EXECUTED
        if not is_executed(source, folder):
            execute(source)
        notebook = nbformat.read(folder / f"{source.stem}.ipynb", as_version=4)
        nbformat.write(to_page(notebook), pages / f"{source.stem}.ipynb")
    # A broken link or a missing image is a warning, and a warning an error.
    sphinx = ["-m", "sphinx", "--quiet", "--fail-on-warning", "--nitpicky", "--builder", "html"]
    command = [sys.executable, *sphinx, str(pages), str(target / "html")]
    if subprocess.run(command).returncode:
        sys.exit("the book was not built; the lines above say why")
    print(f"the book is {target / 'html' / 'index.html'}")
    if os.environ.get("VADLIB_DATA"):
        print("it shows frames of VADLIB_DATA; unset that variable for a book that you may publish")


def to_page(notebook: NotebookNode) -> NotebookNode:
    """Turn a notebook into a page of the book: without a copy's extra cells and widgets, and with
    folded answers.
    """
    notebook.cells = [cell for cell in notebook.cells if cell.id not in ADDED]
    remove_widgets(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code" and "exercise" in tags(cell):
            cell.metadata["tags"] = [*tags(cell), "hide-cell"]
        elif "solution" in tags(cell):
            parts = cell.source.split(".** ", 1)
            if not cell.source.startswith("**Answer ") or len(parts) < 2:
                sys.exit(f"a text with the tag `solution` begins **Answer NN-N.**:\n{cell.source}")
            summary = f"<summary>{parts[0].strip('*')}</summary>"
            cell.source = f"<details>{summary}\n\n{parts[1]}\n\n</details>"
    return notebook


def remove_widgets(notebook: NotebookNode) -> None:
    """Remove widgets, progress bars included, from the outputs and the metadata."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if WIDGET not in out.get("data", {})]


def to_html(notebook: NotebookNode, title: str) -> str:
    """Export one page that fetches nothing, without widgets and progress bars."""
    notebook = nbformat.from_dict(notebook)  # a copy
    remove_widgets(notebook)
    notebook.metadata["title"] = title
    exporter = HTMLExporter(raw_template=OFFLINE_PAGE, exclude_anchor_links=True)
    page, _ = exporter.from_notebook_node(notebook)
    link = r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)\s*=\s*[\"']?+(?!data:|#)[^>]*>"
    fetched = re.findall(link, page)
    if fetched:
        sys.exit(f"{title}: the page would fetch {fetched[0][:200]}")
    return page


def main() -> None:
    commands = {
        job.__name__: job for job in (build, check, student, copy, record, table, run, book)
    }
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("command", choices=commands)
    commands[parser.parse_args().command]()


if __name__ == "__main__":
    main()
