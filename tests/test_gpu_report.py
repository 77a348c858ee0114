"""The report of a machine: what goes wrong is in it, and the rows of docs/gpu.md are those of the reports."""

import copy
import importlib.util
import json
import re
import sys
import warnings
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vadlib.data.catalog import load_videos

ROOT = Path(__file__).resolve().parents[1]


def load_tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


gpu = load_tool("gpu")
gpu_parts = load_tool("gpu_parts")
# Round numbers, made up for these tests; none was measured.
RESULTS = {
    "tests": {"passed": 20, "failed": 0, "skipped": 1},
    "training": {
        "data": "ped2",
        "train_videos": 16,
        "test_videos": 12,
        "epochs": 3,
        "clips_per_second": 100.0,
        "training_seconds": 50.0,
        "micro_auc_raw": 0.5,
    },
    "bench": {
        "train_ratio": 2.0,
        "score_ratio": 3.0,
        "fast_train_ratio": 4.0,
        "fast_score_ratio": 5.0,
    },
    "memory": {
        "rows": [
            {"preset": "fast", "precision": "bfloat16", "peak_bytes": 1.5e9},
            {"preset": "compact", "precision": "float32", "peak_bytes": 2.5e9},
        ],
    },
    "resume": {
        "resumed": {"equal": False, "largest_difference": 0.002},
        "repeated": {"equal": False, "largest_difference": 0.001},
        "without_deterministic_form": ["some_backward"],
    },
    "resume_deterministic": {"resumed": {"equal": True}},
    "precision": {
        "fast": {
            "speedup": 2.0,
            "bf16": {"final_error": 0.02},
            "fp32": {"final_error": 0.01},
            "gradients": {"bf16": {"largest": 0.05}},
        },
    },
}


@pytest.fixture
def report():
    parts = {}
    for name, result in RESULTS.items():
        parts[name] = {"status": "done", "seconds": 1.0, "result": copy.deepcopy(result)}
    machine = {"device": "Some GPU", "torch": "9.9", "cuda": "99.9", "driver": "999.9"}
    return {
        "version": gpu.VERSION,
        "date": "2001-02-03T04:05:06+00:00",
        "commit": "abc",
        "shortened": False,
        "failed": [],
        "machine": {"status": "done", "seconds": 1.0, "result": machine},
        "parts": parts,
    }


def cells(table):
    """The cells below each title, row by row."""
    titles, _, *rows = ([c.strip() for c in line.split("|")[1:-1]] for line in table.splitlines())
    return [dict(zip(titles, row, strict=True)) for row in rows]


def test_the_page_shows_the_committed_reports():
    text = gpu.PAGE.read_text(encoding="utf-8")
    assert gpu.replace_rows(text, gpu.markdown_table(gpu.read_reports())) == text


def test_without_a_report_nothing_is_said_to_be_measured():
    [row] = cells(gpu.markdown_table([]))
    assert row.pop("GPU") == "none yet"
    assert set(row.values()) == {"not measured"}


def test_a_row_holds_the_numbers_of_its_report(report):
    [row] = cells(gpu.markdown_table([report]))
    assert row["GPU"] == "Some GPU"
    assert "some_backward" in row["resumed after a kill"]
    assert row["the same, deterministic"] == "equal"
    numbers = {
        "software": ["9.9", "99.9", "999.9", "2001", "02", "03"],
        "device tests": ["20", "1"],
        "training of `fast`": ["2", "16", "3", "100", "50"],  # the first is Ped2's
        "raw AUC": ["0.500", "12"],
        "`vadlib bench`: training, scoring": ["2.0", "3.0", "4.0", "5.0"],
        "peak memory": ["1.5", "16", "2.5", "32"],
        "resumed after a kill": ["2e-03", "1e-03"],
        "bf16 against float32": ["2.00", "0.0200", "0.0100", "5.0"],
    }
    for title, expected in numbers.items():
        assert re.findall(r"\d+(?:\.\d+)?(?:e-\d+)?", row[title]) == expected, title


def test_a_part_that_failed_or_was_skipped_shows_no_number(report):
    report["parts"]["training"]["status"] = "failed"
    report["parts"]["bench"]["status"] = "skipped"
    del report["parts"]["memory"]
    [row] = cells(gpu.markdown_table([report]))
    assert row["training of `fast`"] == row["raw AUC"] == "failed"
    assert row["`vadlib bench`: training, scoring"] == "skipped"
    assert row["peak memory"] == "not measured"


def test_the_text_around_the_rows_stays():
    text = f"before\n{gpu.BEGIN}\nold\n{gpu.END}\nafter\n"
    assert gpu.replace_rows(text, "new") == f"before\n{gpu.BEGIN}\n\nnew\n\n{gpu.END}\nafter\n"


