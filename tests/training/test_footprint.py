"""The estimate of memory is near what torch allocates, and a training that cannot fit says which
batch would.
"""

import re
from dataclasses import replace

import psutil
import pytest
import torch
from refusals import refused
from scenes import moving_videos
from torch.profiler import ProfilerActivity, profile

from vadlib.config import ClipConfig, ModelConfig, TrainConfig
from vadlib.data.clips import ClipDataset
from vadlib.model.network import DualPathAutoencoder
from vadlib.pseudo.kinds import ShuffleMotion
from vadlib.pseudo.mixer import PseudoAnomalyMixer
from vadlib.training import footprint
from vadlib.training.fit import fit
from vadlib.training.footprint import HOLES, Footprint, estimate_footprint
from vadlib.training.samples import Samples, load_batches
from vadlib.training.trainer import Loss, Trainer

CONFIG = TrainConfig(epochs=1, batch_size=4, precision="fp32", device="cpu")


@pytest.fixture
def clips():
    return ClipDataset(
        moving_videos(3), ClipConfig(length=8, crop=(32, 32), clip_step=8), progress=False
    )


def make(clips, out, config=CONFIG, **shape):
    torch.manual_seed(0)
    samples = Samples(clips, range(len(clips)), PseudoAnomalyMixer([ShuffleMotion()], 0.5), 0)
    trainer = Trainer(
        DualPathAutoencoder(ModelConfig(width=8, slots=8, **shape)),
        samples,
        config,
        torch.device("cpu"),
        out,
    )
    return trainer, next(load_batches(samples, samples.batches(0, 4)[:1], 0, False))


@pytest.mark.parametrize("objective", ["inpaint", "maximize"])
@pytest.mark.parametrize("network", ["fast", "published"])
def test_what_is_counted_is_what_torch_keeps(clips, tmp_path, network, objective):
    """torch's profiler counts every allocation and release of the same step."""
    config = replace(CONFIG, objective=objective, separation_weight=1.0)
    trainer, batch = make(clips, tmp_path, config, network=network)
    found = estimate_footprint(trainer, batch)
    loss = Loss(trainer.model, config)
    is_pseudo = torch.ones(4, dtype=torch.bool)  # the largest a batch can be
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        kept = loss(batch.normal, batch.normal, is_pseudo)  # noqa: F841, holds the graph
    allocated = sum(
        event.self_device_memory_usage + event.self_cpu_memory_usage
        for event in profiler.key_averages()
    )
    assert 0.8 * allocated < 4 * found.clip / HOLES < 1.5 * allocated
    assert found.fixed == 4 * 4 * sum(p.numel() for p in trainer.model.parameters())


def test_statistics_of_batch_norm_are_left_alone(clips, tmp_path):
    trainer, batch = make(clips, tmp_path, network="published")
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    estimate_footprint(trainer, batch)
    assert all(
        torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items()
    )


@pytest.mark.parametrize(
    ("free", "batch"), [(0, 0), (1000, 0), (1200, 0), (1300, 1), (2000, 8), (2223, 10)]
)
def test_the_largest_batch_leaves_a_tenth_free(free, batch):
    estimate = Footprint(fixed=1000, clip=100, free=free)
    assert estimate.largest_batch == batch
    assert batch == 0 or estimate.needed(batch) <= 0.9 * free < estimate.needed(batch + 1)


def test_a_training_that_cannot_fit_names_a_batch_that_does(clips, tmp_path, monkeypatch):
    trainer, batch = make(clips, tmp_path)
    real = estimate_footprint(trainer, batch)
    monkeypatch.setattr(
        footprint, "free_memory", lambda device: int((real.fixed + 2.5 * real.clip) / 0.9)
    )

    def train(size, **options):
        model = DualPathAutoencoder(ModelConfig(width=8, slots=8))
        return fit(
            model,
            clips,
            None,
            replace(CONFIG, batch_size=size, objective="none"),
            tmp_path / "run",
            **options,
        )

    monkeypatch.setattr(
        "vadlib.training.fit.hold_out", lambda clips: (range(40), [("one", clips.frames[0])])
    )
    with refused("out-of-memory", field="TrainConfig.batch_size") as caught:
        train(40)
    assert not (tmp_path / "run").exists()
    numbers = re.findall(r"\d+", str(caught.error))
    # the size of a batch, and the shape of a clip
    assert numbers[:5] == ["40", "1", "8", "32", "32"]
    train(int(numbers[-1]))


def test_where_not_even_one_clip_fits_another_mend_is_named(clips, tmp_path, monkeypatch):
    monkeypatch.setattr(footprint, "free_memory", lambda device: 1000)
    with refused("out-of-memory", field="TrainConfig.batch_size"):
        fit(
            DualPathAutoencoder(ModelConfig(width=8, slots=8)),
            clips,
            None,
            replace(CONFIG, objective="none"),
            tmp_path / "run",
        )


def test_a_container_may_have_less_than_its_machine(tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text("max\n")
    monkeypatch.setattr(footprint, "CONTAINER_LIMITS", [tmp_path / "memory.max", tmp_path / "none"])
    machine = footprint.free_memory(torch.device("cpu"))
    (tmp_path / "memory.max").write_text(f"{psutil.Process().memory_info().rss + 10**8}\n")
    assert footprint.free_memory(torch.device("cpu")) == pytest.approx(10**8, rel=0.2)
    assert machine > 2 * 10**8
