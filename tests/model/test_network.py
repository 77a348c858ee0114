"""The networks and their memory: shapes, the published layers, and precision of gradients; the two
ways in which the published memory breaks (defect 19).
"""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from refusals import refused
from torch import nn

from vadlib.config import ModelConfig
from vadlib.model.memory import Memory, address, entropy
from vadlib.model.network import NETWORKS, DualPathAutoencoder

SMALL = ModelConfig(width=8, slots=12)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=NETWORKS)
def make_model(request):
    """(changes of the config) -> a model of every network, whatever is in the table."""

    def make(**changes):
        torch.manual_seed(0)
        return DualPathAutoencoder(replace(SMALL, network=request.param, **changes)).eval()

    return make


@pytest.mark.parametrize(
    "shape",
    [(2, 1, 16, 48, 48), (1, 3, 16, 40, 56), (1, 1, 13, 37, 50), (1, 1, 1, 5, 3)],
)
def test_any_size_comes_back(make_model, shape):
    model = make_model(channels=shape[1])
    clips = torch.rand(shape)
    with torch.no_grad():
        output, alone = model(clips), model(clips[-1:])
    assert output.reconstruction.shape == shape
    # a sample does not depend on its batch
    torch.testing.assert_close(
        output.reconstruction[-1:], alone.reconstruction, atol=1e-5, rtol=1e-4
    )
    positions = [-(-size // stride) for size, stride in zip(shape[2:], model.strides, strict=True)]
    assert output.weights.shape == (shape[0], *positions, SMALL.slots)
    assert output.last.shape == (shape[0], SMALL.width)
    with refused("wrong-shape", field="clips"):
        model(torch.zeros(1, 2, 8, 16, 16))
    layout = torch.channels_last_3d  # so that no convolution reorders anything
    for name, parameter in model.named_parameters():
        assert parameter.ndim != 5 or parameter.is_contiguous(memory_format=layout), name


def test_skip_joins_the_encoders_features(make_model):
    for skip in (False, True):
        model = make_model(skip=skip)
        top, bottom = model.encode(torch.rand(1, 1, 16, 16, 16))
        decoded = [model.normal_decoder(bottom, features)[0] for features in (top, top + 1)]
        assert torch.equal(*decoded) != skip


def test_ablations_leave_out_what_they_say(make_model):
    both = ["encoder", "normal_memory", "pseudo_memory", "normal_decoder", "pseudo_decoder"]
    for changes, absent in (
        ({}, []),
        ({"memories": 1}, ["pseudo_memory"]),
        ({"memories": 0}, ["normal_memory", "pseudo_memory"]),
        ({"decoders": 1}, ["pseudo_decoder"]),
    ):
        model = make_model(**changes)
        parts = [name for name in both if name not in absent]
        assert [name for name, _ in model.named_children()] == parts
    model = make_model(memories=0)
    features = model.encode(torch.ones(1, 1, 16, 16, 16))
    for path in ("normal", "pseudo"):  # which starts as a copy
        expected = model.normal_decoder(features[1], features[0])[0]
        torch.testing.assert_close(
            model(torch.ones(1, 1, 16, 16, 16), path).reconstruction, expected
        )
    assert model.normal_decoder.head.weight is not model.pseudo_decoder.head.weight


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("paper", [5_837_920, 512_000, 512_000, 2_766_401, 2_766_401]),
        ("compact", [1_460_528, 64_000, 64_000, 692_001, 692_001]),
    ],
)
def test_published_presets_have_the_counted_parameters(preset, expected):
    with torch.device("meta"):
        model = DualPathAutoencoder(ModelConfig.preset(preset))
        for part, count in zip(model.children(), expected, strict=True):
            assert sum(p.numel() for p in part.parameters()) == count
        shapes = [tuple(level.shape) for level in model.encode(torch.empty(1, 1, 16, 256, 256))]
    r = model.config.width
    assert shapes == [(1, 4 * r, 4, 64, 64), (1, 8 * r, 2, 32, 32)]


