"""The report of a machine: what goes wrong is in it, and the rows of docs/gpu.md are those of the
reports.
"""

import copy
import importlib.util
import json
import re
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

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


@pytest.mark.parametrize("change", [{"version": 0}, {"shortened": True}])
def test_a_report_that_is_none_of_a_gpu_is_refused(report, tmp_path, change):
    path = tmp_path / "some.json"
    path.write_text(json.dumps(report))
    assert gpu.read_reports(tmp_path) == [report]
    path.write_text(json.dumps(report | change))
    with pytest.raises(SystemExit, match=r"some\.json"):
        gpu.read_reports(tmp_path)


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
