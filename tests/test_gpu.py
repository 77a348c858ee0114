"""A GPU computes what a CPU computes. Without one, the CPU's float32 is held against float64.

Numbers on a GPU are compared without TF32, which rounds the factors of products to 10 bits.
"""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from scenes import moving_videos

from vadlib.config import ClipConfig, ModelConfig, TrainConfig
from vadlib.data.clips import ClipDataset
from vadlib.device import autocast, pick_device, pick_precision
from vadlib.errors import InputError
from vadlib.evaluation.calibration import Calibration
from vadlib.evaluation.error_maps import error_maps
from vadlib.evaluation.evaluate import evaluate
from vadlib.evaluation.stream import stream_scores
from vadlib.model.network import DualPathAutoencoder
from vadlib.pseudo.kinds import ShuffleMotion, SkipFrames
from vadlib.pseudo.mixer import PseudoAnomalyMixer
from vadlib.training import trainer as training_loop
from vadlib.training.fit import fit
from vadlib.training.samples import Batch, Samples, load_batches
from vadlib.training.trainer import Loss, Trainer, plain_errors

pytestmark = pytest.mark.gpu
CPU = torch.device("cpu")
ACCELERATOR = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
needs_accelerator = pytest.mark.skipif(
    ACCELERATOR is None,
    reason="torch sees no accelerator on this machine",
)
needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="torch sees no CUDA GPU on this machine",
)
DEVICES = [
    pytest.param(CPU, id="cpu"),
    pytest.param(ACCELERATOR, id="accelerator", marks=needs_accelerator),
]
DATA = ClipConfig(length=8, crop=(16, 16), clip_step=8)
CONFIG = TrainConfig(epochs=2, batch_size=4, precision="fp32")
NETWORKS = {
    "fast": ModelConfig(width=8, slots=16),
    "published": ModelConfig(network="published", width=8, slots=16, skip=True),
}


@pytest.fixture(autouse=True)
def without_tf32():
    libraries = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [library.allow_tf32 for library in libraries]
    for library in libraries:
        library.allow_tf32 = False
    yield
    for library, allowed in zip(libraries, before, strict=True):
        library.allow_tf32 = allowed


@pytest.fixture
def clips():
    return ClipDataset(moving_videos(3), DATA, progress=False)


@pytest.fixture
def mixer():
    return PseudoAnomalyMixer([SkipFrames(), ShuffleMotion()], p=0.5)


def make_model(network="fast"):
    """An untrained model whose memories hold features of clips, so that their reads differ."""
    torch.manual_seed(0)
    model = DualPathAutoencoder(NETWORKS[network])
    model.fill_memories(random_clips(seed=1), torch.Generator().manual_seed(0))
    return model


