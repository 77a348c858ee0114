"""The notebooks: generated from their sources, plain, explained and, once executed, right.

nbmake executes copies in build/test/notebooks (`make test`). The tests of executed notebooks read
these copies.
"""

import ast
import json
import os
import re
import shutil
import symtable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
import reference
import style

import gallery
import notebooks as tools

ROOT = Path(__file__).parents[1]
MOST_STATEMENTS = 6  # in a cell
MOST_COLUMNS = 88
LIBRARIES = {"IPython", "json", "matplotlib", "numpy", "scipy", "sklearn", "torch", "vadlib"}
LIBRARIES |= {"functools", "itertools", "pathlib", "tempfile"}
MOST_MINUTES = 12  # budget of all notebooks together, on the reference machine
SLACK = 2  # times its budget that a notebook may take, because a machine is busy now and then
IMPORT_SECONDS = 15  # imports from a cold disk, which the reference workload does not cover
HEADER_PARTS = ("**After it you can**", "**You need**", "**Time**", "**Memory**", "**Words**")
PARTS = ("**Predict:**", "**Common mistake.**", "## Exercises", "## Summary", "## References")


each_notebook = pytest.mark.parametrize("name", [source.stem for source in tools.sources()])


def read(name):
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def read_text(name):
    """Return the text of a notebook without its code."""
    return "\n".join(cell.source for cell in read(name).cells if cell.cell_type == "markdown")


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def executed(name):
    """Read the copy that nbmake executed. Skip if it is missing or older; fail in CI."""
    path = tools.COPIES / f"{name}.ipynb"
    if tools.is_executed(tools.SOURCES / f"{name}.py", tools.COPIES):
        return nbformat.read(path, as_version=4)
    reason = f"{path.relative_to(ROOT)} is missing or outdated; `make test` executes it"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def layout_faults(code, path):
    """List what makes a cell hard to read."""
    path.write_text(code, encoding="utf-8")
    yield from style.violations(path)
    nodes = list(ast.walk(ast.parse(code)))
    if sum(isinstance(node, ast.stmt) for node in nodes) > MOST_STATEMENTS:
        yield "too many statements"
    if max(map(len, code.splitlines())) > MOST_COLUMNS:
        yield "a long line"
    for node in nodes:
        if isinstance(node, (*style.FUNCTIONS, ast.ClassDef, ast.Lambda, ast.NamedExpr)):
            yield f"{type(node).__name__} in a notebook"