@pytest.mark.parametrize("text", ["", gpu.BEGIN, gpu.END, f"{gpu.BEGIN}\n{gpu.BEGIN}\n{gpu.END}"])
def test_a_text_without_the_two_markers_is_refused(text):
    with pytest.raises(SystemExit):
        gpu.replace_rows(text, "new")


@pytest.mark.parametrize("change", [{"version": 0}, {"shortened": True}])
def test_a_report_that_is_none_of_a_gpu_is_refused(report, tmp_path, change):
    path = tmp_path / "some.json"
    path.write_text(json.dumps(report))
    assert gpu.read_reports(tmp_path) == [report]
    path.write_text(json.dumps(report | change))
    with pytest.raises(SystemExit, match=r"some\.json"):
        gpu.read_reports(tmp_path)


def test_missing_packages_have_pips_names(monkeypatch):
    assert gpu.missing_packages() == []
    find = importlib.util.find_spec
    missing = {"av", "sklearn"}
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name in missing else find(name),
    )
    assert sorted(gpu.missing_packages()) == ["av", "scikit-learn"]
    with pytest.raises(SystemExit, match="scikit-learn av"):
        gpu.measure(Namespace())


def test_all_parts_together_take_eight_minutes_at_most():
    assert gpu.LIMITS.keys() == gpu_parts.PARTS.keys()
    assert sum(gpu.LIMITS.values()) <= 8 * 60


STAND_IN = """import json, sys, time
name, device, folder, result = sys.argv[1:5]
results = {"machine": {"device": "it"}, "training": {"a": 1}, "precision": {"not_run": "because"}}
results["resume"] = {"fault": "differs", "b": 2}
open(result, "w").write(json.dumps(results.get(name, {})))
if name == "training":
    time.sleep(60)
if name == "memory":
    raise RuntimeError("broken")
"""


def test_what_fails_is_in_the_report_and_ends_the_command_with_1(tmp_path, monkeypatch, capsys):
    """Parts are small programs here: one sleeps past its limit, one raises, one finds a fault."""
    script, out = tmp_path / "parts.py", tmp_path / "report.json"
    script.write_text(STAND_IN)
    monkeypatch.setattr(gpu, "SCRIPT", script)
    monkeypatch.setattr(gpu, "BUILD", tmp_path / "build")
    monkeypatch.setattr(gpu, "LIMITS", dict.fromkeys(gpu.LIMITS, 60) | {"training": 1})
    monkeypatch.setattr(gpu, "missing_packages", list)
    options = Namespace(out=out, device="cuda", root=None, commit="abc")
    with pytest.raises(SystemExit, match="failed: training, memory, resume"):
        gpu.measure(options)
    report = json.loads(out.read_text())
    assert report["failed"] == ["training", "memory", "resume"]
    assert (report["commit"], report["shortened"]) == ("abc", False)
    assert report["machine"]["result"] == {"device": "it"}
    parts = report["parts"]
    assert {name: part["status"] for name, part in parts.items()} == {
        "tests": "done",
        "training": "failed",
        "bench": "done",
        "memory": "failed",
        "resume": "failed",
        "resume_deterministic": "done",
        "precision": "skipped",
    }
    assert parts["training"]["result"] == {"a": 1}  # what there was before the limit
    assert parts["memory"]["error"] == "RuntimeError: broken"
    assert (parts["resume"]["error"], parts["resume"]["result"]) == ("differs", {"b": 2})
    assert parts["precision"]["reason"] == "because"
    assert "RuntimeError: broken" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rate", "clips", "plan"),
    [
        (1000, 1000, (1, 6)),  # 100 epochs would fit: as many as the preset has
        (100, 2000, (1, 5)),
        (100, 3000, (1, 3)),
        (100, 5000, (2, 4)),  # two epochs of all clips, four of every second
        (100, 10_000, (4, 4)),
        (1, 100_000, (8, 3)),  # too slow in any case
    ],
)
def test_several_epochs_fit_into_the_time(rate, clips, plan):
    assert gpu_parts.plan_training(rate, clips, 100) == plan


def test_outcomes_of_tests_are_counted():
    record = """<testsuites><testsuite>
    <testcase classname="a" name="one"/><testcase classname="a" name="two"/>
    <testcase classname="a" name="three"><skipped message="no GPU"/></testcase>
    <testcase classname="b" name="four"><failure message="x"/></testcase>
    <testcase classname="b" name="five"><error message="x"/></testcase>
    </testsuite></testsuites>"""
    counts = gpu_parts.count_outcomes(record)
    assert (counts["passed"], counts["failed"], counts["skipped"]) == (2, 2, 1)
    assert counts["failures"] == ["b::four", "b::five"]
    assert counts["reasons"] == {"no GPU": 1}
    assert "fault" in counts
    assert "fault" in gpu_parts.count_outcomes("<testsuites/>")
    passed = record.replace("failure", "x").replace("error", "x")
    assert "fault" not in gpu_parts.count_outcomes(passed)


