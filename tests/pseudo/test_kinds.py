"""What every kind of pseudo-anomaly promises, and what each one does."""

import math
import re
from itertools import pairwise, permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from vadlib.config import ClipConfig
from vadlib.data.clips import Clip, ClipDataset, to_frames, to_tensor
from vadlib.pseudo import kinds
from vadlib.pseudo.kinds import AddNoise, PasteObjects, ShuffleMotion, SkipFrames
from vadlib.pseudo.mixer import KINDS
from vadlib.pseudo.noise import noise_level

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def made(kind, strength):
    return kind(strength=strength)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# --- promises of every kind


@every_kind
@pytest.mark.parametrize("channels", [1, 3])
def test_strength_0_returns_the_clip_bit_for_bit(kind, make_clip, channels):
    for seed in range(3):
        clip = make_clip(channels=channels, seed=seed)
        pseudo = made(kind, 0.0)(clip, seeded(seed))
        assert torch.equal(pseudo.tensor, clip.tensor)
        assert not pseudo.mask.any()


@every_kind
@given(seed=st.integers(0, 10**6), strength=st.floats(0, 1), channels=st.sampled_from([1, 3]))
def test_invariants(kind, make_clip, seed, strength, channels):
    clip = make_clip(channels=channels, seed=seed % 7)
    before = (clip.tensor.clone(), clip.lookahead.clone(), [b.copy() for b in clip.boxes])
    generator, again = seeded(seed), seeded(seed)
    pseudo, replayed = made(kind, strength)(clip, generator), made(kind, strength)(clip, again)
    # the input clip is never modified
    assert torch.equal(clip.tensor, before[0])
    assert torch.equal(clip.lookahead, before[1])
    assert all(np.array_equal(a, b) for a, b in zip(clip.boxes, before[2], strict=True))
    # same generator state, same result, same state afterwards
    assert torch.equal(pseudo.tensor, replayed.tensor)
    assert torch.equal(generator.get_state(), again.get_state())
    # shape, kind and range of a normal clip; the mask is exactly where it differs
    assert pseudo.kind == kind.name
    assert pseudo.tensor.shape == clip.tensor.shape
    assert pseudo.tensor.dtype == torch.float32
    assert pseudo.tensor.min() >= -1
    assert pseudo.tensor.max() <= 1
    assert pseudo.mask.dtype == torch.bool
    assert torch.equal(pseudo.mask, (pseudo.tensor != clip.tensor).any(0))


@every_kind
def test_another_seed_gives_another_pseudo_anomaly(kind, make_clip):
    clip = make_clip()
    tensors = [made(kind, (0.3, 1.0))(clip, seeded(seed)).tensor for seed in range(8)]
    assert any(not torch.equal(tensors[0], other) for other in tensors[1:])


@every_kind
def test_the_mean_change_does_not_fall_as_strength_rises(kind, make_clip):
    clips = [make_clip(seed=seed) for seed in range(6)]
    means, errors = [], []
    for strength in (0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0):
        change = [
            float(
                (made(kind, strength)(clip, seeded(100 * i + j)).tensor - clip.tensor).abs().mean()
            )
            for i, clip in enumerate(clips)
            for j in range(25)
        ]
        means.append(np.mean(change))
        errors.append(np.std(change) / math.sqrt(len(change)))
    assert means[0] == 0
    assert means[-1] > 0.001
    for i in range(1, len(means)):  # a mean over 150 draws is known to a few standard errors
        assert means[i] >= means[i - 1] - 3 * math.hypot(errors[i], errors[i - 1]), (i, means)
    assert means[2] < means[5] < means[-1]


@every_kind
def test_default_strengths_always_change_the_clip(kind, make_clip):
    """Otherwise a normal clip would be trained as an anomaly."""
    clip = make_clip()
    for seed in range(50):
        assert kind()(clip, seeded(seed)).mask.any()


@pytest.mark.parametrize(
    "strength", [-0.1, (0.5, 0.2), (-1, 1), (0, 2), math.nan, "0.5", (0.2, 0.5, 0.6), ()]
)
def test_a_strength_outside_0_to_1_is_refused(strength):
    with refused("out-of-range", field="AddNoise.strength"):
        AddNoise(strength)


