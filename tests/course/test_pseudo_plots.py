"""Plots of pseudo-anomalies: their pixels are the clips' own, and what they frame is what was
drawn.
"""

import base64
import io
import re
from html.parser import HTMLParser

import av
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from refusals import refused

from vadlib.config import ClipConfig
from vadlib.course.figures import pseudo as view
from vadlib.data.clips import ClipDataset, to_frames
from vadlib.output.figure import video_tag
from vadlib.pseudo.kinds import AddNoise, PasteObjects, ShuffleMotion, SkipFrames
from vadlib.pseudo.mixer import PseudoAnomalyMixer
from vadlib.training.samples import derived_generator

KINDS = (SkipFrames, ShuffleMotion, AddNoise, PasteObjects)
SIZE = (48, 64)  # of the walker's frames


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def street(array_video, walker):
    """66 clips, half of them with a box to paste onto; those at the ends have no frames to skip to."""
    films = [walker(96, seed=seed, speed=0.5) for seed in range(6)]
    videos = [array_video(frames, f"{n}") for n, (frames, _) in enumerate(films)]
    boxes = {f"{n}": boxes for n, (_, boxes) in enumerate(films) if n % 2}
    return ClipDataset(videos, ClipConfig(crop=(32, 32), clip_step=8), boxes, progress=False)


def cells(ax, size, columns, rows=1):
    """The pictures of a mosaic: (rows * columns, H, W) or (..., 3)."""
    (height, width), mosaic = size, np.asarray(ax.get_images()[0].get_array())
    tall, wide = height + view.GAP, width + view.GAP
    assert mosaic.shape[:2] == (rows * tall, columns * wide)
    return np.stack(
        [
            mosaic[r * tall :, c * wide :][:height, :width]
            for r in range(rows)
            for c in range(columns)
        ]
    )


def times(axes):
    return [
        int(re.fullmatch(r"t = (\d+)", label.get_text())[1]) for label in axes[0].get_xticklabels()
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("channels", "columns"), [(1, 6), (3, 99)])
def test_strips_show_clip_change_difference_and_mask(make_clip, kind, channels, columns):
    clip = make_clip(channels=channels)
    pseudo = kind(strength=0.7)(clip, torch.Generator().manual_seed(1))
    axes = view.plot_pseudo(clip, pseudo, columns)
    chosen = times(axes)
    assert (chosen[0], chosen[-1], len(chosen)) == (0, 15, min(columns, 16))
    assert chosen == sorted(set(chosen))
    before, after, difference, mask = (cells(ax, SIZE, len(chosen)) for ax in axes)
    normal, changed = to_frames(clip.tensor)[chosen], to_frames(pseudo.tensor)[chosen]
    np.testing.assert_array_equal(before, normal.squeeze())
    np.testing.assert_array_equal(after, changed.squeeze())
    np.testing.assert_array_equal(difference, np.abs(changed.astype(int) - normal).max(-1))
    np.testing.assert_array_equal(mask, np.where(pseudo.mask.numpy(), 255, 0)[chosen])
    assert difference.any()
    differences = np.abs(to_frames(pseudo.tensor).astype(int) - to_frames(clip.tensor)).max(-1)
    low, white = axes[2].get_images()[0].get_clim()
    assert low == 0
    assert f"{white:.0f}" in axes[2].get_ylabel(), "the scale's upper end"
    assert (
        (differences[differences > 0] > white).mean()
        <= 0.01
        <= (differences[differences > 0] >= white).mean()
    )
    if kind is ShuffleMotion:
        order = np.array(pseudo.params["order"])
        np.testing.assert_array_equal(after, to_frames(clip.tensor)[order[chosen]].squeeze())


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_at_several_strengths_begins_with_the_clip(make_clip, kind):
    clip = make_clip()
    axes = view.plot_strengths(clip, kind, (0.0, 0.3, 1.0), seed=3)
    chosen = times(axes)
    np.testing.assert_array_equal(cells(axes[0], SIZE, 6), to_frames(clip.tensor)[chosen].squeeze())
    for ax, strength in zip(axes[1:], (0.3, 1.0), strict=True):
        expected = kind(strength=strength)(clip, torch.Generator().manual_seed(3)).tensor
        np.testing.assert_array_equal(cells(ax, SIZE, 6), to_frames(expected)[chosen].squeeze())
        assert not np.array_equal(cells(ax, SIZE, 6), cells(axes[0], SIZE, 6))


