"""The instructor's guide: it covers each notebook and each exercise, and says what the notebooks
say.
"""

import ast
import re

import pytest
from test_exercises import CELLS
from test_notebooks import ROOT, tools

GUIDE = (ROOT / "notebooks" / "INSTRUCTOR.md").read_text(encoding="utf-8")
NAMES = [source.stem for source in tools.sources()]
SECTIONS = dict(re.findall(r"^## (\d\d_\w+)\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL))
PLANS = dict(re.findall(r"^### (.*?)\n(.*?)(?=^##|\Z)", GUIDE, re.MULTILINE | re.DOTALL))


def test_each_notebook_has_a_section_in_its_order():
    assert list(SECTIONS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_section_says_what_a_teacher_needs(name):
    parts = re.split(r"^\*\*(\w+)\*\*", SECTIONS[name], flags=re.MULTILINE)
    assert parts[1::2] == ["Minutes", "Goals", "Misconceptions", "Answers", "Discuss"]
    minutes, goals, *lists = (part.strip() for part in parts[2::2])
    notebook = tools.generate(ROOT / f"notebooks/src/{name}.py")
    header = " ".join(tools.jupytext.reads(notebook, fmt="ipynb").cells[0].source.split())
    assert [minutes] == re.findall(r"(\d+) minutes of (?:reading|playing)", header)
    assert len(goals) > 40
    assert [len(re.findall(r"^- ", text, re.MULTILINE)) >= 2 for text in lists] == [True] * 3


def test_the_answers_are_those_of_the_notebooks():
    given = dict(re.findall(r"^- `(\d\d-\d)` `(.*?)`: ", GUIDE, re.MULTILINE))
    assert list(given) == list(CELLS)
    for exercise, (solution, _) in CELLS.items():
        assignments = [line for line in ast.parse(solution).body if isinstance(line, ast.Assign)]
        assert ast.unparse(assignments[-1].targets[0]) == "answer"
        answer = ast.unparse(assignments[-1].value)
        assert ast.unparse(ast.parse(given[exercise])) == answer
    for name, section in SECTIONS.items():
        numbers = re.findall(r"^- `(\d\d)-\d`", section, re.MULTILINE)
        assert set(numbers) == {name[:2]}


@pytest.mark.parametrize(("plan", "minutes"), [("90 minutes", 90), ("Half a day", 240)])
def test_the_plans_fill_their_time(plan, minutes):
    table = next(text for title, text in PLANS.items() if title.startswith(plan))
    assert sum(int(m) for m in re.findall(r"\| (\d+) \|$", table, re.MULTILINE)) == minutes


def test_the_course_takes_every_notebook_once_and_fits_its_sessions():
    table = next(text for title, text in PLANS.items() if title.startswith("Four weeks"))
    minutes = {}
    for name, section in SECTIONS.items():
        minutes[name[:2]] = int(re.search(r"\*\*Minutes\*\* (\d+)", section)[1])
    sessions = []
    for row in re.findall(r"^\| \d: .*", table, re.MULTILINE):
        sessions += [cell.strip().split(", ") for cell in row.split("|")[2:4]]
    assert [number for session in sessions for number in session] == list(minutes)
    assert all(sum(minutes[number] for number in session) <= 90 for session in sessions)
