"""Plots of datasets show what the arrays hold."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from refusals import refused
from trees import spot

from vadlib.course.figures import datasets as plots


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def videos(array_video):
    """Three videos: both kinds of frame, all normal, all abnormal."""
    made = []
    for i, labels in enumerate((np.repeat([0, 1, 0, 1], 10), np.zeros(30), np.ones(20))):
        labels = labels.astype(np.uint8)
        frames = np.random.default_rng(i).integers(0, 256, (len(labels), 48, 64, 1))
        made.append(array_video(frames, f"{i + 1:02d}", labels=labels, masks=spot(labels)))
    return made


def bars(ax):
    """(x0, x1, row) of the hatched bars."""
    found = []
    for collection in ax.collections:
        if collection.get_hatch():
            for path in collection.get_paths():
                (x0, y0), (x1, y1) = path.vertices.min(0), path.vertices.max(0)
                found.append((round(x0), round(x1), round((y0 + y1) / 2)))
    return sorted(found, key=lambda bar: (bar[2], bar[0]))


def test_timelines_hatch_the_abnormal_frames_and_print_their_share(videos):
    ax = plots.plot_timelines(videos, "mine")
    assert bars(ax) == [(10, 20, 0), (30, 40, 0), (0, 20, 2)]
    assert [text.get_text() for text in ax.texts] == ["50%", "0%", "100%"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["01", "02", "03"]


def test_timelines_need_labels(array_video):
    with refused("missing-labels", field="videos"):
        plots.plot_timelines([array_video(np.zeros((4, 8, 8, 1)))])


def test_examples_are_a_normal_and_an_abnormal_frame_with_its_mask(videos):
    axes = plots.plot_examples({"one": videos, "two": videos[1:]})
    assert axes.shape == (2, 2)
    for ax, (video, t) in zip(axes.ravel(), [(0, 20), (0, 30), (1, 15), (2, 10)], strict=True):
        assert np.array_equal(ax.images[0].get_array(), videos[video].frames[t].squeeze())
        outlined = videos[video].masks[t].any()
        assert bool(ax.collections) == outlined
        if outlined:  # the outline lies on the mask's border: rows 10 to 19, columns 12 to 29
            vertices = np.concatenate([path.vertices for path in ax.collections[-1].get_paths()])
            np.testing.assert_allclose(
                [vertices.min(0), vertices.max(0)], [[11.5, 9.5], [29.5, 19.5]]
            )


def test_examples_need_both_kinds(videos):
    with refused("nothing-to-do", field="videos"):
        plots.plot_examples({"normal": videos[1:2]})


def test_two_truths_mark_the_frames_in_which_they_differ():
    first, second = {"07": np.repeat([0, 1, 0], 10)}, {"07": np.repeat([0, 1, 0], [8, 13, 9])}
    ax = plots.plot_ground_truths(first, second, ("vol", "community"))
    [differ] = [c for c in ax.collections if tuple(c.get_facecolor()[0]) == (0, 0, 0, 1)]
    assert [
        (path.vertices[:, 0].min(), path.vertices[:, 0].max()) for path in differ.get_paths()
    ] == [(8, 10), (20, 21)]
    assert bars(ax) == [(8, 21, 0)]


def test_changes_are_drawn_as_two_distributions_of_area_one():
    rng = np.random.default_rng(0)
    changes = {
        "a": {"01": rng.normal(2, 0.3, 500), "02": rng.normal(4, 0.5, 300)},
        "b": {"01": rng.random(90)},
    }
    labels = {"a": {"02": np.ones(300), "01": np.zeros(500)}, "b": {"01": np.repeat([0, 1], 45)}}
    axes = plots.plot_frame_changes(changes, labels)
    filled, line = axes[0].patches
    assert (filled.get_fill(), line.get_fill()) == (True, False)
    assert line.get_linestyle() not in ("-", "solid")  # told apart without colour
    centre = [
        np.average(p.get_xy()[:, 0], weights=p.get_xy()[:, 1] + 1e-12) for p in (filled, line)
    ]
    assert centre == [pytest.approx(2, abs=0.3), pytest.approx(4, abs=0.4)]


def test_one_frame_of_each_event_shows_most_of_it(array_video):
    labels = np.repeat([0, 1, 0, 1], 5).astype(np.uint8)
    masks = np.zeros((20, 8, 8), bool)
    for t in np.flatnonzero(labels):
        masks[t, 0, 0] = True
    masks[7, :3], masks[19, :2] = True, True
    frames = np.zeros((20, 8, 8, 1), np.uint8)
    assert plots.event_frames(array_video(frames, "with", labels=labels, masks=masks)) == [7, 19]
    assert plots.event_frames(array_video(frames, "without", labels=labels)) == [7, 17]
    with refused("missing-labels", field="video"):
        plots.event_frames(array_video(frames, "none"))
