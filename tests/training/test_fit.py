"""Training ends where it should, whatever interrupts it, and never writes what it must not."""

import csv
import json
import pickle
import re
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch._inductor.exc
from refusals import refused
from scenes import moving_videos

from vadlib.config import ClipConfig, ModelConfig, TrainConfig
from vadlib.data.clips import ClipDataset
from vadlib.evaluation.calibration import Calibration
from vadlib.evaluation.evaluate import evaluate
from vadlib.model.losses import Term
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import Run
from vadlib.pseudo.kinds import ShuffleMotion, SkipFrames
from vadlib.pseudo.mixer import PseudoAnomalyMixer
from vadlib.training import fit as engine
from vadlib.training import trainer as training
from vadlib.training.fit import fit, hold_out
from vadlib.training.trainer import Trainer, schedule

TINY = ModelConfig(width=8, slots=8)
CUTTING = ClipConfig(length=8, crop=(16, 16), clip_step=8)
CONFIG = TrainConfig(epochs=2, batch_size=4, precision="fp32", device="cpu")


@pytest.fixture
def clips():
    return ClipDataset(moving_videos(3), CUTTING, progress=False)


def train(clips, out, config=CONFIG, **options):
    torch.manual_seed(0)
    mixer = PseudoAnomalyMixer([SkipFrames(), ShuffleMotion()], p=0.5)
    return fit(DualPathAutoencoder(TINY), clips, mixer, config, out, progress=False, **options)


