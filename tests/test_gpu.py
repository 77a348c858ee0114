"""A GPU computes what a CPU computes. Without one, the CPU's float32 is held against float64.

Numbers on a GPU are compared without TF32, which rounds the factors of products to 10 bits.
"""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scenes import moving_videos
from tiny import CLIPS, CONFIG, MODEL, train

import vadlib as vad
from vadlib.device import autocast, pick_device, pick_precision
from vadlib.evaluation.calibration import Calibration
from vadlib.evaluation.error_maps import error_maps
from vadlib.evaluation.evaluate import stream_scores
from vadlib.training import trainer as training
from vadlib.training.trainer import Loss, Trainer

pytestmark = pytest.mark.gpu
CPU = torch.device("cpu")
ACCELERATOR = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
needs_accelerator = pytest.mark.skipif(ACCELERATOR is None, reason="torch sees no accelerator")
DEVICES = [CPU, pytest.param(ACCELERATOR, id="accelerator", marks=needs_accelerator)]
NETWORKS = {"fast": MODEL, "published": replace(MODEL, network="published", skip=True)}


@pytest.fixture(autouse=True)
def without_tf32():
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


def make_model(network="fast"):
    """An untrained model whose memories hold features of clips, so that their reads differ."""
    torch.manual_seed(0)
    model = vad.DualPathAutoencoder(NETWORKS[network])
    model.fill_memories(random_clips(seed=1), torch.Generator().manual_seed(0))
    return model


def random_clips(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(4, 1, 8, 16, 16, generator=generator) * 2 - 1


def losses_and_gradients(model, device, dtype):
    """The loss's terms and each parameter's gradient; two of four clips are pseudo-anomalies."""
    loss = Loss(copy.deepcopy(model).to(device, dtype), replace(CONFIG, separation_weight=2e-4))
    clips = random_clips().to(device, dtype)
    inputs = torch.cat([clips[:2].flip(2), clips[2:]])
    value, terms = loss(clips, inputs, torch.tensor([True, True, False, False], device=device))
    value.backward()
    values = {name: float(term.value) for name, term in terms.items()}
    named = loss.model.named_parameters()
    return values, {name: p.grad.double().cpu() for name, p in named if p.grad is not None}


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
    assert 0 < (rounded - exact).norm() < 0.05 * exact.norm()


@needs_accelerator
def test_scores_of_a_video_are_those_of_the_cpu():
    model = make_model().eval()
    frames = moving_videos(1, labelled=True)[0].frames[:]
    expected = error_maps(model, frames, CLIPS, CPU, "fp32")
    maps = error_maps(copy.deepcopy(model).to(ACCELERATOR), frames, CLIPS, ACCELERATOR, "fp32")
    for name, errors in maps.items():
        # Maps are kept in half precision: 2^-10 is one step of it.
        np.testing.assert_allclose(errors, expected[name], rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
def test_streaming_scores_as_the_whole_video_and_auto_precision_is_native(tmp_path, device):
    run = train(tmp_path, config=replace(CONFIG, device=device.type))
    [video] = moving_videos(1, labelled=True, seed=5)
    whole = vad.evaluate(run, [video], device.type, progress=False)
    calibration = Calibration.load(run.folder / "calibration.npz")
    streamed = stream_scores(run, calibration, video, video.scene, device.type)
    scores = [frame.score for frame in streamed]
    np.testing.assert_allclose(scores, whole.scores["01"], rtol=1e-3)
    assert pick_device(device.type).type == device.type
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
        assert pick_precision("auto", device) is (torch.bfloat16 if native else None)


@pytest.mark.parametrize(("first", "second"), [("cpu", "cpu"), ("cpu", "gpu"), ("gpu", "cpu")])
def test_a_training_resumes_on_another_device(tmp_path, monkeypatch, first, second):
    """The errors of its last epoch are those of a training on the CPU to 2%."""
    if ACCELERATOR is None and "gpu" in (first, second):
        pytest.skip("torch sees no accelerator")

    def resume(device, folder):
        config = replace(CONFIG, device=ACCELERATOR.type if device == "gpu" else "cpu")
        train(tmp_path / folder, config=config, resume=True)
        return torch.load(tmp_path / folder / "state.pt", map_location="cpu", weights_only=True)

    whole = resume("cpu", "whole")
    half = whole["step"] // 2 + 2
    update = Trainer.update
    steps = []

    def stopping_update(self, batch, total):
        if self.step == half and len(steps) == half:
            steps.append("stopped")
            raise KeyboardInterrupt
        steps.append(self.step)
        return update(self, batch, total)

    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr(Trainer, "update", stopping_update)
    with pytest.raises(KeyboardInterrupt):
        resume(first, "resumed")
    resumed = resume(second, "resumed")
    assert steps == [*range(half), "stopped", *range(half, whole["step"])]
    for name in ("rebuild", "inpaint", "pseudo"):
        expected = whole["history"][-1][name]
        assert resumed["history"][-1][name] == pytest.approx(expected, rel=0.02)
