"""Plots of explanations and slots show the arrays they are given, and show what was not rebuilt as
such.
"""

import re
import warnings

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from refusals import refused

from vadlib.course.figures import memory as plots
from vadlib.course.inspection.explanation import Explanation
from vadlib.course.inspection.slots import SlotPicture
from vadlib.data.clips import to_frames


@pytest.fixture(autouse=True)
def close_figures():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a NaN cast to a pixel
        yield
    plt.close("all")


def one_path(frames, seen, seed, scale=1.0, slots=4):
    """An explanation of random numbers, NaN where not seen, as `explain_clip` makes it."""
    generator = np.random.default_rng(seed)
    length, height, width, channels = frames.shape
    cells = seen.reshape(height // 8, 8, width // 8, 8).any((1, 3))
    parts = (
        (255, (length, height, width, channels), seen[..., None]),
        (1, (length, height, width), seen),
    )
    rebuilt, error = (
        np.where(where, high * scale * generator.random(shape), np.nan)
        for high, shape, where in parts
    )
    entropy = np.where(cells, generator.random(cells.shape) * scale, np.nan)
    attention = np.where(
        cells, generator.dirichlet(np.ones(slots), cells.shape).transpose(2, 0, 1), np.nan
    )
    return Explanation(frames, seen, rebuilt, error, entropy, attention)


def explanation(channels=1, seed=0, scale=1.0, slots=4, seen=None):
    """A clip of 8 frames of 16 x 24 pixels, its left half seen."""
    frames = np.random.default_rng(seed).integers(0, 256, (8, 16, 24, channels), np.uint8)
    if seen is None:
        seen = np.zeros((16, 24), bool)
        seen[:, :12] = True
    return one_path(frames, seen, seed, scale, slots)._replace(
        pseudo=one_path(frames, seen, seed + 1, scale, slots)
    )


def picture(ax):
    return np.asarray(ax.get_images()[0].get_array())


def heat(ax):
    return np.ma.filled(ax.get_images()[0].get_array(), np.nan)


@pytest.mark.parametrize("channels", [1, 3])
def test_rebuilt_shows_frame_reconstruction_and_error_and_hatches_the_rest(channels):
    clip = explanation(channels)
    axes = plots.plot_reconstruction(clip, frame=3)
    assert len(axes) == 3
    np.testing.assert_array_equal(
        picture(axes[0])[..., :3], np.broadcast_to(clip.frames[3], (16, 24, 3))
    )
    assert (picture(axes[0])[..., 3] == 255).all()
    shown = picture(axes[1])
    np.testing.assert_array_equal(
        shown[:, :12, :3], np.broadcast_to(clip.rebuilt[3, :, :12].astype(np.uint8), (16, 12, 3))
    )
    np.testing.assert_array_equal(shown[..., 3], np.where(clip.seen, 255, 0))
    np.testing.assert_array_equal(heat(axes[2]), clip.error[3])
    for ax in axes[1:]:  # what was not seen looks like no value of the map
        assert ax.patch.get_hatch()
        assert to_hex(ax.patch.get_facecolor()) not in {
            to_hex(plt.get_cmap("viridis")(v)) for v in np.linspace(0, 1, 256)
        }


def test_both_paths_share_one_scale_of_errors():
    clip = explanation()
    axes = plots.plot_reconstruction(clip, frame=3, title="here", both=True)
    assert axes.shape == (2, 3)
    np.testing.assert_array_equal(
        picture(axes[0, 2])[:, :12, 0], clip.pseudo.rebuilt[3, :, :12, 0].astype(np.uint8)
    )
    np.testing.assert_allclose(
        heat(axes[1, 0]), np.abs(clip.rebuilt - clip.pseudo.rebuilt)[3, ..., 0]
    )
    np.testing.assert_array_equal(heat(axes[1, 1]), clip.error[3])
    np.testing.assert_array_equal(heat(axes[1, 2]), clip.pseudo.error[3])
    limits = {ax.get_images()[0].get_clim() for ax in axes[1, 1:]}
    assert len(limits) == 1
    assert limits.pop()[1] == pytest.approx(
        np.nanquantile([clip.error[3], clip.pseudo.error[3]], 0.995)
    )


@pytest.mark.parametrize("both", [False, True])
def test_rebuilt_outlines_the_mask_in_the_frame_and_the_maps(both):
    mask = np.zeros((16, 24), bool)
    mask[4:8, 2:23] = True
    plain, axes = (
        np.ravel(plots.plot_reconstruction(explanation(), both=both, mask=where))
        for where in (np.zeros_like(mask), mask)
    )
    for number, (before, ax) in enumerate(zip(plain, axes, strict=True)):
        assert not before.collections
        assert len(ax.collections) == (number not in ({1, 2} if both else {1})), (
            "not over the reconstructions"
        )
        assert (ax.get_xlim(), ax.get_ylim()) == (before.get_xlim(), before.get_ylim())
        for lines in ax.collections:
            low, high = lines.get_paths()[0].get_extents().get_points()
            np.testing.assert_allclose([low, high], [[1.5, 3.5], [22.5, 7.5]])


def test_slices_over_time_take_the_row_of_the_largest_error():
    clip = explanation()
    clip.error[:, 13, :12] += 3
    axes = plots.plot_reconstruction_over_time(clip)
    np.testing.assert_array_equal(picture(axes[0])[..., 0], clip.frames[:, 13, :, 0])
    np.testing.assert_array_equal(
        picture(axes[2])[:, :12, 0], clip.pseudo.rebuilt[:, 13, :12, 0].astype(np.uint8)
    )
    np.testing.assert_array_equal(heat(axes[3]), clip.error[:, 13])
    np.testing.assert_array_equal(heat(axes[4]), clip.pseudo.error[:, 13])
    assert axes[0].get_xlim() == (-0.5, 11.5), "only where something was rebuilt"
    np.testing.assert_array_equal(
        heat(plots.plot_reconstruction_over_time(clip, row=2)[3]), clip.error[:, 2]
    )


def test_attention_shares_one_scale_between_the_clips():
    normal, abnormal = explanation(), explanation(seed=5, scale=2.0)
    axes = plots.plot_attention(normal, abnormal)
    limits = {ax.get_images()[0].get_clim() for ax in axes[:2]}
    assert limits == {(0.0, np.nanmax([normal.entropy, abnormal.entropy]))}
    np.testing.assert_array_equal(heat(axes[0]), normal.entropy)
    assert np.isnan(heat(axes[0])).any()
    ranks = np.argsort(normal.usage)[::-1]
    np.testing.assert_allclose(axes[2].get_lines()[0].get_ydata(), normal.usage[ranks])
    np.testing.assert_allclose(axes[2].get_lines()[1].get_ydata(), abnormal.usage[ranks])


def test_slot_maps_show_where_each_slot_is_read():
    clip = explanation(slots=7)
    axes = plots.plot_slot_maps(clip, [6, 2], frame=4)
    np.testing.assert_array_equal(picture(axes[0, 0])[..., 0], clip.frames[4, ..., 0])
    for ax, slot in zip(axes[0, 1:], [6, 2], strict=True):
        np.testing.assert_array_equal(heat(ax), clip.attention[slot])
        assert re.findall(r"[\d.]+%?", ax.get_title()) == [str(slot), f"{clip.usage[slot]:.1%}"]
    most = plots.plot_slot_maps(clip, count=3)
    assert most.shape == (2, 3)
    for ax, slot in zip(most.flat[1:], np.argsort(-clip.usage)[:3], strict=False):
        np.testing.assert_array_equal(heat(ax), clip.attention[slot])
    with refused("conflict", field="ModelConfig.memories"):
        plots.plot_slot_maps(explanation(slots=4)._replace(attention=np.zeros((0, 2, 3))))


def test_a_clip_in_which_nothing_moved_is_hatched_throughout():
    clip = explanation(seen=np.zeros((16, 24), bool))
    for axes in (
        plots.plot_reconstruction(clip),
        plots.plot_reconstruction(clip, both=True),
        plots.plot_reconstruction_over_time(clip),
        plots.plot_attention(clip, clip),
        plots.plot_slot_maps(clip),
    ):
        np.ravel(axes)[0].figure.canvas.draw()
        maps = [
            np.ma.filled(image.get_array().astype(float), np.nan)
            for ax in np.ravel(axes)
            for image in ax.images
        ]
        heats = [values for values in maps if values.ndim == 2]
        assert heats
        assert all(np.isnan(values).all() for values in heats)


def test_usage_shows_the_slots_that_the_first_kind_reads_most_and_how_much_has_moved():
    shares = np.array(
        [[0.1, 0.5, 0.0, 0.4], [0.25, 0.25, 0.25, 0.25], [0.0, 0.2, 0.7, 0.1], [0.1, 0.4, 0.1, 0.4]]
    )
    axes = plots.plot_slot_usage(
        {name: {"M_n": row, "M_p": row[::-1]} for name, row in zip("abcd", shares, strict=True)},
        count=2,
    )
    assert [label.get_text() for label in axes[0].get_xticklabels()] == ["1", "3"]
    heights = [[bar.get_height() for bar in bars] for bars in axes[0].containers]
    np.testing.assert_allclose(heights, shares[:, [1, 3]])
    assert [label.get_text() for label in axes[1].get_xticklabels()] == ["2", "0"]
    legend = "".join(text.get_text() for text in axes[0].get_legend().get_texts())
    assert re.findall(r"\d+%", legend) == ["40%", "70%", "10%"], (
        "of b, c and d; half of what differs from a"
    )
    looks = {
        (bars[0].get_hatch(), bars[0].get_facecolor()[:3] == (1, 1, 1))
        for bars in axes[0].containers
    }
    assert len(looks) == 4, "the kinds differ by more than colour"


def test_atlas_shows_each_slot_beside_its_clips():
    clips = [torch.full((1, 4, 16, 40), k / 10) for k in range(5)]
    pages = [
        SlotPicture(3, np.full((4, 16, 40, 1), 9, np.uint8), np.array([4, 1]), np.array([0.8, 0.5]))
    ]
    axes = plots.plot_slot_atlas(pages, clips)
    assert axes.shape == (1, 3)
    assert (picture(axes[0, 0])[..., 0] == 9).all()
    for ax, number in zip(axes[0, 1:], (4, 1), strict=True):
        np.testing.assert_array_equal(picture(ax)[..., 0], to_frames(clips[number])[2, ..., 0])
        [square] = ax.patches
        assert (square.get_xy(), square.get_width()) == ((15.5, 7.5), 8)
    assert [re.findall(r"[\d.]+", ax.get_title()) for ax in axes[0]] == [["3"], ["0.80"], ["0.50"]]


def test_removal_shows_the_change_in_percent():
    errors = {
        "normal": {"nothing": np.array([1.0, 3.0]), "4": np.array([2.0, 3.0])},
        "abnormal": {"nothing": np.array([2.0]), "4": np.array([1.0])},
    }
    [ax] = plots.plot_slot_removal(errors)
    assert [bars[0].get_height() for bars in ax.containers] == pytest.approx([25, -50])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["4"]


def test_removals_set_apart_have_their_own_scale():
    errors = {
        "normal": {
            "nothing": np.array([1.0]),
            "4": np.array([1.1]),
            "rest": np.array([9.0]),
            "5": np.array([1.2]),
        }
    }
    first, second = plots.plot_slot_removal(errors, ["rest"])
    assert [label.get_text() for label in first.get_xticklabels()] == ["4", "5"]
    assert [label.get_text() for label in second.get_xticklabels()] == ["rest"]
    assert [
        bar.get_height() for bar in (*first.containers[0], *second.containers[0])
    ] == pytest.approx([10, 20, 800])
    assert first.get_ylim()[1] < 30 < second.get_ylim()[1]
