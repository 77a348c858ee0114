"""Two processes under torchrun do what one does; the job is in `processes_job.py`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from trees import own_videos

JOB = Path(__file__).with_name("processes_job.py")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="torchrun's gloo is tried elsewhere only"),
]


def launch(number, *arguments):
    """Run a command of Python's in so many processes, each with one thread, on the CPU."""
    command = [sys.executable]
    if number > 1:
        command += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(number)]
    command += map(str, arguments)
    environment = os.environ | {"PYTHONPATH": str(JOB.parents[1]), "OMP_NUM_THREADS": "1"}
    environment["CUDA_VISIBLE_DEVICES"] = ""
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr[-3000:]
    return process.stdout


def job(number, out, **options):
    launch(number, JOB, out, json.dumps(options))
    report = json.loads((out / "report.json").read_text())
    assert report["processes"] == number
    return report


@pytest.mark.parametrize("objective", ["inpaint", "maximize"])
def test_two_processes_train_as_one_with_the_same_global_batch(tmp_path, objective):
    """All terms on; batches of 5 split into 3 and 2, and some of them hold pseudo-anomalies in one
    process only.
    """
    one, two = (job(n, tmp_path / str(n), objective=objective) for n in (1, 2))
    # Adam would not notice gradients of half the size.
    assert len(one["norms"]) == len(two["norms"]) >= 51
    assert one["norms"][:51] == pytest.approx(two["norms"][:51], rel=0.02)
    first, second = ((tmp_path / n / "history.csv").read_text().splitlines() for n in "12")
    assert first[0] == second[0]  # names of terms and counts
    means, others = (np.float64(rows[1].split(",")) for rows in (first, second))
    np.testing.assert_allclose(means, others, rtol=0, atol=1e-3)
    assert sum(means[-4:]) > 10  # pseudo-anomalies


def test_two_processes_continue_where_two_were_stopped(tmp_path):
    whole = job(2, tmp_path / "whole")
    launch(2, JOB, tmp_path / "stopped", json.dumps({"stop": 20}))
    path = tmp_path / "stopped" / "model.safetensors"
    assert not path.exists()
    report = job(2, tmp_path / "stopped")
    assert len(report["norms"]) == len(whole["norms"]) - 20
    assert path.read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


def test_every_process_evaluates_all_of_what_was_saved(tmp_path):
    """Each process's batch norm counted other clips; all continue with the main one's file."""
    report = job(2, tmp_path, network="published", objective="maximize")
    assert np.isfinite(report["norms"]).all()
    first, second = report["buffers"]
    assert first == second
    alone, shared = (job(number, tmp_path, evaluate=True) for number in (1, 2))
    assert shared["metrics"] == alone["metrics"]
    assert shared["names"] == alone["names"] * 2
    assert shared["buffers"] == alone["buffers"] * 2 == [first] * 2


def test_the_command_line_in_two_processes(tmp_path):
    """One of them writes and prints; and one process accepts the finished run of two."""
    own_videos(tmp_path / "mine")
    small = {"clips": {"clip_step": 16}, "model": {"width": 8, "slots": 16}}
    config, out = tmp_path / "small.json", tmp_path / "run"
    config.write_text(json.dumps(small))
    options = ["--data", "folder", "--root", tmp_path / "mine", "--epochs", 1, "--out", out]
    options += ["--config", config, "--device", "cpu"]
    output = launch(2, "--module", "vadlib", "run", *options)
    for text in ("curves and scores are in", "best baseline", "without learning"):
        assert output.count(text) == 1
    names = {path.name for path in out.iterdir()}
    assert {"config.json", "model.safetensors", "scores.npz", "metrics.json", "curves"} <= names
    stamp = (out / "model.safetensors").stat().st_mtime_ns
    launch(1, "-m", "vadlib", "train", *options, "--resume")
    assert (out / "model.safetensors").stat().st_mtime_ns == stamp
