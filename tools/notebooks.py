"""Make, check and run the notebooks.

python tools/notebooks.py build    notebooks/NN_name.ipynb, without outputs, from notebooks/src/NN_name.py
python tools/notebooks.py check    fail if one of them is not what `build` makes
python tools/notebooks.py copy     fresh copies in build/test/notebooks, for nbmake to execute
python tools/notebooks.py run      execute all; leave notebooks and HTML in build/notebooks
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
SOURCES = NOTEBOOKS / "src"
COPIES = ROOT / "build" / "test" / "notebooks"
EXECUTED = ROOT / "build" / "notebooks"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
WIDGET = "application/vnd.jupyter.widget-view+json"
# nbconvert's page without what it would fetch from other hosts: require.js, MathJax, Mermaid, and the widgets' renderer.
# Long lines of code are wrapped, not cut off.
OFFLINE_PAGE = (
    "{% extends 'index.html.j2' %}{% block html_head_css %}<style>.highlight pre {white-space: pre-wrap !important}</style>{% endblock %}"
    + "".join(
        f"{{% block {name} %}}{{% endblock %}}"
        for name in ("html_head_js", "html_head_js_mathjax", "html_head_js_mermaidjs", "jupyter_widgets")
    )
)


def sources() -> list[Path]:
    """The notebooks' sources, in the order in which they are read."""
    return sorted(SOURCES.glob("[0-9][0-9]_*.py"))


def notebook_of(source: Path) -> Path:
    return NOTEBOOKS / f"{source.stem}.ipynb"


def generate(source: Path) -> str:
    """The text of the notebook made of a source. The same source gives the same text: cell ids count the cells."""
    notebook = jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent")
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{i:02d}"
        cell["metadata"] = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
    made = nbformat.v4.new_notebook(cells=notebook.cells, metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}})
    made.nbformat_minor = 5
    nbformat.validate(made)
    return nbformat.writes(made) + "\n"


def differences() -> list[str]:
    """What is wrong with the notebooks in the repository, one line each."""
    wrong = []
    for source in sources():
        notebook = notebook_of(source)
        if not notebook.exists():
            wrong.append(f"{notebook.relative_to(ROOT)}: missing; make it with `make notebooks`")
        elif notebook.read_text(encoding="utf-8") != generate(source):
            wrong.append(f"{notebook.relative_to(ROOT)}: differs from {source.relative_to(ROOT)}; edit the source, then `make notebooks`")
    expected = {notebook_of(source) for source in sources()}
    wrong += [
        f"{p.relative_to(ROOT)}: has no source in {SOURCES.relative_to(ROOT)}" for p in NOTEBOOKS.glob("*.ipynb") if p not in expected
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


def copy() -> None:
    """Fresh copies, so that no test takes an earlier execution for this one."""
    shutil.rmtree(COPIES, ignore_errors=True)
    COPIES.mkdir(parents=True)
    for source in sources():
        shutil.copy(notebook_of(source), COPIES)


def run() -> None:
    EXECUTED.mkdir(parents=True, exist_ok=True)
    if os.environ.get("VADLIB_DATA"):  # notebooks run in their own folder
        os.environ["VADLIB_DATA"] = str(Path(os.environ["VADLIB_DATA"]).resolve())
    for source in sources():
        notebook = nbformat.read(notebook_of(source), as_version=4)
        target, started = EXECUTED / f"{source.stem}.ipynb", time.monotonic()
        print(f"{source.stem} ...", end=" ", flush=True)
        where = {"metadata": {"path": str(NOTEBOOKS)}}
        # The kernel's warnings are about the connection to it; what the notebook itself warns of stays in its outputs.
        quiet = ["--IPKernelApp.log_level=ERROR"]
        client = NotebookClient(notebook, timeout=None, kernel_name="python3", resources=where, extra_arguments=quiet)
        try:
            client.execute()
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            nbformat.write(notebook, target)
            sys.exit(f"failed\n{source.stem}: {_last_line(error)}\nup to the failed cell it is in {target.relative_to(ROOT)}")
        nbformat.write(notebook, target)
        target.with_suffix(".html").write_text(to_html(notebook, source.stem), encoding="utf-8")
        print(f"{time.monotonic() - started:.0f} s")
    print(f"executed notebooks and HTML are in {EXECUTED.relative_to(ROOT)}")


def to_html(notebook: NotebookNode, title: str) -> str:
    """One page that fetches nothing. Widgets, progress bars too, are left out: without a kernel they do nothing."""
    notebook = nbformat.from_dict(notebook)  # a copy
    notebook.metadata.pop("widgets", None)
    notebook.metadata["title"] = title
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
    exporter = HTMLExporter(raw_template=OFFLINE_PAGE, exclude_anchor_links=True)
    page, _ = exporter.from_notebook_node(notebook)
    fetched = re.findall(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)\s*=\s*[\"']?+(?!data:|#)[^>]*>", page)
    if fetched:
        sys.exit(f"{title}: the page would fetch {fetched[0][:200]}")
    return page


def _last_line(error: Exception) -> str:
    lines = [line for line in re.sub(r"\x1b\[[0-9;]*m", "", str(error)).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def main() -> None:
    commands = {command.__name__: command for command in (build, check, copy, run)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=commands)
    commands[parser.parse_args().command]()


if __name__ == "__main__":
    main()
