"""The laboratory and the pure functions behind it, without a browser: every control is swept over
its range.
"""

import base64
import hashlib
import html
import io
import re
from html.parser import HTMLParser

import av
import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refused

from vadlib.config import ClipConfig
from vadlib.course.figures.pseudo import plot_training_batch
from vadlib.course.widgets.lab import (
    Lab,
    LabSettings,
    lab_pseudo,
    play_lab,
    plot_lab,
    plot_lab_batch,
)
from vadlib.data.clips import ClipDataset, to_frames
from vadlib.output.figure import image_tag
from vadlib.pseudo.kinds import AddNoise, PasteObjects, ShuffleMotion, SkipFrames
from vadlib.pseudo.mixer import KINDS, PseudoAnomalyMixer
from vadlib.pseudo.patches import load_patches

CLASSES = {"skip": SkipFrames, "shuffle": ShuffleMotion, "noise": AddNoise, "object": PasteObjects}
CONTROLS = ("kind", "strength", "number", "seed", "detector", "patches", "p")
GIVEN, NONE = "given", "sees & <finds> nobody"  # a name that HTML must escape


@pytest.fixture(scope="module")
def clips(array_video, walker):
    """Windows of two walkers; the last of a video have no frames after them. One "detector" knows
    the boxes, one finds nobody.
    """
    films = {name: walker(104, seed=seed) for seed, name in enumerate(("01", "02"))}
    videos = [array_video(frames, name, fps=12.5) for name, (frames, _) in films.items()]
    found = {
        GIVEN: {name: boxes for name, (_, boxes) in films.items()},
        NONE: {name: [np.zeros((0, 4))] * 104 for name in films},
    }
    config = ClipConfig(crop=(32, 32), clip_step=16)
    return {
        detector: ClipDataset(videos, config, boxes, progress=False)
        for detector, boxes in found.items()
    }


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patches")
    (folder / "white").mkdir()
    Image.new("RGB", (40, 40), (255, 255, 255)).save(folder / "white" / "0.png")
    return {name: load_patches(name) for name in ("builtin", str(folder))}


@pytest.fixture
def parts(clips, sources):
    return dict(
        zip(
            (*CONTROLS[:-1], "film", "strips", "p", "batch"),
            Lab(clips, list(sources)).children,
            strict=True,
        )
    )


class Reader(HTMLParser):
    """What a piece of HTML says and shows."""

    def __init__(self, markup):
        super().__init__()
        self.tags, self.text, self.shown = [], "", None
        self.feed(markup)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.shown = attributes.get("src")
        self.text += attributes.get("alt") or attributes.get("aria-label") or ""

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("kind", CLASSES)
def test_the_choice_is_made_and_said(clips, sources, kind):
    choice, (_, start, *_) = LabSettings(kind, 0.75, 1, 3, GIVEN, "builtin"), clips[GIVEN].index[1]
    clip, pseudo, text = lab_pseudo(clips, sources, choice)
    assert torch.equal(clip.tensor, clips[GIVEN][1].tensor)
    expected = CLASSES[kind](strength=0.75)(clip, torch.Generator().manual_seed(3))
    assert torch.equal(pseudo.tensor, expected.tensor)
    share = np.mean(to_frames(pseudo.tensor) != to_frames(clip.tensor))
    assert text.startswith(kind)
    assert {"0.75", "3", "1", str(start), "01"} <= set(re.findall(r"[\d.]+", text)), (
        "strength, seed, clip, frame, video"
    )
    # what rounds to 0 counts
    assert float(re.search(r"(\d+)%", text)[1]) == pytest.approx(100 * share, abs=2)
    strips, alt = plot_lab(clips, sources, choice)
    assert alt == text
    np.testing.assert_array_equal(
        strips.axes[1].get_images()[0].get_array()[:32, :32], to_frames(pseudo.tensor)[0, ..., 0]
    )
    film = Reader(play_lab(clips, sources, choice))
    assert film.text.endswith(text)
    with av.open(io.BytesIO(base64.b64decode(film.shown.split(",")[1]))) as container:
        assert (
            container.streams.video[0].frames,
            float(container.streams.video[0].average_rate),
        ) == (16, 12.5)
    plt.close("all")


@pytest.mark.parametrize(("kind", "start", "detector"), [("skip", 80, GIVEN), ("object", 0, NONE)])
def test_what_cannot_be_made_is_said(clips, sources, kind, start, detector):
    number = clips[detector].index[:, :2].tolist().index([1, start])
    choice = LabSettings(kind, 0.5, number, 0, detector)
    _, pseudo, text = lab_pseudo(clips, sources, choice)
    assert pseudo is None
    assert text.startswith(kind)
    assert (NONE in text) == (kind == "object"), "the detector is to blame only there"
    figure, alt = plot_lab(clips, sources, choice)
    normal, after, difference, mask = (ax.get_images()[0].get_array()[:32] for ax in figure.axes)
    assert alt == text
    np.testing.assert_array_equal(after, normal)
    assert not difference[:, :32].any()
    assert not mask[:, :32].any()
    film = Reader(play_lab(clips, sources, choice))
    assert (film.tags, film.text) == (["p"], text)
    plt.close("all")


