"""Shapes, sizes, the published layers, precision of gradients, and the shape's config."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from refusals import refused
from torch import nn

from vadlib.config import ModelConfig
from vadlib.model.network import NETWORKS, DualPathAutoencoder

SMALL = ModelConfig(width=8, slots=12)


@pytest.fixture(scope="module", params=NETWORKS)
def model(request):
    """A model of every network, whatever is in the table."""
    torch.manual_seed(0)
    return DualPathAutoencoder(replace(SMALL, network=request.param)).eval()


@pytest.mark.parametrize(
    "shape",
    [(2, 1, 16, 48, 48), (1, 1, 16, 40, 56), (1, 1, 13, 37, 50), (1, 1, 4, 8, 8), (1, 1, 1, 5, 3)],
)
def test_any_size_comes_back(model, shape):
    with torch.no_grad():
        output = model(torch.zeros(shape))
    assert output.reconstruction.shape == shape
    positions = [-(-size // stride) for size, stride in zip(shape[2:], model.strides, strict=True)]
    assert output.weights.shape == (shape[0], *positions, SMALL.slots)
    assert output.last.shape == (shape[0], SMALL.width)


def test_colour_model_takes_and_gives_three_channels():
    model = DualPathAutoencoder(ModelConfig(channels=3, width=8, slots=4))
    assert model(torch.zeros(1, 3, 8, 16, 16)).reconstruction.shape == (1, 3, 8, 16, 16)


def test_wrong_channels_are_refused(model):
    with refused("wrong-shape", field="clips"):
        model(torch.zeros(1, 3, 8, 16, 16))


def test_pseudo_decoder_starts_as_a_copy_of_its_own():
    model = DualPathAutoencoder(SMALL)
    for (name, normal), pseudo in zip(
        model.normal_decoder.named_parameters(), model.pseudo_decoder.parameters(), strict=True
    ):
        assert torch.equal(normal, pseudo), name
        assert normal.data_ptr() != pseudo.data_ptr(), name


def test_a_sample_does_not_depend_on_its_batch(model):
    clips = torch.randn(3, 1, 8, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        together, alone = model(clips).reconstruction, model(clips[1:2]).reconstruction
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-4)


def test_parameters_by_hand():
    """Counted by hand: weights 27 i o + o a convolution, 2 o a group norm, slots N 4r a memory."""

    def conv(i, o):
        return 27 * i * o + o

    def block(i, o):
        return conv(i, o) + 2 * o

    r, slots = 8, 12
    encoder = conv(1, r) + conv(r, r) + conv(r, 2 * r) + block(2 * r, 2 * r) + conv(2 * r, 4 * r)
    encoder += block(4 * r, 4 * r) + conv(4 * r, 4 * r)
    decoder = block(4 * r, 4 * r) + conv(4 * r, 2 * r) + block(2 * r, 2 * r) + conv(2 * r, r)
    decoder += conv(r, r) + conv(r, 4)
    expected = encoder + 2 * decoder + 2 * slots * 4 * r
    assert sum(p.numel() for p in DualPathAutoencoder(SMALL).parameters()) == expected


@pytest.mark.parametrize(
    ("preset", "encoder", "decoder", "memory", "total"),
    [
        ("paper", 5_837_920, 2_766_401, 512_000, 12_394_722),
        ("compact", 1_460_528, 692_001, 64_000, 2_972_530),
    ],
)
def test_published_presets_have_the_counted_parameters(preset, encoder, decoder, memory, total):
    model = DualPathAutoencoder(ModelConfig.preset(preset))
    counts = {}
    for name, part in model.named_children():
        counts[name] = sum(p.numel() for p in part.parameters())
    memories = {"normal_memory": memory, "pseudo_memory": memory}
    decoders = {"normal_decoder": decoder, "pseudo_decoder": decoder}
    assert counts == {"encoder": encoder} | memories | decoders
    assert sum(counts.values()) == total


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

    first = double(clips, "encoder.top")
    levels = [first]
    for stage in range(3):
        halved = conv(levels[-1], f"encoder.stages.{stage}.0", stride=2)
        levels.append(double(halved, f"encoder.stages.{stage}.1"))
    query = levels[3].movedim(1, -1)
    slots = weights[f"{path}_memory.slots"]
    length = lambda v: (v.square().sum(-1, keepdim=True) + 1e-4).sqrt()  # noqa: E731
    attention = torch.softmax(10.0 * (query / length(query)) @ (slots / length(slots)).T, -1)
    attention = torch.where(attention < 0.05 * attention.amax(-1, keepdim=True), 0.0, attention)
    x = ((attention / attention.sum(-1, keepdim=True)) @ slots).movedim(-1, 1)
    for level in range(3):
        name = f"{path}_decoder.ups.{level}"
        shape = {"stride": 2, "padding": 1, "output_padding": 1}
        x = F.conv_transpose3d(x, **named(name, "weight", "bias"), **shape)
        if level == 0:
            x = torch.cat([x, levels[2]], 1)
        x = double(x, f"{path}_decoder.convs.{level}")
    return F.conv3d(x, **named(f"{path}_decoder.head", "weight", "bias"))


@pytest.mark.parametrize("path", ["normal", "pseudo"])
def test_the_published_network_is_its_description(path):
    torch.manual_seed(0)
    model = DualPathAutoencoder(replace(SMALL, network="published", skip=True, channels=3))
    clips = torch.rand(2, 3, 16, 24, 16) * 2 - 1
    # in training mode: statistics of batch norm are no longer 0 and 1
    model.fill_memories(clips, torch.Generator().manual_seed(0))
    model.eval()
    with torch.no_grad():
        expected = literal_published(model.state_dict(), clips, path)
        torch.testing.assert_close(model(clips, path).reconstruction, expected)


def test_the_bottleneck_of_the_paper_has_its_published_shape():
    with torch.device("meta"):
        model = DualPathAutoencoder(ModelConfig.preset("paper"))
        middle, bottleneck = model.encode(torch.empty(1, 1, 16, 256, 256))
    assert middle.shape == (1, 128, 4, 64, 64)
    assert bottleneck.shape == (1, 256, 2, 32, 32)


def test_ablations_leave_out_what_they_say():
    def parts(**changes):
        model = DualPathAutoencoder(ModelConfig(width=8, slots=4, **changes))
        return {name for name, _ in model.named_children()}

    everything = {"encoder", "normal_memory", "pseudo_memory", "normal_decoder", "pseudo_decoder"}
    assert parts() == everything
    assert parts(memories=1) == everything - {"pseudo_memory"}
    assert parts(memories=0) == everything - {"normal_memory", "pseudo_memory"}
    assert parts(decoders=1) == everything - {"pseudo_decoder"}


@pytest.mark.parametrize("network", NETWORKS)
def test_skip_joins_the_encoders_features(network):
    torch.manual_seed(0)
    sizes = {}
    for skip in (False, True):
        config = ModelConfig(network=network, width=8, slots=4, skip=skip)
        model = DualPathAutoencoder(config).eval()
        sizes[skip] = sum(p.numel() for p in model.normal_decoder.parameters())
        features = model.encode(torch.rand(1, 1, 16, 16, 16))
        outputs = []
        for top in (features[0], features[0] + 1):
            output = model.reconstruct([top, features[1]], "normal", torch.Size((1, 1, 16, 16, 16)))
            outputs.append(output.reconstruction)
        assert torch.equal(*outputs) != skip
        joined = features[0].shape[1]
    assert sizes[True] - sizes[False] == 27 * joined * joined


@pytest.mark.parametrize("network", NETWORKS)
def test_layers_are_laid_out_channels_last(network):
    model = DualPathAutoencoder(ModelConfig(network=network, width=8, slots=4))
    for name, parameter in model.named_parameters():
        layout = torch.channels_last_3d
        assert parameter.ndim != 5 or parameter.is_contiguous(memory_format=layout), name


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("channels", 2, "out-of-range"),
        ("width", 12, "out-of-range"),
        ("width", 520, "out-of-range"),
        ("slots", 0, "out-of-range"),
        ("sharpness", -1.0, "out-of-range"),
        ("shrink", 1.0, "out-of-range"),
        ("network", "unet", "unknown-name"),
        ("memories", 3, "out-of-range"),
        ("decoders", 0, "out-of-range"),
    ],
)
def test_bad_shapes_are_refused(field, value, code):
    with refused(code, field=f"ModelConfig.{field}"):
        DualPathAutoencoder(ModelConfig(**{field: value}))


def test_unknown_preset_names_the_known_ones():
    with refused("unknown-name", field="preset") as caught:
        ModelConfig.preset("huge")
    for name in ("huge", "fast", "compact", "paper"):
        assert name in str(caught.error)


@pytest.mark.parametrize(
    ("config", "clip", "depth_two"),
    [
        (ModelConfig.preset("fast"), (16, 48, 48), 0),
        (ModelConfig.preset("fast"), (8, 48, 48), 4),  # two in the encoder, one in each decoder
        (ModelConfig.preset("compact"), (16, 32, 32), 2),  # the bottleneck
        # two in the encoder, two in each decoder
        (ModelConfig(network="published", width=16, slots=64), (8, 32, 32), 6),
    ],
    ids=["fast", "fast-8-frames", "compact", "published-8-frames"],
)
def test_bf16_gradients_agree_with_float32_layer_by_layer(config, clip, depth_two):
    """On some CPUs bf16 weight gradients of a plain convolution are garbage at depth 2; every layer
    must be free of that.
    """
    torch.manual_seed(0)
    model = DualPathAutoencoder(config)
    convolutions = (nn.Conv3d, nn.ConvTranspose3d)
    layers = {n: module for n, module in model.named_modules() if isinstance(module, convolutions)}
    inputs = {}
    for name, layer in layers.items():
        layer.register_forward_hook(
            lambda _, features, __, name=name: inputs.__setitem__(
                name, features[0].detach().float()
            )
        )
    clips = torch.rand(2, 1, *clip) * 2 - 1
    with torch.no_grad():
        model(clips, "normal"), model(clips, "pseudo")
    assert inputs.keys() == layers.keys()
    deep = [name for name, features in inputs.items() if features.shape[2] == 2]
    assert sum(layers[name].stride == (1, 1, 1) for name in deep) == depth_two
    for name, layer in layers.items():
        gradients = []
        for enabled in (False, True):
            features = inputs[name].clone().requires_grad_()
            layer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                output = layer(features)
            if not enabled:
                direction = torch.rand_like(output)  # of one sign: a bias gradient is their sum
            output.backward(direction.to(output.dtype))
            tensors = (layer.weight, layer.bias, features)
            gradients.append([tensor.grad.clone() for tensor in tensors])
        for exact, rounded in zip(*gradients, strict=True):
            assert (exact - rounded).norm() / exact.norm() < 0.01, name


def test_a_convolution_of_depth_two_is_the_plain_one():
    from vadlib.model.layers import Conv

    torch.manual_seed(0)
    layer, features = Conv(4, 6), torch.randn(2, 4, 2, 5, 7, dtype=torch.float64)
    layer.double()
    torch.testing.assert_close(
        layer(features), F.conv3d(features, layer.weight, layer.bias, padding=1)
    )