@every_kind
def test_every_kind_names_itself_where_its_strength_is_refused(kind):
    with refused("out-of-range", field=f"{kind.__name__}.strength"):
        made(kind, 1.1)


@every_kind
def test_a_range_of_strengths_is_used_as_a_whole(kind, make_clip):
    """Drawn values lie inside the range, and reach its lower and its upper part."""
    clip, low, high = make_clip(), 0.3, 0.9
    changes = [
        float((made(kind, (low, high))(clip, seeded(s)).tensor - clip.tensor).abs().mean())
        for s in range(60)
    ]
    at = {
        s: np.mean(
            [
                float((made(kind, s)(clip, seeded(i)).tensor - clip.tensor).abs().mean())
                for i in range(60)
            ]
        )
        for s in (low, high)
    }
    assert at[low] < np.mean(changes) < at[high]


@every_kind
@pytest.mark.parametrize("channels", [1, 3])
def test_defect_04_pseudo_clips_stay_in_the_range_of_normal_ones(kind, make_clip, channels):
    """At the ends of the range, too: a clip of black and white."""
    clip = make_clip(channels=channels)
    extreme = clip._replace(tensor=torch.where(clip.tensor > 0, 1.0, -1.0))
    for seed in range(10):
        pseudo = made(kind, 1.0)(extreme, seeded(seed)).tensor
        assert pseudo.min() >= -1
        assert pseudo.max() <= 1
        assert pseudo.isfinite().all()


@pytest.mark.parametrize("kind", [SkipFrames, ShuffleMotion])
def test_defect_04_moved_frames_keep_their_values(kind, make_clip):
    """Skipped and shuffled clips hold frames of the video bit for bit: nothing else gives them
    away.
    """
    clip = make_clip()
    whole = torch.cat([clip.tensor, to_tensor(clip.lookahead)], dim=1)
    for seed in range(10):
        pseudo = made(kind, 1.0)(clip, seeded(seed)).tensor
        for k in range(16):
            assert (whole == pseudo[:, k : k + 1]).all(0).flatten(1).all(1).any()


@every_kind
def test_defect_07_colour_stays_colour(kind, make_clip):
    clip = make_clip(channels=3)
    for seed in range(5):
        pseudo = made(kind, 1.0)(clip, seeded(seed)).tensor
        assert pseudo.shape == clip.tensor.shape
        assert not torch.equal(pseudo[0], pseudo[1])
        assert not torch.equal(pseudo[1], pseudo[2])


# --- skip


TOTAL = 240  # frames of the numbered video: enough for stride 5 at frame step 3


def numbered(array_video, length, frame_step=1, total=TOTAL):
    """Clips of a video whose frame t has level t."""
    frames = np.broadcast_to(
        np.arange(total, dtype=np.uint8)[:, None, None, None], (total, 3, 4, 1)
    )
    return ClipDataset(
        [array_video(frames)], ClipConfig(length=length, frame_step=frame_step), progress=False
    )


def literal_skip(start, length, frame_step, wanted, total):
    """Frame numbers of the skipped clip: the largest stride up to the wanted one whose last frame
    exists; None if it is 1.
    """
    for stride in range(wanted, 0, -1):
        shown = [start + k * stride * frame_step for k in range(length)]
        if shown[-1] < total:
            return None if stride == 1 < wanted else shown
    raise AssertionError


@pytest.mark.parametrize("frame_step", [1, 2, 3])
@pytest.mark.parametrize("length", [2, 5, 8, 16])
def test_skipping_against_a_literal_transcription(array_video, length, frame_step):
    clips = numbered(array_video, length, frame_step)
    strides = set()
    for i in range(len(clips)):
        clip = clips[i]
        for wanted in (1, 2, 3, 4, 5):
            expected = literal_skip(clip.start, length, frame_step, wanted, TOTAL)
            pseudo = SkipFrames(strength=(wanted - 1) / 4)(clip, seeded())
            if expected is None:
                assert pseudo is None
                continue
            assert to_frames(pseudo.tensor)[:, 0, 0, 0].tolist() == expected
            strides.add(pseudo.params["stride"])
    assert strides == {1, 2, 3, 4, 5}


