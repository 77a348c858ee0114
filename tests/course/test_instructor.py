"""The instructor's guide covers each notebook and exercise, and says what the notebooks say."""

import ast
import re

import pytest
from test_exercises import CELLS
from test_notebooks import ROOT, tools

GUIDE = (ROOT / "notebooks" / "INSTRUCTOR.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\d\d_\w+)\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL))
PLANS = dict(re.findall(r"^### (.*?)\n(.*?)(?=^##|\Z)", GUIDE, re.MULTILINE | re.DOTALL))


def test_each_notebook_has_a_section_that_says_what_a_teacher_needs():
    assert list(SECTIONS) == [source.stem for source in tools.sources()]
    for name, section in SECTIONS.items():
        titles = re.findall(r"^\*\*(\w+)\*\*", section, re.MULTILINE)
        assert titles == ["Minutes", "Goals", "Misconceptions", "Answers", "Discuss"], name
        parts = re.split(r"^\*\*\w+\*\*", section, flags=re.MULTILINE)[1:]
        notebook = tools.generate(ROOT / f"notebooks/src/{name}.py")
        header = " ".join(tools.jupytext.reads(notebook, fmt="ipynb").cells[0].source.split())
        minutes = re.findall(r"(\d+) minutes of (?:reading|playing)", header)
        assert [parts[0].strip()] == minutes, name
        assert len(parts[1].strip()) > 40
        assert all(len(re.findall(r"^- ", part, re.MULTILINE)) >= 2 for part in parts[2:]), name


def test_the_answers_are_those_of_the_notebooks():
    answers = dict(re.findall(r"^- `(\d\d-\d)` `(.*?)`: ", GUIDE, re.MULTILINE))
    assert list(answers) == list(CELLS)
    for exercise, (solution, _) in CELLS.items():
        assignments = [line for line in ast.parse(solution).body if isinstance(line, ast.Assign)]
        assert ast.unparse(assignments[-1].targets[0]) == "answer"
        assert ast.unparse(ast.parse(answers[exercise])) == ast.unparse(assignments[-1].value)
    for name, section in SECTIONS.items():
        assert set(re.findall(r"^- `(\d\d)-\d`", section, re.MULTILINE)) == {name[:2]}


@pytest.mark.parametrize(("plan", "minutes"), [("90 minutes", 90), ("Half a day", 240)])
def test_the_plans_fill_their_time(plan, minutes):
    table = next(text for title, text in PLANS.items() if title.startswith(plan))
    assert sum(int(m) for m in re.findall(r"\| (\d+) \|$", table, re.MULTILINE)) == minutes


def test_the_course_takes_every_notebook_once_and_fits_its_sessions():
    table = next(text for title, text in PLANS.items() if title.startswith("Four weeks"))
    minutes = {}
    for name, section in SECTIONS.items():
        minutes[name[:2]] = int(re.search(r"\*\*Minutes\*\* (\d+)", section)[1])
    numbers = []
    for row in re.findall(r"^\| \d: .*", table, re.MULTILINE):
        for cell in row.split("|")[2:4]:
            session = cell.strip().split(", ")
            assert sum(minutes[number] for number in session) <= 90
            numbers += session
    assert numbers == list(minutes)
