"""The explorer's counts, jumps, pictures and texts, and its controls without a browser."""

import re
from dataclasses import replace

import ipywidgets as widgets
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

from vadlib.config import ClipConfig, ModelConfig, ScoreConfig, TrainConfig
from vadlib.course.inspection.explanation import explain_clip
from vadlib.course.widgets import explorer
from vadlib.course.widgets.explorer import (
    Explorer,
    ExplorerView,
    clip_around,
    count_frames,
    curves,
    next_wrong,
    plot_explorer,
    sample_views,
    start_threshold,
)
from vadlib.data.clips import ClipDataset, scoring_starts
from vadlib.evaluation.calibration import Calibration, Moments
from vadlib.evaluation.evaluate import evaluate
from vadlib.evaluation.result import SCALES, Result, VideoResult
from vadlib.model.network import DualPathAutoencoder
from vadlib.training.fit import fit

THRESHOLD = 2.0


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    clips = ClipDataset(
        moving_videos(3), ClipConfig(length=8, crop=(16, 16), clip_step=4), progress=False
    )
    model, config = (
        DualPathAutoencoder(ModelConfig(width=8, slots=8)),
        TrainConfig(epochs=1, precision="fp32", device="cpu"),
    )
    return fit(model, clips, None, config, tmp_path_factory.mktemp("runs") / "a", progress=False)


@pytest.fixture(scope="module")
def videos():
    """Frames 15 to 29 are abnormal; the second video has masks, the third no labels."""
    first, second, third = moving_videos(3, length=45, labelled=True, seed=1)
    return [first, replace(second, masks=spot(second.labels)), replace(third, labels=None)]


@pytest.fixture(scope="module")
def scored(run, videos):
    return evaluate(run, videos, "cpu", progress=False)


@pytest.fixture
def result(scored):
    """The same with scores by hand: of the first video quiet, then a hit, a miss and a false alarm;
    of the second all is right.
    """
    first, second = np.full(45, 1.0), np.full(45, -1.0)
    first[18:25], first[30:34], first[40] = 5, [3, 4, 6, 5], 2.5
    second[15:30] = 3
    scores = {"01": first, "02": second, "03": np.linspace(0, 4, 45)}
    videos = {n: replace(video, scores=scores[n]) for n, video in scored.videos.items()}
    return replace(
        scored, videos=videos, calibration=replace(scored.calibration, threshold=THRESHOLD)
    )


def unlabelled(result, names=("01", "02", "03")):
    """The same result without the labels of some videos."""
    changed = {name: replace(result.videos[name], labels=None) for name in names}
    return replace(result, videos=result.videos | changed)


labelled_curves = st.lists(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1)), min_size=1, max_size=12).map(
        lambda frames: np.array(frames).T
    ),
    min_size=1,
    max_size=4,
).map(
    lambda videos: (
        {f"{i}": v[0] for i, v in enumerate(videos)},
        {f"{i}": v[1] for i, v in enumerate(videos)},
    )
)


@given(labelled_curves, st.integers(-1, 4))
def test_counts_and_rates_are_those_of_scikit_learn(drawn, threshold):
    scores, labels = drawn
    truth, called = (
        np.concatenate(list(labels.values())),
        np.concatenate(list(scores.values())) > threshold,
    )
    (quiet, false), (missed, hits) = confusion_matrix(truth, called, labels=[0, 1])
    rates = [f(truth, called, zero_division=np.nan) for f in (precision_score, recall_score)]
    rates.append(1 - recall_score(1 - truth, ~called, zero_division=np.nan))
    found = count_frames(scores | {"unlabelled": np.arange(9)}, labels, threshold)
    assert list(found.values()) == pytest.approx([hits, false, missed, quiet, *rates], nan_ok=True)


