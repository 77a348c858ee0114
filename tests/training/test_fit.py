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
from vadlib.pseudo.kinds import AddNoise, PasteObjects, ShuffleMotion, SkipFrames
from vadlib.pseudo.mixer import PseudoAnomalyMixer
from vadlib.training import fit as engine
from vadlib.training import trainer as training
from vadlib.training.fit import fit, hold_out
from vadlib.training.trainer import Trainer, schedule

TINY = ModelConfig(width=8, slots=8)
CLIPS = ClipConfig(length=8, crop=(16, 16), clip_step=8)
CONFIG = TrainConfig(epochs=2, batch_size=4, precision="fp32", device="cpu")
KINDS = (SkipFrames(), ShuffleMotion())


def cut(config=CLIPS, boxes=None, count=3, **options):
    return ClipDataset(moving_videos(count, **options), config, boxes, progress=False)


@pytest.fixture
def clips():
    return cut()


def train(clips, out, config=CONFIG, kinds=KINDS, model=TINY, **options):
    torch.manual_seed(0)
    mixer = PseudoAnomalyMixer(kinds, p=0.5)
    return fit(DualPathAutoencoder(model), clips, mixer, config, out, progress=False, **options)


@pytest.fixture
def unfinished(clips, tmp_path, monkeypatch):
    """The folder of a run that was stopped before it was calibrated."""
    with monkeypatch.context() as patch:
        patch.setattr(engine, "calibrate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train(clips, tmp_path / "unfinished")
    return tmp_path / "unfinished"


def checkpoint(folder):
    return torch.load(folder / "state.pt", weights_only=True)


def weights(run):
    return {name: value.clone() for name, value in run.model.state_dict().items()}


def equal(one, two):
    return all(torch.equal(value, two[name]) for name, value in one.items())


def history(folder):
    return (folder / "history.csv").read_text()


def test_a_run_leaves_the_files_of_the_contract(clips, tmp_path):
    run = train(clips, tmp_path / "run")
    evaluate(run, moving_videos(2, labelled=True), "cpu", progress=False).save(run.folder)
    names = "config.json model.safetensors calibration.npz state.pt history.csv"
    names += " metrics.json scores.npz"
    assert {path.name for path in run.folder.iterdir()} == set(names.split())
    rows = list(csv.DictReader((run.folder / "history.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(np.isfinite(float(value)) for row in rows for value in row.values())
    for row in rows:  # what the mixer made is counted over all steps of the epoch
        counts = [int(value) for name, value in row.items() if "made_" in name]
        assert len(counts) >= 2
        assert 0 < sum(counts) < len(clips)
    parts = "dataset clips pseudo model training score clip_count fingerprint"
    assert set(json.loads((run.folder / "config.json").read_text())) == set(parts.split())


def test_same_seed_same_weights_and_another_seed_others(clips, tmp_path):
    first = weights(train(clips, tmp_path / "a"))
    # reading processes change nothing
    assert equal(first, weights(train(clips, tmp_path / "b", replace(CONFIG, workers=2))))
    assert not equal(first, weights(train(clips, tmp_path / "c", replace(CONFIG, seed=1))))


def test_an_interrupted_training_ends_bit_identical(clips, tmp_path, monkeypatch):
    """Stopped in the middle of an epoch, several times; a checkpoint after every step."""
    undisturbed = train(clips, tmp_path / "a")
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0)
    update = Trainer.update
    stops = [3, 8, 9]
    seen = []

    def interrupted(self, *arguments):
        if self.step in stops:
            stops.remove(self.step)
            raise KeyboardInterrupt
        seen.append(self.step)
        return update(self, *arguments)

    monkeypatch.setattr(Trainer, "update", interrupted)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            train(clips, tmp_path / "b", resume=True)
    resumed = train(clips, tmp_path / "b", resume=True)
    # it continues; a training that began again would end with the same weights
    assert seen == list(range(len(seen)))
    assert equal(weights(undisturbed), weights(resumed))
    assert history(tmp_path / "a") == history(tmp_path / "b")


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
    assert history(tmp_path / "a") == history(tmp_path / "b")


def test_a_finished_run_is_loaded_not_trained_again_and_never_overwritten(
    clips, tmp_path, monkeypatch
):
    folder = tmp_path / "a"
    first = weights(train(clips, folder))
    monkeypatch.setattr(Trainer, "train", lambda *_: pytest.fail("trained again"))
    again = train(clips, folder, resume=True)
    assert equal(first, weights(again))
    assert not again.model.training
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with refused("already-exists", file=folder, field="out"):
        train(clips, folder)
    with refused("other-run", file=folder / "config.json", field="training.epochs") as caught:
        train(clips, folder, replace(CONFIG, epochs=3), resume=True)
    assert "was 2, now 3" in str(caught.error)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("kinds", "field"),
    [
        ([AddNoise(grain=4), SkipFrames()], "grain"),
        ([AddNoise((0.25, 0.5)), SkipFrames()], "strengths"),
        ([PasteObjects(), SkipFrames()], "kinds"),
        ([SkipFrames(), AddNoise()], "kinds"),
    ],
    ids=["grain", "strength", "kind", "order"],
)
def test_what_the_mixer_makes_is_part_of_a_run(clips, tmp_path, kinds, field):
    train(clips, tmp_path, replace(CONFIG, epochs=1), [AddNoise(), SkipFrames()], resume=True)
    with refused("other-run", file=tmp_path / "config.json", field=f"pseudo.{field}"):
        train(clips, tmp_path, replace(CONFIG, epochs=1), kinds, resume=True)


def test_kinds_of_different_grain_are_refused(clips, tmp_path):
    """config.json has one grain for all, so it could not repeat the run."""
    with refused("conflict", field="PseudoConfig.grain"):
        train(clips, tmp_path / "a", kinds=[AddNoise(), SkipFrames(), AddNoise(grain=8)])
    assert not (tmp_path / "a").exists()
    train(clips, tmp_path / "a", kinds=[AddNoise(0.5, grain=8), AddNoise(grain=8)])


def test_a_non_finite_step_never_reaches_the_weights_and_several_stop(clips, tmp_path, monkeypatch):
    real = training.objective_terms
    seen = []

    def poisoned(model, *batch):
        terms = real(model, *batch)
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        if len(seen) <= 3:
            return terms
        value, count = terms["rebuild"]
        return terms | {"rebuild": Term(value * float("nan"), count)}

    monkeypatch.setattr(training, "objective_terms", poisoned)
    with refused("diverged", field="TrainConfig.learning_rate"):
        train(clips, tmp_path / "a")
    assert len(seen) == 3 + training.MAX_BAD_STEPS
    assert not equal(seen[2], seen[3])
    assert equal(seen[3], seen[-1])


def test_a_non_finite_gradient_alone_is_skipped_too(clips, tmp_path, monkeypatch):
    real = training.objective_terms
    models = []

    def poisoned(model, *batch):
        models.append(model)
        # A term of value 0 whose gradient is infinite: d sqrt(x) / dx at 0.
        zero = sum(p.sum() for p in model.parameters()) * 0
        return {**real(model, *batch), "extra": Term(zero.sqrt() * 1.0, torch.tensor(1.0))}

    monkeypatch.setattr(training, "objective_terms", poisoned)
    with refused("diverged", field="TrainConfig.learning_rate"):
        train(clips, tmp_path / "a")
    assert all(torch.isfinite(p).all() for p in models[0].parameters())


def test_an_epoch_of_skipped_steps_leaves_a_row_without_terms(clips, tmp_path, monkeypatch):
    per_epoch = len(hold_out(clips)[0]) // CONFIG.batch_size
    real = training.objective_terms
    calls = []

    def poisoned(model, *batch):
        calls.append(1)
        factor = float("nan") if len(calls) <= per_epoch else 1.0
        terms = real(model, *batch)
        return {name: Term(term.value * factor, term.clips) for name, term in terms.items()}

    monkeypatch.setattr(training, "MAX_BAD_STEPS", per_epoch + 1)
    monkeypatch.setattr(training, "objective_terms", poisoned)
    run = train(clips, tmp_path / "a")
    first, second = csv.DictReader((run.folder / "history.csv").open())
    assert (first["epoch"], first["rebuild"]) == ("1", "")
    assert float(second["rebuild"]) > 0


def test_a_non_finite_step_does_not_reach_batch_norms_statistics(clips, tmp_path, monkeypatch):
    """They change in the forward pass, long before a loss is known."""
    real = training.Loss.forward
    seen = []

    def poisoned(self, normal, inputs, is_pseudo):
        seen.append(1)
        return real(self, normal, inputs * (float("inf") if len(seen) == 4 else 1), is_pseudo)

    monkeypatch.setattr(training.Loss, "forward", poisoned)
    run = train(clips, tmp_path / "a", model=replace(TINY, network="published"))
    assert all(torch.isfinite(value).all() for value in weights(run).values())
    assert np.isfinite(Calibration.load(tmp_path / "a" / "calibration.npz").threshold)


@pytest.mark.parametrize(
    ("error", "code", "field"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "out-of-memory", "batch_size"),
        (torch._inductor.exc.InvalidCxxCompiler(), "not-available", "compile"),
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
    with refused(code, field=f"TrainConfig.{field}"):
        train(clips, tmp_path / "a", replace(CONFIG, compile=True))


def test_going_on_in_another_precision_is_told(clips, unfinished, capsys):
    train(clips, unfinished, resume=True)
    assert "bfloat16" not in capsys.readouterr().out
    (unfinished / "calibration.npz").unlink()
    computed = {"precision": "torch.bfloat16", "processes": 1}
    torch.save(checkpoint(unfinished) | {"computed": computed}, unfinished / "state.pt")
    train(clips, unfinished, resume=True)
    output = capsys.readouterr().out
    assert "torch.float32" in output
    assert "torch.bfloat16" in output


@pytest.mark.parametrize("part", ["model", "step", "optimizer", "counts"])
def test_a_checkpoint_that_lacks_a_part_is_damaged(clips, unfinished, part):
    state = checkpoint(unfinished)
    del state[part]
    torch.save(state, unfinished / "state.pt")
    with refused("damaged-file", file=unfinished / "state.pt") as caught:
        train(clips, unfinished, resume=True)
    assert repr(part) in str(caught.error)


def test_a_checkpoint_of_another_shape_is_refused_in_one_line(clips, unfinished):
    state = checkpoint(unfinished)
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


@pytest.mark.gpu
def test_a_checkpoint_of_a_gpu_goes_on_without_one(clips, unfinished, monkeypatch):
    """A file whose tensors say that they lay on a GPU, as `torch.save` writes it there."""
    state = checkpoint(unfinished)
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        torch.save(state, unfinished / "state.pt")
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):
            checkpoint(unfinished)
    run = train(clips, unfinished, resume=True)
    assert equal(state["model"], weights(run))


@pytest.mark.slow
def test_a_compiled_training_computes_the_same(clips, tmp_path, monkeypatch):
    """With the compiler's last stage left out, which would need a C++ compiler and a minute."""
    real = torch.nn.Module.compile
    used = []

    def compile_once(self):
        used.append(self)
        real(self, backend="aot_eager")

    monkeypatch.setattr(torch.nn.Module, "compile", compile_once)
    plain = train(clips, tmp_path / "plain", replace(CONFIG, epochs=1))
    compiled = train(clips, tmp_path / "compiled", replace(CONFIG, epochs=1, compile=True))
    assert len(used) == 1
    for name, value in weights(plain).items():
        torch.testing.assert_close(weights(compiled)[name], value, rtol=1e-3, atol=1e-4)
    assert equal(weights(compiled), weights(Run.load(compiled.folder)))


def test_other_clips_are_another_training(clips, unfinished):
    fewer, moved = cut(), cut()
    fewer.index = fewer.index[:-1]
    # the same names, lengths and windows
    moved.frames = [np.asarray(frames) // 2 for frames in moved.frames]
    box = np.float32([[1, 2, 3, 4]])
    boxes = {video.name: list(np.tile(box, (40, 1, 1))) for video in clips.videos}
    for other in (fewer, moved, cut(boxes=boxes)):
        with refused("other-run", file=unfinished / "config.json") as caught:
            train(other, unfinished, resume=True)
        assert caught.error.field == ("clip_count" if other is fewer else "fingerprint")
    train(clips, unfinished, resume=True)


def test_held_out_videos_are_not_trained_on(clips):
    positions, [(scene, frames)] = hold_out(clips)
    trained = set(clips.index[positions, 0].tolist())
    assert (len(trained), scene) == (2, "one")
    [held_out] = {0, 1, 2} - trained
    assert np.array_equal(frames, clips.frames[held_out])


def test_of_a_single_video_the_tail_is_held_out_after_a_gap():
    clips = cut(replace(CLIPS, clip_step=1), count=1, length=60)
    positions, [(_, tail)] = hold_out(clips)
    assert len(tail) == 12
    last_trained_frame = clips.index[positions, 1].max() + 8 - 1
    assert 60 - len(tail) - last_trained_frame - 1 >= 8


def test_a_single_short_video_is_refused_by_name():
    with refused("too-few") as caught:
        hold_out(cut(count=1, length=20))
    # the video, its frames, the frames that are needed
    assert {"01", "20", "32"} <= set(re.findall(r"\d+", str(caught.error)))


def test_a_held_out_video_too_short_to_score_is_refused_before_training():
    """A clip of step 2 spans 15 frames, but scoring every frame takes 16."""
    with refused("too-short") as caught:
        hold_out(cut(replace(CLIPS, frame_step=2), length=15))
    assert re.findall(r"\d+", str(caught.error))[1:3] == ["15", "16"]


def test_the_rate_rises_then_falls_to_zero():
    rates = [schedule(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.5)
    assert max(rates) == rates[1]
    assert all(a > b for a, b in pairwise(rates[1:]))
    assert schedule(100, 100) == pytest.approx(0)


def test_a_refused_training_leaves_no_run_behind(clips, tmp_path, monkeypatch):
    def refuse(code, field, numbers, **options):
        with refused(code, field=field) as caught:
            train(clips, tmp_path / "a", **options)
        assert re.findall(r"\d+", str(caught.error)) == numbers
        assert not (tmp_path / "a").exists()

    refuse("wrong-shape", "ModelConfig.channels", ["1", "3"], model=replace(TINY, channels=3))
    count = str(len(hold_out(clips)[0]))
    too_large = replace(CONFIG, batch_size=5000)
    refuse("too-few", "TrainConfig.batch_size", [count, "5000"], config=too_large)
    monkeypatch.setattr(engine, "processes", lambda: SimpleNamespace(num_processes=5))
    refuse("conflict", "TrainConfig.batch_size", ["4", "5"])
    monkeypatch.undo()
    train(clips, tmp_path / "a")
