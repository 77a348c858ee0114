"""What every kind of pseudo-anomaly promises, what each one does, and how the mixer draws them."""

import copy
import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from vadlib.config import ClipConfig, PseudoConfig
from vadlib.data.clips import Clip, ClipDataset, to_frames
from vadlib.pseudo.kinds import AddNoise, PasteObjects, PseudoClip, ShuffleMotion, SkipFrames
from vadlib.pseudo.mixer import KINDS, Mixed, Outcome, PseudoAnomalyMixer, make_mixer
from vadlib.pseudo.patches import Patches

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def change(kind, strength, clip, seed):
    pseudo = kind(strength=strength)(clip, seeded(seed))
    return float((pseudo.tensor - clip.tensor).abs().mean())


def plain_clip(tensor, boxes=None):
    ahead = torch.zeros(0, *tensor.shape[2:], 1, dtype=torch.uint8)
    return Clip(tensor, "a", 0, ahead, boxes)


@every_kind
@given(
    seed=st.integers(0, 10**6),
    strength=st.one_of(st.just(0.0), st.floats(0, 1)),
    channels=st.sampled_from([1, 3]),
)
def test_invariants(kind, make_clip, seed, strength, channels):
    clip = make_clip(channels=channels, seed=seed % 7)
    before = copy.deepcopy(clip)
    generator, again = seeded(seed), seeded(seed)
    pseudo = kind(strength=strength)(clip, generator)
    replayed = kind(strength=strength)(clip, again)
    # the input clip is never modified
    assert torch.equal(clip.tensor, before.tensor)
    assert torch.equal(clip.lookahead, before.lookahead)
    assert all(np.array_equal(a, b) for a, b in zip(clip.boxes, before.boxes, strict=True))
    # same generator state, same result, same state afterwards
    assert torch.equal(pseudo.tensor, replayed.tensor)
    assert torch.equal(generator.get_state(), again.get_state())
    # shape, kind and range of a normal clip; the mask is exactly where it differs
    assert pseudo.kind == kind.name
    assert pseudo.tensor.shape == clip.tensor.shape
    assert pseudo.tensor.dtype == torch.float32
    assert pseudo.tensor.abs().max() <= 1
    assert torch.equal(pseudo.mask, (pseudo.tensor != clip.tensor).any(0))
    assert strength > 0 or not pseudo.mask.any()


@every_kind
def test_the_mean_change_does_not_fall_as_strength_rises(kind, make_clip):
    clips = [make_clip(seed=seed) for seed in range(6)]
    means, errors = [], []
    for strength in (0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0):
        changes = []
        for i, j in np.ndindex(6, 25):
            changes.append(change(kind, strength, clips[i], 100 * i + j))
        means.append(np.mean(changes))
        errors.append(np.std(changes) / math.sqrt(len(changes)))
    assert means[0] == 0
    assert means[-1] > 0.001
    for i in range(1, len(means)):  # a mean over 150 draws is known to a few standard errors
        assert means[i] >= means[i - 1] - 3 * math.hypot(errors[i], errors[i - 1]), (i, means)
    assert means[2] < means[5] < means[-1]
    changes = [change(kind, (0.1, 1.0), clips[seed % 6], seed) for seed in range(150)]
    assert means[1] < np.mean(changes) < means[-1]  # a range is used as a whole


@every_kind
def test_default_strengths_always_change_the_clip_and_each_seed_differently(kind, make_clip):
    """Otherwise a normal clip would be trained as an anomaly."""
    pseudos = [kind()(make_clip(), seeded(seed)) for seed in range(50)]
    assert all(pseudo.mask.any() for pseudo in pseudos)
    assert any(not torch.equal(pseudos[0].tensor, other.tensor) for other in pseudos[1:8])


@every_kind
@pytest.mark.parametrize("strength", [-1, (0.5, 0.2), (0, 2), math.nan, "0.5", [0.5], (0, 0, 1)])
def test_a_strength_outside_0_to_1_or_of_another_type_is_refused(kind, strength):
    with refused("out-of-range", field=f"{kind.__name__}.strength"):
        kind(strength=strength)
    with refused("out-of-range", field="AddNoise.grain"):
        AddNoise(grain=0)


