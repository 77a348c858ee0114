"""The widgets without a browser: their controls, what each callback draws, and the static twins."""

import html
import re
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused
from results import maps_of
from scenes import moving_videos
from sklearn.metrics import confusion_matrix, precision_score, recall_score
from trees import spot

import vadlib as vad
from vadlib.config import ScoreConfig
from vadlib.course.display import image_tag
from vadlib.course.figures import explorer as figures
from vadlib.course.figures import pseudo
from vadlib.course.figures.datasets import plot_browser
from vadlib.course.figures.explorer import ExplorerView, count_frames, next_wrong, plot_explorer
from vadlib.course.inspection.explanation import explain_clip
from vadlib.course.widgets import lab
from vadlib.course.widgets.browser import Browser
from vadlib.course.widgets.explorer import Explorer
from vadlib.course.widgets.lab import Lab
from vadlib.data.clips import scoring_starts, to_frames
from vadlib.evaluation.calibration import Calibration, Moments
from vadlib.evaluation.result import Result, VideoResult
from vadlib.pseudo.mixer import KINDS

THRESHOLD = 2.0


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def alt(picture):
    return html.unescape(re.search(r'alt="([^"]*)"', picture.value)[1])


def assert_labelled(controls):
    assert len({control.description for control in controls} - {""}) == len(controls)
    assert not any(control.disabled for control in controls)


def test_the_browser_follows_every_control(array_video):
    def video(name, length):
        labels = (np.arange(length) % 10 >= 6).astype(np.uint8)
        frames = np.random.default_rng(length).integers(0, 256, (length, 48, 64, 1))
        return array_video(frames, name, labels=labels, masks=spot(labels))

    unlabelled = replace(video("x", 12), labels=None, masks=None)
    datasets = {"grey": [video("01", 40), video("02", 25)], "unlabelled": [unlabelled]}
    box = Browser(datasets)
    assert_labelled([box.dataset, box.clip, box.frame, box.overlay])
    for dataset, videos in datasets.items():
        box.dataset.value = dataset
        assert list(box.clip.options) == [video.name for video in videos]
        for video in videos:
            box.clip.value = video.name
            assert (box.frame.min, box.frame.max) == (0, len(video) - 1)
            for frame, overlay in ((0, True), (7, True), (7, False), (len(video) - 1, True)):
                box.frame.value, box.overlay.value = frame, overlay
                expected = plot_browser(datasets, dataset, video.name, frame, overlay)
                assert box.picture.value == image_tag(*expected)
    box.dataset.value, box.frame.value = "grey", 39
    box.clip.value = "02"
    assert (box.frame.value, box.frame.max) == (24, 24), "a shorter video moves the frame back"
    assert "video 02, frame 24 of 25" in alt(box.picture)
    with refused("too-few", field="datasets"):
        Browser({})


# Laboratory

BOXED, NOBODY = "boxed", "sees & <finds> nobody"  # a name that HTML must escape


@pytest.fixture(scope="module")
def clips(array_video, walker):
    """Windows of two walkers. One "detector" knows the boxes, one finds nobody."""
    films = {name: walker(104, seed=seed) for seed, name in enumerate(("01", "02"))}
    videos = [array_video(frames, name, fps=12.5) for name, (frames, _) in films.items()]
    config = vad.ClipConfig(crop=(32, 32), clip_step=16)
    boxes = {BOXED: {name: film[1] for name, film in films.items()}}
    boxes[NOBODY] = {name: [np.zeros((0, 4))] * 104 for name in films}
    return {n: vad.ClipDataset(videos, config, b, progress=False) for n, b in boxes.items()}


SOURCES = {name: vad.load_patches(name) for name in ("builtin", "sprites")}


