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
    pytest.mark.skipif(
        sys.platform == "win32", reason="torchrun's gloo is tried on Linux and macOS only"
    ),
]


def launch(number, *arguments):
    """Run a command of Python's in so many processes, each with one thread, on the CPU."""
    launcher = (
        ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(number)]
        if number > 1
        else []
    )
    environment = os.environ | {
        "PYTHONPATH": str(TESTS),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    command = [sys.executable, *launcher, *map(str, arguments)]
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
    assert (
        max(abs(a - b) for a, b in zip(one["losses"][:51], two["losses"][:51], strict=True)) < 1e-4
    )
    # they do change
    assert min(abs(a - b) for a, b in zip(one["losses"][:50], one["losses"][1:51], strict=True)) > 0
    # Adam would not notice gradients of half the size
    assert one["norms"][:51] == pytest.approx(two["norms"][:51], rel=0.02)
    rows = [next(csv.DictReader((tmp_path / str(n) / "history.csv").open())) for n in (1, 2)]
    counts = [{name: value for name, value in row.items() if "made" in name} for row in rows]
    assert counts[0] == counts[1]
    assert sum(map(int, counts[0].values())) > 10


def test_two_processes_go_on_where_two_were_stopped(tmp_path):
    job(2, tmp_path / "whole", "--epochs", "1")
    launch(2, JOB, tmp_path / "stopped", "--epochs", "1", "--stop", "20")
    assert not (tmp_path / "stopped" / "model.safetensors").exists()
    report = job(2, tmp_path / "stopped", "--epochs", "1")
    assert (
        len(report["norms"])
        == len(json.loads((tmp_path / "whole" / "report.json").read_text())["norms"]) - 20
    )
    assert (tmp_path / "stopped" / "model.safetensors").read_bytes() == (
        tmp_path / "whole" / "model.safetensors"
    ).read_bytes()


def test_evaluation_is_shared_out_and_every_process_has_all_of_it(tmp_path):
    """The same run, scored by one process and by two."""
    job(1, tmp_path / "run", "--epochs", "1")
    alone, shared = (job(number, tmp_path / "run", "--evaluate") for number in (1, 2))
    assert alone["videos_scored"] == [3]
    assert sorted(shared["videos_scored"]) == [1, 2]
    assert shared["metrics"] == alone["metrics"]
    assert set(map(tuple, shared["names"])) == {("01", "02", "03")}
    assert all(
        np.isfinite(scores).all() for scores in Result.load(tmp_path / "run").scores.values()
    )


def test_batch_norm_presets_run_and_score_with_what_they_saved(tmp_path):
    """Each process has counted other clips; all go on with the main one's statistics, which are
    those of the file.
    """
    report = job(
        2, tmp_path / "run", "--network", "published", "--objective", "maximize", "--epochs", "1"
    )
    assert np.isfinite(report["losses"]).all()
    first, second = report["buffers"]
    assert first == second
    assert job(1, tmp_path / "run", "--evaluate")["buffers"] == [first]


def test_the_command_line_in_two_processes(tmp_path):
    """Both read, train and evaluate; one writes and prints; and one process finds what two have
    left finished.
    """
    own_videos(tmp_path / "mine")
    (tmp_path / "tiny.json").write_text(
        json.dumps({"clips": {"clip_step": 16}, "model": {"width": 8, "slots": 16}})
    )
    options = [
        "--data",
        "folder",
        "--root",
        tmp_path / "mine",
        "--epochs",
        1,
        "--config",
        tmp_path / "tiny.json",
        "--device",
        "cpu",
    ]
    two = launch(2, "--module", "vadlib", "run", *options, "--out", tmp_path / "run")
    assert two.count("curves and scores are in") == 1
    assert two.count("best baseline") == two.count("without learning") == 1
    assert {"config.json", "model.safetensors", "scores.npz", "metrics.json", "curves"} <= {
        p.name for p in (tmp_path / "run").iterdir()
    }
    stamp = (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns
    launch(1, "-m", "vadlib", "train", *options, "--out", tmp_path / "run", "--resume")
    assert (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns == stamp