def test_gradients_are_compared_by_layer():
    exact = {"a": torch.tensor([3.0, 4.0]), "b": torch.tensor([1.0, 0.0])}
    found = {"a": torch.tensor([3.0, 4.5]), "b": torch.tensor([1.0, 0.5])}
    exact |= {"none": torch.zeros(2), "rounding": torch.tensor([1e-7, 0.0])}
    found |= {"none": torch.ones(2), "rounding": torch.tensor([1e-6, 0.0])}
    compared = gpu_parts.compare_gradients(exact, found)
    assert compared["layers"] == pytest.approx({"a": 0.1, "b": 0.5})
    assert compared["largest_in"] == "b"
    assert compared["largest"] == pytest.approx(0.5)
    assert compared["median"] == pytest.approx(0.3)
    assert compared["negligible"] == ["none", "rounding"]


@pytest.mark.parametrize(
    ("weight", "history", "calibration", "equal"),
    [(1.0, "a", 1, True), (1.5, "a", 1, False), (1.0, "b", 1, False), (1.0, "a", 2, False)],
)
def test_runs_are_equal_in_all_three_files(tmp_path, weight, history, calibration, equal):
    values = {"one": (1.0, "a", 1), "two": (weight, history, calibration)}
    for name, (first, text, number) in values.items():
        (tmp_path / name).mkdir()
        save_file({"w": torch.tensor([first, 2.0])}, tmp_path / name / "model.safetensors")
        (tmp_path / name / "history.csv").write_text(text)
        np.savez(tmp_path / name / "calibration.npz", x=number)
    compared = gpu_parts.compare_runs(tmp_path / "one", tmp_path / "two")
    assert compared["equal"] is equal
    assert compared["largest_difference"] == weight - 1
    assert compared["different_tensors"] == (weight != 1)


def test_operations_without_a_deterministic_form_are_named():
    said = "{} does not have a deterministic implementation, but you set ..."
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for text in (said.format("b_cuda"), said.format("a_cuda"), said.format("b_cuda"), "other"):
            warnings.warn(text, stacklevel=1)
    assert gpu_parts.nondeterministic_operations(caught) == ["a_cuda", "b_cuda"]


def test_the_subset_of_ped2_is_grey_and_keeps_labels_and_masks(tiny_ped2, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "SUBSET_TRAINING", (1, 3))
    size = gpu.write_subset(tiny_ped2.folder, tmp_path / "copy" / "ped2")
    files = [path for path in (tmp_path / "copy").rglob("*") if path.is_file()]
    assert size == sum(path.stat().st_size for path in files)
    train, test = (load_videos("ped2", split, tmp_path / "copy") for split in ("train", "test"))
    assert [video.name for video in train] == ["01", "03"]
    assert [video.name for video in test] == ["01", "02", "04", "07"]
    whole = {video.name: video for video in load_videos("ped2", "test", tiny_ped2.root)}
    for video in test:
        assert video.frames.shape == whole[video.name].frames.shape
        np.testing.assert_allclose(video.frames[5], whole[video.name].frames[5], atol=3)
        np.testing.assert_array_equal(video.labels, whole[video.name].labels)
        np.testing.assert_array_equal(video.masks[-1], whole[video.name].masks[-1])


@pytest.mark.slow
def test_the_shortened_form_runs_on_a_cpu(tmp_path, monkeypatch):
    """All parts but `vadlib bench`, really run; it ends with 0, so nothing failed."""
    monkeypatch.setattr(gpu, "BUILD", tmp_path / "build")
    gpu.measure(Namespace(out=tmp_path / "report.json", device="cpu", root=None, commit=None))
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["shortened"] is True
    parts = report["parts"]
    assert {name for name, part in parts.items() if part["status"] != "done"} == {"bench"}
    assert parts["tests"]["result"]["passed"] > 10
    assert 0 <= parts["training"]["result"]["micro_auc_raw"] <= 1
    for name in ("resume", "resume_deterministic"):
        result = parts[name]["result"]
        assert 0 < result["stopped_at"] < result["steps"]
        assert result["resumed"]["equal"] is result["repeated"]["equal"] is True
        assert sys.platform == "win32" or result["killed_with_status"] == -9
    compared = parts["precision"]["result"]["fast"]
    assert 0 < compared["gradients"]["bf16"]["largest"] < 1
    assert compared["bf16"]["final_error"] != compared["fp32"]["final_error"]
