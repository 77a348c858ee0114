"""The report of a machine with a GPU names what goes wrong, and docs/gpu.md shows its numbers."""

import json
import re
import sys
from argparse import Namespace

import gpu
import gpu_parts
import numpy as np
import pytest

from vadlib.data.catalog import load_videos

# Round numbers, made up for these tests; none was measured.
TRAINING = {"data": "ped2", "train_videos": 16, "test_videos": 12, "epochs": 3}
TRAINING |= {"clips_per_second": 100.0, "training_seconds": 50.0, "micro_auc_raw": 0.5}
BENCH = {"train_ratio": 2, "score_ratio": 3, "fast_train_ratio": 4, "fast_score_ratio": 5}
MEMORY = [{"preset": "fast", "precision": "bfloat16", "peak_bytes": 1.5e9}]
RESUME = {"resumed": {"equal": False, "largest_difference": 0.002}}
RESUME |= {"repeated": {"largest_difference": 0.001}, "without_deterministic_form": ["some"]}
PRECISION = {"speedup": 2, "bf16": {"final_error": 0.02}, "fp32": {"final_error": 0.01}}
PRECISION |= {"gradients": {"bf16": {"largest": 0.05}}}
RESULTS = {
    "tests": {"passed": 20, "failed": 0, "skipped": 1},
    "training": TRAINING,
    "bench": BENCH,
    "memory": {"rows": MEMORY},
    "resume": RESUME,
    "resume_deterministic": {"resumed": {"equal": True}},
    "precision": {"fast": PRECISION},
}
CELLS = {
    "software": ["9.9", "99.9", "999.9", "2001", "02", "03"],
    "device tests": ["20", "1"],
    "training of `fast`": ["2", "16", "3", "100", "50"],  # the first is Ped2's
    "raw AUC": ["0.500", "12"],
    "`vadlib bench`: training, scoring": ["2.0", "3.0", "4.0", "5.0"],
    "peak memory": ["1.5", "16"],
    "resumed after a kill": ["2e-03", "1e-03"],
    "the same, deterministic": [],
    "bf16 against float32": ["2.00", "0.0200", "0.0100", "5.0"],
}


def row_of(reports):
    lines = gpu.markdown_table(reports).splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines]
    return dict(zip(rows[0], rows[2], strict=True))


def test_a_row_holds_the_numbers_of_its_report_and_what_has_none(tmp_path):
    text = gpu.PAGE.read_text(encoding="utf-8")
    assert gpu.replace_rows(text, gpu.markdown_table(gpu.read_reports())) == text
    machine = {"device": "Some GPU", "torch": "9.9", "cuda": "99.9", "driver": "999.9"}
    parts = {name: {"status": "done", "result": result} for name, result in RESULTS.items()}
    report = {"version": gpu.VERSION, "date": "2001-02-03", "commit": "abc", "shortened": False}
    report |= {"machine": {"result": machine}, "parts": parts}
    row = row_of([report])
    assert row["GPU"] == "Some GPU"
    for title, numbers in CELLS.items():
        assert re.findall(r"\d+(?:\.\d+)?(?:e-\d+)?", row[title]) == numbers, title
    path = tmp_path / "some.json"
    for change in ({"version": 0}, {"shortened": True}):
        path.write_text(json.dumps(report | change))
        with pytest.raises(SystemExit, match=r"some\.json"):
            gpu.read_reports(tmp_path)
    parts["training"]["status"] = "failed"
    del parts["memory"]
    row = row_of([report])
    assert (row["raw AUC"], row["peak memory"]) == ("failed", "not measured")


STAND_IN = """import json, sys, time
name, device, folder, result = sys.argv[1:5]
results = {"machine": {"device": "it"}, "training": {"a": 1}, "precision": {"not_run": "because"}}
results["resume"] = {"fault": "differs", "b": 2}
open(result, "w").write(json.dumps(results.get(name, {})))
time.sleep(60 if name == "training" else 0)
assert name != "memory", "broken"
"""
ERRORS = {"training": "stopped at its limit of 1 s", "memory": "AssertionError: broken"}
ERRORS["resume"] = "differs"


def test_what_fails_is_in_the_report_and_ends_the_command_with_1(tmp_path, monkeypatch):
    """Parts are small programs here: one sleeps past its limit, one raises, one reports a fault."""
    assert gpu.LIMITS.keys() == gpu_parts.PARTS.keys()
    assert sum(gpu.LIMITS.values()) <= 8 * 60
    script, out = tmp_path / "parts.py", tmp_path / "report.json"
    script.write_text(STAND_IN)
    limits = dict.fromkeys(gpu.LIMITS, 60) | {"training": 1}
    changes = {"SCRIPT": script, "BUILD": tmp_path, "LIMITS": limits, "missing_packages": list}
    for name, value in changes.items():
        monkeypatch.setattr(gpu, name, value)
    with pytest.raises(SystemExit, match="failed: training, memory, resume"):
        gpu.measure(Namespace(out=out, device="cuda", root=None, commit="abc"))
    report = json.loads(out.read_text())
    parts = report["parts"]
    assert report["failed"] == ["training", "memory", "resume"]
    assert {name: part["error"] for name, part in parts.items() if "error" in part} == ERRORS
    assert parts["training"]["result"] == {"a": 1}  # what there was before the limit
    assert parts["precision"]["reason"] == "because"


def test_the_subset_of_ped2_is_grey_and_keeps_labels_and_masks(tiny_ped2, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "SUBSET_TRAINING", (1, 3))
    gpu.write_subset(tiny_ped2.folder, tmp_path / "ped2")
    train, test = (load_videos("ped2", split, tmp_path) for split in ("train", "test"))
    assert [video.name for video in train] == ["01", "03"]
    assert [video.name for video in test] == ["01", "02", "04", "07"]
    expected = load_videos("ped2", "test", tiny_ped2.root)[3]
    np.testing.assert_allclose(test[2].frames[5], expected.frames[5], atol=3)
    np.testing.assert_array_equal(test[2].labels, expected.labels)
    np.testing.assert_array_equal(test[2].masks[-1], expected.masks[-1])


@pytest.mark.slow
def test_the_shortened_form_runs_on_a_cpu(tmp_path, monkeypatch):
    """All parts but `vadlib bench`, really run; it ends with 0, so nothing failed."""
    monkeypatch.setattr(gpu, "BUILD", tmp_path / "build")
    gpu.measure(Namespace(out=tmp_path / "report.json", device="cpu", root=None, commit=None))
    parts = json.loads((tmp_path / "report.json").read_text())["parts"]
    assert {name for name, part in parts.items() if part["status"] != "done"} == {"bench"}
    assert parts["tests"]["result"]["passed"] > 5
    for name in ("resume", "resume_deterministic"):
        result = parts[name]["result"]
        assert 0 < result["stopped_at"] < result["steps"]
        assert result["resumed"]["equal"] is result["repeated"]["equal"] is True
        assert sys.platform == "win32" or result["killed_with_status"] == -9