def test_what_no_strength_can_make_shows_the_clip_and_says_so(make_clip):
    clip = make_clip(ahead=0)
    axes = view.plot_strengths(clip, SkipFrames)
    labels = [ax.get_ylabel() for ax in axes]
    assert [label == number for label, number in zip(labels, ("0", "0.5", "1"), strict=True)] == [
        True,
        False,
        False,
    ]
    for ax in axes:
        np.testing.assert_array_equal(
            cells(ax, SIZE, 6), to_frames(clip.tensor)[times(axes)].squeeze()
        )


@pytest.mark.parametrize(("row", "channels"), [(None, 1), (None, 3), (20, 1)])
def test_slices_are_one_row_over_time(make_clip, row, channels):
    clip = make_clip(channels=channels)
    fast = SkipFrames(1.0)(clip, torch.Generator())
    axes = view.plot_xt_slices({"normal": clip.tensor, "skip": fast.tensor}, row)
    [shown] = {int(re.search(r"\d+", ax.get_xlabel())[0]) for ax in axes}
    assert shown == row or (row is None and 15 <= shown < 33), "the walker is in rows 15 to 32"
    for ax, tensor in zip(axes, (clip.tensor, fast.tensor), strict=True):
        np.testing.assert_array_equal(
            ax.get_images()[0].get_array(), to_frames(tensor)[:, shown].squeeze()
        )


@pytest.mark.parametrize("channels", [1, 3])
def test_boxes_are_drawn_where_they_were_found(array_video, walker, channels):
    frames, boxes = walker(8, channels)
    two = [np.float32([[1, 2, 30, 40], [5, 6, 7, 8.5]])] * 8
    axes = view.plot_boxes(
        array_video(frames),
        5,
        {"given": boxes, "two": two, "none": [np.zeros((0, 4), np.float32)] * 8},
    )
    drawn = [
        sorted(
            {
                (*r.get_xy(), *np.add(r.get_xy(), (r.get_width(), r.get_height())))
                for r in ax.patches
            }
        )
        for ax in axes
    ]
    # the walker began at 4
    assert drawn == [[(9, 15, 19, 33)], [(1, 2, 30, 40), (5, 6, 7, 8.5)], []]
    for ax in axes:
        np.testing.assert_array_equal(ax.get_images()[0].get_array(), frames[5].squeeze())


def test_patches_are_those_that_a_source_draws():
    class Plain:
        def draw(self, generator):
            return np.full((20, 30, 3), torch.randint(256, (3,), generator=generator), np.uint8)

    axes = view.plot_patches({"one": Plain(), "two": Plain()}, count=5, seed=7)
    colours = [Plain().draw(torch.Generator().manual_seed(7 + k))[0, 0] for k in range(5)]
    for ax in axes:
        np.testing.assert_array_equal(
            cells(ax, (64, 64), 5), np.tile(np.array(colours)[:, None, None], (1, 64, 64, 1))
        )


def drawn_again(clips, mixer, seed, count):
    """Samples of a training, one by one: the frame in the middle and the outcome."""
    for position in torch.randperm(len(clips), generator=derived_generator(seed, 0, -1)).tolist()[
        :count
    ]:
        generator = derived_generator(seed, 0, position)
        clip = clips.clip(position, generator)
        made, outcome = mixer(clip, generator)
        yield to_frames(made.tensor if made else clip.tensor)[8], outcome


