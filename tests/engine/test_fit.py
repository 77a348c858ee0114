"""Training ends where it should, whatever interrupts it, and never writes what it must not."""

import csv
import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scenes import moving_videos

from vadlib.data.clips import ClipDataset, DataConfig
from vadlib.engine import fit as engine
from vadlib.engine import trainer as training
from vadlib.engine.config import TrainConfig
from vadlib.engine.fit import fit, hold_out
from vadlib.engine.trainer import Trainer, schedule
from vadlib.errors import InputError
from vadlib.evaluation.evaluate import evaluate
from vadlib.model.network import DualPathAutoencoder, ModelConfig
from vadlib.model.objective import Term
from vadlib.model.run import Run
from vadlib.pseudo.kinds import AddNoise, PasteObjects, ShuffleMotion, SkipFrames
from vadlib.pseudo.mixer import PseudoAnomalyMixer

TINY = ModelConfig(width=8, slots=8)
CONFIG = TrainConfig(epochs=2, batch_size=4, precision="fp32", device="cpu")


@pytest.fixture
def clips():
    return ClipDataset(moving_videos(3), DataConfig(length=8, crop=(16, 16), clip_step=4), progress=False)


def train(clips, out, config=CONFIG, **options):
    torch.manual_seed(0)
    mixer = PseudoAnomalyMixer([SkipFrames(), ShuffleMotion()], p=0.5)
    return fit(DualPathAutoencoder(TINY), clips, mixer, config, out, progress=False, **options)


def weights(run):
    return {name: value.clone() for name, value in run.model.state_dict().items()}


def equal(one, two):
    return all(torch.equal(value, two[name]) for name, value in one.items())


