"""Each figure shows the numbers that it is given."""

import base64
import io

import av
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from refusals import refused
from trees import spot

import vadlib as vad
from vadlib import course
from vadlib.course.display import video_tag
from vadlib.course.figures import browser, memory, model, pseudo, style
from vadlib.course.inspection.explanation import Explanation
from vadlib.course.inspection.slots import SlotPicture
from vadlib.data.clips import to_frames
from vadlib.model.memory import address


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def image(ax):
    return np.ma.filled(ax.images[0].get_array(), np.nan)


def widths(collection):
    """(start, length) of the bars of `broken_barh`."""
    boxes = [path.get_extents() for path in collection.get_paths()]
    return [(box.x0, box.width) for box in boxes]


def heights(ax):
    return [[bar.get_height() for bar in group] for group in ax.containers]


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


def test_event_frames_have_most_abnormal_pixels(array_video):
    labels = np.uint8([0, 1, 1, 1, 1, 0, 1])
    masks = np.zeros((7, 4, 4), bool)
    masks[1, :2], masks[2, :3] = True, True
    frames = np.zeros((7, 4, 4, 1))
    assert course.event_frames(array_video(frames, labels=labels, masks=masks)) == [2, 6]
    assert course.event_frames(array_video(frames, labels=labels)) == [2, 6]
    with refused("missing-labels", field="video"):
        course.event_frames(array_video(frames))


def test_examples_are_a_normal_and_an_abnormal_frame_with_its_mask(video, array_video):
    normal = array_video(video.frames, "00", labels=np.zeros(24, np.uint8))
    [[left, right]] = course.plot_examples({"street": [normal, video]})
    shown = [int(ax.get_title().split("frame ")[1].split(",")[0]) for ax in (left, right)]
    assert video.labels[shown].tolist() == [0, 1]
    for ax, t in zip((left, right), shown, strict=True):
        np.testing.assert_array_equal(image(ax), video.frames[t].squeeze())
    assert (bool(left.collections), bool(right.collections)) == (False, True)
    with refused("nothing-to-do", field="videos"):
        course.plot_examples({"street": [normal]})


def test_timelines_show_spans_and_shares(video, array_video):
    calm = array_video(video.frames, "02", labels=np.zeros(24, np.uint8))
    ax = course.plot_timelines([video, calm, array_video(video.frames, "unlabelled")], "street")
    bars = [widths(bars) for bars in ax.collections]
    assert bars == [[(0, 24)], [(6, 4), (16, 4)], [(0, 24)], []]
    assert [text.get_text() for text in ax.texts] == ["33%", "0%"]
    with refused("missing-labels", field="videos"):
        course.plot_timelines([array_video(video.frames)], "street")


def test_ground_truths_are_shown_with_the_frames_in_which_they_differ():
    first, second = {"07": np.repeat([0, 1, 0], 10)}, {"07": np.repeat([0, 1, 0], [8, 13, 9])}
    ax = course.plot_ground_truths(first, second, ("vol", "community"))
    bars = [widths(bars) for bars in ax.collections]
    assert bars == [[(10, 10)], [(8, 13)], [(8, 2), (20, 1)]]


def test_frame_changes_are_two_distributions():
    values, labels = np.arange(200.0), np.repeat([0, 1], 100)
    [ax] = course.plot_frame_changes({"street": {"a": values}}, {"street": {"a": labels}})
    normal, abnormal = (patch.get_xy() for patch in ax.patches)
    assert normal[normal[:, 1] > 0, 0].max() < 110
    assert abnormal[abnormal[:, 1] > 0, 0].min() > 90


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
    difference = np.abs(after.astype(int) - before).max(-1)
    white = int(axes[2].get_ylabel().split()[-1].rstrip(")"))
    stretched = np.minimum(difference * (255 / white), 255)
    np.testing.assert_allclose(pictures(axes[2], 6), stretched, atol=1)
    np.testing.assert_array_equal(pictures(axes[3], 6) > 0, changed.mask.numpy()[times])


def test_kinds_strengths_and_film_show_their_clips(make_clip):
    clip = make_clip()
    noise = vad.AddNoise(0.5)(clip, torch.Generator().manual_seed(2))
    kinds = course.plot_kinds(clip, [noise])
    strengths = course.plot_strengths(clip, vad.AddNoise, (0.0, 0.5), seed=2)
    for (first, second), count in ((kinds, 8), (strengths, 6)):
        times = np.linspace(0, 15, count).round().astype(int)
        for ax, tensor in ((first, clip.tensor), (second, noise.tensor)):
            np.testing.assert_array_equal(pictures(ax, count), to_frames(tensor)[times, ..., 0])
    last = clip._replace(lookahead=clip.lookahead[:0])
    [_, impossible] = course.plot_strengths(last, vad.SkipFrames, (0.0, 1.0))
    assert "not possible" in impossible.get_ylabel()
    film = pseudo.side_by_side(clip, noise)
    assert np.shape(film) == (16, 50 * 5, 66 * 3 * 5, 3)
    frame = film[7][: 48 * 5 : 5, : 64 * 5 : 5, 0]
    np.testing.assert_array_equal(frame, to_frames(clip.tensor)[7, ..., 0])