@given(labelled_curves, st.integers(-1, 4), st.sampled_from(["false alarm", "miss"]), st.data())
def test_a_jump_goes_to_the_worst_frame_of_the_next_wrong_run(drawn, threshold, kind, data):
    """Walk frame by frame, as somebody would who looks for it."""
    scores, labels = drawn
    walk = [(name, t) for name in scores for t in range(len(scores[name]))]
    here = data.draw(st.sampled_from(walk))

    def wrong(name, t):
        above = scores[name][t] > threshold
        return (
            above and not labels[name][t]
            if kind == "false alarm"
            else not above and bool(labels[name][t])
        )

    def worst(name, t):
        first, last = t, t
        while first > 0 and wrong(name, first - 1):
            first -= 1
        while last + 1 < len(scores[name]) and wrong(name, last + 1):
            last += 1
        return (max if kind == "false alarm" else min)(
            range(first, last + 1), key=lambda u: scores[name][u]
        )

    begin = walk.index(here) + 1
    expected = next(
        (spot for spot in walk[begin:] + walk[:begin] if wrong(*spot) and worst(*spot) == spot[1]),
        None,
    )
    assert next_wrong(scores, labels, threshold, kind, *here) == expected


def test_jumps_by_hand(result):
    def jump(kind, *here):
        return next_wrong(result.scores, result.labels, THRESHOLD, kind, *here)

    assert [jump("false alarm", "01", t) for t in (0, 31, 32, 40)] == [
        ("01", 32),
        ("01", 32),
        ("01", 40),
        ("01", 32),
    ]
    assert [jump("miss", *here) for here in (("01", 15), ("01", 25), ("02", 0), ("03", 44))] == [
        ("01", 25),
        ("01", 15),
        ("01", 15),
        ("01", 15),
    ]
    assert next_wrong(result.scores, result.labels, 9, "false alarm", "01", 0) is None
    assert next_wrong(result.scores, {}, THRESHOLD, "miss", "01", 0) is None


@given(st.integers(2, 20), st.integers(1, 3), st.integers(0, 70), st.data())
def test_the_clip_is_one_of_scoring_s_with_the_frame_nearest_to_its_middle(
    length, step, more, data
):
    frames = length * step + more
    frame = data.draw(st.integers(0, frames - 1))
    start, place = clip_around(frame, frames, ClipConfig(length=length, frame_step=step))
    clips = {
        s: list(range(s, s + length * step, step)) for s in scoring_starts(frames, length, step)
    }
    assert clips[start][place] == frame
    off = [
        abs(members.index(frame) - (length - 1) / 2)
        for members in clips.values()
        if frame in members
    ]
    assert abs(place - (length - 1) / 2) == min(off)
    if frame >= length * step // 2 and frame < frames - length * step // 2:
        assert abs(place - (length - 1) / 2) <= length / 4 + 1, "near its middle"


def test_scales_are_those_of_the_result(scored):
    for scale in SCALES:
        expected, found = scored.rescore(scale), curves(scored, scale)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-6)
        below = [
            np.mean(np.concatenate(list(c.values())) > t)
            for c, t in ((found, start_threshold(scored, scale)), (scored.scores, scored.threshold))
        ]
        assert below[0] == pytest.approx(below[1], abs=1.5 / 135), "as many alarms on every scale"
    assert start_threshold(scored, "calibrated") == scored.threshold


@pytest.mark.parametrize("scale", SCALES)
def test_the_picture_shows_the_frame_the_model_s_work_and_the_curve(run, videos, scored, scale):
    view = ExplorerView("02", 20, 0.4, scale)
    figure, _ = plot_explorer(run, scored, videos, view)
    frame, rebuilt, error, entropy, local, curve = figure.axes[:6]
    start, place = clip_around(20, 45, run.config.clips)
    clip = explain_clip(run, videos[1], start)
    np.testing.assert_array_equal(frame.images[0].get_array(), videos[1].frames[20][..., 0])
    assert frame.collections, "the mask's outline"
    seen = clip.seen
    shown = rebuilt.images[0].get_array()
    np.testing.assert_array_equal(shown[..., 3] == 255, seen)
    np.testing.assert_array_equal(
        shown[..., 0][seen], clip.rebuilt[place, ..., 0][seen].astype(np.uint8)
    )
    for ax, values in (
        (error, clip.error[place]),
        (entropy, clip.entropy),
        (local, scored.score_map("02")[20]),
    ):
        np.testing.assert_allclose(
            np.ma.filled(ax.images[0].get_array(), np.nan), values, rtol=1e-5
        )
    assert local.images[0].get_clim() == (0, scored.scores["02"].max()), (
        "one scale for all frames of a video"
    )
    score, threshold, cursor, point = curve.get_lines()
    np.testing.assert_array_equal(score.get_ydata(), scored.rescore(scale)["02"])
    assert set(threshold.get_ydata()) == {0.4}
    assert list(cursor.get_xdata()) == [20, 20]
    assert point.get_xydata().tolist() == [[20, score.get_ydata()[20]]]
    (span,) = curve.patches
    extent = span.get_extents().transformed(curve.transData.inverted()).intervalx
    assert extent.round(3).tolist() == [14.5, 29.5]


