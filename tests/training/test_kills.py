"""A training that is killed at random moments, again and again, ends with the bytes of one that was
left alone.
"""

import multiprocessing
import os
import random
import signal
import sys
import time
from itertools import pairwise
from multiprocessing import forkserver

import kills_job
import numpy as np
import pytest
import torch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL and no fork server"),
]


@pytest.fixture(scope="module")
def forks():
    """Processes that have torch and vadlib loaded, so that a kill costs no import."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kills_job"])
    with pytest.MonkeyPatch.context() as patch:
        # Python 3.11's server does not get this process's paths, and says nothing of what it cannot
        # load.
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        forkserver.ensure_running()
    return context


def stamp(path):
    """Changes with every checkpoint: each is a new file."""
    try:
        return path.stat().st_ino, path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def kill_after(process, checkpoint, saves, delay):
    """Wait for so many checkpoints and then some more; kill. False if the training had ended
    before.
    """
    for _ in range(saves):
        before = stamp(checkpoint)
        while stamp(checkpoint) == before:
            if not process.is_alive():
                return False
            time.sleep(0.0005)
    time.sleep(delay)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize(("precision", "kills"), [("fp32", 20), ("bf16", 3)])
def test_a_chain_of_kills_changes_nothing(forks, tmp_path, precision, kills):
    draw, killed, whole = random.Random(7), tmp_path / "killed", tmp_path / "whole"

    def start(out, every_step):
        arguments = str(out), precision, str(tmp_path / "cache"), every_step
        process = forks.Process(target=kills_job.train, args=arguments)
        process.start()
        return process

    # The first comes before there is a checkpoint; the others within a step, between two, or while
    # one is written.
    moments = [
        (0, draw.uniform(0, 0.3)),
        *((draw.randint(1, 9), draw.uniform(0, 0.05)) for _ in range(kills - 1)),
    ]
    steps = []
    for saves, delay in moments:
        assert kill_after(start(killed, True), killed / "state.pt", saves, delay), (
            "the training had ended before the last kill"
        )
        if (killed / "state.pt").exists():
            steps.append(torch.load(killed / "state.pt", weights_only=True)["step"])
    # it continues; one that began again would end with the same bytes
    assert all(a < b for a, b in pairwise(steps))
    assert len(steps) >= kills - 1
    assert not (killed / "calibration.npz").exists()
    for out in (killed, whole):
        process = start(out, False)
        process.join(300)
        assert process.exitcode == 0
    assert (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert (killed / "history.csv").read_text() == (whole / "history.csv").read_text()
    with np.load(killed / "calibration.npz") as one, np.load(whole / "calibration.npz") as other:
        assert all(np.array_equal(one[name], other[name]) for name in other.files)