def literal_published(weights, clips, path):
    """The published network in evaluation mode, written out from its description alone, in
    functions of torch.
    """

    def named(name, *names):
        return {key.split("_")[-1]: weights[f"{name}.{key}"] for key in names}

    def conv(x, name, stride=1):
        return F.conv3d(x, **named(name, "weight", "bias"), stride=stride, padding=1)

    def double(x, name):
        for i in (0, 3):
            norm = named(f"{name}.{i + 1}", "running_mean", "running_var", "weight", "bias")
            mean, variance = norm.pop("mean"), norm.pop("var")
            x = F.relu(F.batch_norm(conv(x, f"{name}.{i}"), mean, variance, **norm, eps=1e-3))
        return x

    levels = [double(clips, "encoder.top")]
    for stage in range(3):
        halved = conv(levels[-1], f"encoder.stages.{stage}.0", stride=2)
        levels.append(double(halved, f"encoder.stages.{stage}.1"))
    query, slots = levels[3].movedim(1, -1), weights[f"{path}_memory.slots"]
    lengths = [(v.square().sum(-1, keepdim=True) + 1e-4).sqrt() for v in (query, slots)]
    attention = torch.softmax(10.0 * (query / lengths[0]) @ (slots / lengths[1]).T, -1)
    attention = torch.where(attention < 0.05 * attention.amax(-1, keepdim=True), 0.0, attention)
    x = ((attention / attention.sum(-1, keepdim=True)) @ slots).movedim(-1, 1)
    for level in range(3):
        parameters = named(f"{path}_decoder.ups.{level}", "weight", "bias")
        x = F.conv_transpose3d(x, **parameters, stride=2, padding=1, output_padding=1)
        x = torch.cat([x, levels[2]], 1) if level == 0 else x
        x = double(x, f"{path}_decoder.convs.{level}")
    return F.conv3d(x, **named(f"{path}_decoder.head", "weight", "bias"))


@pytest.mark.parametrize("path", ["normal", "pseudo"])
def test_the_published_network_is_its_description(path):
    torch.manual_seed(0)
    model = DualPathAutoencoder(replace(SMALL, network="published", skip=True, channels=3))
    clips = torch.rand(2, 3, 16, 24, 16) * 2 - 1
    # in training mode: statistics of batch norm are no longer 0 and 1
    model.fill_memories(clips, seeded())
    model.eval()
    with torch.no_grad():
        expected = literal_published(model.state_dict(), clips, path)
        torch.testing.assert_close(model(clips, path).reconstruction, expected)


def test_bad_shapes_are_refused():
    wrong = {"channels": 2, "width": 12, "slots": 0, "sharpness": -1.0, "shrink": 1.0}
    for field, value in (wrong | {"memories": 3, "decoders": 0}).items():
        with refused("out-of-range", field=f"ModelConfig.{field}"):
            ModelConfig(**{field: value})
    with refused("unknown-name", field="ModelConfig.network"):
        DualPathAutoencoder(ModelConfig(network="unet"))


@pytest.mark.parametrize(
    ("config", "clip", "depth_two"),
    [
        (ModelConfig.preset("fast"), (16, 48, 48), 0),
        (ModelConfig.preset("fast"), (8, 48, 48), 4),  # two in the encoder, one in each decoder
        (ModelConfig.preset("compact"), (16, 32, 32), 2),  # the bottleneck
    ],
    ids=["fast", "fast-8-frames", "compact"],
)
def test_bf16_gradients_agree_with_float32_layer_by_layer(config, clip, depth_two):
    """On some CPUs bf16 weight gradients of a plain convolution are garbage at depth 2; every layer
    must be free of that.
    """
    torch.manual_seed(0)
    model = DualPathAutoencoder(config)
    inputs = {}
    for layer in model.modules():
        if isinstance(layer, (nn.Conv3d, nn.ConvTranspose3d)):
            layer.register_forward_hook(lambda layer, x, _: inputs.update({layer: x[0].detach()}))
    clips = torch.rand(2, 1, *clip) * 2 - 1
    with torch.no_grad():
        model(clips, "normal"), model(clips, "pseudo")
    deep = [layer for layer, features in inputs.items() if features.shape[2] == 2]
    assert sum(layer.stride == (1, 1, 1) for layer in deep) == depth_two
    for layer, features in inputs.items():
        gradients = []
        for enabled in (False, True):
            features = features.float().clone().requires_grad_()
            layer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                output = layer(features)
            if not enabled:
                direction = torch.rand_like(output)  # of one sign: a bias gradient is their sum
            output.backward(direction.to(output.dtype))
            gradients.append([t.grad.clone() for t in (layer.weight, layer.bias, features)])
            features = features.detach()
        for exact, rounded in zip(*gradients, strict=True):
            assert (exact - rounded).norm() / exact.norm() < 0.01, layer


