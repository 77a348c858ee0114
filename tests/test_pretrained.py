"""The runs that ship with the package: what is in their folders, that they do what is written
there, and that nobody writes to them.
"""

import json
import shutil
import subprocess
import sys
import zipfile

import pytest
from refusals import refused
from trees import own_videos

import vadlib as vad
from vadlib import cli
from vadlib.evaluation.baselines import METRICS, best_baseline
from vadlib.evaluation.calibration import Calibration
from vadlib.jobs import evaluate_run
from vadlib.model.run import PRETRAINED, Run, open_run, pretrained_names

NAMES = ("ped2", "synthetic")
AREAS = (
    "micro_auc_raw",
    "micro_auc_calibrated",
    "micro_auc_per_video",
    "macro_auc",
    "average_precision",
    "pixel_auc",
)


def listing():
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in PRETRAINED.rglob("*")}


def test_these_ship():
    assert tuple(pretrained_names()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_folder_says_what_it_is_and_is_small(name):
    folder = PRETRAINED / name
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "calibration.npz",
        "metrics.json",
        "NOTE.md",
    }
    assert sum(path.stat().st_size for path in folder.iterdir()) < 5_000_000
    run, note = vad.load_pretrained(name), (folder / "NOTE.md").read_text(encoding="utf-8")
    assert not run.model.training
    assert run.config.dataset == name
    assert f"vadlib run --data {name}" in note
    assert f"--seed {run.config.training.seed}" in note
    assert "Terms" in note
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["dataset"] == name
    assert f"{metrics['micro_auc_per_video']:.3f}" in note
    assert Calibration.load(folder / "calibration.npz").scenes


def test_the_results_page_has_the_baselines_of_the_shipped_metrics():
    page = (PRETRAINED.parents[1] / "docs" / "results.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip(" *") for cell in line.split("|")[1:-1]]
        for line in page.splitlines()
        if line.startswith("|")
    ]
    printed = {cells[0]: cells[1:] for cells in rows}
    for column, name in enumerate(("ped2", "synthetic")):
        measured = json.loads((PRETRAINED / name / "metrics.json").read_text(encoding="utf-8"))[
            "baselines"
        ]
        best = {metric: measured[best_baseline(measured, metric)][metric] for metric in METRICS}
        for row, values in {**measured, "the best": best}.items():
            assert printed[row][column] == " / ".join(
                f"{values[metric]:.3f}" for metric in METRICS
            ), (name, row)


def as_recorded(name, result):
    recorded = json.loads((PRETRAINED / name / "metrics.json").read_text(encoding="utf-8"))
    assert {area: result.metrics[area] for area in AREAS} == pytest.approx(
        {area: recorded[area] for area in AREAS}, abs=0.002
    )
    assert (result.metrics["frames"], result.metrics["abnormal_frames"]) == (
        recorded["frames"],
        recorded["abnormal_frames"],
    )
    assert abs(result.metrics["events_found"] - recorded["events_found"]) <= 1


@pytest.mark.slow
def test_the_synthetic_run_reproduces_its_metrics():
    result = evaluate_run("synthetic", None, None, with_baselines=True)
    as_recorded("synthetic", result)
    recorded = json.loads((PRETRAINED / "synthetic" / "metrics.json").read_text(encoding="utf-8"))[
        "baselines"
    ]
    for name, values in result.metrics["baselines"].items():
        assert values == pytest.approx(recorded[name], abs=0.002), name


@pytest.mark.slow
def test_the_ped2_run_reproduces_its_metrics(pretrained_on_ped2):
    as_recorded("ped2", pretrained_on_ped2)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with refused("unknown-name", field="name"):
        vad.load_pretrained("ped3")
    with refused("missing-file", file="ped3"):
        open_run("ped3")


def test_a_folder_with_a_run_wins_over_a_name_and_one_without_does_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ped2").mkdir()  # as below a folder of datasets
    assert open_run("ped2").folder == PRETRAINED / "ped2"
    config = json.loads((PRETRAINED / "ped2" / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "ped2" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with refused("not-a-run", file="ped2/model.safetensors"):
        open_run("ped2")
    run = Run(tmp_path, vad.RunConfig(), None)
    assert open_run(run) is run
    assert (run.results_folder, vad.load_pretrained("ped2").results_folder) == (tmp_path, None)
    monkeypatch.chdir(PRETRAINED.parent)
    assert open_run("pretrained/ped2").results_folder is None


def test_what_a_pretrained_run_finds_is_written_only_where_it_is_told_to(
    tmp_path, monkeypatch, capsys
):
    own_videos(tmp_path / "mine")
    before = listing()
    for more in ([], ["--out", str(tmp_path / "out")]):
        command = [
            "vadlib",
            "evaluate",
            "synthetic",
            "--data",
            "folder",
            "--root",
            str(tmp_path / "mine"),
            "--device",
            "cpu",
            *more,
        ]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit, match="0"):
            cli.main()
        assert (more[1] if more else "--out") in capsys.readouterr().out, (
            "where the scores are, or how to keep them"
        )
    assert listing() == before
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "scores.npz",
        "metrics.json",
        "curves",
        "roc.png",
    }


@pytest.mark.slow
def test_a_wheel_holds_them(tmp_path):
    """Files of a package are left out of wheels unless they are declared."""
    root = PRETRAINED.parents[1]
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, tmp_path)
    shutil.copytree(
        root / "vadlib", tmp_path / "vadlib", ignore=shutil.ignore_patterns("__pycache__")
    )
    code = "from setuptools import build_meta; print(build_meta.build_wheel('wheels'))"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True)
    [wheel] = (tmp_path / "wheels").glob("*.whl")
    shipped = {
        path.relative_to(root).as_posix() for path in PRETRAINED.rglob("*") if path.is_file()
    }
    assert shipped <= set(zipfile.ZipFile(wheel).namelist())
