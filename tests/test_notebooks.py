"""The notebooks: made from their sources, thin, explained, and, once executed, with figures that
have a text.

nbmake executes copies in build/test/notebooks (`make test`); the tests of executed notebooks read
these copies.
"""

import ast
import importlib.util
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

ROOT = Path(__file__).parents[1]
MOST_STATEMENTS = 6  # of a cell
MOST_MINUTES = 12  # the budgets of all, on the reference machine
# times its budget that a notebook may take: what a busy machine does between two timings of the
# workload
ALLOWED = 2
START = 15  # seconds beside that: imports from a cold disk, of which the workload knows nothing

spec = importlib.util.spec_from_file_location("notebook_tools", ROOT / "tools" / "notebooks.py")
tools = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tools)

each_notebook = pytest.mark.parametrize("name", [source.stem for source in tools.sources()])


class Images(HTMLParser):
    """Collects the alt text of every image, None where there is no such attribute."""

    def __init__(self):
        super().__init__()
        self.alts: list[str | None] = []

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.alts.append(dict(attributes).get("alt"))


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def assigned_and_read(code: str) -> tuple[set[str], set[str]]:
    """Names that a cell sets, and those that it reads; what lives only inside a comprehension is
    neither.
    """
    table = symtable.symtable(code, "cell", "exec")
    inner = [
        symbol
        for child in table.get_children()
        for symbol in child.get_symbols()
        if symbol.is_global()
    ]
    outer = table.get_symbols()
    return {s.get_name() for s in outer if s.is_assigned()}, {
        s.get_name() for s in [*outer, *inner] if s.is_referenced()
    }


def executed(name: str) -> nbformat.NotebookNode:
    """The copy that nbmake executed. Without one of the present notebook: skip, but fail in CI,
    where it must be there.
    """
    path = tools.COPIES / f"{name}.ipynb"
    if tools.is_executed(tools.SOURCES / f"{name}.py", tools.COPIES):
        return nbformat.read(path, as_version=4)
    reason = (
        f"{path.relative_to(ROOT)} is not the present notebook, executed; `make test` executes it"
    )
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def image_alts(notebook: nbformat.NotebookNode) -> list[str | None]:
    images = Images()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            images.feed("".join(output.get("data", {}).get("text/html", "")))
    return images.alts


def test_there_is_a_notebook():
    assert "00_quickstart" in [source.stem for source in tools.sources()]


def test_notebooks_are_what_their_sources_make():
    assert tools.differences() == []


def test_generating_twice_gives_the_same_text():
    """jupytext draws random cell ids."""
    for source in tools.sources():
        assert tools.generate(source) == tools.generate(source)


@pytest.mark.parametrize("change", ["edited", "removed", "extra", "outputs"])
def test_check_finds(change, tmp_path, monkeypatch):
    shutil.copytree(
        ROOT / "notebooks",
        tmp_path / "notebooks",
        ignore=shutil.ignore_patterns(".ipynb_checkpoints"),
    )
    for name, value in {
        "ROOT": tmp_path,
        "NOTEBOOKS": tmp_path / "notebooks",
        "SOURCES": tmp_path / "notebooks" / "src",
    }.items():
        monkeypatch.setattr(tools, name, value)
    assert tools.differences() == []
    path = tmp_path / "notebooks" / "00_quickstart.ipynb"
    if change == "edited":
        path.write_text(
            path.read_text(encoding="utf-8").replace("Quickstart", "Quick start"), encoding="utf-8"
        )
    elif change == "removed":
        path.unlink()
    elif change == "extra":
        shutil.copy(path, path.with_name("99_more.ipynb"))
    else:
        notebook = nbformat.read(path, as_version=4)
        code = next(c for c in notebook.cells if c.cell_type == "code")
        code.outputs = [nbformat.v4.new_output("stream", text="1")]
        nbformat.write(notebook, path)
    assert len(tools.differences()) == 1
    with pytest.raises(SystemExit, match="ipynb"):
        tools.check()


@each_notebook
def test_notebook_is_stored_without_outputs_and_opens_without_asking_for_a_kernel(name):
    notebook = read(name)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata
    assert [c.id for c in notebook.cells] == [f"cell-{i:02d}" for i in range(len(notebook.cells))]
    assert not any(c.get("outputs") or c.get("execution_count") for c in notebook.cells)