@pytest.mark.parametrize("kind", KINDS)
def test_the_chosen_pseudo_anomaly_is_made_drawn_and_played(clips, monkeypatch, kind):
    settings = pseudo.LabSettings(kind, 0.75, 1, 3, BOXED)
    anomaly, text = pseudo.make_lab_anomaly(clips, SOURCES, settings)
    recipe = vad.PasteObjects("builtin", 0.75) if kind == "object" else KINDS[kind](0.75)
    expected = recipe(clips[BOXED][1], torch.Generator().manual_seed(3))
    assert torch.equal(anomaly.tensor, expected.tensor)
    assert text.startswith(f"{kind} at strength 0.75, seed 3")
    figure, figure_text = pseudo.plot_lab(clips, SOURCES, settings)
    strip = figure.axes[1].images[0].get_array()
    np.testing.assert_array_equal(strip[:32, :32], to_frames(anomaly.tensor)[0, ..., 0])
    assert figure_text == text
    monkeypatch.setattr(pseudo, "video_tag", lambda *film: film)
    film, *rest = pseudo.play_lab(clips, SOURCES, settings)
    assert rest == [12.5, f"normal clip, pseudo-anomaly and mask: {text}"]
    np.testing.assert_array_equal(
        film[7][:224:7, 238:462:7, 0], to_frames(anomaly.tensor)[7, ..., 0]
    )


@pytest.mark.parametrize(("kind", "detector"), [("skip", BOXED), ("object", NOBODY)])
def test_the_lab_says_what_cannot_be_made(clips, kind, detector):
    last = clips[detector].index[:, :2].tolist().index([1, 80])  # no frames to skip to
    settings = pseudo.LabSettings(kind, 0.5, last, 0, detector)
    anomaly, text = pseudo.make_lab_anomaly(clips, SOURCES, settings)
    assert anomaly is None
    assert text.startswith(kind)
    assert (NOBODY in text) == (kind == "object"), "the detector is to blame only there"
    assert ("no frames" in text) == (kind == "skip")
    assert pseudo.play_lab(clips, SOURCES, settings) == f"<p>{html.escape(text)}</p>"
    figure, figure_text = pseudo.plot_lab(clips, SOURCES, settings)
    normal, after = (ax.images[0].get_array() for ax in figure.axes[:2])
    np.testing.assert_array_equal(normal, after)
    assert figure_text == text


def test_the_lab_draws_what_each_control_changes(clips, monkeypatch):
    for name in ("plot_lab", "plot_lab_batch"):  # settings instead of pictures
        monkeypatch.setattr(lab, name, lambda clips, sources, settings: (settings, ""))
    monkeypatch.setattr(lab, "image_tag", lambda settings, _: repr(settings))
    monkeypatch.setattr(lab, "play_lab", lambda clips, sources, settings: repr(settings))
    box = Lab(clips, ["builtin", "sprites"])
    assert_labelled(box.controls.values())
    assert box.controls["p"].step == 0.01, "the paper's p = 0.01 is one step from 0"
    for name, control in box.controls.items():
        # backwards, so that each is a change
        has_options = hasattr(control, "options")
        for state in control.options[::-1] if has_options else (control.max, control.min):
            before = box.film.value, box.batch.value
            control.value = state
            settings = repr(box.settings)
            assert getattr(box.settings, name) == state
            clip = before[0] if name == "p" else settings
            assert box.film.value == box.strips.value == clip
            batch = before[1] if name in ("kind", "number") else settings
            assert box.batch.value == batch
    for arguments in ([{}], [clips, []]):
        with refused("too-few", field="clips"):
            Lab(*arguments)


# Explorer


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    config = vad.ClipConfig(length=8, crop=(16, 16), clip_step=4)
    clips = vad.ClipDataset(moving_videos(3), config, progress=False)
    model = vad.DualPathAutoencoder(vad.ModelConfig(width=8, slots=8))
    training = vad.TrainConfig(epochs=1, precision="fp32", device="cpu")
    folder = tmp_path_factory.mktemp("runs") / "a"
    return vad.fit(model, clips, None, training, folder, progress=False)