def test_skipping_at_the_end_of_a_video_by_hand(array_video):
    """Clips of 16 frames of a video of 120: stride 5 needs 76 frames, stride 2 needs 31."""
    clips, skip = numbered(array_video, 16, total=120), SkipFrames(strength=1.0)
    expected = {0: 5, 44: 5, 45: 4, 60: 3, 75: 2, 89: 2, 90: None, 104: None}
    made = {start: skip(clips[start], seeded()) for start in expected}
    assert {start: pseudo and pseudo.params["stride"] for start, pseudo in made.items()} == expected


def test_the_papers_stride_is_at_a_quarter(array_video):
    assert SkipFrames(strength=0.25)(numbered(array_video, 16)[0], seeded()).params["stride"] == 2


# --- shuffle


@pytest.mark.parametrize("length", [4, 5, 6, 7, 16, 20])
def test_a_full_shuffle_is_a_permutation_without_kept_neighbours(make_clip, length):
    clip = make_clip(length=length)
    for seed in range(30):
        pseudo = ShuffleMotion(strength=1.0)(clip, seeded(seed))
        order = pseudo.params["order"]
        assert sorted(order) == list(range(length))
        assert all(abs(a - b) != 1 for a, b in pairwise(order))
        assert torch.equal(pseudo.tensor, torch.stack([clip.tensor[:, k] for k in order], dim=1))


def test_a_shuffle_that_is_never_lucky_ends_and_is_right(monkeypatch):
    monkeypatch.setattr(torch, "randperm", lambda n, generator: torch.arange(n))
    for length in range(4, 21):
        order = kinds._without_neighbours(length, seeded()).tolist()
        assert sorted(order) == list(range(length))
        assert all(abs(a - b) != 1 for a, b in pairwise(order))


@given(st.integers(4, 20), st.floats(0, 1), st.integers(0, 10**6))
def test_a_shuffle_moves_its_share_of_the_frames(length, strength, seed):
    clip = Clip(torch.zeros(1, length, 1, 1), "a", 0, torch.zeros(0, 1, 1, 1), None)
    order = ShuffleMotion(strength=strength)(clip, seeded(seed)).params["order"]
    assert sorted(order) == list(range(length))
    moved, wanted = sum(k != t for t, k in enumerate(order)), round(strength * length)
    if wanted < length:  # a full shuffle breaks up neighbours instead; a frame may stay where it is
        assert moved == (wanted if wanted >= 2 else 0)


@pytest.mark.parametrize(("length", "strength"), [(1, 1.0), (2, 0.5), (3, 1.0), (3, 0.0)])
def test_defect_17_shuffling_2_or_3_frames_is_refused_and_ends(make_clip, length, strength):
    with refused("too-few", field="ClipConfig.length") as caught:
        ShuffleMotion(strength=strength)(make_clip(length=length), seeded())
    assert re.findall(r"\d+", str(caught.error)) == ["4", str(length)]


def test_every_order_without_neighbours_can_be_drawn(make_clip):
    clip = make_clip(length=5)
    drawn = {
        tuple(ShuffleMotion(strength=1.0)(clip, seeded(seed)).params["order"])
        for seed in range(400)
    }
    assert drawn == {
        p for p in permutations(range(5)) if all(abs(a - b) != 1 for a, b in pairwise(p))
    }


# --- noise


def noise_clip(spread, seed=0):
    tensor = (spread * torch.randn(1, 16, 32, 32, generator=seeded(seed))).clamp(-1, 1)
    return Clip(tensor, "a", 0, torch.zeros(0, 32, 32, 1, dtype=torch.uint8), None)


@pytest.mark.parametrize("strength", [0.25, 0.5, 1.0])
def test_noise_has_081_of_the_clips_deviation_at_strength_1(strength):
    clip = noise_clip(0.1)  # far from the borders, so nothing is reflected
    pseudo = AddNoise(strength=strength)(clip, seeded(1))
    sigma = 0.81 * strength * float(clip.tensor.std())
    assert pseudo.params["sigma"] == pytest.approx(sigma, rel=1e-6)
    added = (pseudo.tensor - clip.tensor).flatten()
    assert float(added.std()) == pytest.approx(sigma, rel=0.02)  # 16,384 values: known to 0.6%
    assert abs(float(added.mean())) < 4 * sigma / math.sqrt(len(added))
    # Gaussian: its quantiles are those of the normal distribution
    standard = (added / sigma).sort().values
    for share, quantile in ((0.0228, -2), (0.1587, -1), (0.5, 0), (0.8413, 1), (0.9772, 2)):
        assert float(standard[int(share * len(standard))]) == pytest.approx(quantile, abs=0.12)