def test_a_run_leaves_the_files_of_the_contract(clips, tmp_path):
    run = train(clips, tmp_path / "run")
    evaluate(run, moving_videos(2, labelled=True), "cpu", progress=False).save(run.folder)
    names = {p.name for p in run.folder.iterdir()}
    assert names == {"config.json", "model.safetensors", "calibration.npz", "state.pt", "history.csv", "metrics.json", "scores.npz"}
    rows = list(csv.DictReader((run.folder / "history.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(np.isfinite(float(value)) for row in rows for value in row.values())
    for row in rows:  # what the mixer made is counted over all steps of the epoch
        counts = [int(value) for name, value in row.items() if name.startswith(("made_", "not_made_"))]
        assert len(counts) >= 2
        assert 0 < sum(counts) < len(clips)
    assert set(json.loads((run.folder / "config.json").read_text())) == {"dataset", "data", "model", "mixer", "training"}


def test_same_seed_same_weights_and_another_seed_others(clips, tmp_path):
    first = weights(train(clips, tmp_path / "a"))
    assert equal(first, weights(train(clips, tmp_path / "b")))
    other = TrainConfig(**{**CONFIG.__dict__, "seed": 1})
    assert not equal(first, weights(train(clips, tmp_path / "c", other)))


def test_an_interrupted_training_ends_bit_identical(clips, tmp_path, monkeypatch):
    """Stopped in the middle of an epoch, several times; a checkpoint after every step."""
    undisturbed = train(clips, tmp_path / "a")
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0)
    update, budget = Trainer.update, {"steps": 0}

    def interrupted(self, batch, steps):
        if budget["steps"] == 0:
            raise KeyboardInterrupt
        budget["steps"] -= 1
        return update(self, batch, steps)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "update", interrupted)
        for steps in (3, 5, 1):
            budget["steps"] = steps
            with pytest.raises(KeyboardInterrupt):
                train(clips, tmp_path / "b", resume=True)
    resumed = train(clips, tmp_path / "b", resume=True)
    assert equal(weights(undisturbed), weights(resumed))
    assert (tmp_path / "a" / "history.csv").read_text() == (tmp_path / "b" / "history.csv").read_text()


KILLED = """
import os, signal, sys
import torch
from scenes import moving_videos
from vadlib import ClipDataset, DataConfig, DualPathAutoencoder, ModelConfig, PseudoAnomalyMixer, ShuffleMotion, TrainConfig, fit
from vadlib.engine import trainer as training

training.CHECKPOINT_SECONDS = 0
update, steps_left = training.Trainer.update, int(sys.argv[2])

def killing(self, batch, steps):
    global steps_left
    steps_left -= 1
    if steps_left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return update(self, batch, steps)

training.Trainer.update = killing
torch.manual_seed(0)
clips = ClipDataset(moving_videos(3), DataConfig(length=8, crop=(16, 16), clip_step=4), progress=False)
config = TrainConfig(epochs=2, batch_size=4, precision="fp32", device="cpu")
fit(DualPathAutoencoder(ModelConfig(width=8, slots=8)), clips, PseudoAnomalyMixer([ShuffleMotion()], 0.5), config, sys.argv[1], resume=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_process_resumes(tmp_path):
    """SIGKILL in a process of its own; what is left resumes and ends with the bytes of an undisturbed run."""

    def run(out, kill_at):
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        command = [sys.executable, "-c", KILLED, str(tmp_path / out), str(kill_at)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)

    assert run("killed", 7).returncode == -signal.SIGKILL
    assert (tmp_path / "killed" / "state.pt").exists()
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    for out in ("killed", "whole"):
        done = run(out, 10**9)
        assert done.returncode == 0, done.stderr
    killed, whole = ((tmp_path / out / "model.safetensors").read_bytes() for out in ("killed", "whole"))
    assert killed == whole


def test_a_finished_run_is_loaded_not_trained_again(clips, tmp_path, monkeypatch):
    first = weights(train(clips, tmp_path / "a"))
    monkeypatch.setattr(Trainer, "train", lambda *_: pytest.fail("trained again"))
    again = train(clips, tmp_path / "a", resume=True)
    assert equal(first, weights(again))
    assert not again.model.training


def test_an_existing_run_is_never_overwritten(clips, tmp_path):
    train(clips, tmp_path / "a")
    before = {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir()}
    with pytest.raises(InputError, match="already holds a run"):
        train(clips, tmp_path / "a")
    with pytest.raises(InputError, match=r"training.epochs was 2, now 3"):
        train(clips, tmp_path / "a", TrainConfig(**{**CONFIG.__dict__, "epochs": 3}), resume=True)
    assert {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir()} == before


def test_a_non_finite_step_never_reaches_the_weights_and_several_stop(clips, tmp_path, monkeypatch):
    real, seen = training.objective_terms, []

    def poisoned(model, *batch):
        terms = real(model, *batch)
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        value, count = terms["rebuild"]
        # The first call is that of the estimate of memory.
        return {**terms, "rebuild": Term(value * float("nan"), count)} if len(seen) > 4 else terms

    monkeypatch.setattr(training, "objective_terms", poisoned)
    with pytest.raises(InputError, match="5 non-finite steps in a row"):
        train(clips, tmp_path / "a")
    assert len(seen) == 4 + training.MAX_BAD_STEPS
    assert not equal(seen[3], seen[4])
    assert equal(seen[4], seen[-1])


def test_a_non_finite_gradient_alone_is_skipped_too(clips, tmp_path, monkeypatch):
    real = training.objective_terms

    def poisoned(model, *batch):
        terms = real(model, *batch)
        # A term of value 0 whose gradient is infinite: d sqrt(x) / dx at 0.
        zero = sum(p.sum() for p in model.parameters()) * 0
        return {**terms, "extra": Term(zero.sqrt() * 1.0, torch.tensor(1.0))}

    before = {}
    monkeypatch.setattr(training, "objective_terms", poisoned)
    load = Trainer.load
    monkeypatch.setattr(Trainer, "load", lambda self: before.update(trainer=self) or load(self))
    with pytest.raises(InputError, match="non-finite"):
        train(clips, tmp_path / "a")
    assert all(torch.isfinite(p).all() for p in before["trainer"].model.parameters())


def test_checkpoints_load_without_pickle(clips, tmp_path):
    run = train(clips, tmp_path / "a")
    state = torch.load(run.folder / "state.pt", weights_only=True)
    assert state["step"] == 2 * (len(hold_out(clips)[0]) // 4)
    assert equal(weights(run), weights(Run.load(run.folder)))


def test_a_damaged_checkpoint_is_one_clear_error(clips, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "calibrate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train(clips, tmp_path / "a")
    (tmp_path / "a" / "state.pt").write_bytes(b"half")
    with pytest.raises(InputError, match=r"state.pt: a damaged checkpoint"):
        train(clips, tmp_path / "a", resume=True)


def test_held_out_videos_are_not_trained_on(clips):
    chosen, held_out = hold_out(clips)
    trained = set(clips.index[chosen, 0].tolist())
    assert len(held_out) == 1
    assert len(trained) == 2
    scene, frames = held_out[0]
    assert scene == "one"
    left = set(range(3)) - trained
    assert np.array_equal(frames, clips.frames[left.pop()])


def test_of_a_single_video_the_tail_is_held_out_after_a_gap():
    clips = ClipDataset(moving_videos(1, length=60), DataConfig(length=8, crop=(16, 16)), progress=False)
    chosen, [(_, tail)] = hold_out(clips)
    last_trained_frame = clips.index[chosen, 1].max() + 8 - 1
    first_held_out = 60 - len(tail)
    assert len(tail) == 12
    assert first_held_out - last_trained_frame - 1 >= 8


def test_a_single_short_video_is_refused_by_name():
    clips = ClipDataset(moving_videos(1, length=20), DataConfig(length=8, crop=(16, 16)), progress=False)
    with pytest.raises(InputError, match=r"video 01: 20 frames"):
        hold_out(clips)


def test_the_rate_rises_then_falls_to_zero():
    rates = [schedule(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.5)
    assert max(rates) == rates[1]
    assert all(a > b for a, b in pairwise(rates[1:]))
    assert schedule(100, 100) == pytest.approx(0)


@pytest.mark.parametrize(
    ("field", "value"), [("epochs", 0), ("batch_size", 0), ("learning_rate", 0.0), ("seed", -1), ("objective", "maximise")]
)
def test_bad_values_are_refused_by_name(field, value):
    with pytest.raises(InputError, match=field):
        TrainConfig(**{field: value})


def test_fewer_clips_than_a_batch(clips, tmp_path):
    with pytest.raises(InputError, match="fewer than a batch of 5000"):
        train(clips, tmp_path / "a", TrainConfig(batch_size=5000))


def test_stopped_at_the_end_of_an_epoch_the_history_keeps_its_rows(clips, tmp_path, monkeypatch):
    train(clips, tmp_path / "a")
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0)
    save = Trainer.save

    def save_and_stop(self):
        save(self)
        if self.step % self.per_epoch in (0, self.per_epoch - 1):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "save", save_and_stop)
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                train(clips, tmp_path / "b", resume=True)
    train(clips, tmp_path / "b", resume=True)
    assert (tmp_path / "a" / "history.csv").read_text() == (tmp_path / "b" / "history.csv").read_text()


def test_a_refused_training_leaves_no_run_behind(clips, tmp_path):
    colour = DualPathAutoencoder(ModelConfig(width=8, slots=8, channels=3))
    with pytest.raises(InputError, match="clips of 1 channels, but the model takes 3"):
        fit(colour, clips, None, CONFIG, tmp_path / "a", progress=False)
    assert not (tmp_path / "a").exists()
    train(clips, tmp_path / "a")


@pytest.mark.parametrize("other", [AddNoise(grain=4), AddNoise((0.25, 0.5)), PasteObjects()])
def test_what_the_mixer_makes_is_part_of_a_run(clips, tmp_path, other):
    fit(DualPathAutoencoder(TINY), clips, PseudoAnomalyMixer([AddNoise()], 0.5), CONFIG, tmp_path / "a", progress=False)
    with pytest.raises(InputError, match=r"mixer\.kinds was"):
        fit(DualPathAutoencoder(TINY), clips, PseudoAnomalyMixer([other], 0.5), CONFIG, tmp_path / "a", resume=True, progress=False)


def test_the_order_of_the_kinds_is_part_of_a_run(clips, tmp_path):
    kinds = [SkipFrames(), ShuffleMotion()]
    fit(DualPathAutoencoder(TINY), clips, PseudoAnomalyMixer(kinds, 0.5), CONFIG, tmp_path / "a", progress=False)
    with pytest.raises(InputError, match=r"mixer.kinds was"):
        fit(DualPathAutoencoder(TINY), clips, PseudoAnomalyMixer(kinds[::-1], 0.5), CONFIG, tmp_path / "a", resume=True, progress=False)


def test_a_held_out_video_too_short_to_score_is_refused_before_training():
    """A clip of step 2 spans 15 frames, but scoring every frame takes 16."""
    clips = ClipDataset(moving_videos(3, length=15), DataConfig(length=8, frame_step=2, crop=(16, 16)), progress=False)
    with pytest.raises(InputError, match="15 frames, shorter than a clip of 16"):
        hold_out(clips)
