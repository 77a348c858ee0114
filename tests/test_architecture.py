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
HOMES = {
    path: path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")
}


def imports(path):
    """Return the top-level rooms or modules of vadlib that a file imports, at module level or
    inside functions; "" is vadlib itself.
    """
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            names.append(node.module)
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    ours = [name for name in names if name.split(".")[0] == "vadlib"]
    return {f"{name}.".split(".")[1] for name in ours}


def test_every_module_has_a_place():
    assert set(HOMES.values()) == {*ROOMS, *SHARED, *JOBS, COURSE}


@pytest.mark.parametrize("room", [*ROOMS, *sorted(SHARED)])
def test_rooms_import_only_from_rooms_before_them(room):
    earlier = ROOMS[: ROOMS.index(room) + 1] if room in ROOMS else []
    for path, home in HOMES.items():
        assert home != room or imports(path) <= {*SHARED, *earlier}, path


def test_the_method_never_imports_the_course():
    importing = {home for path, home in HOMES.items() if COURSE in imports(path)}
    assert importing <= {COURSE}


@pytest.mark.parametrize("module", [vadlib, course])
def test_every_public_name_is_there_and_documented(module):
    assert len(set(module.__all__)) == len(module.__all__)
    assert [name for name in module.__all__ if not getattr(module, name).__doc__] == []
    with pytest.raises(AttributeError):
        module.Foo  # noqa: B018


def test_the_notebooks_use_public_names_only():
    used = {"vad": set(), "course": set()}
    for path in (PACKAGE.parent / "notebooks" / "src").glob("*.py"):
        for home, name in re.findall(r"\b(vad|course)\.(\w+)", path.read_text(encoding="utf-8")):
            used[home].add(name)
    assert "fit" in used["vad"]
    assert used["vad"] <= set(vadlib.__all__)
    assert used["course"] <= set(course.__all__)


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import vadlib", "torch matplotlib ipywidgets ultralytics cv2"),
        ("from vadlib import fit, evaluate, load_videos", "matplotlib ipywidgets ultralytics"),
        ("import vadlib.cli", "torch matplotlib ultralytics"),
    ],
)
def test_heavy_libraries_load_only_when_used(statement, absent):
    command = [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert not set(absent.split()) & set(loaded.split())
