"""The browser's picture and its controls, without a browser: every control is swept over its range."""

import base64
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from refusals import refused
from trees import spot

from vadlib.course.widgets.browser import Browser, describe_frame, plot_browser, sample_frames
from vadlib.data.catalog import load_videos


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def datasets(array_video):
    def video(name, length, channels=1, labelled=True):
        labels = (np.arange(length) % 10 >= 6).astype(np.uint8) if labelled else None
        frames = np.random.default_rng(length).integers(0, 256, (length, 48, 64, channels))
        return array_video(frames, name, labels=labels, masks=spot(labels) if labelled else None)

    return {
        "grey": [video("01", 40), video("02", 25)],
        "colour": [video("01", 30, 3)],
        "unlabelled": [video("x", 12, labelled=False)],
    }


@pytest.fixture
def parts(datasets):
    box = Browser(datasets)
    dataset, clip, frame, overlay, picture = box.children
    return dataset, clip, frame, overlay, picture


def alt(picture):
    return re.search(r'alt="([^"]*)"', picture.value)[1]


def pixels(picture):
    return base64.b64decode(re.search(r"base64,([^\"]*)", picture.value)[1])


@pytest.mark.parametrize(
    ("dataset", "clip", "frame", "overlay"),
    [
        ("grey", "01", 0, True),
        ("grey", "02", 8, True),
        ("grey", "02", 8, False),
        ("colour", "01", 29, True),
        ("unlabelled", "x", 3, True),
    ],
)
def test_the_picture_is_the_frame_its_mask_and_a_cursor(datasets, dataset, clip, frame, overlay):
    figure, text = plot_browser(datasets, dataset, clip, frame, overlay)
    picture, line = figure.axes
    video = next(v for v in datasets[dataset] if v.name == clip)
    assert np.array_equal(picture.images[0].get_array(), video.frames[frame].squeeze())
    abnormal = video.labels is not None and bool(video.labels[frame])
    assert bool(picture.collections) == (abnormal and overlay)
    assert line.get_lines()[0].get_xdata() == [frame, frame]
    assert text == describe_frame(dataset, video, frame, overlay)
    assert ("abnormal" in text) == abnormal


def test_the_alt_text_says_where_the_mask_is(datasets):
    # columns 12 to 29 of 64, rows 10 to 19 of 48
    text = describe_frame("grey", datasets["grey"][0], 7)
    assert re.findall(r"\d+%", text) == ["32%", "30%"]


@pytest.mark.parametrize(("frame", "shown"), [(-5, 0), (40, 39), (10_000, 39)])
def test_frames_beyond_the_clip_are_its_ends(datasets, frame, shown):
    assert f"frame {shown} of 40" in plot_browser(datasets, "grey", "01", frame)[1]


def test_unknown_names_are_refused(datasets):
    with refused("unknown-name", field="dataset"):
        plot_browser(datasets, "blue", "01", 0)
    with refused("unknown-name", field="clip"):
        plot_browser(datasets, "grey", "09", 0)
    with refused("too-few", field="datasets"):
        Browser({})


def test_controls_are_labelled_and_reachable_by_keyboard(parts):
    controls = parts[:-1]
    assert len({control.description for control in controls} - {""}) == len(controls)
    assert not any(control.disabled for control in controls)


def test_every_control_over_its_whole_range(datasets, parts):
    """Minimum, default and maximum of each; the picture and its text follow."""
    dataset, clip, frame, overlay, picture = parts
    seen = set()
    for name in dataset.options:
        dataset.value = name
        assert list(clip.options) == [v.name for v in datasets[name]]
        for chosen in clip.options:
            clip.value = chosen
            video = next(v for v in datasets[name] if v.name == chosen)
            assert (frame.min, frame.max) == (0, len(video) - 1)
            for t in (frame.min, (frame.min + frame.max) // 2, frame.max):
                for on in (True, False):
                    frame.value, overlay.value = t, on
                    assert alt(picture) == describe_frame(name, video, t, on)
                    seen.add(pixels(picture))
    # three frames of each of four clips, and more where an outline comes and goes
    assert len(seen) >= 3 * 4


def test_a_shorter_clip_pulls_the_frame_back(parts):
    dataset, clip, frame, _, picture = parts
    frame.value = 39
    clip.value = "02"
    assert (frame.value, frame.max) == (24, 24)
    assert "video 02, frame 24 of 25" in alt(picture)
    dataset.value = "unlabelled"
    assert (clip.value, frame.value) == ("x", 11)
    assert "unlabelled, video x, frame 11 of 12" in alt(picture)
    dataset.value = "grey"
    assert (clip.value, frame.max) == ("01", 39)


def test_the_static_twin_shows_a_normal_and_an_abnormal_frame():
    street = {"synthetic": load_videos("synthetic", "test")[:2]}
    texts = [plot_browser(street, *state)[1] for state in sample_frames(street)]
    assert len(set(texts)) == 3
    assert {"abnormal" in text for text in texts} == {True, False}
