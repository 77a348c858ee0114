"""Training ends where it should, whatever interrupts it, and never writes what it must not."""

import csv
import json
import math
import pickle
import shutil
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
import torch._inductor.exc
from refusals import refused
from scenes import moving_videos
from tiny import CLIPS, CONFIG, KINDS, MODEL, cut, train

import vadlib as vad
from vadlib.evaluation.calibration import Calibration
from vadlib.evaluation.scores import COMPONENTS, Contrast
from vadlib.training import trainer as training
from vadlib.training.fit import hold_out

ONE_EPOCH = replace(CONFIG, epochs=1)
PER_EPOCH = 26  # steps


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return train(tmp_path_factory.mktemp("runs") / "finished")


@pytest.fixture
def unfinished(finished, tmp_path):
    """The folder of a run that was stopped before it was calibrated, and its checkpoint."""
    folder = shutil.copytree(finished.folder, tmp_path / "unfinished")
    (folder / "calibration.npz").unlink()
    return folder, torch.load(folder / "state.pt", weights_only=True)


def equal(one, two):
    states = [run.model.state_dict().values() for run in (one, two)]
    return all(map(torch.equal, *states))


def history(run):
    return list(csv.DictReader((run.folder / "history.csv").open()))


def contents(run):
    return {path.name: path.read_bytes() for path in run.folder.iterdir()}


def test_a_run_leaves_the_files_of_the_contract(finished):
    names = "config.json model.safetensors calibration.npz state.pt history.csv"
    assert set(contents(finished)) == set(names.split())
    parts = "dataset clips pseudo model training score clip_count fingerprint"
    assert set(json.loads(contents(finished)["config.json"])) == set(parts.split())
    rows = history(finished)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    for row in rows:  # what the mixer made is counted over all steps of the epoch
        assert all(math.isfinite(float(value)) for value in row.values())
        assert 0 < sum(int(row[f"made_{kind.name}"]) for kind in KINDS) < 4 * PER_EPOCH


def test_an_interrupted_training_ends_bit_identical(finished, tmp_path, monkeypatch):
    """Stopped before steps and around the ends of epochs, continued with processes that read."""
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0)
    update, save = training.Trainer.update, training.Trainer.save
    stops = [("update", 3), ("save", PER_EPOCH - 1), ("save", PER_EPOCH), ("update", 50)]
    steps = []

    def stop(name, step):
        if stops and stops[0] == (name, step):
            del stops[0]
            raise KeyboardInterrupt

    def stopping_update(self, *arguments):
        stop("update", self.step)
        steps.append(self.step)
        return update(self, *arguments)

    def stopping_save(self):
        save(self)
        stop("save", self.step)

    monkeypatch.setattr(training.Trainer, "update", stopping_update)
    monkeypatch.setattr(training.Trainer, "save", stopping_save)
    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, resume=True)
    resumed = train(tmp_path, config=replace(CONFIG, workers=2), resume=True)
    # It continues; a training that began again would end with the same weights.
    assert steps == list(range(2 * PER_EPOCH))
    assert equal(finished, resumed)
    assert history(finished) == history(resumed)


