"""Make, check and run the notebooks.

python tools/notebooks.py build    notebooks/NN_name.ipynb, without outputs, from notebooks/src/NN_name.py
python tools/notebooks.py check    fail if one of them is not what `build` makes
python tools/notebooks.py student  the notebooks without the exercises' answers, in build/student
python tools/notebooks.py copy     fresh copies in build/test/notebooks, for nbmake to execute
python tools/notebooks.py record   what the executed copies gave and how long they took, into notebooks/expected.json
python tools/notebooks.py table    README's table of minutes and memory, from notebooks/expected.json
python tools/notebooks.py run      execute all; leave notebooks and HTML in build/notebooks
python tools/notebooks.py book     a site of what is in build/notebooks, in build/book; what is missing there is executed first
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
print(json.dumps({
    "where": f"{course.profile()}, {course.tutorial_data()}",
    "precision": str(pick_precision("auto", pick_device("auto")) or torch.float32).removeprefix("torch."),
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
OFFLINE_PAGE = (
    "{% extends 'index.html.j2' %}{% block html_head_css %}<style>.highlight pre {white-space: pre-wrap !important}</style>{% endblock %}"
    + "".join(
        f"{{% block {name} %}}{{% endblock %}}"
        for name in (
            "html_head_js",
            "html_head_js_mathjax",
            "html_head_js_mermaidjs",
            "jupyter_widgets",
        )
    )
)


def sources() -> list[Path]:
    """The notebooks' sources, in the order in which they are read."""
    return sorted(SOURCES.glob("[0-9][0-9]_*.py"))


def notebook_of(source: Path) -> Path:
    return NOTEBOOKS / f"{source.stem}.ipynb"


def generate(source: Path, student: bool = False) -> str:
    """The text of the notebook made of a source. The same source gives the same text: cell ids
    count the cells.

    In the students' edition a cell with the tag "solution" is left out, and of one with the tag
    "exercise" the check stays.
    """
    notebook = jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent")
    if student:
        notebook.cells = [
            cell for cell in notebook.cells if "solution" not in cell.metadata.get("tags", [])
        ]
        for cell in notebook.cells:
            if "exercise" in cell.metadata.get("tags", []):
                cell.source = f"{STUB}\n{split_exercise(cell.source)[1]}"
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{i:02d}"
        cell["metadata"] = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
    made = nbformat.v4.new_notebook(
        cells=notebook.cells, metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}}
    )
    made.nbformat_minor = 5
    nbformat.validate(made)
    return nbformat.writes(made) + "\n"


def split_exercise(cell: str) -> tuple[str, str]:
    """Split a cell with the tag "exercise" into the solution and its last statement, the check."""
    lines = cell.split("\n")
    first = ast.parse(cell).body[-1].lineno - 1
    solution, check = "\n".join(lines[:first]), "\n".join(lines[first:])
    if not check.startswith("course.check_answer(") or "answer = " not in solution:
        sys.exit(
            f"an exercise's cell must set `answer` and end with a line course.check_answer(...); found:\n{cell}"
        )
    return solution, check


def differences() -> list[str]:
    """What is wrong with the notebooks in the repository, one line each."""
    wrong = []
    for source in sources():
        notebook = notebook_of(source)
        if not notebook.exists():
            wrong.append(f"{notebook.relative_to(ROOT)}: missing; make it with `make notebooks`")
        elif notebook.read_text(encoding="utf-8") != generate(source):
            wrong.append(
                f"{notebook.relative_to(ROOT)}: differs from {source.relative_to(ROOT)}; edit the source, then `make notebooks`"
            )
    expected = {notebook_of(source) for source in sources()}
    wrong += [
        f"{p.relative_to(ROOT)}: has no source in {SOURCES.relative_to(ROOT)}"
        for p in NOTEBOOKS.glob("*.ipynb")
        if p not in expected
    ]
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
    """The notebooks without the exercises' answers, in a new folder: one that is there may hold
    what somebody has solved.
    """
    if STUDENT.exists() and any(STUDENT.iterdir()):
        sys.exit(
            f"{STUDENT}: there already, perhaps with somebody's answers in it; move it away or remove it first"
        )
    STUDENT.mkdir(parents=True, exist_ok=True)
    copy_pages(STUDENT)
    for source in sources():
        (STUDENT / f"{source.stem}.ipynb").write_text(
            generate(source, student=True), encoding="utf-8", newline="\n"
        )
    print(f"the students' edition is in {STUDENT}")


def copy() -> None:
    """Fresh copies, so that no test takes an earlier execution for this one."""
    shutil.rmtree(COPIES, ignore_errors=True)
    COPIES.mkdir(parents=True)
    for source in sources():
        nbformat.write(copy_of(source), COPIES / f"{source.stem}.ipynb")