# --- the memory


@pytest.mark.parametrize(("sharpness", "shrink"), [(10.0, 0.05), (1.0, 0.0), (30.0, 0.5)])
def test_address_is_the_literal_formula(sharpness, shrink):
    """Slot by slot, query by query."""
    query, slots = (torch.randn(n, 5, generator=seeded(n)) * 4 for n in (7, 11))
    for q, weights in zip(query, address(query, slots, sharpness, shrink), strict=True):
        cosines = [float(q @ slot) / float(q.norm() * slot.norm()) for slot in slots]
        powers = [math.exp(sharpness * cosine) for cosine in cosines]
        powers = [power if power >= shrink * max(powers) else 0.0 for power in powers]
        expected = torch.tensor(powers) / sum(powers)
        # EPSILON under the root makes our cosine a little smaller than the literal one.
        torch.testing.assert_close(weights, expected, rtol=2e-3, atol=2e-4)


def test_weights_sum_to_one_and_a_read_is_their_mixture():
    memory = Memory(slots=9, channels=6, sharpness=10.0, shrink=0.05)
    read = memory(torch.randn(2, 6, 3, 4, 5, generator=seeded()))
    assert read.weights.shape == (2, 3, 4, 5, 9)
    torch.testing.assert_close(read.weights.sum(-1), torch.ones(2, 3, 4, 5))
    expected = read.weights[1, 2, 3, 4] @ memory.slots
    torch.testing.assert_close(read.features[1, :, 2, 3, 4], expected)
    weights = torch.tensor([[1.0, 0, 0, 0], [0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0, 0]])
    expected = torch.tensor([0.0, math.log(4), math.log(2)])
    torch.testing.assert_close(entropy(weights), expected, atol=1e-6, rtol=0)


def test_defect_19_no_read_is_empty_and_zero_queries_have_small_gradients():
    """2000 slots, as published: there about 94% of the reads are all zero; here none is."""
    memory = Memory(slots=2000, channels=128, sharpness=1.0, shrink=0.05)
    read = memory(torch.randn(1, 128, 2, 8, 8, generator=seeded()))
    assert (read.weights.sum(-1) > 0.999).all()
    assert (read.features.abs().sum(1) > 0).all()
    memory = Memory(slots=8, channels=4, sharpness=10.0, shrink=0.05)
    features = torch.zeros(1, 4, 1, 2, 2, requires_grad=True)
    memory(features).features.square().sum().backward()
    assert features.grad.abs().max() < 1e4  # the published normalisation gives 1e12
    assert torch.isfinite(memory.slots.grad).all()


@pytest.mark.parametrize("slots", [5, 36, 100])
def test_slots_are_filled_with_features_none_twice_while_others_are_left(slots):
    """Equal slots get equal gradients, and so stay equal for ever."""
    features = torch.randn(2, 4, 2, 3, 3, generator=seeded())  # 36 positions
    memory = Memory(slots, channels=4, sharpness=10.0, shrink=0.05)
    memory.fill(features, seeded(1))
    vectors = features.movedim(1, -1).reshape(-1, 4)
    assert all((slot == vectors).all(1).any() for slot in memory.slots)
    _, counts = memory.slots.unique(dim=0, return_counts=True)
    assert len(counts) == min(slots, 36)
    assert counts.max() == math.ceil(slots / 36)