@every_kind
def test_defects_04_and_07_the_range_is_kept_and_colour_stays_colour(kind, make_clip):
    """At the ends of the range, too: a clip of black and white."""
    clip = make_clip(channels=3)
    for seed in range(10):
        tensor = kind(strength=1.0)(clip, seeded(seed)).tensor
        assert not torch.equal(tensor[0], tensor[1])
        assert not torch.equal(tensor[1], tensor[2])
        extreme = clip._replace(tensor=torch.where(clip.tensor > 0, 1.0, -1.0))
        tensor = kind(strength=1.0)(extreme, seeded(seed)).tensor
        assert tensor.isfinite().all()
        assert tensor.abs().max() <= 1


def literal_skip(start, length, frame_step, wanted, total):
    """Frame numbers at the largest stride up to the wanted one that fits; None if it is 1."""
    for stride in range(wanted, 0, -1):
        numbers = [start + k * stride * frame_step for k in range(length)]
        if numbers[-1] < total:
            return None if stride == 1 < wanted else numbers
    raise AssertionError


@pytest.mark.parametrize("frame_step", [1, 3])
@pytest.mark.parametrize("length", [2, 5, 16])
def test_skipping_against_a_literal_transcription(array_video, length, frame_step):
    levels = np.arange(240, dtype=np.uint8)[:, None, None, None]  # frame t has level t
    video = array_video(np.broadcast_to(levels, (240, 3, 4, 1)))
    config = ClipConfig(length=length, frame_step=frame_step)
    clips = ClipDataset([video], config, progress=False)
    strides = set()
    for i in range(len(clips)):
        for wanted in (1, 2, 3, 4, 5):
            expected = literal_skip(clips[i].start, length, frame_step, wanted, 240)
            pseudo = SkipFrames(strength=(wanted - 1) / 4)(clips[i], seeded())
            if expected is None:
                assert pseudo is None
                continue
            assert to_frames(pseudo.tensor)[:, 0, 0, 0].tolist() == expected
            strides.add(pseudo.params["stride"])
    assert strides == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("length", [4, 5, 6, 7, 16, 20])
def test_a_full_shuffle_is_a_permutation_without_kept_neighbours(make_clip, length):
    for strength in (0.0, 1.0):
        with refused("too-few", field="ClipConfig.length"):  # defect 17
            ShuffleMotion(strength=strength)(make_clip(length=3), seeded())
    clip = make_clip(length=length)
    for seed in range(30):
        pseudo = ShuffleMotion(strength=1.0)(clip, seeded(seed))
        order = pseudo.params["order"]
        assert sorted(order) == list(range(length))
        assert all(abs(a - b) != 1 for a, b in pairwise(order))
        assert torch.equal(pseudo.tensor, torch.stack([clip.tensor[:, k] for k in order], dim=1))
        for count in range(length):  # a smaller share of the frames moves, two at least
            order = ShuffleMotion(strength=count / length)(clip, seeded(seed)).params["order"]
            assert sorted(order) == list(range(length))
            assert sum(k != t for t, k in enumerate(order)) == (count if count >= 2 else 0)


def correlation(one, other):
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])


def normal_clip(spread, side=32, seed=0):
    return plain_clip(
        (spread * torch.randn(1, 16, side, side, generator=seeded(seed))).clamp(-1, 1)
    )


@pytest.mark.parametrize("strength", [0.25, 0.5, 1.0])
def test_noise_has_081_of_the_clips_deviation_at_strength_1(strength):
    clip = normal_clip(0.1)  # far from the borders, so nothing is reflected
    pseudo = AddNoise(strength=strength)(clip, seeded(1))
    sigma = 0.81 * strength * float(clip.tensor.std())
    assert pseudo.params["sigma"] == pytest.approx(sigma, rel=1e-6)
    added = pseudo.tensor - clip.tensor
    assert abs(correlation(added[..., 1:, :], added[..., :-1, :])) < 0.15  # new in every pixel
    assert abs(correlation(added[:, 1:], added[:, :-1])) < 0.15
    added = added.flatten()
    assert float(added.std()) == pytest.approx(sigma, rel=0.02)  # 16,384 values: known to 0.6%
    assert abs(float(added.mean())) < 4 * sigma / math.sqrt(len(added))
    # Gaussian: its quantiles are those of the normal distribution
    standard = (added / sigma).sort().values[[int(q * 16_384) for q in (0.0228, 0.1587, 0.9772)]]
    assert standard.tolist() == pytest.approx([-2, -1, 2], abs=0.12)


