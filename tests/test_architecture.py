"""Boundaries: who may import whom, which names are public, and what `import vadlib` loads."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vadlib
from vadlib import course

PACKAGE = Path(vadlib.__file__).parent
# Each room imports only from itself and from rooms before it, in the order in which the data flows.
ROOMS = ["data", "pseudo", "model", "evaluation", "training", "output"]
SHARED = {"errors", "config", "device", "files"}  # below all rooms; they import none
JOBS = {"jobs", "ablation", "cli", "__main__", "__init__"}  # above all rooms
COURSE = "course"  # above the method, which never imports it


def imports(path):
    """Top-level rooms or modules of vadlib that a file imports, at module level or inside
    functions.
    """
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [a.name for a in node.names]
            if isinstance(node, ast.Import)
            else []
        )
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: relative import"
        at_home = path.relative_to(PACKAGE).parts[0] in ROOMS
        assert not (at_home and "vadlib" in names), (
            f"{path}: `import vadlib` would go around the rooms"
        )
        found |= {name.split(".")[1] for name in names if name.startswith("vadlib.")}
    return found


def modules():
    return sorted(path for path in PACKAGE.rglob("*.py"))


def test_every_module_has_a_place():
    places = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules()}
    assert places == {*ROOMS, *SHARED, *JOBS, COURSE}


def test_rooms_import_only_from_rooms_before_them():
    forbidden = {}
    for path in modules():
        home = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if home not in {*JOBS, COURSE}:
            earlier = [] if home in SHARED else ROOMS[: ROOMS.index(home) + 1]
            forbidden[path] = imports(path) - {*SHARED, *earlier}
    assert {path: names for path, names in forbidden.items() if names} == {}


def test_the_method_never_imports_the_course():
    importing = []
    for path in modules():
        in_course = path.relative_to(PACKAGE).parts[0] == COURSE
        if not in_course and COURSE in imports(path):
            importing.append(path)
    assert importing == []


@pytest.mark.parametrize("module", [vadlib, course])
def test_every_public_name_is_there_and_documented(module):
    assert len(set(module.__all__)) == len(module.__all__)
    assert [name for name in module.__all__ if not getattr(module, name).__doc__] == []


def test_the_notebooks_use_public_names_only():
    used = {"vad": set(), "course": set()}
    for path in (PACKAGE.parent / "notebooks" / "src").glob("*.py"):
        for home, name in re.findall(r"\b(vad|course)\.(\w+)", path.read_text(encoding="utf-8")):
            used[home].add(name)
    assert "fit" in used["vad"]
    assert used["vad"] <= set(vadlib.__all__)
    assert used["course"] <= set(course.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError):
        vadlib.Foo  # noqa: B018


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import vadlib", {"torch", "matplotlib", "ipywidgets", "ultralytics", "cv2"}),
        (
            "import vadlib; vadlib.fit, vadlib.evaluate, vadlib.load_videos",
            {"matplotlib", "ipywidgets", "ultralytics"},
        ),
        ("import vadlib.cli", {"torch", "matplotlib", "ultralytics"}),
    ],
)
def test_heavy_libraries_load_only_when_used(statement, absent):
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not absent & set(loaded)