def copy_of(source: Path) -> NotebookNode:
    """A notebook with cells that time the reference workload, and one that prints its results,
    claims and memory.
    """
    notebook = nbformat.read(notebook_of(source), as_version=4)
    entry = expected()[source.stem]
    results = [f"{name!r}: float({code})" for name, code in entry["results"].items()]
    claims = [f"{claim!r}: bool({code})" for claim, code in entry["claims"].items()]
    report_code = REPORT.replace("RESULTS", ", ".join(results)).replace("CLAIMS", ", ".join(claims))
    notebook.cells = [
        nbformat.v4.new_code_cell(REFERENCE, id=ADDED[0]),
        *notebook.cells,
        nbformat.v4.new_code_cell(report_code, id=ADDED[1]),
        nbformat.v4.new_code_cell(REFERENCE, id=ADDED[2]),
    ]
    return notebook


def expected() -> dict[str, dict]:
    """What each notebook should give, and what it may take: see the text in
    `notebooks/expected.json`.
    """
    found = json.loads(EXPECTED_RESULTS.read_text(encoding="utf-8"))["notebooks"]
    missing = [source.stem for source in sources() if source.stem not in found]
    if missing:
        sys.exit(
            f"{', '.join(missing)}: no entry in {EXPECTED_RESULTS.relative_to(ROOT)}; give it minutes, memory and results"
        )
    return found