@pytest.fixture(scope="module")
def videos():
    """Frames 15 to 29 are abnormal; the second video has masks, the third no labels."""
    films = moving_videos(3, length=45, labelled=True, seed=1)
    masked = replace(films[1], masks=spot(films[1].labels))
    return [films[0], masked, replace(films[2], labels=None)]


@pytest.fixture(scope="module")
def scored(run, videos):
    return vad.evaluate(run, videos, "cpu", progress=False)


@pytest.fixture
def result(scored):
    """Scores by hand: the first video is quiet, then has a hit, a miss and false alarms; in the
    second all is right.
    """
    first, second = np.full(45, 1.0), np.full(45, -1.0)
    first[18:25], first[40] = 5, 2.5
    first[30:34] = [3, 4, 6, 5]
    second[15:30] = 3
    scores = {"01": first, "02": second, "03": np.linspace(0, 4, 45)}
    parts = {name: replace(part, scores=scores[name]) for name, part in scored.videos.items()}
    calibration = replace(scored.calibration, threshold=THRESHOLD)
    return replace(scored, videos=parts, calibration=calibration)


def unlabelled(result, names=("01", "02", "03")):
    changed = {name: replace(result.videos[name], labels=None) for name in names}
    return replace(result, videos=result.videos | changed)


@st.composite
def labelled_curves(draw):
    frames = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1)), min_size=1, max_size=12)
    curves = [np.array(video).T for video in draw(st.lists(frames, min_size=1, max_size=4))]
    scores = {f"{i}": curve[0] for i, curve in enumerate(curves)}
    return scores, {f"{i}": curve[1] for i, curve in enumerate(curves)}


@given(labelled_curves(), st.integers(-1, 4))
def test_counts_and_rates_are_those_of_scikit_learn(curves, threshold):
    scores, labels = curves
    truth = np.concatenate(list(labels.values()))
    alarms = np.concatenate(list(scores.values())) > threshold
    counts = count_frames(scores | {"unlabelled": np.arange(9)}, labels, threshold)
    by_label = [[counts.quiet, counts.false_alarms], [counts.misses, counts.hits]]
    np.testing.assert_array_equal(by_label, confusion_matrix(truth, alarms, labels=[0, 1]))
    rates = [f(truth, alarms, zero_division=np.nan) for f in (precision_score, recall_score)]
    rates.append(1 - recall_score(1 - truth, ~alarms, zero_division=np.nan))
    assert list(counts.rates) == pytest.approx(rates, nan_ok=True)


@given(labelled_curves(), st.integers(-1, 4), st.sampled_from(["false alarm", "miss"]), st.data())
def test_a_jump_goes_to_the_worst_frame_of_the_next_wrong_run(curves, threshold, kind, data):
    """Walk frame by frame, as someone would who looks for it."""
    scores, labels = curves
    sign = 1 if kind == "false alarm" else -1
    walk = [(name, t) for name in scores for t in range(len(scores[name]))]
    here = data.draw(st.sampled_from(walk))

    def is_wrong(name, t):
        return (scores[name][t] > threshold) != labels[name][t] == (kind == "miss")

    def worst(name, t):
        first, last = t, t
        while first > 0 and is_wrong(name, first - 1):
            first -= 1
        while last + 1 < len(scores[name]) and is_wrong(name, last + 1):
            last += 1
        return max(range(first, last + 1), key=lambda u: sign * scores[name][u])

    begin = walk.index(here) + 1
    places = [p for p in walk[begin:] + walk[:begin] if is_wrong(*p) and worst(*p) == p[1]]
    expected = places[0] if places else None
    assert next_wrong(scores, labels, threshold, kind, *here) == expected