@pytest.mark.parametrize(
    ("p", "count", "seed"),
    [(0.0, 48, 0), (0.5, 48, 0), (1.0, 48, 5), (1.0, 7, 0), (0.4, 10_000, 1)],
)
def test_batch_frames_what_the_mixer_turned(street, p, count, seed):
    mixer = PseudoAnomalyMixer([kind(strength=0.8) for kind in KINDS], p)
    figure, text = view.plot_training_batch(street, mixer, seed, count)
    [ax], expected = figure.axes, list(drawn_again(street, mixer, seed, count))
    size, columns = len(expected), min(12, len(expected))
    assert size == min(count, len(street))
    pictures = cells(ax, (32, 32), columns, -(-size // columns))
    np.testing.assert_array_equal(pictures[:size], np.squeeze([picture for picture, _ in expected]))
    assert (pictures[size:] == 255).all()

    frames = {}
    for frame, label in zip(ax.patches, ax.texts, strict=True):
        (column, dx), (row, dy) = (divmod(value, 34) for value in frame.get_xy())
        assert (dx, dy, frame.get_width(), frame.get_height()) == (0, 0, 32, 32)
        frames[row * columns + column] = label.get_text()
    names = {k: outcome.kind for k, (_, outcome) in enumerate(expected) if outcome.kind}
    made = {k: expected[k][1].made for k in names}
    assert frames == {k: name if made[k] else f"no {name}" for k, name in names.items()}

    turned = [name for k, name in names.items() if made[k]]
    missed = len(names) - len(turned)
    numbers = [f"{p:g}", len(turned), size, *(turned.count(kind.name) for kind in KINDS), missed]
    assert re.findall(r"[\d.]+", text) == [str(number) for number in numbers]
    assert len(names) == {0: 0, 1: size}.get(p, len(names))
    if (p, count) == (1.0, 48):
        assert set(frames.values()) >= {"skip", "shuffle", "noise", "object", "no object"}


@pytest.mark.parametrize("channels", [1, 3])
def test_a_film_shows_clip_change_and_mask_side_by_side(make_clip, channels):
    clip = make_clip(channels=channels)
    pseudo = AddNoise(1.0)(clip, torch.Generator().manual_seed(0))
    pseudo.mask[:, :24] = False
    film = view.side_by_side(clip, pseudo, height=96)
    assert len(film) == 16
    masks = np.where(pseudo.mask, 255, 0)[..., None]
    for t, frame in enumerate(film):
        small = frame[::2, ::2]
        # enlarged without a blur
        np.testing.assert_array_equal(small.repeat(2, 0).repeat(2, 1), frame)
        for k, part in enumerate(
            (to_frames(clip.tensor)[t], to_frames(pseudo.tensor)[t], masks[t])
        ):
            np.testing.assert_array_equal(
                small[:48, k * 66 : k * 66 + 64], np.broadcast_to(part, (48, 64, 3))
            )


def test_a_video_tag_holds_the_frames_and_says_what_they_show():
    tags, parser = [], HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append((tag, dict(attributes)))
    levels = np.arange(20, 240, 30)
    text = 'frames that grow <brighter> & "brighter" with time'
    markup = video_tag([np.full((34, 51, 3), level, np.uint8) for level in levels], 12.5, text)
    parser.feed(markup)
    [(tag, attributes)] = tags
    assert (tag, attributes["aria-label"]) == ("video", text)
    assert "<brighter>" not in markup
    assert {"controls", "loop", "autoplay", "muted", "playsinline"} <= set(attributes)
    head, encoded = attributes["src"].split(",")
    assert head == "data:video/mp4;base64"
    with av.open(io.BytesIO(base64.b64decode(encoded))) as container:
        [stream] = container.streams
        assert (stream.codec_context.name, float(stream.average_rate)) == ("h264", 12.5)
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert np.shape(decoded) == (len(levels), 34, 50, 3)  # H.264 has no odd width
    np.testing.assert_allclose(np.mean(decoded, (1, 2, 3)), levels, atol=4)


@pytest.mark.parametrize("text", ["", "one two three four"])
def test_a_video_without_a_text_is_refused(text):
    with refused("too-few", field="text"):
        video_tag([np.zeros((16, 16, 1), np.uint8)], 10, text)


def test_kinds_are_shown_below_the_clip_they_were_made_of(make_clip):
    clip = make_clip(channels=3)
    pseudos = [kind(strength=0.7)(clip, torch.Generator().manual_seed(1)) for kind in KINDS]
    axes = view.plot_kinds(clip, pseudos, columns=4)
    assert [ax.get_ylabel() for ax in axes] == ["normal", *(pseudo.kind for pseudo in pseudos)]
    chosen = times(axes)
    for ax, tensor in zip(axes, [clip.tensor, *(pseudo.tensor for pseudo in pseudos)], strict=True):
        np.testing.assert_array_equal(cells(ax, SIZE, len(chosen)), to_frames(tensor)[chosen])