def random_clips(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(4, 1, 8, 16, 16, generator=generator) * 2 - 1


def losses_and_gradients(model, device, dtype):
    """The loss's terms and each parameter's gradient; two of four clips are pseudo-anomalies."""
    loss = Loss(copy.deepcopy(model).to(device, dtype), TrainConfig(separation_weight=2e-4))
    clips = random_clips().to(device, dtype)
    inputs = torch.cat([clips[:2].flip(2), clips[2:]])
    value, terms = loss(clips, inputs, torch.tensor([True, True, False, False], device=device))
    value.backward()
    values = {name: float(term.value) for name, term in terms.items()}
    named = loss.model.named_parameters()
    gradients = {name: p.grad.double().cpu() for name, p in named if p.grad is not None}
    return values, gradients


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("network", NETWORKS)
def test_losses_and_gradients_are_those_of_float64(monkeypatch, network, device):
    """Losses to 1e-3 of themselves, each layer's gradient to 1% of its norm."""
    model = make_model(network)
    with monkeypatch.context() as patch:
        # The model turns what it keeps exact to float32 itself.
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        expected_losses, expected = losses_and_gradients(model, CPU, torch.float64)
    losses, gradients = losses_and_gradients(model, device, torch.float32)
    assert losses == pytest.approx(expected_losses, rel=1e-3, abs=1e-6)
    assert gradients.keys() == expected.keys()
    whole = torch.stack([gradient.norm() for gradient in expected.values()]).norm()
    for name, gradient in expected.items():
        # A bias before a norm over its channel has no gradient but rounding.
        tolerance = 0.01 * gradient.norm() + 1e-5 * whole
        assert (gradients[name] - gradient).norm() <= tolerance, name


@pytest.mark.parametrize("device", DEVICES)
def test_bf16_is_near_float32(device):
    """To 5% of the reconstruction's norm: bf16 keeps 8 bits, an error of 0.4% for each product."""
    model = make_model().to(device).eval()
    clips = random_clips().to(device)
    with torch.no_grad():
        exact = model(clips).reconstruction
        with autocast(device, torch.bfloat16):
            rounded = model(clips).reconstruction
    assert not torch.equal(rounded, exact)
    assert (rounded - exact).norm() < 0.05 * exact.norm()


@needs_accelerator
def test_scores_of_a_video_are_those_of_the_cpu():
    model = make_model().eval()
    frames = moving_videos(1, labelled=True)[0].frames[:]
    expected = error_maps(model, frames, DATA, CPU, "fp32")
    found = error_maps(copy.deepcopy(model).to(ACCELERATOR), frames, DATA, ACCELERATOR, "fp32")
    for name in expected._fields:
        # Maps are kept in half precision: 2^-10 is one step of it.
        one, other = (np.float64(getattr(maps, name)) for maps in (found, expected))
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
def test_streaming_scores_as_the_whole_video(clips, mixer, tmp_path, device):
    config = dataclasses.replace(CONFIG, device=device.type)
    run = fit(make_model(), clips, mixer, config, tmp_path / "run", progress=False)
    [video] = moving_videos(1, labelled=True, seed=5)
    whole = evaluate(run, [video], device.type, progress=False)
    calibration = Calibration.load(run.folder / "calibration.npz")
    streamed = stream_scores(run, calibration, video, video.scene, device.type)
    scores = [frame.score for frame in streamed]
    np.testing.assert_allclose(scores, whole.scores["01"], rtol=1e-3)


@pytest.mark.parametrize("device", DEVICES)
def test_auto_precision_is_what_the_device_multiplies_natively(device):
    expected = pick_precision("auto", device)
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
        assert expected is (torch.bfloat16 if native else None)
    elif device.type == "mps":
        assert expected is None
    assert pick_precision("fp32", device) is None
    assert pick_device(device.type).type == device.type


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(CPU, CPU, id="cpu-cpu"),
        pytest.param(CPU, ACCELERATOR, id="cpu-accelerator", marks=needs_accelerator),
        pytest.param(ACCELERATOR, CPU, id="accelerator-cpu", marks=needs_accelerator),
    ],
)
def test_a_training_resumes_on_another_device(clips, mixer, tmp_path, monkeypatch, first, second):
    """The errors of its last epoch are those of a training on the CPU to 2%."""

    def train(device, folder):
        config = dataclasses.replace(CONFIG, device=device.type)
        fit(make_model(), clips, mixer, config, tmp_path / folder, resume=True, progress=False)
        return torch.load(tmp_path / folder / "state.pt", map_location="cpu", weights_only=True)

    whole = train(CPU, "whole")
    update, half, steps = Trainer.update, whole["step"] // 2 + 2, []

    def stopping_update(self, batch, total):
        steps.append(self.step)
        if self.step == half and len(steps) <= half + 1:
            raise KeyboardInterrupt
        return update(self, batch, total)

    monkeypatch.setattr(training_loop, "CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr(Trainer, "update", stopping_update)
    with pytest.raises(KeyboardInterrupt):
        train(first, "resumed")
    steps.append("resumed")
    resumed = train(second, "resumed")
    assert steps == [*range(half + 1), "resumed", *range(half, whole["step"])]
    for name in ("rebuild", "inpaint", "pseudo"):
        expected = whole["history"][-1][name]
        assert resumed["history"][-1][name] == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("device", DEVICES)
def test_batches_read_by_other_processes_are_the_same(clips, mixer, device):
    samples = Samples(clips, np.arange(len(clips)), mixer, 0)
    keys = samples.batches(0, 4)[:3]
    expected = list(load_batches(samples, keys, 0, False))
    pinned = device.type == "cuda"
    batches = list(load_batches(samples, keys, 2, pinned))
    assert len(batches) == len(expected) == 3
    for batch, expected_batch in zip(batches, expected, strict=True):
        assert batch.outcomes == expected_batch.outcomes
        for name in ("normal", "inputs", "is_pseudo"):
            part = getattr(batch, name)
            assert part.is_pinned() == pinned
            assert torch.equal(part, getattr(expected_batch, name))


@needs_cuda
def test_memory_that_runs_out_on_a_gpu_is_an_input_error(clips, mixer, tmp_path):
    """Torch's own limit, lowered to what is in use, makes the next allocation fail."""
    device = torch.device("cuda", torch.cuda.current_device())
    samples = Samples(clips, np.arange(len(clips)), mixer, 0)
    trainer = Trainer(make_model().to(device), samples, CONFIG, device, tmp_path)
    [batch] = load_batches(samples, samples.batches(0, 4)[:1], 0, False)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(torch.cuda.memory_reserved(device) / total, device)

    def train_on_growing_batches(batch):
        for _ in range(20):
            trainer.update(batch, 1000)
            doubled = [torch.cat([part, part]) for part in batch[:3]]
            batch = Batch(*doubled, 2 * batch.outcomes)

    try:
        with pytest.raises(InputError) as refused, plain_errors(CONFIG, device):
            train_on_growing_batches(batch)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
    assert isinstance(refused.value.__cause__, torch.OutOfMemoryError)