def test_slices_are_one_row_over_time(make_clip):
    clips = {"a": make_clip().tensor, "b": make_clip(seed=1).tensor}
    for ax, clip in zip(course.plot_xt_slices(clips, row=7), clips.values(), strict=True):
        np.testing.assert_array_equal(image(ax), to_frames(clip)[:, 7, :, 0])
    row = int(course.plot_xt_slices(clips)[0].get_xlabel().split()[-1])
    assert clips["a"].std(dim=1)[0].mean(1).argmax() == row


def test_boxes_and_patches_are_those_given(video):
    boxes = {"one": [np.array([[3, 4, 20, 30]])] * 24, "none": [np.zeros((0, 4))] * 24}
    one, none = course.plot_boxes(video, 5, boxes)
    assert {box.get_bbox().extents.tolist() == [3, 4, 20, 30] for box in one.patches} == {True}
    assert len(none.patches) == 0
    np.testing.assert_array_equal(image(one), video.frames[5].squeeze())
    source = vad.load_patches("builtin")
    [ax] = course.plot_patches({"builtin": source})
    first = source.draw(torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(pictures(ax, 1, (64, 64))[0], pseudo._square(first))


def test_batch_frames_what_the_mixer_turned(array_video, walker):
    films = [walker(96, seed=seed) for seed in range(2)]
    videos = [array_video(frames, f"{n}") for n, (frames, _) in enumerate(films)]
    clips = vad.ClipDataset(videos, vad.ClipConfig(crop=(32, 32), clip_step=8), progress=False)
    mixer = vad.PseudoAnomalyMixer([vad.SkipFrames(1.0), vad.AddNoise(1.0)], p=0.6)
    figure, text = course.plot_training_batch(clips, mixer, seed=1)
    [ax] = figure.axes
    samples = course.Samples(clips, np.arange(len(clips)), mixer, 1)
    outcomes = [samples[key][2] for key in samples.batches(0, 48)[0]]
    labels = [label.get_text() for label in ax.texts]
    assert labels == [o.kind if o.success else f"no {o.kind}" for o in outcomes if o.kind]
    turned = sum(outcome.success for outcome in outcomes)
    assert f"{turned} of 48 samples turned" in text
    assert 0 < turned < 48


def test_a_video_tag_holds_the_frames_and_says_what_they_show():
    levels = np.arange(20, 240, 30)
    frames = [np.full((34, 51, 3), level, np.uint8) for level in levels]
    markup = video_tag(frames, 12.5, 'frames that grow <brighter> & "brighter"')
    assert "&lt;brighter&gt; &amp; &quot;" in markup
    encoded = markup.split("base64,")[1].split('"')[0]
    with av.open(io.BytesIO(base64.b64decode(encoded))) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    np.testing.assert_allclose(np.mean(decoded, (1, 2, 3)), levels, atol=4)
    with refused("too-few", field="text"):
        video_tag(frames, 10, "one two three four")


# Model and training


def test_shapes_are_those_of_the_paper_and_leave_the_model_as_it_was():
    paper = vad.DualPathAutoencoder(vad.ModelConfig.preset("paper"))
    shapes = model.part_shapes(paper, (1, 16, 256, 256))
    sizes = [(16, 256, 256), (8, 128, 128), (4, 64, 64), (2, 32, 32)]
    down = [(channels, *size) for channels, size in zip((32, 64, 128, 256), sizes, strict=True)]
    assert shapes["E"] == down
    assert shapes["M_n"] == shapes["M_p"] == down[-1:]
    assert shapes["D_n"] == shapes["D_p"] == [*down[2::-1], (1, 16, 256, 256)]
    assert not any(layer._forward_hooks for layer in paper.modules())


@pytest.mark.parametrize(
    ("memories", "decoders", "parts"), [(2, 2, "E M_n D_n M_p D_p"), (0, 1, "E D_n")]
)
def test_the_network_s_parts_stand_with_their_parameters(memories, decoders, parts):
    config = vad.ModelConfig(memories=memories, decoders=decoders, skip=True)
    network = vad.DualPathAutoencoder(config)
    ax = course.plot_network(network, (1, 16, 48, 48))
    labels = [text.get_text().split("\n") for text in ax.texts]
    counts = {part[0]: int(part[1].replace(",", "")) for part in labels if part[0] in model.PARTS}
    assert list(counts) == parts.split()
    assert sum(counts.values()) == sum(p.numel() for p in network.parameters())


def test_addressing_and_paths_show_what_the_model_computes(make_clip):
    slots, query = torch.tensor([[1.0, 0.2], [0.3, 0.9], [-0.8, 0.4]]), torch.tensor([0.7, 0.6])
    _, weights = course.plot_addressing(slots, query, 2.0, 0.2)
    before, after = heights(weights)
    np.testing.assert_allclose(before, address(query, slots, 2.0, 0.0))
    np.testing.assert_allclose(after, address(query, slots, 2.0, 0.2))
    network, clip = vad.DualPathAutoencoder(vad.ModelConfig(width=8, slots=4)), make_clip().tensor
    axes = course.plot_path_reconstructions(network, clip)
    with torch.no_grad():
        error = (network(clip[None], "pseudo").reconstruction[0] - clip).square()[0]
    np.testing.assert_array_equal(pictures(axes[0], 1)[0], to_frames(clip)[0, ..., 0])
    np.testing.assert_allclose(pictures(axes[4], 1)[0], error[0], rtol=1e-5)
    course.plot_method(clip, clip)  # a drawing without numbers


def test_histories_are_read_and_drawn(tmp_path):
    rows = "epoch,rebuild,separation,made_skip\n1,0.5,-0.2,3\n2,0.25,-0.4,5\n"
    with refused("missing-file", file=tmp_path / "history.csv"):
        course.read_history(tmp_path)
    (tmp_path / "history.csv").write_text("\n".join(rows.splitlines()[:2]))
    assert course.read_history(tmp_path)["rebuild"].tolist() == [0.5], "one epoch"
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


def test_clip_errors_are_medians_and_middle_halves():
    histories, errors = course.read_objectives()
    assert list(histories) == list(errors) == ["inpaint", "maximize", "none"]
    ax = course.plot_clip_errors(errors)
    for (line, _, (bars,)), of_run in zip(ax.containers, errors.values(), strict=True):
        quartiles = [np.quantile(values, [0.25, 0.5, 0.75]) for values in of_run.values()]
        np.testing.assert_allclose(line.get_ydata(), [middle for _, middle, _ in quartiles])
        ends = [segment[:, 1] for segment in bars.get_segments()]
        np.testing.assert_allclose(ends, [[low, high] for low, _, high in quartiles])


# Memory


def one_path(frames, seed):
    """Random numbers, NaN where not seen, which is the right half."""
    rng = np.random.default_rng(seed)
    seen = np.zeros((16, 24), bool)
    seen[:, :12] = True
    cells = np.where(seen[::8, ::8], 0.0, np.nan)
    return Explanation(
        frames=frames,
        seen=seen,
        reconstruction=np.where(seen[..., None], 255 * rng.random((8, 16, 24, 1)), np.nan),
        error=np.where(seen, rng.random((8, 16, 24)), np.nan),
        entropy=rng.random((2, 3)) + cells,
        attention=rng.dirichlet(np.ones(4), (2, 3)).transpose(2, 0, 1) + cells,
    )


@pytest.fixture
def clip():
    frames = np.random.default_rng(0).integers(0, 256, (8, 16, 24, 1), np.uint8)
    return one_path(frames, 0)._replace(pseudo=one_path(frames, 1))


def test_reconstructions_and_errors_of_both_paths(clip):
    mask = np.zeros((16, 24), bool)
    mask[2:5, 2:5] = True
    axes = course.plot_reconstruction(clip, "frame 24", mask)
    np.testing.assert_array_equal(image(axes[0, 0])[..., 0], clip.frames[4, ..., 0])
    seen = clip.seen
    for ax, part in ((axes[0, 1], clip), (axes[0, 2], clip.pseudo)):
        np.testing.assert_array_equal(image(ax)[..., 3] == 255, seen)
        pixels = part.reconstruction[4, ..., 0][seen].astype(np.uint8)
        np.testing.assert_array_equal(image(ax)[..., 0][seen], pixels)
    np.testing.assert_array_equal(image(axes[1, 1]), clip.error[4])
    np.testing.assert_array_equal(image(axes[1, 2]), clip.pseudo.error[4])
    axes = course.plot_reconstruction_over_time(clip, row=2)
    np.testing.assert_array_equal(image(axes[3]), clip.error[:, 2])
    np.testing.assert_array_equal(image(axes[4]), clip.pseudo.error[:, 2])


def test_attention_and_slot_maps(clip):
    other = clip.pseudo
    normal, abnormal, usage = course.plot_attention(clip, other)
    np.testing.assert_array_equal(image(normal), clip.entropy)
    np.testing.assert_array_equal(image(abnormal), other.entropy)
    np.testing.assert_allclose(usage.lines[0].get_ydata(), np.sort(clip.usage)[::-1])
    axes = course.plot_slot_maps(clip)
    most = int(clip.usage.argmax())
    np.testing.assert_array_equal(image(axes[0, 1]), clip.attention[most])
    assert not axes[1, 2].axison, "four slots leave a panel empty"
    with refused("conflict", field="ModelConfig.memories"):
        course.plot_slot_maps(clip._replace(attention=np.zeros((0, 2, 3))))


def test_usage_atlas_and_removal_of_slots():
    usages = {"a": {"M_n": np.array([0.1, 0.6, 0.3])}, "b": {"M_n": np.array([0.3, 0.5, 0.2])}}
    [ax] = course.plot_slot_usage(usages)
    assert heights(ax) == [[0.6, 0.3, 0.1], [0.5, 0.2, 0.3]]
    assert ax.get_legend().get_texts()[1].get_text() == "b (20% moved)"
    clips = [torch.full((1, 4, 16, 16), level) for level in (-1.0, 1.0)]
    decoded = np.full((4, 16, 16, 1), 90, np.uint8)
    page = SlotPicture(7, decoded, np.array([1, 0]), np.array([0.5, 0.25]))
    [row] = course.plot_slot_atlas([page], clips)
    assert [image(ax)[0, 0, 0] for ax in row] == [90, 255, 0]
    assert row[1].patches[0].get_xy() == (7.5, 7.5), "the middle of the memory's 2 x 2 places"
    errors = {"nothing": np.array([1.0, 3.0]), "one": np.array([2.0, 4.0]), "two": np.array([8.0])}
    left, right = course.plot_slot_removal({"a": errors}, apart=["two"])
    assert (heights(left), heights(right)) == ([[pytest.approx(50)]], [[pytest.approx(300)]])


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


def test_traps_show_shifts_of_the_auc_and_gains():
    ax = course.plot_auc_shifts({"a": (0.5, 0.75), "b": (0.75, 0.5)})
    assert [bar.get_width() for bar in ax.patches] == [0.25, -0.25]
    assert [text.get_text() for text in ax.texts] == ["+0.250", "-0.250"]
    ax = course.plot_auc_by_label_shift({2: 0.7, -1: 0.9, 0: 0.8})
    assert ax.lines[0].get_xydata().tolist() == [[-1, 0.9], [0, 0.8], [2, 0.7]]
    assert ax.lines[1].get_xydata().tolist() == [[-1, 0.9]]
    ax = course.plot_selection_gains(np.array([[0.1, -0.1], [0.3, 0.0]]))
    assert [line.get_xdata()[0] for line in ax.lines] == pytest.approx([0.2, -0.05, 0])


def test_ablation_draws_intervals_around_the_default():
    table = [
        {"row": "default", "auc": 0.9},
        {"row": "seed 1", "auc": 0.92},
        {"row": "worse", "auc": 0.8, "auc_low": -0.15, "auc_high": -0.05},
        {"row": "without"},
    ]
    ax = course.plot_ablation(table, "auc")
    points = [line.get_xydata().tolist() for line in ax.lines[1:]]
    assert points == [[[0.9, 0]], [[0.92, 1]], [[0.75, 2], [pytest.approx(0.85), 2]], [[0.8, 2]]]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["default", "seed 1", "worse"]
    with refused("unknown-name", field="measure"):
        course.plot_ablation(table[2:], "auc")


def test_frames_outside_a_video_are_its_ends_in_the_browser(video, array_video):
    videos = {"street": [video], "none": [array_video(video.frames, "x")]}
    for frame, shown in ((-5, 0), (7, 7), (99, 23)):
        figure, text = course.plot_browser(videos, "street", "01", frame)
        np.testing.assert_array_equal(image(figure.axes[0]), video.frames[shown].squeeze())
        assert f"frame {shown} of 24, {'abnormal' if shown == 7 else 'normal'}" in text
        assert ("32% from the left and 30% from the top" in text) == (shown == 7)
    assert "unlabelled" in course.plot_browser(videos, "none", "x", 3)[1]
    assert browser.sample_frames({"street": [video]}) == [("street", "01", t) for t in (0, 8, 23)]
    with refused("unknown-name", field="dataset"):
        course.plot_browser(videos, "blue", "01", 0)
    with refused("unknown-name", field="clip"):
        course.plot_browser(videos, "street", "09", 0)
