"""Boundaries: who may import whom, which names are public, and what `import vadlib` loads."""

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
FILES = list(PACKAGE.rglob("*.py"))
HOMES = {path: path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES}


def imports(path):
    """Return the rooms or modules of vadlib that a file imports, anywhere; "" is vadlib itself."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"^\s*from \.", text, re.MULTILINE), f"{path}: relative import"
    names = re.findall(r"^\s*(?:from|import) (vadlib[\w.]*)", text, re.MULTILINE)
    return {f"{name}.".split(".")[1] for name in names}


def test_rooms_import_only_from_rooms_before_them():
    assert set(HOMES.values()) == {*ROOMS, *SHARED, *JOBS, COURSE}
    for path, home in HOMES.items():
        allowed = set(ROOMS[: ROOMS.index(home) + 1]) if home in ROOMS else set()
        if home in JOBS:
            allowed = {*ROOMS, *JOBS, ""}
        if home != COURSE:
            assert imports(path) <= SHARED | allowed, path


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


LOADS = {
    "import vadlib": "torch matplotlib ipywidgets ultralytics cv2",
    "from vadlib import fit, evaluate, load_videos": "matplotlib ipywidgets ultralytics",
    "import vadlib.cli": "torch matplotlib ultralytics",
}


@pytest.mark.parametrize("statement", LOADS)
def test_heavy_libraries_load_only_when_used(statement):
    command = [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"]
    loaded = subprocess.check_output(command, text=True).split()
    assert not set(LOADS[statement].split()) & set(loaded)
