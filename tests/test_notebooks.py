"""The notebooks: generated from their sources, plain, explained and, once executed, right.

nbmake executes copies in build/test/notebooks (`make test`). The tests of executed notebooks read
these copies.
"""

import ast
import os
import re
import shutil
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
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
UNFIT = (*style.FUNCTIONS, ast.ClassDef, ast.Lambda, ast.NamedExpr)
OURS = {"import vadlib as vad", "from vadlib import course"}
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
    (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{path}: outdated; run `make test`")


def names(code, context):
    """Return the names that a cell assigns (ast.Store) or reads (ast.Load)."""
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)]
    return {node.id for node in nodes if isinstance(node.ctx, context)}


def test_notebooks_are_what_their_sources_generate(tmp_path, monkeypatch):
    assert tools.differences() == []
    notebooks = shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    monkeypatch.setattr(tools, "ROOT", tmp_path)
    monkeypatch.setattr(tools, "NOTEBOOKS", notebooks)
    path = notebooks / "00_quickstart.ipynb"
    path.write_text(path.read_text("utf-8").replace("Quickstart", "Quick start"), "utf-8")
    shutil.copy(path, path.with_name("99_more.ipynb"))
    path.with_name("01_datasets.ipynb").unlink()
    monkeypatch.setattr(tools, "SOURCES", notebooks / "src")
    assert len(tools.differences()) == 3
    with pytest.raises(SystemExit, match="99_more"):
        tools.check()


@each_notebook
def test_notebook_is_thin_without_outputs_and_opens_without_asking(name, tmp_path):
    notebook = read(name)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert [c.id for c in notebook.cells] == [f"cell-{i:02d}" for i in range(len(notebook.cells))]
    for cell in code_cells(notebook):
        assert (cell.outputs, cell.execution_count) == ([], None)
        (tmp_path / "cell.py").write_text(cell.source, encoding="utf-8")
        assert list(style.violations(tmp_path / "cell.py")) == [], cell.source
        assert max(map(len, cell.source.splitlines())) <= MOST_COLUMNS, cell.source
        nodes = list(ast.walk(ast.parse(cell.source)))
        assert sum(isinstance(node, ast.stmt) for node in nodes) <= MOST_STATEMENTS, cell.source
        assert not any(isinstance(node, UNFIT) for node in nodes), cell.source
        for line, module in re.findall(r"^((?:import|from) (\w+).*)$", cell.source, re.MULTILINE):
            assert line in OURS if module == "vadlib" else module in LIBRARIES, line


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
        of_solution = names(solution, ast.Store) - {"answer"}
        assigned, needed = names(rest, ast.Store), names(rest, ast.Load)
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


@each_notebook
def test_executed_notebook_has_solved_exercises_and_figures_with_their_own_alt_texts(name):
    solved, html = [], ""
    cells = code_cells(executed(name))
    for cell in cells:
        printed = "".join(output.get("text", "") for output in cell.outputs)
        assert "Warning" not in printed
        if "exercise" in cell.metadata.get("tags", []):
            solved.append(printed.splitlines()[-1])
        for output in cell.outputs:
            data = output.get("data", {})
            html += "".join(data.get("text/html", ""))
            assert not any(kind.startswith("image/") for kind in data), "use course.show"
    assert solved == [f"{name[:2]}-{number}: right" for number in range(1, len(solved) + 1)]
    alts = re.findall(r'<img\b[^>]*\balt="([^"]*)"', html)
    figures = sum(cell.source.count("course.show(") for cell in cells)
    assert html.count("<img") == len(set(alts)) >= figures > 0
    assert all(len(alt.split()) >= 5 for alt in alts), alts


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
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    images = re.findall(r"!\[([^\]]*)\]\(gallery/(\w+)\.(?:png|webp)\)", readme)
    assert {name: alt for alt, name in images} == gallery.ALTS
    assert {path.stem for path in (ROOT / "gallery").iterdir()} == set(gallery.ALTS)
    assert (ROOT / "gallery" / "alarm.webp").stat().st_size < 2e6
