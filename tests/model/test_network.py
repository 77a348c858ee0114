"""Shapes, sizes, precision of gradients, and the shape's config."""

import pytest
import torch
from torch import nn

from vadlib.errors import InputError
from vadlib.model.network import DualPathAutoencoder, ModelConfig

SMALL = ModelConfig(width=8, slots=12)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return DualPathAutoencoder(SMALL).eval()


@pytest.mark.parametrize("shape", [(2, 1, 16, 48, 48), (1, 1, 16, 40, 56), (1, 1, 13, 37, 50), (1, 1, 4, 8, 8), (1, 1, 1, 5, 3)])
def test_any_size_comes_back(model, shape):
    with torch.no_grad():
        output = model(torch.zeros(shape))
    assert output.reconstruction.shape == shape
    assert output.weights.shape == (shape[0], -(-shape[2] // 4), -(-shape[3] // 8), -(-shape[4] // 8), SMALL.slots)


def test_colour_model_takes_and_gives_three_channels():
    model = DualPathAutoencoder(ModelConfig(channels=3, width=8, slots=4))
    assert model(torch.zeros(1, 3, 8, 16, 16)).reconstruction.shape == (1, 3, 8, 16, 16)


def test_wrong_channels_are_refused(model):
    with pytest.raises(InputError, match=r"expected \(B, 1, T, H, W\)"):
        model(torch.zeros(1, 3, 8, 16, 16))


def test_pseudo_decoder_starts_as_a_copy_of_its_own():
    model = DualPathAutoencoder(SMALL)
    for (name, normal), pseudo in zip(model.normal_decoder.named_parameters(), model.pseudo_decoder.parameters(), strict=True):
        assert torch.equal(normal, pseudo), name
        assert normal.data_ptr() != pseudo.data_ptr(), name


def test_a_sample_does_not_depend_on_its_batch(model):
    clips = torch.randn(3, 1, 8, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        together, alone = model(clips).reconstruction, model(clips[1:2]).reconstruction
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-4)


def test_parameters_by_hand():
    """Counted with pencil: weights 27 i o + o a convolution, 2 o a group norm, slots N 4r a memory."""

    def conv(i, o):
        return 27 * i * o + o

    def block(i, o):
        return conv(i, o) + 2 * o

    r, slots = 8, 12
    encoder = conv(1, r) + conv(r, r) + conv(r, 2 * r) + block(2 * r, 2 * r) + conv(2 * r, 4 * r) + block(4 * r, 4 * r) + conv(4 * r, 4 * r)
    decoder = block(4 * r, 4 * r) + conv(4 * r, 2 * r) + block(2 * r, 2 * r) + conv(2 * r, r) + conv(r, r) + conv(r, 4)
    expected = encoder + 2 * decoder + 2 * slots * 4 * r
    assert sum(p.numel() for p in DualPathAutoencoder(SMALL).parameters()) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"channels": 2}, "channels = 2"), ({"width": 12}, "width = 12"), ({"slots": 0}, "slots = 0"), ({"shrink": 1.0}, "shrink = 1.0")],
)
def test_bad_shapes_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        ModelConfig(**changes)


def test_unknown_preset_names_the_known_ones():
    with pytest.raises(InputError, match="'huge' is unknown; expected one of: fast"):
        ModelConfig.preset("huge")


def test_bf16_gradients_agree_with_float32_layer_by_layer():
    """On some CPUs bf16 weight gradients are garbage at certain depths; every layer of `fast` must be free of that."""
    torch.manual_seed(0)
    model = DualPathAutoencoder(ModelConfig.preset("fast"))
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, (nn.Conv3d, nn.ConvTranspose3d))}
    inputs = {}
    for name, layer in layers.items():
        layer.register_forward_hook(lambda _, given, __, name=name: inputs.__setitem__(name, given[0].detach().float()))
    clips = torch.rand(2, 1, 16, 48, 48) * 2 - 1
    with torch.no_grad():
        model(clips, "normal"), model(clips, "pseudo")
    assert len(inputs) == len(layers) == 19
    for name, layer in layers.items():
        gradients = []
        for enabled in (False, True):
            given = inputs[name].clone().requires_grad_()
            layer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                output = layer(given)
            if not enabled:
                direction = torch.randn_like(output)
            output.backward(direction.to(output.dtype))
            gradients.append((layer.weight.grad.clone(), layer.bias.grad.clone(), given.grad.clone()))
        for exact, rounded in zip(*gradients, strict=True):
            assert (exact - rounded).norm() / exact.norm() < 0.01, name
