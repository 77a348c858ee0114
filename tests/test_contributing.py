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
PARTS = "vadlib tests tools notebooks benchmarks book docs gallery pyproject.toml README.md"
PARTS += " CONTRIBUTING.md Makefile LICENSE"


def follow(folder, titles):
    """Copy the project and do what the blocks of some examples say; return their commands."""
    ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for part in PARTS.split():
        copy = shutil.copy if (ROOT / part).is_file() else shutil.copytree
        options = {} if (ROOT / part).is_file() else {"ignore": ignored}
        copy(ROOT / part, folder / part, **options)
    commands = {title: [] for title in titles}
    path = None
    for title in titles:
        blocks = re.findall(r"(.*?)^```(\w*)\n(.*?)^```$", EXAMPLES[title], re.M | re.S)
        for text, language, block in blocks:
            files = FILE.findall(text)
            path = folder / files[-1] if files else path
            if language in ("python", "json"):
                assert not path.exists()
                path.write_text(block, encoding="utf-8")
            elif language == "diff":
                change(path, block)
            else:
                commands[title] += block.splitlines()
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
    return folder, follow(folder, [title for title in EXAMPLES if title != "A notebook"])


def test_the_examples_keep_the_layout_and_change_no_default(project):
    expected = ["A kind of pseudo-anomaly", "A dataset", "A score", "A network", "A notebook"]
    assert list(EXAMPLES) == expected
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
    for name, (frames, _) in zip(("normal/monday", "normal/tuesday", "test/friday"), videos):
        write_video(data / f"{name}.mp4", frames)
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
    build, test, execute = follow(tmp_path, ["A notebook"])["A notebook"]
    run("python -m ruff check --quiet vadlib notebooks/src", tmp_path)
    run(build, tmp_path)
    assert "test_notebook_is_thin[12_my_notebook] PASSED" in run(f"{test} -v", tmp_path)
    run(f"{execute} --overwrite", tmp_path)
    notebook = json.loads((tmp_path / "notebooks" / "12_my_notebook.ipynb").read_text("utf-8"))
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    printed = ["".join(output["text"]) for output in outputs if "text" in output]
    assert printed[-1] == "12-1: right\n"