def report(notebook: NotebookNode) -> dict:
    """What an executed copy printed, how long its own cells took, in seconds, and how slow the
    machine was meanwhile.

    "slowness" is the larger of the two timings of the reference workload; see `reference.slowness`.
    """
    cells = {cell.id: cell for cell in notebook.cells}
    before, printed, after = (json.loads(_printed(cells[cell_id])) for cell_id in ADDED)
    own = [cell for cell in notebook.cells if cell.id not in ADDED and "execution" in cell.metadata]
    first = own[0].metadata["execution"]["iopub.status.busy"]
    last = own[-1].metadata["execution"]["iopub.status.idle"]
    seconds = (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
    slowness = max(reference.slowness(before), reference.slowness(after))
    return printed | {"seconds": seconds, "slowness": slowness}


def _printed(cell: NotebookNode) -> str:
    return "".join(output["text"] for output in cell.outputs if output.get("name") == "stdout")


def record() -> None:
    """Write what the executed copies gave into `expected.json`, for their profile and dataset;
    tolerances stay.
    """
    whole = json.loads(EXPECTED_RESULTS.read_text(encoding="utf-8"))
    missing = [source.stem for source in sources() if not is_executed(source, COPIES)]
    if missing:
        sys.exit(
            f"{', '.join(missing)}: no executed copy in {COPIES.relative_to(ROOT)}; `make test` makes them"
        )
    for source in sources():
        found = report(nbformat.read(COPIES / f"{source.stem}.ipynb", as_version=4))
        entry = whole["notebooks"][source.stem]
        values = {name: round(value, 4) for name, value in found["results"].items()}
        entry.setdefault("values", {})[found["where"]] = values
        entry.setdefault("seconds", {})[found["where"]] = {
            "measured": round(found["seconds"]),
            "reference": round(found["seconds"] / found["slowness"]),
        }
        whole["machine"] = {"cpu": reference.cpu_name(), "precision": found["precision"]}
        print(
            f"{source.stem:32}{found['seconds']:6.0f} s {found['memory'] or 0:6.2f} GB",
            found["results"],
        )
    EXPECTED_RESULTS.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


def table() -> None:
    """Rewrite the table of notebooks in README; the text of each row stays."""
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")


def with_table(readme: str) -> str:
    """README with the rows of its table and the line below it made of `expected.json`."""
    whole = json.loads(EXPECTED_RESULTS.read_text(encoding="utf-8"))
    for name, entry in whole["notebooks"].items():
        seconds = [entry["seconds"][where]["measured"] for where in RECORDED]
        cells = f"{entry['minutes']:g} min | {seconds[0]} s | {seconds[1]} s | {entry['memory_gb']:g} GB |"
        readme = re.sub(
            rf"^(\| `{name}` \| [^|]*\|).*$", rf"\1 {cells}", readme, flags=re.MULTILINE
        )
    totals = [
        sum(entry["seconds"][where]["measured"] for entry in whole["notebooks"].values()) / 60
        for where in RECORDED
    ]
    scaled = [
        sum(entry["seconds"][where]["reference"] for entry in whole["notebooks"].values()) / 60
        for where in RECORDED
    ]
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
    where = {"metadata": {"path": str(NOTEBOOKS)}}
    # The kernel's warnings are about the connection to it; what the notebook itself warns of stays
    # in its outputs.
    quiet = ["--IPKernelApp.log_level=ERROR"]
    client = NotebookClient(
        notebook, timeout=None, kernel_name="python3", resources=where, extra_arguments=quiet
    )
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        nbformat.write(notebook, target)
        sys.exit(
            f"failed\n{source.stem}: {_last_line(error)}\nup to the failed cell it is in {target}"
        )
    nbformat.write(notebook, target)
    target.with_suffix(".html").write_text(to_html(notebook, source.stem), encoding="utf-8")
    print(f"{time.monotonic() - started:.0f} s")


def is_executed(source: Path, folder: Path) -> bool:
    """True where a folder holds the present notebook with all its cells executed, with or without
    the cells of a copy.
    """
    path = folder / f"{source.stem}.ipynb"
    if not path.is_file():
        return False
    found, present = (nbformat.read(p, as_version=4).cells for p in (path, notebook_of(source)))
    code = [cell for cell in found if cell.cell_type == "code"]
    done = all(
        cell.execution_count and not any(output.output_type == "error" for output in cell.outputs)
        for cell in code
    )
    return done and [cell.source for cell in found if cell.id not in ADDED] == [
        cell.source for cell in present
    ]


def book(executed: Path = EXECUTED, target: Path = BOOK) -> None:
    """A site of the executed notebooks; those that are missing, or not the present ones, are
    executed first.
    """
    pages = target / "source"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(ROOT / "book", pages)
    copy_pages(pages)
    shutil.copytree(DOCS, pages, dirs_exist_ok=True)
    for source in sources():
        folder = next(
            (folder for folder in (executed, EXECUTED) if is_executed(source, folder)), None
        )
        if folder is None:
            folder = EXECUTED
            execute(source)
        notebook = nbformat.read(folder / f"{source.stem}.ipynb", as_version=4)
        nbformat.write(to_page(notebook), pages / f"{source.stem}.ipynb")
    # A broken link or a missing image is a warning, and a warning an error.
    sphinx = [
        sys.executable,
        "-m",
        "sphinx",
        "--quiet",
        "--fail-on-warning",
        "--nitpicky",
        "--builder",
        "html",
    ]
    if subprocess.run([*sphinx, str(pages), str(target / "html")]).returncode:
        sys.exit("the book was not built; the lines above say why")
    print(f"the book is {target / 'html' / 'index.html'}")
    if os.environ.get("VADLIB_DATA"):
        print(
            "it shows frames of the datasets in VADLIB_DATA; to publish it, build it without that variable"
        )


def to_page(notebook: NotebookNode) -> NotebookNode:
    """A notebook as a page of the book: without a copy's cells and what needs a kernel, the
    exercises' answers folded up.
    """
    notebook.cells = [cell for cell in notebook.cells if cell.id not in ADDED]
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "code":
            cell.outputs = [
                output for output in cell.outputs if WIDGET not in output.get("data", {})
            ]
            cell.metadata["tags"] = [*tags, *["hide-cell"] * ("exercise" in tags)]
        elif "solution" in tags:
            title, mark, text = cell.source.partition(".** ")
            if not title.startswith("**Answer ") or not mark:
                sys.exit(
                    f"a text with the tag `solution` must begin with **Answer NN-N.**; found:\n{cell.source}"
                )
            cell.source = f"<details><summary>{title.strip('*')}</summary>\n\n{text}\n\n</details>"
    return notebook


def to_html(notebook: NotebookNode, title: str) -> str:
    """One page that fetches nothing. Widgets, progress bars too, are left out: without a kernel
    they do nothing.
    """
    notebook = nbformat.from_dict(notebook)  # a copy
    notebook.metadata.pop("widgets", None)
    notebook.metadata["title"] = title
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [
                output for output in cell.outputs if WIDGET not in output.get("data", {})
            ]
    exporter = HTMLExporter(raw_template=OFFLINE_PAGE, exclude_anchor_links=True)
    page, _ = exporter.from_notebook_node(notebook)
    fetched = re.findall(
        r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)\s*=\s*[\"']?+(?!data:|#)[^>]*>", page
    )
    if fetched:
        sys.exit(f"{title}: the page would fetch {fetched[0][:200]}")
    return page


def _last_line(error: Exception) -> str:
    lines = [
        line for line in re.sub(r"\x1b\[[0-9;]*m", "", str(error)).splitlines() if line.strip()
    ]
    return lines[-1] if lines else type(error).__name__


def main() -> None:
    commands = {
        command.__name__: command
        for command in (build, check, student, copy, record, table, run, book)
    }
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=commands)
    commands[parser.parse_args().command]()


if __name__ == "__main__":
    main()
