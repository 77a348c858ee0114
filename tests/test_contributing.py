"""CONTRIBUTING's worked examples, followed to the letter on a copy of the project."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from test_notebooks import ROOT
from trees import scene, write_video

pytestmark = pytest.mark.slow

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"^### (A .*?)\n(.*?)(?=^##)", TEXT, re.MULTILINE | re.DOTALL))
FILE = re.compile(r"`((?:(?:vadlib|tests|notebooks)/[\w/]+|small)\.(?:py|json|toml))`")
FOLDERS = ("vadlib", "tests", "tools", "notebooks", "benchmarks", "book", "docs", "gallery")
TITLES = ["A kind of pseudo-anomaly", "A dataset", "A score", "A network", "A notebook"]
FILES = ("pyproject.toml", "README.md", "CONTRIBUTING.md", "Makefile", "LICENSE")


def copy_project(folder):
    ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, folder)


def follow(title, folder):
    """Do what the blocks of an example say in a copy of the project; return its commands."""
    commands = []
    path = None
    blocks = re.findall(r"(.*?)^```(\w*)\n(.*?)^```$", EXAMPLES[title], re.MULTILINE | re.DOTALL)
    for text, language, block in blocks:
        files = FILE.findall(text)
        path = folder / files[-1] if files else path
        if language in ("python", "json"):
            assert not path.exists()
            path.write_text(block, encoding="utf-8")
        elif language == "diff":
            change(path, block.splitlines())
        else:
            commands += block.splitlines()
    return commands


def change(path, lines):
    """Replace the lines with "-" by those with "+"; they must be in the file exactly once."""
    old = "".join(f"{line[1:]}\n" for line in lines if line[0] == "-")
    new = "".join(f"{line[1:]}\n" for line in lines if line[0] == "+")
    text = path.read_text(encoding="utf-8")
    assert f"\n{text}".count(f"\n{old}") == 1, f"{path.name}: {old}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def run(command, folder):
    """Run a command with the vadlib of the copy, without the real data."""
    environment = os.environ | {"PYTHONPATH": str(folder)}
    for variable in ("CI", "VADLIB_DATA", "VADLIB_REQUIRE_DATA"):
        environment.pop(variable, None)
    words = shlex.split(command.removeprefix("python "))
    words = ["-m", *words] if words[0] == "vadlib" else words
    options = {"cwd": folder, "env": environment, "capture_output": True, "text": True}
    process = subprocess.run([sys.executable, *words], **options)
    output = process.stdout[-3000:] + process.stderr[-3000:]
    assert process.returncode == 0, f"{command}\n{output}"
    return process.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with all examples but the notebook; and their commands by title."""
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    return folder, {title: follow(title, folder) for title in TITLES[:4]}


def test_the_examples_keep_the_layout_and_change_no_default(project):
    assert list(EXAMPLES) == TITLES
    folder, _ = project
    run("python -m ruff format --check --quiet vadlib tests", folder)
    run("python -m ruff check --quiet vadlib tests", folder)
    run("python tools/style.py check vadlib", folder)
    code = "import vadlib.ablation as a, vadlib.config as c; "
    code += "print(c.PseudoConfig(), c.ScoreConfig(), c.PRESETS, a.ROWS)"
    outputs = [run(f"python -c '{code}'", place) for place in (ROOT, folder)]
    assert outputs[0] == outputs[1]


def test_a_dataset_is_checked_trained_and_measured(project):
    folder, commands = project
    data = folder / "data" / "corridor"
    (data / "labels").mkdir(parents=True)
    videos = scene(3, 40, labelled=True)
    names = ("normal/monday", "normal/tuesday", "test/friday")
    for name, video in zip(names, videos, strict=True):
        write_video(data / f"{name}.mp4", video[0])
    labels = videos[2][1]
    np.save(data / "labels" / "friday.npy", labels)
    for command in commands["A dataset"]:
        run(command, folder)
    metrics = json.loads((folder / "runs" / "corridor" / "metrics.json").read_text())
    assert metrics["ground_truth"] == "npy"
    assert (metrics["frames"], metrics["abnormal_frames"]) == (40, int(labels.sum()))


def test_the_whole_fast_suite_passes_with_all_examples(project):
    run("python -m pytest -q -x -p no:cacheprovider -m 'not slow' tests", project[0])


@pytest.mark.usefixtures("own_cache")
def test_a_notebook(tmp_path):
    copy_project(tmp_path)
    commands = follow("A notebook", tmp_path)
    run("python -m ruff check --quiet vadlib notebooks/src", tmp_path)
    run(commands[0], tmp_path)
    assert "[12_my_notebook] PASSED" in run(f"{commands[1]} -v", tmp_path)
    run(f"{commands[2]} --overwrite", tmp_path)
    assert "12-1: right" in (tmp_path / "notebooks" / "12_my_notebook.ipynb").read_text("utf-8")
