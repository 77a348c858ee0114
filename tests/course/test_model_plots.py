"""Plots of the model show the network's own shapes, the memory's own weights, and the paths' own
reconstructions.
"""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from refusals import refused

from vadlib.config import ModelConfig
from vadlib.course.figures import model as plots
from vadlib.data.clips import to_frames
from vadlib.model.memory import address
from vadlib.model.network import DualPathAutoencoder


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def texts(ax):
    return [text.get_text() for text in ax.texts if text.get_text()]


def test_shapes_are_those_of_the_paper():
    shapes = plots.part_shapes(DualPathAutoencoder(ModelConfig.preset("paper")), (1, 16, 256, 256))
    assert shapes["E"] == [
        (32, 16, 256, 256),
        (64, 8, 128, 128),
        (128, 4, 64, 64),
        (256, 2, 32, 32),
    ]
    assert shapes["M_n"] == shapes["M_p"] == [(256, 2, 32, 32)]
    assert (
        shapes["D_n"]
        == shapes["D_p"]
        == [(128, 4, 64, 64), (64, 8, 128, 128), (32, 16, 256, 256), (1, 16, 256, 256)]
    )


def test_shapes_of_fast_end_with_the_clip():
    shapes = plots.part_shapes(DualPathAutoencoder(ModelConfig(channels=3)), (3, 16, 48, 48))
    assert shapes["E"][-1] == shapes["M_p"][-1] == (64, 4, 6, 6)
    assert shapes["D_n"][-1] == shapes["D_p"][-1] == (3, 16, 48, 48)


@pytest.mark.parametrize("training", [True, False])
def test_recording_shapes_leaves_the_model_as_it_was(training):
    model = DualPathAutoencoder(ModelConfig(network="published", width=8, slots=4)).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    plots.part_shapes(model, (1, 16, 16, 16))
    assert model.training == training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(layer._forward_hooks for layer in model.modules())


def test_a_clip_of_other_channels_is_refused_and_leaves_no_hooks():
    model = DualPathAutoencoder(ModelConfig())
    with refused("wrong-shape", field="clips"):
        plots.part_shapes(model, (3, 16, 48, 48))
    assert model.training
    assert not any(layer._forward_hooks for layer in model.modules())


@pytest.mark.parametrize(
    ("memories", "decoders", "parts"),
    [(2, 2, "M_n D_n M_p D_p"), (1, 2, "M_n D_n D_p"), (0, 1, "D_n")],
)
def test_network_shows_the_parts_that_there_are_with_their_parameters(memories, decoders, parts):
    model = DualPathAutoencoder(ModelConfig(memories=memories, decoders=decoders))
    ax = plots.plot_network(model, (1, 16, 48, 48))
    titles = dict(text.split("\n") for text in texts(ax) if text[0] in "EMD")
    assert list(titles) == ["E", *parts.split()]
    assert sum(int(count.replace(",", "")) for count in titles.values()) == sum(
        p.numel() for p in model.parameters()
    )
    assert "64\n4 x 6 x 6" in texts(ax)
    assert any(patch.get_hatch() for patch in ax.patches) == ("_p" in parts), (
        "the paths differ by more than colour"
    )


def test_a_skip_leads_to_both_decoders():
    arrows = []
    for skip in (False, True):
        ax = plots.plot_network(DualPathAutoencoder(ModelConfig(skip=skip)), (1, 16, 48, 48))
        arrows.append(sum(getattr(text, "arrow_patch", None) is not None for text in ax.texts))
    assert arrows[1] == arrows[0] + 2


def test_addressing_shows_weights_before_and_after_the_cut():
    slots, query = torch.tensor([[1.0, -0.3], [0.4, 0.9], [-0.7, 0.7]]), torch.tensor([1.1, 0.4])
    axes = plots.plot_addressing(slots, query, 2.0, 0.2)
    heights = [[bar.get_height() for bar in bars] for bars in axes[1].containers]
    cosine = torch.nn.functional.cosine_similarity(slots, query[None])
    np.testing.assert_allclose(heights[0], torch.softmax(2 * cosine, 0), atol=1e-4)
    np.testing.assert_allclose(heights[1], address(query, slots, 2.0, 0.2))
    assert heights[1][2] == 0 < heights[0][2]
    assert axes[1].get_lines()[0].get_ydata()[0] == pytest.approx(0.2 * max(heights[0]))
    assert axes[1].containers[0][0].get_hatch() != axes[1].containers[1][0].get_hatch()
    tips = {text.get_text(): text.xy for text in axes[0].texts if text.get_text()}
    np.testing.assert_allclose(tips["query"], query)
    np.testing.assert_allclose(tips["read"], address(query, slots, 2.0, 0.2) @ slots, rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_paths_show_both_reconstructions_and_their_errors(channels):
    model = DualPathAutoencoder(ModelConfig(channels=channels, width=8, slots=4)).eval()
    with torch.no_grad():
        model.pseudo_decoder.head.bias.add_(0.5)  # else the two are alike
    clip = torch.rand(channels, 8, 16, 24) * 2 - 1
    axes = plots.plot_path_reconstructions(model, clip, columns=2)
    images = {ax.get_ylabel(): ax.get_images()[0] for ax in axes}
    assert list(images) == ["clip", "D_n", "error of D_n", "D_p", "error of D_p"]
    np.testing.assert_array_equal(
        np.asarray(images["clip"].get_array())[:, :24], to_frames(clip)[0].squeeze()
    )
    with torch.no_grad():
        for name, path in (("D_n", "normal"), ("D_p", "pseudo")):
            rebuilt = model(clip[None], path).reconstruction[0]
            np.testing.assert_array_equal(
                np.asarray(images[name].get_array())[:, 26:50], to_frames(rebuilt)[7].squeeze()
            )
            error = (rebuilt - clip).square().mean(0)[7]
            np.testing.assert_allclose(
                np.asarray(images[f"error of {name}"].get_array())[:, 26:50], error, rtol=1e-5
            )
    assert images["error of D_n"].get_clim() == images["error of D_p"].get_clim() == (0, 0.3)
