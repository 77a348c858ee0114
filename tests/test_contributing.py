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
PARTS = ("vadlib", "tests", "tools", "notebooks", "benchmarks", "book", "docs", "gallery")
FILES = ("pyproject.toml", "README.md", "CONTRIBUTING.md", "Makefile", "LICENSE")


def copy_project(folder):
    ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=ignored)
    for file in FILES:
        shutil.copy(ROOT / file, folder)


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
            change(path, block)
        else:
            commands += block.splitlines()
    return commands


def change(path, diff):
    """Replace the lines with "-" by those with "+"; they must be in the file exactly once."""
    lines = diff.splitlines()
    old = "".join(f"{line[1:]}\n" for line in lines if line[0] == "-")
    new = "".join(f"{line[1:]}\n" for line in lines if line[0] == "+")
    text = path.read_text(encoding="utf-8")
    assert f"\n{text}".count(f"\n{old}") == 1, f"{path.name}: {old}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def run(command, folder):
    """Run a command of the text with the vadlib of the copy, without the real data.

    In CI a notebook that was not executed is a failure; here it is skipped.
    """
    environment = os.environ | {"PYTHONPATH": str(folder)}
    for variable in ("CI", "VADLIB_DATA", "VADLIB_REQUIRE_DATA"):
        environment.pop(variable, None)
    words = shlex.split(command.removeprefix("python "))
    if words[0] == "vadlib":
        words = ["-m", *words]
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
    titles = [title for title in EXAMPLES if title != "A notebook"]
    return folder, {title: follow(title, folder) for title in titles}


def test_there_is_an_example_for_each_thing_to_add():
    expected = ["A kind of pseudo-anomaly", "A dataset", "A score", "A network", "A notebook"]
    assert list(EXAMPLES) == expected


def test_the_examples_keep_the_layout(project):
    folder, _ = project
    run("python -m ruff format --check --quiet vadlib tests", folder)
    run("python -m ruff check --quiet vadlib tests", folder)
    files = [file for file in FILE.findall(TEXT) if not (ROOT / file).exists()]
    files = [file for file in files if file.startswith("vadlib/")]
    assert len(files) == 4
    run(f"python tools/style.py check {' '.join(files)}", folder)


@pytest.mark.parametrize("title", ["A kind of pseudo-anomaly", "A score", "A network"])
def test_the_tests_of_the_example_pass(project, title):
    folder, commands = project
    for command in commands[title]:
        run(command, folder)


def test_a_dataset_is_checked_trained_and_measured(project):
    folder, commands = project
    data = folder / "data" / "corridor"
    (data / "labels").mkdir(parents=True)
    videos = scene(3, 40, labelled=True)
    friday, labels = videos[2]
    write_video(data / "normal" / "monday.mp4", videos[0][0])
    write_video(data / "normal" / "tuesday.mp4", videos[1][0])
    write_video(data / "test" / "friday.mp4", friday)
    np.save(data / "labels" / "friday.npy", labels)
    for command in commands["A dataset"]:
        run(command, folder)
    metrics = json.loads((folder / "runs" / "corridor" / "metrics.json").read_text())
    assert metrics["ground_truth"] == "npy"
    assert (metrics["frames"], metrics["abnormal_frames"]) == (40, int(labels.sum()))


def test_what_is_registered_changes_no_default(project):
    folder, _ = project
    code = (
        "from vadlib.ablation import ROWS; from vadlib.config import PRESETS, PseudoConfig; "
        "from vadlib.config import ScoreConfig; print(PseudoConfig(), ScoreConfig(), PRESETS, ROWS)"
    )
    outputs = []
    for place in (ROOT, folder):
        environment = os.environ | {"PYTHONPATH": str(place)}
        command = [sys.executable, "-c", code]
        outputs.append(subprocess.check_output(command, cwd=place, env=environment, text=True))
    assert outputs[0] == outputs[1]


def test_the_whole_fast_suite_passes_with_all_examples(project):
    folder, _ = project
    run("python -m pytest -q -x -p no:cacheprovider -m 'not slow' tests", folder)


@pytest.mark.usefixtures("own_cache")
def test_a_notebook(tmp_path):
    copy_project(tmp_path)
    commands = follow("A notebook", tmp_path)
    run("python -m ruff check --quiet vadlib notebooks/src", tmp_path)
    run(commands[0], tmp_path)
    output = run(f"{commands[1]} -v", tmp_path)
    assert "test_notebook_is_thin[12_my_notebook] PASSED" in output
    run(f"{commands[2]} --overwrite", tmp_path)
    notebook = json.loads((tmp_path / "notebooks" / "12_my_notebook.ipynb").read_text("utf-8"))
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    printed = ["".join(output["text"]) for output in outputs if "text" in output]
    assert printed[-1] == "12-1: right\n"
