"""Each figure shows the numbers that it is given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from refusals import refused
from trees import spot

import vadlib as vad
from vadlib import course
from vadlib.course.figures import memory, model, pseudo, style
from vadlib.course.inspection.explanation import Explanation
from vadlib.data.clips import to_frames


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def image(ax):
    return np.ma.filled(ax.images[0].get_array(), np.nan)


def widths(ax):
    """(start, length) of the bars of each `broken_barh`."""
    rows = []
    for collection in ax.collections:
        boxes = [path.get_extents() for path in collection.get_paths()]
        rows.append([(box.x0, box.width) for box in boxes])
    return rows


def pictures(ax, count, size=(48, 64)):
    """The first pictures of a strip."""
    width = size[1] + style.GAP
    return np.stack([image(ax)[: size[0], k * width :][:, : size[1]] for k in range(count)])


# Datasets


@pytest.fixture
def video(array_video):
    """Frames 6 to 9 and 16 to 19 are abnormal."""
    labels = (np.arange(24) % 10 >= 6).astype(np.uint8)
    frames = np.random.default_rng(0).integers(0, 256, (24, 48, 64, 1))
    return array_video(frames, "01", labels=labels, masks=spot(labels))


def test_examples_and_event_frames_are_of_their_kind(video, array_video):
    labels = np.uint8([0, 1, 1, 1, 1, 0, 1])
    masks = np.zeros((7, 4, 4), bool)
    masks[1, :2], masks[2, :3] = True, True
    frames = np.zeros((7, 4, 4, 1))
    assert course.event_frames(array_video(frames, labels=labels, masks=masks)) == [2, 6]
    assert course.event_frames(array_video(frames, labels=labels)) == [2, 6]
    with refused("missing-labels", field="video"):
        course.event_frames(array_video(frames))
    calm = array_video(video.frames, "00", labels=np.zeros(24, np.uint8))
    for kind, ax in enumerate(course.plot_examples({"street": [calm, video]})[0]):
        t = int(ax.get_title().split("frame ")[1].split(",")[0])
        assert (video.labels[t], bool(ax.collections)) == (kind, bool(kind))
        np.testing.assert_array_equal(image(ax), video.frames[t].squeeze())
    with refused("nothing-to-do", field="videos"):
        course.plot_examples({"street": [calm]})


def test_timelines_and_truths_show_spans_and_shares(video, array_video):
    calm = array_video(video.frames, "02", labels=np.zeros(24, np.uint8))
    ax = course.plot_timelines([video, calm, array_video(video.frames, "unlabelled")], "street")
    assert widths(ax) == [[(0, 24)], [(6, 4), (16, 4)], [(0, 24)], []]
    assert [text.get_text() for text in ax.texts] == ["33%", "0%"]
    with refused("missing-labels", field="videos"):
        course.plot_timelines([array_video(video.frames)], "street")
    first, second = {"07": np.repeat([0, 1, 0], 10)}, {"07": np.repeat([0, 1, 0], [8, 13, 9])}
    ax = course.plot_ground_truths(first, second, ("vol", "community"))
    assert widths(ax) == [[(10, 10)], [(8, 13)], [(8, 2), (20, 1)]]


def test_frames_outside_a_video_are_its_ends_in_the_browser(video, array_video):
    videos = {"street": [video], "none": [array_video(video.frames, "x")]}
    for frame, t in ((-5, 0), (7, 7), (99, 23)):
        figure, text = course.plot_browser(videos, "street", "01", frame)
        np.testing.assert_array_equal(image(figure.axes[0]), video.frames[t].squeeze())
        assert f"frame {t} of 24, {'abnormal' if t == 7 else 'normal'}" in text
        assert ("32% from the left and 30% from the top" in text) == (t == 7)
    assert "unlabelled" in course.plot_browser(videos, "none", "x", 3)[1]
    assert course.sample_frames({"street": [video]}) == [("street", "01", t) for t in (0, 8, 23)]
    for field, place in (("dataset", ("blue", "01")), ("clip", ("street", "09"))):
        with refused("unknown-name", field=field):
            course.plot_browser(videos, *place, 0)


# Pseudo-anomalies


@pytest.mark.parametrize("channels", [1, 3])
def test_strips_show_clip_change_difference_and_mask(make_clip, channels):
    clip = make_clip(channels=channels)
    changed = vad.AddNoise(strength=0.7)(clip, torch.Generator().manual_seed(1))
    axes = course.plot_pseudo(clip, changed)
    times = [0, 3, 6, 9, 12, 15]
    before, after = to_frames(clip.tensor)[times], to_frames(changed.tensor)[times]
    np.testing.assert_array_equal(pictures(axes[0], 6), before.squeeze())
    np.testing.assert_array_equal(pictures(axes[1], 6), after.squeeze())
    white = int(axes[2].get_ylabel().split()[-1].rstrip(")"))
    stretched = np.minimum(np.abs(after.astype(int) - before).max(-1) * (255 / white), 255)
    np.testing.assert_allclose(pictures(axes[2], 6), stretched, atol=1)
    np.testing.assert_array_equal(pictures(axes[3], 6) > 0, changed.mask.numpy()[times])


def test_kinds_strengths_slices_and_patches_are_those_given(make_clip):
    clip, source = make_clip(), vad.load_patches("builtin")
    noise = vad.AddNoise(0.5)(clip, torch.Generator().manual_seed(2))
    strengths = course.plot_strengths(clip, vad.AddNoise, (0, 0.5), 2)
    for axes in (course.plot_kinds(clip, [noise]), strengths):
        np.testing.assert_array_equal(pictures(axes[1], 1)[0], to_frames(noise.tensor)[0, ..., 0])
    last = clip._replace(lookahead=clip.lookahead[:0])
    assert "not possible" in course.plot_strengths(last, vad.SkipFrames, [1.0])[0].get_ylabel()
    [ax] = course.plot_xt_slices({"a": clip.tensor})
    row = int(clip.tensor.std(dim=1)[0].mean(1).argmax())
    np.testing.assert_array_equal(image(ax), to_frames(clip.tensor)[:, row, :, 0])
    [ax] = course.plot_patches({"builtin": source})
    first = source.draw(torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(pictures(ax, 1, (64, 64))[0], pseudo._square(first))


# Model and training


def test_the_network_of_the_paper_stands_with_its_shapes_and_parameters():
    paper = vad.DualPathAutoencoder(vad.ModelConfig.preset("paper"))
    shapes = model.part_shapes(paper, (1, 16, 256, 256))
    sizes = [(16, 256, 256), (8, 128, 128), (4, 64, 64), (2, 32, 32)]
    down = [(channels, *size) for channels, size in zip((32, 64, 128, 256), sizes, strict=True)]
    assert shapes["E"] == down
    assert shapes["M_n"] == shapes["M_p"] == down[-1:]
    assert shapes["D_n"] == shapes["D_p"] == [*down[2::-1], (1, 16, 256, 256)]
    assert not any(layer._forward_hooks for layer in paper.modules())
    ax = course.plot_network(paper, (1, 16, 256, 256))
    labels = [text.get_text().split("\n") for text in ax.texts]
    counts = {part[0]: int(part[1].replace(",", "")) for part in labels if part[0] in model.PARTS}
    assert list(counts) == list(model.PARTS)
    assert sum(counts.values()) == sum(p.numel() for p in paper.parameters())
    with refused("conflict", field="ModelConfig.memories"):
        course.plot_network(vad.DualPathAutoencoder(vad.ModelConfig(memories=1)), (1, 16, 48, 48))


def test_histories_and_errors_are_read_and_drawn(tmp_path):
    rows = "epoch,rebuild,separation,made_skip\n1,0.5,-0.2,3\n2,0.25,-0.4,5\n"
    with refused("missing-file", file=tmp_path / "history.csv"):
        course.read_history(tmp_path)
    (tmp_path / "history.csv").write_text(rows)
    history = course.read_history(tmp_path)
    other = {"epoch": np.arange(1, 4), "rebuild": np.array([0.4, 0.3, 0.2])}
    one, two = course.plot_history({"a": history, "b": other}, ["rebuild", "separation"])
    assert [line.get_ydata().tolist() for line in one.lines] == [[0.5, 0.25], [0.4, 0.3, 0.2]]
    assert [line.get_ydata().tolist() for line in two.lines] == [[-0.2, -0.4]]
    assert (one.get_ylim()[0], two.get_ylim()[0] < -0.4) == (0, True)
    same = course.plot_history({"a": history}, ["rebuild", "separation"], same_scale=True)
    assert same[0].get_ylim() == same[1].get_ylim()
    with refused("unknown-name", field="terms"):
        course.plot_history({"a": history}, ["loss"])
    histories, errors = course.read_objectives()
    assert list(histories) == list(errors) == ["inpaint", "maximize", "none"]


# Memory


def one_path(frames, seed):
    """Random numbers, NaN in the right half, which is not seen."""
    rng = np.random.default_rng(seed)
    seen = np.broadcast_to(np.arange(24) < 12, (16, 24))
    hidden, cells = np.where(seen, 0.0, np.nan), np.where(seen[::8, ::8], 0.0, np.nan)
    pixels = 255 * rng.random((8, 16, 24, 1)) + hidden[..., None]
    attention = rng.dirichlet(np.ones(4), (2, 3)).transpose(2, 0, 1) + cells
    error, entropy = rng.random((8, 16, 24)) + hidden, rng.random((2, 3)) + cells
    return Explanation(frames, seen, pixels, error, entropy, attention)


@pytest.fixture
def clip():
    frames = np.random.default_rng(0).integers(0, 256, (8, 16, 24, 1), np.uint8)
    return one_path(frames, 0)._replace(pseudo=one_path(frames, 1))


def test_reconstructions_errors_and_reads_of_both_paths(clip):
    mask = np.zeros((16, 24), bool)
    mask[2:5, 2:5] = True
    axes = course.plot_reconstruction(clip, "frame 24", mask)
    np.testing.assert_array_equal(image(axes[0, 0])[..., 0], clip.frames[4, ..., 0])
    for column, part in enumerate((clip, clip.pseudo), 1):
        picture = image(axes[0, column])
        np.testing.assert_array_equal(picture[..., 3] == 255, part.seen)
        pixels = part.reconstruction[4, ..., 0][part.seen].astype(np.uint8)
        np.testing.assert_array_equal(picture[..., 0][part.seen], pixels)
        np.testing.assert_array_equal(image(axes[1, column]), part.error[4])
        over_time = course.plot_reconstruction_over_time(clip, row=2)
        np.testing.assert_array_equal(image(over_time[2 + column]), part.error[:, 2])
    most = image(course.plot_slot_maps(clip)[0, 1])
    np.testing.assert_array_equal(most, clip.attention[clip.usage.argmax()])
    with refused("conflict", field="ModelConfig.memories"):
        course.plot_slot_maps(clip._replace(attention=np.zeros((0, 2, 3))))


def test_usage_says_how_much_of_the_reads_moved():
    usages = {"a": {"M_n": np.array([0.1, 0.6, 0.3])}, "b": {"M_n": np.array([0.3, 0.5, 0.2])}}
    [ax] = course.plot_slot_usage(usages)
    assert [bar.get_height() for bar in ax.patches] == [0.6, 0.3, 0.1, 0.5, 0.2, 0.3]
    assert ax.get_legend().get_texts()[1].get_text() == "b (20% moved)"


def test_a_clip_in_which_nothing_moved_is_hatched_throughout(clip, recwarn):
    names = ("error", "entropy", "attention", "reconstruction")
    nan = {name: np.full_like(getattr(clip, name), np.nan) for name in names}
    still = clip._replace(**nan, seen=np.zeros_like(clip.seen))
    still = still._replace(pseudo=still)
    course.plot_reconstruction(still).flat[0].figure.canvas.draw()
    course.plot_slot_maps(still).flat[0].figure.canvas.draw()
    assert [str(warning.message) for warning in recwarn] == []
    assert memory.heat_limit(still.error) is None


# Traps and ablations


def test_traps_and_ablations_show_shifts_gains_and_intervals():
    ax = course.plot_auc_shifts({"a": (0.5, 0.75), "b": (0.75, 0.5)})
    assert [bar.get_width() for bar in ax.patches] == [0.25, -0.25]
    assert [text.get_text() for text in ax.texts] == ["+0.250", "-0.250"]
    table = [{"row": "default", "auc": 0.9}, {"row": "seed 1", "auc": 0.92}, {"row": "without"}]
    table.append({"row": "worse", "auc": 0.8, "auc_low": -0.15, "auc_high": -0.05})
    ax = course.plot_ablation(table, "auc")
    points = [line.get_xydata().tolist() for line in ax.lines[1:]]
    assert points == [[[0.9, 0]], [[0.92, 1]], [[0.75, 2], [pytest.approx(0.85), 2]], [[0.8, 2]]]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["default", "seed 1", "worse"]
    with refused("unknown-name", field="measure"):
        course.plot_ablation(table[1:], "auc")
