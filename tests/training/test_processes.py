"""Two processes under torchrun do what one does; the job is in `processes_job.py`."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from trees import own_videos

from vadlib.evaluation.result import Result

TESTS = Path(__file__).parents[1]
JOB = Path(__file__).with_name("processes_job.py")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="torchrun's gloo is tried elsewhere only"),
]


def launch(number, *arguments):
    """Run a command of Python's in so many processes, each with one thread, on the CPU."""
    command = [sys.executable]
    if number > 1:
        command += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
        command.append(str(number))
    environment = os.environ | {"PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
    environment["CUDA_VISIBLE_DEVICES"] = ""
    command += map(str, arguments)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def job(number, out, *options):
    launch(number, JOB, out, *options)
    report = json.loads((out / "report.json").read_text())
    assert report["processes"] == number
    return report


@pytest.mark.parametrize("objective", ["inpaint", "maximize"])
def test_two_processes_train_as_one_with_the_same_global_batch(tmp_path, objective):
    """All terms on; batches of 5 split into 3 and 2, and some of them hold pseudo-anomalies in one
    process only.
    """
    one, two = (job(number, tmp_path / str(number), "--objective", objective) for number in (1, 2))
    assert len(one["losses"]) == len(two["losses"]) >= 51
    assert one["losses"][:51] == pytest.approx(two["losses"][:51], rel=0, abs=1e-4)
    assert np.diff(one["losses"][:51]).all()  # they do change
    # Adam would not notice gradients of half the size
    assert one["norms"][:51] == pytest.approx(two["norms"][:51], rel=0.02)
    counts = []
    for number in "12":
        row = next(csv.DictReader((tmp_path / number / "history.csv").open()))
        counts.append({name: int(value) for name, value in row.items() if "made" in name})
    assert counts[0] == counts[1]
    assert sum(counts[0].values()) > 10


def test_two_processes_go_on_where_two_were_stopped(tmp_path):
    whole = job(2, tmp_path / "whole", "--epochs", "1")
    launch(2, JOB, tmp_path / "stopped", "--epochs", "1", "--stop", "20")
    path = tmp_path / "stopped" / "model.safetensors"
    assert not path.exists()
    report = job(2, tmp_path / "stopped", "--epochs", "1")
    assert len(report["norms"]) == len(whole["norms"]) - 20
    assert path.read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


def test_evaluation_is_shared_out_and_every_process_has_all_of_it(tmp_path):
    """The same run, scored by one process and by two."""
    job(1, tmp_path / "run", "--epochs", "1")
    alone, shared = (job(number, tmp_path / "run", "--evaluate") for number in (1, 2))
    assert alone["videos_scored"] == [3]
    assert sorted(shared["videos_scored"]) == [1, 2]
    assert shared["metrics"] == alone["metrics"]
    assert shared["names"] == [["01", "02", "03"]] * 2
    for scores in Result.load(tmp_path / "run").scores.values():
        assert np.isfinite(scores).all()


def test_batch_norm_presets_run_and_score_with_what_they_saved(tmp_path):
    """Each process has counted other clips; all continue with the main one's statistics, which are
    those of the file.
    """
    options = ["--network", "published", "--objective", "maximize", "--epochs", "1"]
    report = job(2, tmp_path / "run", *options)
    assert np.isfinite(report["losses"]).all()
    first, second = report["buffers"]
    assert first == second
    assert job(1, tmp_path / "run", "--evaluate")["buffers"] == [first]


def test_the_command_line_in_two_processes(tmp_path):
    """Both read, train and evaluate; one writes and prints; and one process accepts the
    finished run of two.
    """
    own_videos(tmp_path / "mine")
    small = {"clips": {"clip_step": 16}, "model": {"width": 8, "slots": 16}}
    (tmp_path / "tiny.json").write_text(json.dumps(small))
    out = tmp_path / "run"
    options = ["--data", "folder", "--root", tmp_path / "mine", "--epochs", 1, "--out", out]
    options += ["--config", tmp_path / "tiny.json", "--device", "cpu"]
    two = launch(2, "--module", "vadlib", "run", *options)
    for text in ("curves and scores are in", "best baseline", "without learning"):
        assert two.count(text) == 1
    names = {path.name for path in out.iterdir()}
    assert {"config.json", "model.safetensors", "scores.npz", "metrics.json", "curves"} <= names
    stamp = (out / "model.safetensors").stat().st_mtime_ns
    launch(1, "-m", "vadlib", "train", *options, "--resume")
    assert (out / "model.safetensors").stat().st_mtime_ns == stamp
