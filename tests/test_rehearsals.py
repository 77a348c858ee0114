"""Notebooks 00 and 04 in a classroom unlike this machine. `make rehearse` tries all notebooks."""

import os

import pytest
import rehearse

OUTCOMES = [
    ("00_quickstart", "offline", "ended"),
    ("00_quickstart", "no widgets", "ended"),
    ("00_quickstart", "read-only", "/sys/runs/00_quickstart-"),
    ("04_pseudo_anomaly_lab", "no widgets", "ipywidgets"),
]
STOPS = [
    ("no widgets", "import ipywidgets", "ModuleNotFoundError"),  # no helpful sentence
    ("offline", "import urllib.request as u; u.urlopen('http://192.0.2.1/')", "no network"),
    ("offline", "import multiprocessing as m; assert m.get_start_method() == 'fork'", "Assertion"),
    ("offline", "import os; assert os.path.expanduser('~').isascii()", "AssertionError"),
]


@pytest.mark.slow
@pytest.mark.skipif(not rehearse.READ_ONLY.is_dir(), reason="no read-only folder on this machine")
@pytest.mark.parametrize(("name", "condition", "outcome"), OUTCOMES)
def test_a_notebook_ends_or_says_what_is_missing(name, condition, outcome, tmp_path, monkeypatch):
    monkeypatch.setenv("VADLIB_PROFILE", "quick")
    if "VADLIB_RUNS" not in os.environ and name.startswith("00") and condition != "read-only":
        pytest.skip("VADLIB_RUNS is not set, so it would train again; `make test` sets it")
    assert outcome in rehearse.rehearse(name, condition, tmp_path)


@pytest.mark.parametrize(("condition", "code", "error"), STOPS)
def test_the_conditions_are_real(condition, code, error, tmp_path, monkeypatch):
    (tmp_path / "it.py").write_text(f"# %%\n{code}\n")
    monkeypatch.setattr(rehearse, "SOURCES", tmp_path)
    with pytest.raises(SystemExit, match=error):
        rehearse.rehearse("it", condition, tmp_path)