def imported_modules(code):
    """List the modules that a cell imports; `from vadlib import course` counts as vadlib.course."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            is_ours = node.module == "vadlib"
            yield from (f"vadlib.{alias.name}" if is_ours else node.module for alias in node.names)


def names_of(code):
    """Return the names that a cell assigns and those that it reads."""
    table = symtable.symtable(code, "cell", "exec")
    symbols = table.get_symbols()
    assigned = {symbol.get_name() for symbol in symbols if symbol.is_assigned()}
    for child in table.get_children():  # what lives only inside a comprehension is neither
        symbols += [symbol for symbol in child.get_symbols() if symbol.is_global()]
    return assigned, {symbol.get_name() for symbol in symbols if symbol.is_referenced()}


def test_notebooks_are_what_their_sources_generate():
    assert tools.differences() == []
    for source in tools.sources():  # jupytext draws random cell ids
        assert tools.generate(source) == tools.generate(source)


@pytest.mark.parametrize("change", ["edited", "removed", "extra", "outputs"])
def test_check_reports_a_difference(change, tmp_path, monkeypatch):
    notebooks = shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    monkeypatch.setattr(tools, "ROOT", tmp_path)
    monkeypatch.setattr(tools, "NOTEBOOKS", notebooks)
    monkeypatch.setattr(tools, "SOURCES", notebooks / "src")
    assert tools.differences() == []
    path = notebooks / "00_quickstart.ipynb"
    if change == "removed":
        path.unlink()
    elif change == "extra":
        shutil.copy(path, path.with_name("99_more.ipynb"))
    else:
        notebook = nbformat.read(path, as_version=4)
        if change == "edited":
            notebook.cells[0].source += "!"
        else:
            code_cells(notebook)[0].outputs = [nbformat.v4.new_output("stream", text="1")]
        nbformat.write(notebook, path)
    assert len(tools.differences()) == 1
    with pytest.raises(SystemExit, match="ipynb"):
        tools.check()


@each_notebook
def test_notebook_is_stored_without_outputs_and_opens_without_asking_for_a_kernel(name):
    notebook = read(name)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert [c.id for c in notebook.cells] == [f"cell-{i:02d}" for i in range(len(notebook.cells))]
    assert not any(c.get("outputs") or c.get("execution_count") for c in notebook.cells)


@each_notebook
def test_notebook_is_thin(name, tmp_path):
    for cell in code_cells(read(name)):
        assert list(layout_faults(cell.source, tmp_path / "cell.py")) == [], cell.source
        for module in imported_modules(cell.source):
            assert module.split(".")[0] in LIBRARIES, module
            assert module == "vadlib.course" or not module.startswith("vadlib."), module


@each_notebook
def test_text_explains_what_is_learned_needed_asked_and_practised(name):
    kinds = [cell.cell_type for cell in read(name).cells]
    assert kinds[0] == "markdown"
    assert ("code", "code") not in pairwise(kinds)
    text = read_text(name)
    assert [part for part in (*HEADER_PARTS, *PARTS) if part not in text] == []
    # The exported page does not load MathJax.
    assert not re.search(r"\$[^$\n]+\$", text)


@each_notebook
def test_words_are_in_the_glossary(name):
    glossary = (ROOT / "notebooks" / "glossary.md").read_text(encoding="utf-8")
    entries = re.findall(r"^### (.*)$", glossary, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", entry.lower()).replace(" ", "-"): entry for entry in entries}
    assert len(anchors) == len(entries)
    links = re.findall(r"\[([^\]]+)\]\(glossary\.md#([^)]+)\)", read_text(name))
    assert links
    for word, anchor in links:
        assert anchors.get(anchor) == re.sub(r"\s+", " ", word)


@each_notebook
def test_no_cell_needs_the_result_of_an_exercise(name):
    """The student edition runs before anything is solved."""
    answers = set()
    for cell in code_cells(read(name)):
        solution, rest = "", cell.source
        if "exercise" in cell.metadata.get("tags", []):
            solution, rest = tools.split_exercise(cell.source)
        of_solution = names_of(solution)[0] - {"answer"}
        assigned, needed = names_of(rest)
        assert not (needed - assigned) & (answers | of_solution), cell.source
        answers = (answers | of_solution) - assigned


@each_notebook
def test_executed_notebook_gives_the_expected_results_in_its_budget(name):
    entry, report = tools.expected()[name], tools.report(executed(name))
    assert report["claims"] == dict.fromkeys(entry["claims"], True)
    if report["where"].startswith("full"):
        pytest.skip("expected values are known for the quick profile only")
    values, tolerances = entry["values"][report["where"]], entry["tolerances"]
    assert list(report["results"]) == list(values) == list(tolerances)
    for result, value in report["results"].items():
        assert abs(value - values[result]) <= tolerances[result] + 1e-4, f"{result}: {value}"
    minutes = SLACK * report["slowness"] * entry["minutes"]
    assert report["seconds"] <= IMPORT_SECONDS + 60 * minutes
    assert report["memory"] is None or report["memory"] <= 2 * entry["memory_gb"]


def test_budgets_are_in_the_readme_and_in_each_header():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert tools.with_table(readme) == readme, "run `python tools/notebooks.py table`"
    names = [source.stem for source in tools.sources()]
    assert re.findall(r"^\| `(\d\d_\w+)` \|", readme, re.MULTILINE) == names
    assert list(tools.expected()) == names
    assert sum(entry["minutes"] for entry in tools.expected().values()) <= MOST_MINUTES
    for name, entry in tools.expected().items():
        header = re.sub(r"\s+", " ", read(name).cells[0].source)
        minutes = f"{entry['minutes']:g} minute{'s' * (entry['minutes'] != 1)}"
        assert f"**Time** {minutes} of computing on two CPU cores in the quick profile," in header
        assert f"**Memory** {entry['memory_gb']:g} GB" in header, name


def test_a_report_uses_the_slower_timing_and_leaves_out_the_time_of_the_workload():
    def cell(cell_id, start, end, text=""):
        outputs = [nbformat.v4.new_output("stream", text=text)] if text else []
        times = {"iopub.status.busy": f"2026-01-01T00:00:{start:02d}+00:00"}
        times["iopub.status.idle"] = f"2026-01-01T00:00:{end:02d}+00:00"
        metadata = {"execution": times}
        return nbformat.v4.new_code_cell("pass", id=cell_id, outputs=outputs, metadata=metadata)

    assert set(reference.measure()) == set(reference.SHARES) == set(reference.REFERENCE_SECONDS)
    slow = {name: 2 * value for name, value in reference.REFERENCE_SECONDS.items()}
    cells = [
        cell("reference-before", 0, 10, json.dumps(reference.REFERENCE_SECONDS)),
        cell("cell-01", 10, 15),
        cell("cell-03", 15, 18),
        cell("report", 18, 19, json.dumps({"results": {"a": 1.0}})),
        cell("reference-after", 19, 40, json.dumps(slow)),
    ]
    report = tools.report(nbformat.v4.new_notebook(cells=cells))
    assert report == {"results": {"a": 1.0}, "seconds": 8, "slowness": pytest.approx(2)}


class Images(HTMLParser):
    """Collect the alt text of every image."""

    def __init__(self):
        super().__init__()
        self.alts: list[str | None] = []

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.alts.append(dict(attributes).get("alt"))


@each_notebook
def test_executed_notebook_has_solved_exercises_and_figures_with_their_own_alt_texts(name):
    images = Images()
    figures = 0
    solved = []
    for cell in code_cells(executed(name)):
        figures += cell.source.count("course.show(")
        printed = "".join(output.get("text", "") for output in cell.outputs)
        assert "Warning" not in printed
        if "exercise" in cell.metadata.get("tags", []):
            solved.append(printed.splitlines()[-1])
        for output in cell.outputs:
            data = output.get("data", {})
            images.feed("".join(data.get("text/html", "")))
            assert not any(kind.startswith("image/") for kind in data), "use course.show"
    assert solved == [f"{name[:2]}-{number}: right" for number in range(1, len(solved) + 1)]
    assert len(images.alts) >= figures > 0
    assert all(alt and len(alt.split()) >= 5 for alt in images.alts), images.alts
    assert len(set(images.alts)) == len(images.alts), images.alts


def test_exported_page_fetches_nothing_and_keeps_alt_texts():
    html = '<img alt="a curve that rises" src="data:image/png;base64,">'
    figure = nbformat.v4.new_output("display_data", {"text/html": html})
    widget = {tools.WIDGET: {"model_id": "x"}, "text/plain": "  0%|"}
    bar = nbformat.v4.new_output("display_data", widget)
    code = nbformat.v4.new_code_cell("show()", execution_count=1, outputs=[bar, figure])
    notebook = nbformat.v4.new_notebook(cells=[code], metadata={"widgets": {}})
    page = tools.to_html(notebook, "title")
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", page)
    assert not re.search(r"import\(|cdnjs|unpkg|jsdelivr", page)
    assert 'alt="a curve that rises"' in page
    assert "0%|" not in page


def test_the_gallery_of_the_readme_has_the_alt_texts_of_its_command():
    alts = gallery.ALTS
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    images = re.findall(r"!\[([^\]]*)\]\(gallery/(\w+)\.(?:png|webp)\)", readme)
    assert {name: alt for alt, name in images} == alts
    assert {path.stem for path in (ROOT / "gallery").iterdir()} == set(alts)
    assert (ROOT / "gallery" / "alarm.webp").stat().st_size < 2e6