@pytest.fixture
def unfinished(clips, tmp_path, monkeypatch):
    """The folder of a run that was stopped before it was calibrated."""
    with monkeypatch.context() as patch:
        patch.setattr(engine, "calibrate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train(clips, tmp_path / "unfinished")
    return tmp_path / "unfinished"


def weights(run):
    return {name: value.clone() for name, value in run.model.state_dict().items()}


def equal(one, two):
    return all(torch.equal(value, two[name]) for name, value in one.items())


def test_a_run_leaves_the_files_of_the_contract(clips, tmp_path):
    run = train(clips, tmp_path / "run")
    evaluate(run, moving_videos(2, labelled=True), "cpu", progress=False).save(run.folder)
    names = {p.name for p in run.folder.iterdir()}
    assert names == {
        "config.json",
        "model.safetensors",
        "calibration.npz",
        "state.pt",
        "history.csv",
        "metrics.json",
        "scores.npz",
    }
    rows = list(csv.DictReader((run.folder / "history.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(np.isfinite(float(value)) for row in rows for value in row.values())
    for row in rows:  # what the mixer made is counted over all steps of the epoch
        counts = [
            int(value) for name, value in row.items() if name.startswith(("made_", "not_made_"))
        ]
        assert len(counts) >= 2
        assert 0 < sum(counts) < len(clips)
    assert set(json.loads((run.folder / "config.json").read_text())) == {
        "dataset",
        "clips",
        "pseudo",
        "model",
        "training",
        "score",
        "clip_count",
        "fingerprint",
    }


def test_same_seed_same_weights_and_another_seed_others(clips, tmp_path):
    first = weights(train(clips, tmp_path / "a"))
    assert equal(first, weights(train(clips, tmp_path / "b")))
    other = replace(CONFIG, seed=1)
    assert not equal(first, weights(train(clips, tmp_path / "c", other)))


def test_the_number_of_readers_does_not_change_the_weights(clips, tmp_path):
    runs = [weights(train(clips, tmp_path / str(n), replace(CONFIG, workers=n))) for n in (0, 1, 2)]
    assert equal(runs[0], runs[1])
    assert equal(runs[0], runs[2])


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
    seen = []
    monkeypatch.setattr(
        Trainer,
        "update",
        lambda self, *arguments: seen.append(self.step) or update(self, *arguments),
    )
    resumed = train(clips, tmp_path / "b", resume=True)
    # it goes on; a training that began anew would end with the same weights
    assert seen[0] == 3 + 5 + 1
    assert equal(weights(undisturbed), weights(resumed))
    assert (tmp_path / "a" / "history.csv").read_text() == (
        tmp_path / "b" / "history.csv"
    ).read_text()


def test_a_finished_run_is_loaded_not_trained_again(clips, tmp_path, monkeypatch):
    first = weights(train(clips, tmp_path / "a"))
    monkeypatch.setattr(Trainer, "train", lambda *_: pytest.fail("trained again"))
    again = train(clips, tmp_path / "a", resume=True)
    assert equal(first, weights(again))
    assert not again.model.training


def test_an_existing_run_is_never_overwritten(clips, tmp_path):
    train(clips, tmp_path / "a")
    before = {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir()}
    with refused("already-exists", file=tmp_path / "a", field="out"):
        train(clips, tmp_path / "a")
    with refused(
        "other-run", file=tmp_path / "a" / "config.json", field="training.epochs"
    ) as caught:
        train(clips, tmp_path / "a", replace(CONFIG, epochs=3), resume=True)
    assert "was 2, now 3" in str(caught.error)
    assert {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir()} == before


def test_a_non_finite_step_never_reaches_the_weights_and_several_stop(clips, tmp_path, monkeypatch):
    real, seen = training.objective_terms, []

    def poisoned(model, *batch):
        terms = real(model, *batch)
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        value, count = terms["rebuild"]
        return {**terms, "rebuild": Term(value * float("nan"), count)} if len(seen) > 3 else terms

    monkeypatch.setattr(training, "objective_terms", poisoned)
    with refused("diverged", field="TrainConfig.learning_rate"):
        train(clips, tmp_path / "a")
    assert len(seen) == 3 + training.MAX_BAD_STEPS
    assert not equal(seen[2], seen[3])
    assert equal(seen[3], seen[-1])


def test_a_non_finite_step_does_not_reach_batch_norms_statistics(clips, tmp_path, monkeypatch):
    """They change in the forward pass, long before a loss is known."""
    torch.manual_seed(0)
    model = DualPathAutoencoder(ModelConfig(network="published", width=8, slots=8))
    real, seen = training.Loss.forward, []

    def poisoned(self, normal, inputs, is_pseudo):
        seen.append(1)
        return real(self, normal, inputs * (float("inf") if len(seen) == 4 else 1), is_pseudo)

    monkeypatch.setattr(training.Loss, "forward", poisoned)
    run = fit(
        model,
        clips,
        PseudoAnomalyMixer([ShuffleMotion()], 0.5),
        CONFIG,
        tmp_path / "a",
        progress=False,
    )
    assert all(torch.isfinite(value).all() for value in run.model.state_dict().values())
    assert np.isfinite(Calibration.load(tmp_path / "a" / "calibration.npz").threshold)


@pytest.mark.parametrize(
    ("error", "code", "field"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
            "out-of-memory",
            "TrainConfig.batch_size",
        ),
        (torch._inductor.exc.InvalidCxxCompiler(), "not-available", "TrainConfig.compile"),
    ],
    ids=["memory", "compiler"],
)
def test_what_the_machine_lacks_is_one_clear_error(
    clips, tmp_path, monkeypatch, error, code, field
):
    def fail(*_):
        raise error

    monkeypatch.setattr(training.Loss, "forward", fail)
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: None)
    with refused(code, field=field):
        train(clips, tmp_path / "a", replace(CONFIG, compile=True))


def test_going_on_in_another_precision_is_said(clips, unfinished, capsys):
    train(clips, unfinished, resume=True)
    assert "bfloat16" not in capsys.readouterr().out
    (unfinished / "calibration.npz").unlink()
    state = torch.load(unfinished / "state.pt", weights_only=True)
    state["computed"] = {"precision": "torch.bfloat16", "processes": 1}
    torch.save(state, unfinished / "state.pt")
    train(clips, unfinished, resume=True)
    said = capsys.readouterr().out
    assert "torch.float32" in said
    assert "torch.bfloat16" in said


@pytest.mark.parametrize("part", ["model", "step", "optimizer", "counts"])
def test_a_checkpoint_that_lacks_a_part_is_damaged(clips, unfinished, part):
    state = torch.load(unfinished / "state.pt", weights_only=True)
    del state[part]
    torch.save(state, unfinished / "state.pt")
    with refused("damaged-file", file=unfinished / "state.pt") as caught:
        train(clips, unfinished, resume=True)
    assert repr(part) in str(caught.error)


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
    with refused("diverged", field="TrainConfig.learning_rate"):
        train(clips, tmp_path / "a")
    assert all(torch.isfinite(p).all() for p in before["trainer"].model.parameters())


@pytest.mark.slow
def test_a_compiled_training_computes_the_same(clips, tmp_path, monkeypatch):
    """With the compiler's last stage left out, which would need a C++ compiler and a minute."""
    real, used = torch.nn.Module.compile, []
    monkeypatch.setattr(
        torch.nn.Module,
        "compile",
        lambda self: used.append(self) or real(self, backend="aot_eager"),
    )
    plain, compiled = (
        train(clips, tmp_path / str(on), replace(CONFIG, epochs=1, compile=on))
        for on in (False, True)
    )
    assert len(used) == 1
    for name, value in weights(plain).items():
        torch.testing.assert_close(weights(compiled)[name], value, rtol=1e-3, atol=1e-4)
    assert equal(weights(compiled), weights(Run.load(compiled.folder)))


@pytest.mark.gpu
def test_a_checkpoint_of_a_gpu_goes_on_without_one(clips, unfinished, monkeypatch):
    """A file whose tensors say that they lay on a GPU, as `torch.save` writes it there."""
    state = torch.load(unfinished / "state.pt", weights_only=True)
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        torch.save(state, unfinished / "state.pt")
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):
            torch.load(unfinished / "state.pt", weights_only=True)
    run = train(clips, unfinished, resume=True)
    assert equal(state["model"], weights(run))


def test_a_checkpoint_of_another_shape_is_refused_in_one_line(clips, unfinished):
    state = torch.load(unfinished / "state.pt", weights_only=True)
    state["model"]["normal_memory.slots"] = torch.zeros(5, 32)
    torch.save(state, unfinished / "state.pt")
    with refused("other-run", file=unfinished / "state.pt") as caught:
        train(clips, unfinished, resume=True)
    assert "\n" not in str(caught.error)
    for part in ("normal_memory.slots", "(5, 32)", "(8, 32)"):
        assert part in str(caught.error)


def test_a_hostile_checkpoint_is_refused_and_not_run(clips, unfinished):
    class Hostile:
        def __reduce__(self):
            return pytest.fail, ("unpickled",)

    (unfinished / "state.pt").write_bytes(pickle.dumps(Hostile(), protocol=2))
    with refused("damaged-file", file=unfinished / "state.pt"):
        train(clips, unfinished, resume=True)


def test_other_clips_are_another_training(clips, unfinished):
    fewer = ClipDataset(moving_videos(3), CUTTING, {}, progress=False)
    fewer.index = fewer.index[:-1]
    with refused("other-run", file=unfinished / "config.json") as caught:
        train(fewer, unfinished, resume=True)
    assert caught.error.field in ("clip_count", "fingerprint")
    boxes = {v.name: [np.float32([[1, 2, 3, 4]])] * len(v) for v in moving_videos(3)}
    boxed = ClipDataset(moving_videos(3), CUTTING, boxes, progress=False)
    with refused("other-run", file=unfinished / "config.json", field="fingerprint"):
        train(boxed, unfinished, resume=True)
    moved = ClipDataset(moving_videos(3), CUTTING, progress=False)
    # the same names, lengths and windows
    moved.frames = [np.asarray(frames) // 2 for frames in moved.frames]
    with refused("other-run", file=unfinished / "config.json", field="fingerprint"):
        train(moved, unfinished, resume=True)
    train(clips, unfinished, resume=True)


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
    clips = ClipDataset(
        moving_videos(1, length=60), ClipConfig(length=8, crop=(16, 16)), progress=False
    )
    chosen, [(_, tail)] = hold_out(clips)
    last_trained_frame = clips.index[chosen, 1].max() + 8 - 1
    first_held_out = 60 - len(tail)
    assert len(tail) == 12
    assert first_held_out - last_trained_frame - 1 >= 8


def test_a_single_short_video_is_refused_by_name():
    clips = ClipDataset(
        moving_videos(1, length=20), ClipConfig(length=8, crop=(16, 16)), progress=False
    )
    with refused("too-few") as caught:
        hold_out(clips)
    for number in ("01", "20", "32"):  # the video, its frames, the frames that are needed
        assert number in re.findall(r"\d+", str(caught.error))


def test_the_rate_rises_then_falls_to_zero():
    rates = [schedule(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.5)
    assert max(rates) == rates[1]
    assert all(a > b for a, b in pairwise(rates[1:]))
    assert schedule(100, 100) == pytest.approx(0)


def test_fewer_clips_than_a_batch(clips, tmp_path):
    with refused("too-few", field="TrainConfig.batch_size") as caught:
        train(clips, tmp_path / "a", TrainConfig(batch_size=5000))
    assert re.findall(r"\d+", str(caught.error)) == [str(len(hold_out(clips)[0])), "5000"]


def test_fewer_clips_in_a_batch_than_processes(clips, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "processes", lambda: SimpleNamespace(num_processes=5))
    with refused("conflict", field="TrainConfig.batch_size") as caught:
        train(clips, tmp_path / "a")
    assert re.findall(r"\d+", str(caught.error)) == ["4", "5"]
    assert not (tmp_path / "a").exists()


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
    assert (tmp_path / "a" / "history.csv").read_text() == (
        tmp_path / "b" / "history.csv"
    ).read_text()


def test_a_refused_training_leaves_no_run_behind(clips, tmp_path):
    colour = DualPathAutoencoder(ModelConfig(width=8, slots=8, channels=3))
    with refused("wrong-shape", field="ModelConfig.channels") as caught:
        fit(colour, clips, None, CONFIG, tmp_path / "a", progress=False)
    assert re.findall(r"\d+", str(caught.error)) == ["1", "3"]
    assert not (tmp_path / "a").exists()
    train(clips, tmp_path / "a")


def test_a_held_out_video_too_short_to_score_is_refused_before_training():
    """A clip of step 2 spans 15 frames, but scoring every frame takes 16."""
    clips = ClipDataset(
        moving_videos(3, length=15),
        ClipConfig(length=8, frame_step=2, crop=(16, 16)),
        progress=False,
    )
    with refused("too-short") as caught:
        hold_out(clips)
    assert re.findall(r"\d+", str(caught.error))[1:3] == ["15", "16"]