@each_notebook
def test_notebook_is_thin(name):
    for cell in read(name).cells:
        if cell.cell_type == "code":
            nodes = list(ast.walk(ast.parse(cell.source)))
            statements = [node for node in nodes if isinstance(node, ast.stmt)]
            assert len(statements) <= MOST_STATEMENTS, cell.source
            assert max(map(len, cell.source.splitlines())) <= 88, cell.source
            definitions = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
            assert not [node for node in nodes if isinstance(node, definitions)], cell.source


@each_notebook
def test_text_stands_before_every_code_cell(name):
    kinds = [c.cell_type for c in read(name).cells]
    assert kinds[0] == "markdown"
    assert ("code", "code") not in pairwise(kinds)


@each_notebook
def test_text_says_what_is_learned_needed_asked_and_practised(name):
    text = "\n".join(c.source for c in read(name).cells if c.cell_type == "markdown")
    parts = (
        "**After it you can**",
        "**You need**",
        "**Time**",
        "**Memory**",
        "**Words**",
        "**Predict:**",
        "**Common mistake.**",
    )
    for part in (*parts, "## Exercises", "## Summary", "## References"):
        assert part in text, part
    assert not re.search(r"\$[^$\n]+\$", text), (
        "formulas need MathJax, which the exported page does not load"
    )


