"""CONTRIBUTING's worked examples, followed to the letter on a copy of the project."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from test_notebooks import ROOT
from trees import scene, write_video

pytestmark = pytest.mark.slow

TEXT = (
    (ROOT / "CONTRIBUTING.md")
    .read_text(encoding="utf-8")
    .split("## Worked examples")[1]
    .split("\n## ")[0]
)
EXAMPLES = dict(re.findall(r"^### (.*?)\n(.*?)(?=^### |\Z)", TEXT, re.MULTILINE | re.DOTALL))

PROJECT = (
    "vadlib",
    "tests",
    "tools",
    "notebooks",
    "benchmarks",
    "book",
    "docs",
    "gallery",
    "pyproject.toml",
    "README.md",
    "CONTRIBUTING.md",
)


def follow(title, folder):
    """Do what the blocks of an example say in a copy of the project; returns its commands."""
    for part in PROJECT:
        ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        source = ROOT / part
        shutil.copytree(source, folder / part, ignore=ignored) if source.is_dir() else shutil.copy(
            source, folder / part
        )
    commands, said = [], ""
    for text, language, block in re.findall(
        r"(.*?)^```(\w*)\n(.*?)^```$", EXAMPLES[title], re.MULTILINE | re.DOTALL
    ):
        said += text
        path = (
            folder
            / re.findall(r"`((?:(?:vadlib|tests|notebooks)/[\w/]+|small)\.(?:py|json))`", said)[-1]
        )
        if language in ("python", "json"):
            assert not path.exists()
            path.write_text(block, encoding="utf-8")
        elif language == "diff":
            lines = block.splitlines()
            removed, added = (
                "\n".join(line[1:] for line in lines if line[0] == sign) for sign in "-+"
            )
            before = path.read_text(encoding="utf-8")
            assert before.count(f"\n{removed}\n") == 1, f"{path.name}: {removed}"
            path.write_text(before.replace(f"\n{removed}\n", f"\n{added}\n"), encoding="utf-8")
        else:
            commands += block.splitlines()
    for check in (["format", "--check"], ["check"]):
        subprocess.run(
            [sys.executable, "-m", "ruff", *check, "--quiet", "vadlib", "tests", "notebooks/src"],
            cwd=folder,
            check=True,
        )
    return commands


def run(command, folder):
    """A command of the text, with the copy's vadlib, as on a contributor's machine: in CI a
    notebook that was not executed is a failure.
    """
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {
        "PYTHONPATH": str(folder)
    }
    words = [
        sys.executable,
        *(["-m"] if command.startswith("vadlib ") else []),
        *command.removeprefix("python ").split(),
    ]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def run_fast_suite(folder, monkeypatch):
    """Run all tests of the copy that are not slow. Those on real data take minutes and see no more
    of an example, so they are skipped.
    """
    for variable in ("VADLIB_DATA", "VADLIB_REQUIRE_DATA"):
        monkeypatch.delenv(variable, raising=False)
    options = ["--quiet", "--exitfirst", "-p", "no:cacheprovider", "-m", "not slow", "tests"]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "pytest", *options]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


def test_a_kind(tmp_path):
    (command,) = follow("A kind of pseudo-anomaly", tmp_path)
    said = run(f"{command} -v", tmp_path)
    assert "test_all_of_the_clip_plays_backwards PASSED" in said
    assert len(re.findall(r"\[.*reverse.*\] PASSED", said)) >= 3


def test_a_further_kind_can_be_chosen_and_changes_nothing_else(tmp_path, monkeypatch):
    follow("A kind of pseudo-anomaly", tmp_path)
    run_fast_suite(tmp_path, monkeypatch)
    question = "from vadlib.config import PseudoConfig; from vadlib.ablation import ROWS; print(PseudoConfig().kinds, list(ROWS))"
    default = subprocess.run(
        [sys.executable, "-c", question], cwd=ROOT, capture_output=True, text=True, check=True
    )
    done = subprocess.run(
        [sys.executable, "-c", question], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == default.stdout
    for name, frames in zip(("monday", "tuesday"), scene(2, 40), strict=True):
        write_video(tmp_path / "mine" / "training" / f"{name}.avi", frames[0])
    write_video(tmp_path / "mine" / "testing" / "friday.avi", frames[0])
    small = {
        "clips": {"clip_step": 8, "crop": [24, 24]},
        "model": {"width": 8, "slots": 8},
        "training": {"epochs": 1, "batch_size": 4},
    }
    (tmp_path / "small.json").write_text(json.dumps(small), encoding="utf-8")
    run("vadlib run --data folder --root mine --config small.json --out default", tmp_path)
    assert json.loads((tmp_path / "default" / "config.json").read_text())["pseudo"]["kinds"] == [
        "skip",
        "shuffle",
        "noise",
        "object",
    ]
    run(
        "vadlib train --data folder --root mine --config small.json --kinds skip,reverse --out chosen",
        tmp_path,
    )
    run("vadlib train --root mine --config chosen/config.json --out again", tmp_path)
    first, second = (
        json.loads((tmp_path / out / "config.json").read_text()) for out in ("chosen", "again")
    )
    assert first["pseudo"]["kinds"] == ["skip", "reverse"]
    assert second == first


def test_a_network(tmp_path):
    tests, training = follow("A network", tmp_path)
    said = run(f"{tests} -v", tmp_path)
    assert len(re.findall(r"\[.*shallow.*\] PASSED", said)) >= 3
    run(training, tmp_path)
    config = json.loads((tmp_path / "runs" / "shallow" / "config.json").read_text())
    assert config["model"]["network"] == "shallow"
    assert "micro_auc_raw" in json.loads((tmp_path / "runs/shallow/metrics.json").read_text())


def test_the_suite_passes_with_a_further_network(tmp_path, monkeypatch):
    follow("A network", tmp_path)
    run_fast_suite(tmp_path, monkeypatch)


def test_a_score(tmp_path):
    (command,) = follow("A score", tmp_path)
    said = run(f"{command} -v", tmp_path)
    assert "test_it_can_be_weighted PASSED" in said
    assert len(re.findall(r"\[.*gradient.*\] PASSED", said)) >= 3
    # the default and everything that goes through the table of components stay as they are
    run("python -m pytest --quiet --exitfirst -p no:cacheprovider tests/evaluation", tmp_path)
    for name, frames in zip(("monday", "tuesday"), scene(2, 40), strict=True):
        write_video(tmp_path / "mine" / "training" / f"{name}.avi", frames[0])
    write_video(tmp_path / "mine" / "testing" / "friday.avi", frames[0])
    small = {
        "clips": {"clip_step": 8, "crop": [24, 24]},
        "model": {"width": 8, "slots": 8},
        "training": {"epochs": 1, "batch_size": 4},
        "score": {"weights": {"gradient": 0.5}},
    }
    (tmp_path / "small.json").write_text(json.dumps(small), encoding="utf-8")
    run("vadlib run --data folder --root mine --config small.json --out out", tmp_path)
    with np.load(tmp_path / "out" / "scores.npz") as stored:
        assert any(name.startswith("maps/gradient/") for name in stored.files)


def test_a_dataset(tmp_path):
    commands = follow("A dataset", tmp_path)
    for name, (frames, labels) in zip(
        ("monday", "tuesday", "friday"), scene(3, 40, labelled=True), strict=True
    ):
        write_video(
            tmp_path
            / "data"
            / "corridor"
            / ("test" if name == "friday" else "normal")
            / f"{name}.mp4",
            frames,
        )
        (tmp_path / "data" / "corridor" / "labels").mkdir(exist_ok=True)
        np.save(tmp_path / "data" / "corridor" / "labels" / f"{name}.npy", labels)
    for command in commands:
        run(command, tmp_path)
    metrics = json.loads((tmp_path / "runs" / "corridor" / "metrics.json").read_text())
    assert (metrics["frames"], metrics["abnormal_frames"], metrics["ground_truth"]) == (
        40,
        int(labels.sum()),
        "npy",
    )


@pytest.mark.usefixtures("own_cache")
def test_a_notebook(tmp_path):
    *commands, execute = follow("A notebook", tmp_path)
    said = [
        run(f"{command} -v" if "pytest" in command else command, tmp_path) for command in commands
    ]
    assert "test_notebook_is_thin[12_my_notebook] PASSED" in said[-1]
    run(f"{execute} --overwrite", tmp_path)
    executed = json.loads(
        (tmp_path / "notebooks" / "12_my_notebook.ipynb").read_text(encoding="utf-8")
    )
    printed = [
        "".join(out["text"])
        for cell in executed["cells"]
        for out in cell.get("outputs", [])
        if "text" in out
    ]
    assert printed[-1] == "12-1: right\n"