@pytest.mark.parametrize("grain", [2, 5, 16])
def test_coarse_noise_has_the_same_deviation_and_soft_blotches_of_its_grain(grain):
    clip = normal_clip(0.1, side=64)
    pseudo = AddNoise(strength=0.5, grain=grain)(clip, seeded(1))
    added = (pseudo.tensor - clip.tensor)[0]
    assert float(added.std()) == pytest.approx(pseudo.params["sigma"], rel=0.03)

    def alike(distance):
        return correlation(added[..., distance:], added[..., :-distance])

    assert alike(1) > 0.4
    assert abs(alike(2 * grain)) < 0.15  # independent from there on
    assert alike(max(1, grain // 2)) > alike(grain)
    assert abs(correlation(added[1:], added[:-1])) < 0.15


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_defect_04_a_pasted_picture_has_the_cameras_noise(strength):
    """Without it, the patch would be the one place that does not flicker, and give itself away."""
    still = 0.2 * torch.rand(1, 1, 48, 64, generator=seeded()).expand(1, 16, 48, 64)
    tensor = still + 0.03 * torch.randn(1, 16, 48, 64, generator=seeded(1))
    clip = plain_clip(tensor, [np.float32([[10, 8, 50, 40]])] * 16)
    grey = Patches("grey", [np.full((8, 8, 3), 128, np.uint8)])
    pseudo = PasteObjects(grey, strength=strength)(clip, seeded(2))
    assert pseudo.params["opacity"] == pytest.approx(strength)
    assert pseudo.params["size"] == pytest.approx(0.5 + 0.5 * strength)
    inside = pseudo.mask.all(0)
    assert inside.sum() > 200
    over_time = pseudo.tensor[0].var(0)
    expected = pytest.approx(float(over_time[~inside].mean().sqrt()), rel=0.07)
    assert float(over_time[inside].mean().sqrt()) == expected


DRAWS = 4000
NORMAL = Mixed(None, Outcome())
EMPTY = [np.zeros((0, 4), np.float32)] * 16


class Named:
    """A kind that only says its name, and counts how often it was asked."""

    def __init__(self, name):
        self.name, self.calls = name, 0

    def __call__(self, clip, generator):
        self.calls += 1
        return PseudoClip(clip, torch.ones(1, 1, 1, dtype=torch.bool), self.name, {})


def within(count, trials, probability):
    """Binomial counts stay within 5 standard deviations but once in two million times."""
    spread = math.sqrt(trials * probability * (1 - probability))
    return abs(count - trials * probability) <= 5 * spread


# p, the weights, and the share of each kind of those that became one
SHARES = [
    (0.02, None, [1]),
    (0.5, None, [1 / 2] * 2),
    (0.5, None, [1 / 4] * 4),
    (1.0, [1, 0, 2, 5], [1 / 8, 0, 2 / 8, 5 / 8]),
    (0.0, None, [1]),
]


@pytest.mark.parametrize(("p", "weights", "shares"), SHARES)
def test_kinds_are_drawn_by_p_and_their_weights_and_asked_only_then(p, weights, shares):
    kinds = [Named(str(k)) for k in range(len(shares))]
    mixer, generator = PseudoAnomalyMixer(kinds, p, weights), seeded()
    counts = Counter(mixer(None, generator).outcome.kind for _ in range(DRAWS))
    total = DRAWS - counts[None]
    assert within(total, DRAWS, p)
    for kind, share in zip(kinds, shares, strict=True):
        assert within(counts[kind.name], total, share)
        assert kind.calls == counts[kind.name]  # defect 08


TWO = [SkipFrames(), AddNoise()]
BAD = [([1, 2, 3], 1), ([1, -1], 1), ([0, 0], 1), ([math.nan, 1], 1), ([1, math.inf], 1)]
BAD_MIXERS = [(TWO, p, weights, "out-of-range", "weights") for weights, p in BAD]
BAD_MIXERS += [(TWO, p, None, "out-of-range", "p") for p in (1.5, -1e-9, math.nan)]


@pytest.mark.parametrize(
    ("kinds", "p", "weights", "code", "field"), [*BAD_MIXERS, ([], 0.2, None, "conflict", "kinds")]
)
def test_values_that_do_not_fit_are_refused(kinds, p, weights, code, field):
    with refused(code, field=field):
        PseudoAnomalyMixer(kinds, p, weights)


UNCHANGED = [(SkipFrames(0.0), EMPTY), (ShuffleMotion(0.0), EMPTY), (AddNoise(0.0), EMPTY)]
OUTSIDE = [np.float32([[100, 100, 120, 140]])] * 16
UNCHANGED += [(PasteObjects(), boxes) for boxes in (None, EMPTY, OUTSIDE)]  # defect 05


@pytest.mark.parametrize(("kind", "boxes"), UNCHANGED)
def test_a_clip_that_nothing_changed_stays_normal(make_clip, kind, boxes):
    """It must not be trained as an anomaly."""
    mixed = PseudoAnomalyMixer([kind], 1)(make_clip()._replace(boxes=boxes), seeded())
    assert mixed == (None, (kind.name, False))
    assert PseudoAnomalyMixer([], 0)(make_clip(), seeded()) == NORMAL


def test_what_was_made_and_what_could_not_be_is_counted(make_clip):
    """Every second clip holds nobody, and none has frames to skip to."""
    mixer = PseudoAnomalyMixer([SkipFrames(), AddNoise(), AddNoise(grain=4), PasteObjects()], 0.5)
    mixed = []
    for seed in range(200):
        clip = make_clip(seed=seed % 5)
        clip = clip._replace(lookahead=clip.lookahead[:0], boxes=EMPTY if seed % 2 else clip.boxes)
        mixed.append(mixer(clip, seeded(seed)))
    pseudos = Counter(m.pseudo.kind for m in mixed if m.pseudo)
    counts = mixer.count(m.outcome for m in mixed)
    for name in ("skip", "noise", "object"):
        assert counts[f"made_{name}"] == pseudos[name]
    assert counts["made_skip"] == counts["not_made_noise"] == 0
    assert min(counts["not_made_skip"], counts["not_made_object"], counts["made_object"]) > 5
    assert sum(counts.values()) + mixed.count(NORMAL) == 200


def test_defect_09_each_sample_draws_on_its_own(make_clip):
    """Neither the order nor the neighbours of a sample change what becomes of it."""
    mixer = make_mixer(PseudoConfig(tuple(KINDS)))
    clips = [make_clip(seed=seed) for seed in range(16)]
    alone = [mixer(clip, seeded(i)) for i, clip in enumerate(clips)]
    for i in reversed(range(16)):
        again = mixer(clips[i], seeded(i))
        assert again.outcome == alone[i].outcome
        assert again.pseudo is None or torch.equal(again.pseudo.tensor, alone[i].pseudo.tensor)
    assert len({mixed.outcome for mixed in alone}) >= 3


def test_a_mixer_by_names_with_weights_and_strengths():
    strengths = ((0.5, 0.5), (0.1, 0.9), (1.0, 1.0))
    names = ("object", "skip", "noise")
    config = PseudoConfig(names, 0.3, "boxes", "sprites", (1, 3, 0), strengths, 4)
    mixer = make_mixer(config)
    assert mixer.config == config
    assert [type(kind) for kind in mixer.kinds] == [PasteObjects, SkipFrames, AddNoise]
    assert [kind.strength for kind in mixer.kinds] == list(strengths)
    with refused("conflict", field="strengths"):
        make_mixer(PseudoConfig(("skip", "object"), 0.3, strengths=strengths[:1]))
    assert [kind.name for kind in KINDS.values()] == list(KINDS)
    with refused("unknown-name", field="kinds"):
        make_mixer(PseudoConfig(("skip", "Skip"), 0.2))