@given(st.integers(2, 20), st.integers(1, 3), st.integers(0, 70), st.data())
def test_the_clip_is_that_of_scoring_with_the_frame_nearest_to_its_middle(length, step, more, data):
    frames = length * step + more
    frame = data.draw(st.integers(0, frames - 1))
    start, place = figures.clip_around(
        frame, frames, vad.ClipConfig(length=length, frame_step=step)
    )
    distances = {}
    for first in scoring_starts(frames, length, step):
        if frame in range(first, first + length * step, step):
            distances[first] = abs((frame - first) / step - (length - 1) / 2)
    assert start + place * step == frame
    assert distances[start] == min(distances.values())


def test_the_explorer_draws_the_frame_the_model_s_work_and_the_curve(run, videos, scored):
    figure, _ = plot_explorer(run, scored, videos, ExplorerView("02", 20, 0.4))
    start, place = figures.clip_around(20, 45, run.config.clips)
    clip = explain_clip(run, videos[1], start)
    arrays = [np.ma.filled(ax.images[0].get_array(), np.nan) for ax in figure.axes[:5]]
    np.testing.assert_array_equal(arrays[0], videos[1].frames[20][..., 0])
    np.testing.assert_array_equal(arrays[1][..., 3] == 255, clip.seen)
    expected = (clip.error[place], clip.entropy, scored.score_map("02")[20])
    for picture, values in zip(arrays[2:], expected, strict=True):
        np.testing.assert_allclose(picture, values, 1e-5)
    lines = figure.axes[5].get_lines()
    np.testing.assert_array_equal(lines[0].get_ydata(), scored.scores["02"])
    # the slider below the picture is placed by these
    figure.canvas.draw()
    assert figure.get_tightbbox().width == pytest.approx(figures.WIDTH, abs=0.02)
    box = figure.axes[5].get_position()
    assert (box.x0, box.x1) == pytest.approx((figures.LEFT, figures.RIGHT))


@pytest.mark.parametrize(("shrunk", "y", "x"), [(1, 0, 0), (1, 9, 14), (2, 4, 9), (2, 7, 2)])
def test_the_dashed_square_lies_where_the_error_is(run, array_video, shrunk, y, x):
    """Also where the model saw smaller frames than the video has."""
    video = array_video(np.zeros((20, 80 * shrunk, 120 * shrunk, 1)), "x")
    clip = explain_clip(run, array_video(np.zeros((20, 80, 120, 1))), 0)
    moments = Moments(np.zeros((10, 15), np.float32), np.ones((10, 15), np.float32))
    flat = {(name, 32, 16): moments for name in ("plain", "contrast")}
    errors, scores = np.zeros((20, 10, 15), np.float16), np.zeros(20)
    errors[8, y, x] = 1
    part = VideoResult(scores, np.arange(20.0), "one", scores, maps=maps_of(errors))
    result = Result({"x": part}, Calibration({"one": flat}, 1, ScoreConfig()))
    figure, text = plot_explorer(run, result, [video], ExplorerView("x", 8, 1), lambda *_: clip)
    for square in figure.axes[0].patches:
        corner = np.array(square.get_xy()) / 8 / shrunk
        assert (corner <= (x, y)).all()
        assert (corner >= (x - 3, y - 3)).all()
        assert (square.get_width(), square.get_height()) == (32 * shrunk, 32 * shrunk)
    across, down = (int(share) / 100 for share in re.findall(r"(\d+)% from", text))
    assert abs(across * 15 - x - 0.5) <= 2.1
    assert abs(down * 10 - y - 0.5) <= 2.1


def test_the_text_says_what_the_threshold_makes_of_the_frame(result):
    outcomes = {("01", 0): "1.00, not above the threshold of 2.00: normal and quiet"}
    outcomes["01", 20] = "5.00, above the threshold of 2.00: a hit"
    outcomes["01", 27] = "1.00, not above the threshold of 2.00: a miss"
    outcomes["01", 32] = "6.00, above the threshold of 2.00: a false alarm"
    outcomes["03", 10] = "0.91, not above the threshold of 2.00: quiet, unlabelled"
    outcomes["03", 44] = "4.00, above the threshold of 2.00: an alarm, unlabelled"
    for (name, t), outcome in outcomes.items():
        text = figures.describe_view(result, ExplorerView(name, t, THRESHOLD), np.zeros((1, 1)))
        assert text == f"video {name}, frame {t} of 45, calibrated score {outcome}"


