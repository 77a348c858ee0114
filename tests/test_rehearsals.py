"""Notebooks 00 and 04 where a classroom may differ from this machine; `make rehearse` does so with
all of them.
"""

import importlib.util
import os
import sys

import pytest
from test_notebooks import ROOT

sys.path.insert(0, str(ROOT / "tools"))
spec = importlib.util.spec_from_file_location("rehearse", ROOT / "tools" / "rehearse.py")
rehearse = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rehearse)


@pytest.mark.slow
@pytest.mark.skipif(
    not rehearse.READ_ONLY.is_dir(),
    reason="no folder here to which not even the administrator can write",
)
@pytest.mark.parametrize(
    ("name", "condition", "said"),
    [
        ("00_quickstart", "offline", "ended"),
        ("00_quickstart", "no widgets", "ended"),
        ("00_quickstart", "read-only", "/sys/runs/00_quickstart-"),
        ("04_pseudo_anomaly_lab", "offline", "ended"),
        ("04_pseudo_anomaly_lab", "no widgets", "ipywidgets"),
        ("04_pseudo_anomaly_lab", "read-only", "ended"),
    ],
)
def test_a_notebook_ends_or_says_what_is_missing(name, condition, said, tmp_path, monkeypatch):
    monkeypatch.setenv("VADLIB_PROFILE", "quick")
    if "VADLIB_RUNS" not in os.environ and name.startswith("00") and condition != "read-only":
        pytest.skip("VADLIB_RUNS is not set: its training would be done again; `make test` has it")
    assert said in rehearse.rehearse(name, condition, tmp_path)


def test_a_traceback_is_not_a_helpful_sentence(tmp_path, monkeypatch):
    (tmp_path / "bad.py").write_text("# %%\nimport ipywidgets\n")
    monkeypatch.setattr(rehearse, "SOURCES", tmp_path)
    with pytest.raises(SystemExit, match="ModuleNotFoundError"):
        rehearse.rehearse("bad", "no widgets", tmp_path)
    assert rehearse.rehearse("bad", "offline", tmp_path) == "ended"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "import urllib.request; urllib.request.urlopen('http://192.0.2.1/', timeout=5)",
            "no network in this rehearsal",
        ),
        (
            "import multiprocessing; assert multiprocessing.get_start_method() == 'fork'",
            "AssertionError",
        ),
        ("import os; assert os.path.expanduser('~').isascii()", "AssertionError"),
    ],
)
def test_the_conditions_are_real(code, said, tmp_path, monkeypatch):
    (tmp_path / "it.py").write_text(f"# %%\n{code}\n")
    monkeypatch.setattr(rehearse, "SOURCES", tmp_path)
    with pytest.raises(SystemExit, match=said):
        rehearse.rehearse("it", "offline", tmp_path)