def test_noise_does_not_pile_up_at_the_borders():
    clip = noise_clip(0.9)
    inner = clip._replace(tensor=torch.where(clip.tensor.abs() < 1, clip.tensor, 0.0))
    values = AddNoise(strength=1.0)(inner, seeded(1)).tensor.flatten()
    assert not (values.abs() == 1).any()
    for sign in (-1, 1):
        at_the_border = ((sign * values > 0.98) & (sign * values <= 1)).sum()
        beside = ((sign * values > 0.94) & (sign * values <= 0.96)).sum()
        assert 0.5 * beside < at_the_border < 2 * beside


def test_reflection_against_a_literal_one():
    values = torch.linspace(-9, 9, 1801, dtype=torch.float64)
    expected = []
    for value in values.tolist():
        while not -1 <= value <= 1:
            value = 2 - value if value > 1 else -2 - value
        expected.append(value)
    assert kinds._reflect(values).tolist() == pytest.approx(expected, abs=1e-12)


def test_noise_is_new_in_every_pixel_frame_and_channel(make_clip):
    clip = make_clip(channels=3)
    added = AddNoise(strength=0.25)(clip, seeded()).tensor - clip.tensor
    for one, other in (
        (added[0], added[1]),
        (added[:, 0], added[:, 1]),
        (added[..., 0], added[..., 1]),
    ):
        assert (
            abs(float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])) < 0.15
        )