def test_the_explorer_refuses_what_does_not_fit(run, videos, result, array_video):
    for view, code, field in (
        (ExplorerView("07", 0, 1), "unknown-name", "View.video"),
        (ExplorerView("01", 45, 1), "out-of-range", "View.frame"),
    ):
        with refused(code, field=field):
            plot_explorer(run, result, videos, view)
    with refused("conflict", field="videos"):
        Explorer(run, result, [array_video(np.zeros((12, 48, 64, 1)))])
    with refused("conflict", field="protocol"):
        Explorer(run, replace(result, protocol="center"), videos)
    with refused("too-few", field="videos"):
        Explorer(run, result, [])


def test_the_explorer_s_static_twin_shows_a_hit_a_false_alarm_and_a_miss(result):
    views = [("01", 18, 2), ("01", 32, 2), ("01", 15, 2)]
    assert figures.sample_views(result) == views
    assert figures.sample_views(unlabelled(result, ["01", "03"])) == [("02", 15, 2)]
    assert figures.sample_views(unlabelled(result)) == [("01", 32, 2)]


@pytest.fixture
def views(monkeypatch):
    """The views that the explorer draws, without the work."""
    views = []

    def plot(run, result, videos, view, explain):
        views.append(view)
        return plt.figure(figsize=(1, 1)), f"the view of {view.video} at {view.frame}"

    monkeypatch.setattr(figures, "plot_explorer", plot)
    return views


def table(box):
    counts = {}
    for row in box.counts.value.split("</tr>")[1:-1]:
        name, *cells = re.findall(r"<td>(.*?)</td>", row)
        counts[name] = list(map(int, cells[:4]))
    return counts


def test_counts_and_picture_follow_every_control(run, videos, result, views):
    box = Explorer(run, result, videos)
    slider = box.threshold
    assert_labelled([box.video, box.frame, slider, *box.jumps.values()])
    assert box._explain("01", 8) is box._explain("01", 8), "a clip is explained once"
    assert views == [ExplorerView("01", 18, THRESHOLD)], "begins with a hit, and is drawn once"
    steps = (slider.value - slider.min) / slider.step
    assert steps == pytest.approx(round(steps), abs=1e-6), "or the browser would move it"
    for threshold in (slider.min, slider.value, slider.max):
        slider.value = threshold
        for name in ("01", "02"):
            box.video.value = name
            one = count_frames({name: result.scores[name]}, result.labels, threshold)
            both = count_frames(result.scores, result.labels, threshold)
            assert table(box) == {f"video {name}": list(one), "all videos": list(both)}
            assert views[-1] == ExplorerView(name, box.frame.value, threshold)
    assert table(box)["all videos"][:2] == [0, 0], "at its upper end nothing is an alarm"
    box.frame.value = 44
    assert alt(box.picture) == "the view of 02 at 44"
    box.video.value = "03"
    assert list(table(box)) == ["all videos"]
    assert plt.get_fignums() == []


def test_buttons_jump_and_say_so(run, videos, result, views):
    box = Explorer(run, result, videos)
    box.video.value, box.frame.value = "02", 3
    views.clear()
    box.jumps["miss"].click()
    box.jumps["false alarm"].click()
    assert [view[:2] for view in views] == [("01", 15), ("01", 32)], "one picture a jump"
    assert box.note.value == "false alarm: video 01, frame 32"
    box.frame.value = 33
    assert box.note.value == ""
    box.threshold.value = box.threshold.max
    box.jumps["false alarm"].click()
    assert box.note.value == "no false alarm is known at this threshold"
    box = Explorer(run, unlabelled(result), videos)
    assert "<td>" not in box.counts.value