class Never(AddNoise):
    """A kind that can be made of no clip, as the protocol of kinds allows."""

    name = "never"

    def _draw(self, clip, strength, generator):
        return None


@pytest.mark.parametrize("name", ["never", "noise", "shuffle"])
def test_any_kind_may_say_that_it_cannot_be_made(clips, sources, monkeypatch, name):
    monkeypatch.setitem(KINDS, name, Never)
    choice = LabSettings(name, 0.5, 0, 0, GIVEN)
    _, pseudo, text = lab_pseudo(clips, sources, choice)
    assert pseudo is None
    assert name in text
    assert plot_lab(clips, sources, choice)[1] == text
    plt.close("all")
    controls = Lab(clips, list(sources)).children
    controls[0].value = name
    film, strips = controls[len(CONTROLS) - 1 : len(CONTROLS) + 1]
    assert (Reader(film.value).tags, Reader(film.value).text) == (["p"], text)
    assert Reader(strips.value).text == Reader(film.value).text


def test_the_batch_holds_every_kind_at_the_chosen_strength(clips, sources):
    for p, strength, seed, detector, patches in (
        (0.6, 1.0, 2, GIVEN, list(sources)[1]),
        (1.0, 0.3, 0, NONE, "builtin"),
    ):
        kinds = [
            SkipFrames(strength),
            ShuffleMotion(strength),
            AddNoise(strength),
            PasteObjects(patches, strength),
        ]
        expected = plot_training_batch(clips[detector], PseudoAnomalyMixer(kinds, p), seed)
        choice = LabSettings("noise", strength, 3, seed, detector, patches, p)
        assert image_tag(*plot_lab_batch(clips, sources, choice)) == image_tag(*expected)


@pytest.fixture
def exact_films(monkeypatch):
    """Films that differ only where their frames do: what x264 writes of the same frames is not
    always the same.
    """

    def tag(frames, fps, text):
        return f'<video aria-label="{html.escape(text)}" src="{hashlib.sha256(np.stack(frames)).hexdigest()}">'

    monkeypatch.setattr("vadlib.course.widgets.lab.video_tag", tag)


@pytest.mark.slow
def test_every_control_over_its_whole_range(clips, sources, exact_films, parts):
    """Minimum, default and maximum of each slider, every button; the film, the strips and the batch
    follow.
    """
    of_clip, of_batch = ("film", "strips"), ("batch",)
    follows = {name: of_clip + of_batch for name in CONTROLS} | {
        "kind": of_clip,
        "number": of_clip,
        "p": of_batch,
    }
    views = of_clip + of_batch
    # so that every other control shows, in the film or the batch
    parts["kind"].value, parts["p"].value = "object", 0.6
    for name in CONTROLS:
        control, default, seen = parts[name], parts[name].value, {view: set() for view in views}
        states = (
            control.options
            if isinstance(control, widgets.ToggleButtons)
            else (control.min, default, control.max)
        )
        for state in (*states, default):
            control.value = state
            choice = LabSettings(**{each: parts[each].value for each in CONTROLS})
            assert parts["strips"].value == image_tag(*plot_lab(clips, sources, choice))
            assert parts["batch"].value == image_tag(*plot_lab_batch(clips, sources, choice))
            assert parts["film"].value == play_lab(clips, sources, choice)
            assert Reader(parts["film"].value).text.endswith(Reader(parts["strips"].value).text)
            for view in views:
                seen[view].add(parts[view].value)
        for view in views:
            assert len(seen[view]) == (len(set(states)) if view in follows[name] else 1), (
                name,
                view,
            )
    parts["detector"].value = NONE
    assert Reader(parts["film"].value).tags == ["p"]
    assert plt.get_fignums() == []


def test_controls_are_labelled_and_bounded(clips, sources, parts):
    assert len({parts[name].description for name in CONTROLS} - {""}) == len(CONTROLS)
    assert not any(parts[name].disabled for name in CONTROLS)
    bounds = {name: (parts[name].min, parts[name].max) for name in ("strength", "number", "p")}
    assert bounds == {"strength": (0, 1), "number": (0, len(clips[GIVEN]) - 1), "p": (0, 1)}
    assert parts["p"].step == 0.01, "the paper's p = 0.01 is one step from 0"
    options = {name: list(parts[name].options) for name in ("kind", "detector", "patches")}
    assert options == {"kind": list(KINDS), "detector": list(clips), "patches": list(sources)}


@pytest.mark.parametrize(("given", "patches"), [(False, ["builtin"]), (True, [])])
def test_nothing_to_show_is_refused(clips, given, patches):
    with refused("too-few", field="clips"):
        Lab(clips if given else {}, patches)
