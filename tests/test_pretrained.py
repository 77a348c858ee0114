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
from vadlib.evaluation.baselines import METRICS, best_baseline
from vadlib.evaluation.calibration import Calibration
from vadlib.jobs import evaluate_run
from vadlib.model.run import PRETRAINED, Run, open_run, pretrained_names

NAMES = ("ped2", "synthetic")
AREAS = ["micro_auc_raw", "micro_auc_calibrated", "micro_auc_per_video", "macro_auc"]
AREAS += ["average_precision", "pixel_auc"]
FILES = {"config.json", "model.safetensors", "calibration.npz", "metrics.json", "NOTE.md"}


def recorded(name):
    return json.loads((PRETRAINED / name / "metrics.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_folder_says_what_it_is_and_is_small(name):
    folder = PRETRAINED / name
    assert tuple(pretrained_names()) == NAMES
    assert {path.name for path in folder.iterdir()} == FILES
    assert sum(path.stat().st_size for path in folder.iterdir()) < 5_000_000
    run = vad.load_pretrained(name)
    assert not run.model.training
    metrics = recorded(name)
    assert run.config.dataset == metrics["dataset"] == name
    note = (folder / "NOTE.md").read_text(encoding="utf-8")
    facts = [f"vadlib run --data {name}", f"--seed {run.config.training.seed}", "Terms"]
    facts.append(f"{metrics['micro_auc_per_video']:.3f}")
    assert [fact for fact in facts if fact not in note] == []
    assert Calibration.load(folder / "calibration.npz").scenes


def test_the_results_page_has_the_baselines_of_the_shipped_metrics():
    page = (PRETRAINED.parents[1] / "docs" / "results.md").read_text(encoding="utf-8")
    rows = {}
    for line in page.splitlines():
        if line.startswith("|"):
            first, *cells = [cell.strip(" *") for cell in line.split("|")[1:-1]]
            rows[first] = cells
    for column, name in enumerate(NAMES):
        measured = recorded(name)["baselines"]
        best = {metric: measured[best_baseline(measured, metric)][metric] for metric in METRICS}
        for row, values in {**measured, "the best": best}.items():
            expected = " / ".join(f"{values[metric]:.3f}" for metric in METRICS)
            assert rows[row][column] == expected, (name, row)


def require_recorded(name, metrics):
    expected = recorded(name)
    areas = {area: expected[area] for area in AREAS}
    assert {area: metrics[area] for area in AREAS} == pytest.approx(areas, abs=0.002)
    for count in ("frames", "abnormal_frames"):
        assert metrics[count] == expected[count]
    assert abs(metrics["events_found"] - expected["events_found"]) <= 1


@pytest.mark.slow
def test_the_synthetic_run_reproduces_its_metrics():
    metrics = evaluate_run("synthetic", None, None, with_baselines=True).metrics
    require_recorded("synthetic", metrics)
    expected = recorded("synthetic")["baselines"]
    for name, values in metrics["baselines"].items():
        assert values == pytest.approx(expected[name], abs=0.002), name


@pytest.mark.slow
def test_the_ped2_run_reproduces_its_metrics(pretrained_on_ped2):
    require_recorded("ped2", pretrained_on_ped2.metrics)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with refused("unknown-name", field="name"):
        vad.load_pretrained("ped3")
    with refused("missing-file", file="ped3"):
        open_run("ped3")


def test_a_folder_with_a_run_wins_over_a_name_and_one_without_does_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ped2").mkdir()  # as below a folder of datasets
    assert open_run("ped2").folder == PRETRAINED / "ped2"
    shutil.copy(PRETRAINED / "ped2" / "config.json", tmp_path / "ped2")
    with refused("not-a-run", file="ped2/model.safetensors"):
        open_run("ped2")
    run = Run(tmp_path, vad.RunConfig(), None)
    assert open_run(run) is run
    assert (run.results_folder, vad.load_pretrained("ped2").results_folder) == (tmp_path, None)
    monkeypatch.chdir(PRETRAINED.parent)
    assert open_run("pretrained/ped2").results_folder is None


def test_results_of_a_pretrained_run_are_written_only_where_it_is_told_to(tmp_path, vadlib_command):
    own_videos(tmp_path / "mine")
    words = ["evaluate", "synthetic", "--data", "folder", "--root", tmp_path / "mine"]
    for options, advice in (([], "--out"), (["--out", tmp_path / "out"], str(tmp_path / "out"))):
        status, *output = vadlib_command(*words, "--device", "cpu", *options)
        assert status == 0, output
        assert advice in output[0], "where the scores are, or how to keep them"
    assert {path.name for path in (PRETRAINED / "synthetic").iterdir()} == FILES
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"scores.npz", "metrics.json", "curves", "roc.png"}


@pytest.mark.slow
def test_a_wheel_holds_them(tmp_path):
    """Files of a package are left out of wheels unless they are declared."""
    root = PRETRAINED.parents[1]
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, tmp_path)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(root / "vadlib", tmp_path / "vadlib", ignore=ignore)
    code = "from setuptools import build_meta; print(build_meta.build_wheel('wheels'))"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True)
    [wheel] = (tmp_path / "wheels").glob("*.whl")
    contents = set(zipfile.ZipFile(wheel).namelist())
    assert contents >= {f"vadlib/pretrained/{run}/{file}" for run in NAMES for file in FILES}