@pytest.mark.parametrize("grain", [2, 5, 16])
def test_coarse_noise_has_the_same_deviation_and_soft_blotches_of_its_grain(grain):
    clip = Clip(
        torch.zeros(1, 16, 64, 64), "a", 0, torch.zeros(0, 64, 64, 1, dtype=torch.uint8), None
    )
    textured = clip._replace(tensor=0.1 * torch.randn(clip.tensor.shape, generator=seeded()))
    pseudo = AddNoise(strength=0.5, grain=grain)(textured, seeded(1))
    added = (pseudo.tensor - textured.tensor)[0]
    assert float(added.std()) == pytest.approx(pseudo.params["sigma"], rel=0.03)

    def alike(distance):
        return float(
            torch.corrcoef(
                torch.stack([added[..., distance:].flatten(), added[..., :-distance].flatten()])
            )[0, 1]
        )

    assert alike(1) > 0.4
    assert abs(alike(2 * grain)) < 0.15  # independent from there on
    assert alike(max(1, grain // 2)) > alike(grain)
    between_frames = torch.corrcoef(torch.stack([added[1:].flatten(), added[:-1].flatten()]))[0, 1]
    assert abs(float(between_frames)) < 0.15


@pytest.mark.parametrize("grain", [0, -3, 2.5])
def test_a_grain_that_is_no_number_of_pixels_is_refused(grain):
    with refused("out-of-range", field="AddNoise.grain"):
        AddNoise(grain=grain)


# --- objects


@pytest.mark.parametrize("sigma", [0.005, 0.02, 0.08])
def test_the_noise_of_a_still_scene_with_a_walker_is_measured(sigma):
    tensor = torch.rand(1, 1, 48, 64, generator=seeded()).expand(1, 16, 48, 64) - 0.5
    tensor = tensor.clone()
    for t in range(16):
        tensor[:, t, 10:40, 10 + t : 20 + t] = 0.9
    tensor += sigma * torch.randn(tensor.shape, generator=seeded(1))
    assert noise_level(tensor) == pytest.approx(sigma, rel=0.15)


@pytest.mark.parametrize("strength", [0.3, 0.6, 1.0])
def test_defect_04_a_pasted_picture_has_the_cameras_noise(strength):
    """Without it, the patch would be the one place that does not flicker, and give itself away."""
    sigma, patch = 0.03, OnePatch(np.full((8, 8, 3), 128))
    still = 0.2 * torch.rand(1, 1, 48, 64, generator=seeded()).expand(1, 16, 48, 64)
    clip = still + sigma * torch.randn(1, 16, 48, 64, generator=seeded(1))
    boxes = [np.float32([[10, 8, 50, 40]])] * 16
    pseudo = PasteObjects(patch, strength=strength)(
        Clip(clip, "a", 0, torch.zeros(0, 48, 64, 1), boxes), seeded(2)
    )
    inside = pseudo.mask.all(0)
    assert inside.sum() > 200
    over_time = pseudo.tensor[0].var(0)
    assert float(over_time[inside].mean().sqrt()) == pytest.approx(
        float(over_time[~inside].mean().sqrt()), rel=0.07
    )


def test_a_small_patch_lies_anywhere_in_its_box():
    box, centres = np.float32([[10, 8, 50, 40]]), []
    clip = Clip(torch.zeros(1, 16, 48, 64), "a", 0, torch.zeros(0, 48, 64, 1), [box] * 16)
    for seed in range(60):
        params = PasteObjects(strength=0.2)(clip, seeded(seed)).params
        x0, y0, x1, y1 = params["track"][0]
        half = params["size"] * np.float32([40, 32]) / 2
        centre = np.array([x0 + x1, y0 + y1]) / 2
        assert (centre - half >= box[0, :2] - 1e-4).all()
        assert (centre + half <= box[0, 2:] + 1e-4).all()
        centres.append(centre)
    assert (np.ptp(centres, axis=0) > 0.8 * 0.4 * np.float32([40, 32])).all()


class OnePatch:
    """Always the same picture."""

    def __init__(self, pixels):
        self.pixels = np.asarray(pixels, np.uint8)

    def draw(self, generator):
        return self.pixels


def test_defect_05_a_clip_without_boxes_is_not_made_into_an_anomaly(make_clip):
    clip = make_clip()
    empty = [np.zeros((0, 4), np.float32)] * 16
    outside = [np.float32([[100, 100, 120, 140]])] * 16
    for boxes in (None, empty, outside):
        assert PasteObjects()(clip._replace(boxes=boxes), seeded()) is None


@pytest.mark.parametrize("channels", [1, 3])
def test_objects_change_only_what_is_inside_the_track(make_clip, channels):
    for seed in range(10):
        clip = make_clip(channels=channels, seed=seed)
        pseudo = PasteObjects(strength=1.0)(clip, seeded(seed))
        for t, (x0, y0, x1, y1) in enumerate(pseudo.params["track"]):
            inside = torch.zeros(48, 64, dtype=torch.bool)
            inside[
                max(0, math.floor(y0) - 1) : math.ceil(y1) + 1,
                max(0, math.floor(x0) - 1) : math.ceil(x1) + 1,
            ] = True
            assert pseudo.mask[t].any()
            assert not (pseudo.mask[t] & ~inside).any()


def test_objects_grow_more_opaque_and_larger_with_strength(make_clip):
    clip = make_clip()
    white = OnePatch(np.full((32, 32, 3), 255))
    areas, peaks = [], []
    for strength in (0.1, 0.4, 0.7, 1.0):
        pseudo = PasteObjects(white, strength=strength)(clip, seeded())
        areas.append(int(pseudo.mask.sum()))
        peaks.append(float((pseudo.tensor - clip.tensor).max()))
        assert pseudo.params["opacity"] == pytest.approx(strength)
        assert pseudo.params["size"] == pytest.approx(0.5 + 0.5 * strength)
    assert areas == sorted(areas)
    assert areas[-1] > 1.5 * areas[0]
    assert peaks == sorted(peaks)
    assert peaks[-1] > 5 * peaks[0]


def test_small_boxes_are_still_changed(make_clip):
    """Far people are a few pixels wide; unchanged, they would be normal clips that are trained as
    anomalies.
    """
    clip = make_clip()
    for wide, tall in ((2, 20), (20, 2), (3, 3), (1, 1), (4, 4)):
        boxes = [np.float32([[30, 20, 30 + wide, 20 + tall]])] * 16
        pseudo = PasteObjects(OnePatch(np.full((8, 8, 3), 255)), strength=0.1)(
            clip._replace(boxes=boxes), seeded()
        )
        assert pseudo.mask.any(), (wide, tall)