def darker_clips():
    """The names, lengths and windows are the same."""
    clips = cut()
    clips.frames = [np.asarray(frames) // 2 for frames in clips.frames]
    return clips


BOXES = {name: [np.ones((1, 4), np.float32)] * 40 for name in ("01", "02", "03")}
CHANGES = [
    ("training.epochs", lambda: {"config": ONE_EPOCH}),
    ("pseudo.grain", lambda: {"kinds": [*KINDS[:2], vad.AddNoise(grain=4)]}),
    ("pseudo.strengths", lambda: {"kinds": [*KINDS[:2], vad.AddNoise((0.25, 0.5))]}),
    ("pseudo.kinds", lambda: {"kinds": KINDS[::-1]}),
    ("clip_count", lambda: {"clips": cut(count=4)}),
    ("fingerprint", lambda: {"clips": darker_clips()}),
    ("fingerprint", lambda: {"clips": cut(boxes=BOXES)}),
]


def test_a_finished_run_is_loaded_and_never_overwritten(finished, monkeypatch):
    monkeypatch.setattr(training.Trainer, "train", lambda *_: pytest.fail("trained again"))
    before = contents(finished)
    again = train(finished.folder, resume=True)
    assert equal(finished, again)
    assert not again.model.training
    with refused("already-exists", file=finished.folder, field="out"):
        train(finished.folder)
    for field, options in CHANGES:
        with refused("other-run", file=finished.folder / "config.json", field=field):
            train(finished.folder, resume=True, **options())
    assert contents(finished) == before


@pytest.mark.parametrize("poison", ["loss", "gradient"])
def test_non_finite_steps_never_reach_the_weights_and_stop(tmp_path, monkeypatch, poison):
    """Batch norm's statistics change in the forward pass, long before a loss is known."""
    forward = training.Loss.forward
    states = []

    def poisoned(self, normal, inputs, is_pseudo):
        states.append(torch.cat([value.flatten() for value in self.state_dict().values()]))
        is_poisoned = len(states) > 3
        factor = math.inf if is_poisoned and poison == "loss" else 1
        loss, terms = forward(self, normal, inputs * factor, is_pseudo)
        # The square root of 0 has an infinite gradient.
        zero = sum(p.sum() for p in self.parameters()) * 0
        return loss + zero.sqrt() if is_poisoned and poison == "gradient" else loss, terms

    monkeypatch.setattr(training.Loss, "forward", poisoned)
    with refused("diverged", field="TrainConfig.learning_rate"):
        train(tmp_path, model=replace(MODEL, network="published"))
    assert len(states) == 3 + training.MAX_BAD_STEPS
    assert not torch.equal(states[2], states[3])
    assert torch.equal(states[3], states[-1])
    assert list(tmp_path.iterdir()) == []  # so the folder takes another training


MACHINES = [
    (torch.OutOfMemoryError("CUDA out of memory"), "out-of-memory", "batch_size"),
    (RuntimeError("DefaultCPUAllocator: no memory"), "out-of-memory", "batch_size"),
    (torch._inductor.exc.InvalidCxxCompiler(), "not-available", "compile"),
]


def test_what_the_machine_lacks_is_one_clear_error(tmp_path, monkeypatch):
    for error, code, field in MACHINES:
        monkeypatch.setattr(training.Loss, "forward", Mock(side_effect=error))
        with refused(code, field=f"TrainConfig.{field}"):
            train(tmp_path)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", ["model", "step", "optimizer", "counts", "slots", "Weights only"])
def test_a_checkpoint_that_does_not_fit_is_refused_in_one_line(unfinished, part):
    """One part is missing, of another shape, or the file is a pickle that would run code."""
    folder, state = unfinished
    state["model"]["normal_memory.slots"] = torch.zeros(5, 32)
    state.pop(part, None)
    torch.save(state, folder / "state.pt")
    if part == "Weights only":
        (folder / "state.pt").write_bytes(pickle.dumps(pytest.fail, protocol=2))
    with refused("other-run" if part == "slots" else "damaged-file") as caught:
        train(folder, resume=True)
    assert caught.error.file == folder / "state.pt"
    assert part in str(caught.error)
    assert "\n" not in str(caught.error)


@pytest.mark.gpu
def test_a_checkpoint_of_a_gpu_continues_without_one(finished, unfinished, monkeypatch):
    """A file whose tensors say that they lay on a GPU, as `torch.save` writes it there."""
    folder, state = unfinished
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
    torch.save(state, folder / "state.pt")
    assert equal(finished, train(folder, resume=True))


def test_bf16_learns_and_ranks_as_float32(finished, tmp_path, monkeypatch):
    """On every CPU: where it is not native it is emulated, and slow."""
    monkeypatch.setenv("VADLIB_PRECISION", "bf16")
    half = train(tmp_path, config=replace(CONFIG, precision="auto"))
    assert not equal(finished, half)
    errors = [float(history(run)[-1]["rebuild"]) for run in (finished, half)]
    assert errors[1] == pytest.approx(errors[0], rel=0.1)
    config = finished.config.changed({"training": {"precision": "auto"}})
    scores = []
    for run in (finished, replace(finished, config=config)):
        result = vad.evaluate(run, moving_videos(2, labelled=True), "cpu", progress=False)
        scores.append(np.concatenate(list(result.raw.values())))
    assert 0.99 < np.corrcoef(*scores)[0, 1] < 1


def test_a_continued_training_notes_another_setup_and_refuses_nan(unfinished):
    folder, state = unfinished
    state["setup"] = ["torch.bfloat16", 2]
    list(state["model"].values())[-1].fill_(math.nan)
    torch.save(state, folder / "state.pt")
    with pytest.warns(UserWarning, match="precision"), refused("diverged", file=folder):
        train(folder, resume=True)


def test_held_out_videos_are_not_trained_on():
    clips = cut()
    positions, [(_, frames)] = hold_out(clips)
    assert set(clips.index[positions, 0].tolist()) == {0, 2}
    assert np.array_equal(frames, clips.frames[1])
    # Of a single video the tail is held out, after a gap.
    clips = cut(replace(CLIPS, clip_step=1), count=1, length=60)
    positions, [(_, tail)] = hold_out(clips)
    assert len(tail) == 12
    assert clips.index[positions, 1].max() + 8 <= 60 - len(tail) - 8
    with refused("too-few"):
        hold_out(cut(count=1, length=23))
    # A clip of step 2 spans 15 frames, but scoring every frame takes 16.
    with refused("too-short"):
        hold_out(cut(replace(CLIPS, frame_step=2), length=15))


def test_defect_15_the_order_is_shuffled_and_differs_between_epochs():
    samples = training.Samples(cut(), np.arange(100), None, seed=3)
    first, second = (np.array(samples.batches(epoch, size=100)[0]) for epoch in (0, 1))
    assert set(second[:, 0]) == {1}
    assert first[:, 1].tolist() != second[:, 1].tolist() != list(range(100))
    assert sorted(second[:, 1]) == list(range(100))


REFUSED = [
    ("wrong-shape", "ModelConfig.channels", {"model": replace(MODEL, channels=3)}),
    ("too-few", "TrainConfig.batch_size", {"config": replace(CONFIG, batch_size=5000)}),
    ("conflict", "PseudoConfig.grain", {"kinds": [vad.AddNoise(), vad.AddNoise(grain=8)]}),
    ("conflict", "TrainConfig.batch_size", {}),
]


def test_a_refused_training_leaves_no_run_behind(tmp_path, monkeypatch):
    for code, field, options in REFUSED:
        if not options:
            monkeypatch.setattr(training, "processes", Mock(return_value=Mock(num_processes=5)))
        with refused(code, field=field):
            train(tmp_path / "a", **options)
        assert not (tmp_path / "a").exists()


# objective, kinds, p, model, weight of the contrast
RECIPES = [
    ("inpaint", KINDS, 0.5, MODEL, 1),
    ("inpaint", KINDS, 0.5, replace(MODEL, memories=1, decoders=1), 0),
    ("inpaint", KINDS, 0.0, MODEL, 0),
    ("inpaint", [vad.PasteObjects()], 0.5, MODEL, 0),  # no boxes, so none could be made
    ("maximize", KINDS, 0.5, MODEL, 0),  # D_p must fail
]


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_contrast_counts_where_the_pseudo_path_has_learned(tmp_path, monkeypatch, recipe):
    weight = recipe[-1]
    monkeypatch.setitem(COMPONENTS, "mine", Contrast())
    score = vad.ScoreConfig(frames=8, weights={"mine": 1})
    config = replace(ONE_EPOCH, objective=recipe[0])
    train(tmp_path, None, config, *recipe[1:-1], score=score)
    stored = Calibration.load(tmp_path / "calibration.npz").score_config
    assert stored == replace(score, contrast=weight, weights={"mine": weight})