def test_the_score_by_place_is_that_of_the_whole_video(run, videos, scored):
    """At both ends too, though only the frames around the view's are looked at."""
    whole = scored.score_map("01")
    for t in range(45):
        np.testing.assert_allclose(
            explorer._local_scores(scored, ExplorerView("01", t, 0)), whole[t], rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("shrunk", [1, 2])
def test_the_dashed_square_lies_where_the_error_is(run, videos, scored, array_video, shrunk):
    """Also where the model saw smaller frames than the video has."""
    video = array_video(np.zeros((20, 80 * shrunk, 120 * shrunk, 1)), "x")
    clip = explain_clip(run, array_video(np.zeros((20, 80, 120, 1))), 0)
    moments = Moments(np.zeros((10, 15), np.float32), np.ones((10, 15), np.float32))
    flat = {(name, 32, 16): moments for name in ("plain", "contrast")}
    for y, x in ((0, 0), (4, 9), (9, 14), (7, 2)):
        errors = np.zeros((20, 10, 15), np.float16)
        errors[8, y, x] = 1
        scores = np.zeros(20)
        part = VideoResult(scores, np.arange(20.0), "one", scores, maps=maps_of(errors))
        made = Result({"x": part}, Calibration({"one": flat}, 1, ScoreConfig()))
        figure, text = plot_explorer(run, made, [video], ExplorerView("x", 8, 1), lambda *_: clip)
        for square in figure.axes[0].patches:
            left, top = square.get_xy()
            assert left <= x * 8 * shrunk < (x + 1) * 8 * shrunk <= left + square.get_width()
            assert top <= y * 8 * shrunk < (y + 1) * 8 * shrunk <= top + square.get_height()
            assert (square.get_width(), square.get_height()) == (32 * shrunk, 32 * shrunk)
        across, down = (int(share) / 100 for share in re.findall(r"(\d+)% from", text))
        assert (abs(across * 15 - x - 0.5) <= 2.1, abs(down * 10 - y - 0.5) <= 2.1) == (True, True)


def test_the_curve_lies_where_the_slider_below_it_expects(run, videos, scored, array_video):
    """What is drawn, such as long tick labels, never makes the picture wider than planned; upright
    videos do not make it endless.
    """
    upright = array_video(np.zeros((45, 96, 32, 1)), "02")
    for view, shown in (
        (ExplorerView("01", 3, 0.0, "raw"), videos),
        (ExplorerView("02", 0, 1.0), videos),
        (ExplorerView("02", 44, 1.0), [upright]),
    ):
        figure, _ = plot_explorer(run, scored, shown, view)
        figure.canvas.draw()
        assert figure.get_tightbbox().width == pytest.approx(explorer.WIDTH, abs=0.02)
        curve = figure.axes[5].get_position()
        assert (curve.x0, curve.x1) == pytest.approx((explorer.LEFT, explorer.RIGHT))
        assert figure.axes[5].get_xlim() == (0, 44)
        assert figure.get_size_inches()[1] <= explorer.WIDTH


def test_the_text_says_what_the_threshold_makes_of_the_frame(run, videos, result):
    expected = {
        ("01", 0): ("1.00", "quiet"),
        ("01", 20): ("5.00", "hit"),
        ("01", 27): ("1.00", "miss"),
        ("01", 32): ("6.00", "false alarm"),
        ("03", 10): ("0.91", "quiet"),
        ("03", 44): ("4.00", "alarm"),
    }
    for (name, t), (score, outcome) in expected.items():
        text = plot_explorer(run, result, videos, ExplorerView(name, t, THRESHOLD))[1]
        numbers, said = text.split("; ")[0].split(": ")
        assert re.findall(r"[\d.]+", numbers) == [name, str(t), "45", score, "2.00"]
        assert outcome in said
        assert ("false" in said) == ("false" in outcome)
        assert ("unlabelled" in said) == (name == "03")


def test_what_is_not_there_is_refused(run, videos, result, array_video):
    with refused("unknown-name", field="ExplorerView.video"):
        plot_explorer(run, result, videos, ExplorerView("07", 0, 1))
    with refused("out-of-range", field="ExplorerView.frame") as caught:
        plot_explorer(run, result, videos, ExplorerView("01", 45, 1))
    assert re.findall(r"\d+", str(caught.error)) == ["01", "45", "0", "44"]
    with refused("unknown-name", field="scale"):
        plot_explorer(run, result, videos, ExplorerView("01", 0, 1, "log"))
    with refused("conflict", field="videos") as caught:
        Explorer(run, result, [array_video(np.zeros((12, 48, 64, 1)))])
    assert re.findall(r"\d+", str(caught.error)) == ["12", "0"]
    with refused("conflict", field="protocol"):
        Explorer(run, replace(result, protocol="center"), videos)
    with refused("too-few", field="videos"):
        Explorer(run, result, [])


def test_the_static_twin_shows_a_hit_a_false_alarm_and_a_miss(result):
    views = sample_views(result)
    assert [view[:3] for view in views] == [("01", 18, 2), ("01", 32, 2), ("01", 15, 2)]
    right = unlabelled(result, ["01", "03"])
    assert sample_views(right) == [ExplorerView("02", 15, 2)]
    assert sample_views(unlabelled(result)) == [ExplorerView("01", 32, 2)], (
        "without labels the highest score"
    )


@pytest.fixture
def drawn(monkeypatch):
    """The views that the widget draws, without the work."""
    views = []

    def draw(run, result, videos, view, explain):
        views.append(view)
        return plt.figure(figsize=(1, 1)), explorer.describe_view(result, view)

    monkeypatch.setattr(explorer, "plot_explorer", draw)
    return views


class Parts:
    """The controls of an explorer by name."""

    def __init__(self, box):
        self.video, self.scale, self.picture, self.frame, self.shown, row, self.counts = (
            box.children
        )
        self.false_alarm, self.miss, self.said = row.children

    @property
    def threshold(self):
        (slider,) = self.shown.children
        return slider

    def table(self):
        rows = [
            re.findall(r"<t[hd]>(.*?)</t[hd]>", row)
            for row in self.counts.value.split("</tr>")[:-1]
        ]
        return {name: [int(value) for value in values[:4]] for name, *values in rows[1:]}


def by_hand(scores, labels, threshold):
    (quiet, false), (missed, hits) = confusion_matrix(labels, scores > threshold, labels=[0, 1])
    return [hits, false, missed, quiet]


def test_controls_are_labelled_and_bounded(run, videos, result, drawn):
    parts = Parts(Explorer(run, result, videos))
    controls = (
        parts.video,
        parts.scale,
        parts.frame,
        parts.threshold,
        parts.false_alarm,
        parts.miss,
    )
    assert len({c.description for c in controls} - {""}) == len(controls)
    assert not any(c.disabled for c in controls)
    assert (parts.frame.min, parts.frame.max, parts.frame.step) == (0, 44, 1)
    assert parts.frame.continuous_update
    assert parts.threshold.continuous_update
    assert drawn == [ExplorerView("01", 18, THRESHOLD, "calibrated")], (
        "begins with a hit, and is drawn once"
    )
    assert isinstance(parts.video, widgets.ToggleButtons), "few videos"
    many = [replace(videos[0], name=f"{i}") for i in range(7)]
    one = replace(result.videos["01"], labels=None)
    grown = replace(result, videos=dict.fromkeys([v.name for v in many], one))
    assert isinstance(Parts(Explorer(run, grown, many)).video, widgets.SelectionSlider)


def test_counts_and_picture_follow_every_control(run, videos, result, drawn):
    parts = Parts(Explorer(run, result, videos))
    for scale in SCALES:
        parts.scale.value = scale
        scores = result.rescore("raw") if scale == "raw" else curves(result, scale)
        pooled = np.concatenate([scores[name] for name in result.labels])
        truth = np.concatenate(list(result.labels.values()))
        assert parts.threshold.value == start_threshold(result, scale)
        everything = np.concatenate(list(scores.values()))
        assert parts.threshold.min < everything.min() <= everything.max() <= parts.threshold.max
        steps = (parts.threshold.value - parts.threshold.min) / parts.threshold.step
        assert steps == pytest.approx(round(steps), abs=1e-6), "or the browser would move it"
        assert 20 < (parts.threshold.max - parts.threshold.min) / parts.threshold.step < 600
        for threshold in (parts.threshold.min, parts.threshold.value, parts.threshold.max):
            parts.threshold.value = threshold
            for name in ("01", "02"):
                parts.video.value = name
                expected = {
                    f"video {name}": by_hand(scores[name], result.labels[name], threshold),
                    "all videos": by_hand(pooled, truth, threshold),
                }
                assert parts.table() == expected
                assert drawn[-1] == ExplorerView(name, parts.frame.value, threshold, scale)
        assert parts.table()["all videos"][:2] == [0, 0], "at its upper end nothing is an alarm"
    parts.frame.value = 44
    assert drawn[-1].frame == 44
    assert f'alt="{explorer.describe_view(result, drawn[-1])}"' in parts.picture.value
    parts.video.value = "03"
    assert list(parts.table()) == ["all videos"]
    assert plt.get_fignums() == []


def test_buttons_jump_and_say_so(run, videos, result, drawn):
    parts = Parts(Explorer(run, result, videos))
    parts.video.value, parts.frame.value = "02", 3
    drawn.clear()
    parts.miss.click()
    parts.false_alarm.click()
    assert [view[:2] for view in drawn] == [("01", 15), ("01", 32)], "one picture a jump"
    assert (parts.video.value, parts.frame.value) == ("01", 32)
    assert re.findall(r"\d+", parts.said.value) == ["01", "32"]
    parts.frame.value = 33
    assert parts.said.value == ""
    parts.threshold.value = parts.threshold.max
    drawn.clear()
    parts.false_alarm.click()
    assert drawn == []
    assert parts.said.value, "it says that there is none"


def test_videos_of_other_lengths_move_the_frame_within_their_own(run, result, videos, drawn):
    two = result.videos["02"]
    maps = {name: errors[:20] for name, errors in two.maps.items()}
    two = VideoResult(two.scores[:20], two.times[:20], two.scene, two.raw[:20], maps=maps)
    one = replace(result.videos["01"], labels=None)
    short = replace(result, videos={"01": one, "02": two})
    shorter = replace(videos[1], frames=videos[1].frames[:20], labels=None, masks=None)
    parts = Parts(Explorer(run, short, [videos[0], shorter]))
    parts.frame.value = 44
    drawn.clear()
    parts.video.value = "02"
    assert ([view[:2] for view in drawn], parts.frame.max) == ([("02", 19)], 19)
    parts.video.value = "01"
    assert parts.frame.max == 44


def test_without_labels_there_is_nothing_to_count(run, videos, result, drawn):
    parts = Parts(Explorer(run, unlabelled(result), videos))
    assert "<td>" not in parts.counts.value
    parts.miss.click()
    assert parts.said.value, "it says why"


def test_a_clip_is_explained_once(run, videos, result, monkeypatch):
    made = []
    monkeypatch.setattr(
        explorer, "explain_clip", lambda *what: made.append(what[1:]) or explain_clip(*what)
    )
    parts = Parts(Explorer(run, result, videos))
    first, expected = parts.frame.value, set()
    for t in (first, first + 1, first, 40, 41, first):
        parts.frame.value = t
        expected.add(clip_around(t, 45, run.config.clips)[0])
        assert f'alt="video 01, frame {t} of 45' in parts.picture.value
    parts.threshold.value = parts.threshold.max
    assert [video.name for video, _ in made] == ["01"] * len(expected)
    assert sorted(start for _, start in made) == sorted(expected)