@each_notebook
def test_words_are_in_the_glossary(name):
    entries = re.findall(
        r"^### (.*)$",
        (ROOT / "notebooks" / "glossary.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    anchors = {re.sub(r"[^\w -]", "", entry.lower()).replace(" ", "-"): entry for entry in entries}
    assert len(anchors) == len(entries)
    links = re.findall(
        r"\[([^\]]+)\]\(glossary\.md#([^)]+)\)",
        " ".join(c.source for c in read(name).cells if c.cell_type == "markdown"),
    )
    assert links
    assert all(anchors.get(anchor) == re.sub(r"\s+", " ", word) for word, anchor in links), links


@each_notebook
def test_no_cell_needs_what_an_exercise_computes(name):
    """So that the student edition runs from top to bottom before anything is solved."""
    made = set()
    for cell in read(name).cells:
        if cell.cell_type == "code":
            exercise = "exercise" in cell.metadata.get("tags", [])
            solution, rest = tools.split_exercise(cell.source) if exercise else ("", cell.source)
            set_by_solution, set_by_rest = (
                assigned_and_read(solution)[0] - {"answer"},
                assigned_and_read(rest)[0],
            )
            needed = assigned_and_read(rest)[1] - set_by_rest
            assert not needed & (made | set_by_solution), cell.source
            made = (made | set_by_solution) - set_by_rest


@each_notebook
def test_results_of_the_executed_notebook(name):
    entry, found = tools.expected()[name], tools.report(executed(name))
    if found["where"].startswith("full"):
        pytest.skip("expected values are known of the quick profile only")
    wanted, tolerances = entry["values"][found["where"]], entry["tolerances"]
    assert list(found["results"]) == list(wanted) == list(tolerances)
    for result, value in found["results"].items():
        assert abs(value - wanted[result]) <= tolerances[result] + 1e-4, (
            f"{result}: {value}, expected {wanted[result]}"
        )


@each_notebook
def test_claims_of_the_executed_notebook_hold(name):
    entry, found = tools.expected()[name], tools.report(executed(name))
    assert found["claims"] == dict.fromkeys(entry["claims"], True)


@each_notebook
def test_the_executed_notebook_kept_its_budget(name):
    entry, found = tools.expected()[name], tools.report(executed(name))
    if found["where"].startswith("quick"):
        assert found["seconds"] <= START + ALLOWED * found["slowness"] * 60 * entry["minutes"]
        assert found["memory"] is None or found["memory"] <= 2 * entry["memory_gb"]


def test_budgets_stand_in_the_readme_and_in_each_header():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert tools.with_table(readme) == readme, "run `python tools/notebooks.py table`"
    assert re.findall(r"^\| `(\d\d_\w+)` \|", readme, re.MULTILINE) == [
        source.stem for source in tools.sources()
    ]
    assert list(tools.expected()) == [source.stem for source in tools.sources()]
    assert sum(entry["minutes"] for entry in tools.expected().values()) <= MOST_MINUTES
    for name, entry in tools.expected().items():
        header = re.sub(r"\s+", " ", read(name).cells[0].source)
        minutes, memory = entry["minutes"], entry["memory_gb"]
        assert (
            f"**Time** {minutes:g} minute{'s' * (minutes != 1)} of computing on two CPU cores in the quick profile, "
            in header
        ), name
        assert f"**Memory** {memory:g} GB" in header, name


def test_a_slow_machine_is_forgiven_and_a_slow_notebook_is_not():
    """The budget is compared with the reference workload, timed beside the notebook on the same
    machine.
    """
    seconds = dict(reference.REFERENCE_SECONDS)
    assert reference.slowness(seconds) == pytest.approx(1)
    assert reference.slowness(
        {name: 3 * value for name, value in seconds.items()}
    ) == pytest.approx(3)
    assert set(reference.measure()) == set(reference.SHARES) == set(seconds)
    assert sum(reference.SHARES.values()) == pytest.approx(1)


def test_a_report_takes_the_slower_timing_and_leaves_out_the_time_of_the_workload():
    def cell(cell_id: str, start: int, end: int, text: str = "") -> nbformat.NotebookNode:
        stamps = {
            key: f"2026-01-01T00:00:{second:02d}+00:00"
            for key, second in (("iopub.status.busy", start), ("iopub.status.idle", end))
        }
        outputs = [nbformat.v4.new_output("stream", text=text)] if text else []
        code = nbformat.v4.new_code_cell("pass", id=cell_id, execution_count=1, outputs=outputs)
        code.metadata["execution"] = stamps
        return code

    slow = {name: 2 * value for name, value in reference.REFERENCE_SECONDS.items()}
    cells = [
        cell("reference-before", 0, 10, json.dumps(reference.REFERENCE_SECONDS)),
        cell("cell-01", 10, 15),
        cell("cell-03", 15, 18),
        cell("report", 18, 19, json.dumps({"results": {"a": 1.0}})),
        cell("reference-after", 19, 40, json.dumps(slow)),
    ]
    found = tools.report(nbformat.v4.new_notebook(cells=cells))
    assert found == {"results": {"a": 1.0}, "seconds": 8, "slowness": pytest.approx(2)}


@each_notebook
def test_exercises_of_the_executed_notebook_are_solved(name):
    cells = [cell for cell in executed(name).cells if "exercise" in cell.metadata.get("tags", [])]
    said = [
        "".join(output.get("text", "") for output in cell.outputs).splitlines()[-1]
        for cell in cells
    ]
    assert said == [f"{name[:2]}-{i}: right" for i in range(1, len(cells) + 1)]


@each_notebook
def test_figures_of_the_executed_notebook_have_their_own_alt_texts(name):
    notebook = executed(name)
    alts = image_alts(notebook)
    shown = sum(c.source.count("course.show(") for c in notebook.cells if c.cell_type == "code")
    assert len(alts) >= shown > 0
    assert all(alt and len(alt.split()) >= 5 for alt in alts), alts
    assert len(set(alts)) == len(alts), alts


@each_notebook
def test_executed_notebook_shows_no_warnings_and_no_figures_without_alt_text(name):
    for cell in executed(name).cells:
        for output in cell.get("outputs", []):
            assert "Warning" not in output.get("text", ""), output.text
            assert not any(kind.startswith("image/") for kind in output.get("data", {})), (
                "show figures with course.show(figure, alt=...)"
            )


def test_exported_page_fetches_nothing_and_keeps_alt_texts():
    figure = nbformat.v4.new_output(
        "display_data", {"text/html": '<img alt="a curve that rises" src="data:image/png;base64,">'}
    )
    bar = nbformat.v4.new_output(
        "display_data", {tools.WIDGET: {"model_id": "x"}, "text/plain": "  0%|"}
    )
    code = nbformat.v4.new_code_cell("show()", execution_count=1, outputs=[bar, figure])
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("# Title"), code], metadata={"widgets": {}}
    )
    page = tools.to_html(notebook, "title")
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", page)
    assert not re.search(r"import\(|cdnjs|unpkg|jsdelivr", page)
    assert 'alt="a curve that rises"' in page
    assert "0%|" not in page
    assert notebook.cells[1].outputs == [bar, figure]  # the argument stays as it is


def test_the_gallery_of_the_readme_has_the_alt_texts_of_its_command():
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "tools" / "gallery.py")
    gallery = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gallery)
    shown = re.findall(
        r"!\[([^\]]*)\]\(gallery/(\w+)\.(?:png|webp)\)",
        (ROOT / "README.md").read_text(encoding="utf-8"),
    )
    assert {name: alt for alt, name in shown} == gallery.ALTS
    assert {path.stem for path in (ROOT / "gallery").iterdir()} == set(gallery.ALTS)
    assert (ROOT / "gallery" / "alarm.webp").stat().st_size < 2e6
