"""A training that is killed again and again ends with the bytes of one that was left alone."""

import multiprocessing
import os
import random
import signal
import sys
import time
from multiprocessing import forkserver

import pytest
import tiny
import torch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL and no fork server"),
]


def stamp(path):
    """Change with every checkpoint: each is a new file."""
    return (path.stat().st_ino, path.stat().st_mtime_ns) if path.exists() else None


@pytest.mark.parametrize(("precision", "kills"), [("fp32", 20), ("bf16", 3)])
def test_a_chain_of_kills_changes_nothing(tmp_path, monkeypatch, precision, kills):
    """The processes have torch and vadlib loaded, so that a kill costs no import."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["tiny"])
    # Python 3.11's server does not get this process's paths, and ignores what it cannot load.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    forkserver.ensure_running()
    rng = random.Random(7)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    path = killed / "state.pt"

    def start(out, every_step):
        arguments = str(out), precision, str(tmp_path / "cache"), every_step
        process = forks.Process(target=tiny.train_until_killed, args=arguments)
        process.start()
        return process

    steps = []
    for kill in range(kills):
        # The first comes before there is a checkpoint; the others at any moment, also while one is
        # written.
        process = start(killed, True)
        for _ in range(rng.randint(1, 9) if kill else 0):
            before = stamp(path)
            while stamp(path) == before and process.is_alive():
                time.sleep(0.0005)
        time.sleep(rng.uniform(0, 0.05 if kill else 0.3))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "the training had ended before the last kill"
        if path.exists():
            steps.append(torch.load(path, weights_only=True)["step"])
    # It continues; one that began again would end with the same bytes.
    assert steps == sorted(set(steps))
    assert len(steps) >= kills - 1
    for out in (killed, whole):
        process = start(out, False)
        process.join(300)
        assert process.exitcode == 0
    for name in ("model.safetensors", "history.csv", "config.json", "calibration.npz"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
