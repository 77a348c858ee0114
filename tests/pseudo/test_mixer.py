"""Each sample draws on its own whether it becomes a pseudo-anomaly, and of which kind."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from refusals import refused

from vadlib.config import PseudoConfig
from vadlib.pseudo.kinds import AddNoise, PasteObjects, PseudoClip, ShuffleMotion, SkipFrames
from vadlib.pseudo.mixer import KINDS, Mixed, Outcome, PseudoAnomalyMixer, make_mixer

DRAWS = 4000
NORMAL = Mixed(None, Outcome())
NOBODY = Mixed(None, Outcome("object"))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Named:
    """A kind that only says its name, and counts how often it was asked."""

    def __init__(self, name):
        self.name, self.calls, self.strength = name, 0, (1.0, 1.0)

    def __call__(self, clip, generator):
        self.calls += 1
        return PseudoClip(clip, torch.ones(1, 1, 1, dtype=torch.bool), self.name, {})


def within(count, trials, probability):
    """Binomial counts stay within 5 standard deviations but once in two million times."""
    return abs(count - trials * probability) <= 5 * math.sqrt(
        trials * probability * (1 - probability)
    )


@pytest.mark.parametrize("p", [0.02, 0.2, 0.5])
def test_the_share_of_pseudo_anomalies_is_p(p):
    mixer, generator = PseudoAnomalyMixer([Named("a")], p), seeded()
    assert within(sum(mixer(None, generator).pseudo is not None for _ in range(DRAWS)), DRAWS, p)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_kinds_are_drawn_equally_often_and_independently_of_p(count):
    mixer, generator = PseudoAnomalyMixer([Named(str(k)) for k in range(count)], 0.5), seeded()
    counts = Counter(mixer(None, generator).outcome.kind for _ in range(DRAWS))
    del counts[None]
    total = sum(counts.values())
    assert len(counts) == count
    assert all(within(n, total, 1 / count) for n in counts.values())


def test_kinds_are_drawn_by_their_weights():
    mixer = PseudoAnomalyMixer([Named(name) for name in "abcd"], 1.0, weights=[1, 0, 2, 5])
    generator = seeded()
    counts = Counter(mixer(None, generator).pseudo.kind for _ in range(DRAWS))
    assert set(counts) == {"a", "c", "d"}
    for name, share in (("a", 1), ("c", 2), ("d", 5)):
        assert within(counts[name], DRAWS, share / 8)


def test_equal_weights_draw_as_none_do(make_clip):
    clip = make_clip()
    kinds = [kind() for kind in KINDS.values()]
    equal = PseudoAnomalyMixer(kinds, 0.7, weights=[3 for _ in kinds])
    for seed in range(60):
        outcome = PseudoAnomalyMixer(kinds, 0.7)(clip, seeded(seed)).outcome
        assert equal(clip, seeded(seed)).outcome == outcome


@pytest.mark.parametrize(
    "weights", [[1], [1, 2, 3], [1, -1], [0, 0], [math.nan, 1], [math.inf, 1], [1e308, 1e308]]
)
def test_weights_that_do_not_fit_are_refused(weights):
    with refused("out-of-range", field="weights"):
        PseudoAnomalyMixer([SkipFrames(), AddNoise()], 0.2, weights)


def test_p_0_never_and_p_1_always():
    generator = seeded()
    never, always = PseudoAnomalyMixer([Named("a")], 0), PseudoAnomalyMixer([Named("a")], 1)
    for _ in range(300):
        assert never(None, generator) == NORMAL
        assert always(None, generator).outcome == ("a", True)


def test_a_clip_that_nothing_changed_stays_normal(make_clip):
    """A strength of 0, or a patch that misses, must not be trained as an anomaly."""
    mixer = PseudoAnomalyMixer([SkipFrames(0.0), ShuffleMotion(0.0), AddNoise(0.0)], 1)
    mixed = [mixer(make_clip(), seeded(seed)) for seed in range(20)]
    assert all(pseudo is None for pseudo, _ in mixed)
    outcomes = {outcome for _, outcome in mixed}
    assert outcomes == {("skip", False), ("shuffle", False), ("noise", False)}


def test_what_was_made_and_what_could_not_be_is_counted(make_clip):
    """Every second clip holds nobody, and none has frames to skip to; checked against what came
    out.
    """
    mixer = PseudoAnomalyMixer([SkipFrames(), AddNoise(), PasteObjects()], 0.5)
    empty = [np.zeros((0, 4), np.float32)] * 16
    mixed = []
    for seed in range(200):
        clip = make_clip(seed=seed % 5)
        clip = clip._replace(lookahead=clip.lookahead[:0], boxes=empty if seed % 2 else clip.boxes)
        mixed.append(mixer(clip, seeded(seed)))
    pseudos = Counter(m.pseudo.kind for m in mixed if m.pseudo)
    counts = mixer.count(m.outcome for m in mixed)
    made_or_not = ["made_skip", "not_made_skip", "made_noise", "not_made_noise"]
    assert list(counts) == [*made_or_not, "made_object", "not_made_object"]
    assert {name: counts[f"made_{name}"] for name in ("skip", "noise", "object")} == {
        "skip": 0,
        "noise": pseudos["noise"],
        "object": pseudos["object"],
    }
    assert counts["not_made_noise"] == 0
    assert min(counts["not_made_skip"], counts["not_made_object"], counts["made_object"]) > 5
    assert sum(counts.values()) + mixed.count(NORMAL) == 200


def test_two_kinds_of_one_name_are_counted_together():
    mixer = PseudoAnomalyMixer([AddNoise(), AddNoise(grain=8)], 1.0)
    outcomes = [*[Outcome("noise", True)] * 3, Outcome("noise"), Outcome()]
    assert mixer.count(outcomes) == {"made_noise": 3, "not_made_noise": 1}


@pytest.mark.parametrize("p", [1.5, -0.1, math.nan, 100, -1e-9, math.inf])
def test_a_p_outside_0_to_1_is_refused(p):
    with refused("out-of-range", field="p"):
        PseudoAnomalyMixer([SkipFrames()], p)


def test_without_kinds_only_p_0_is_allowed(make_clip):
    with refused("conflict", field="kinds"):
        PseudoAnomalyMixer([], 0.2)
    assert PseudoAnomalyMixer([], 0)(make_clip(), seeded()) == NORMAL


def test_defect_09_each_sample_draws_on_its_own(make_clip):
    """Neither the order nor the neighbours of a sample change what becomes of it, and a batch holds
    several outcomes.
    """
    mixer = make_mixer(PseudoConfig(tuple(KINDS)))
    clips = [make_clip(seed=seed) for seed in range(16)]
    alone = [mixer(clip, seeded(i)).pseudo for i, clip in enumerate(clips)]
    backwards = [mixer(clips[i], seeded(i)).pseudo for i in reversed(range(16))][::-1]
    for one, other in zip(alone, backwards, strict=True):
        assert (one is None) == (other is None)
        assert one is None or (one.kind == other.kind and torch.equal(one.tensor, other.tensor))
    outcomes = {pseudo and pseudo.kind for pseudo in alone}
    assert None in outcomes
    assert len(outcomes) >= 3


def test_defect_05_a_clip_without_a_person_stays_normal(make_clip):
    clip = make_clip()._replace(boxes=[np.zeros((0, 4), np.float32)] * 16)
    mixer, generator = PseudoAnomalyMixer([PasteObjects()], 1.0), seeded()
    assert all(mixer(clip, generator) == NOBODY for _ in range(20))
    assert all(mixer(clip._replace(boxes=None), generator) == NOBODY for _ in range(20))


def test_defect_08_a_kind_is_asked_only_when_it_was_drawn():
    named = [Named("a"), Named("b")]
    mixer, generator = PseudoAnomalyMixer(named, 0.1), seeded()
    kinds = [mixer(None, generator).outcome.kind for _ in range(1000)]
    for kind in named:
        assert kind.calls == kinds.count(kind.name)
    assert sum(kind.calls for kind in named) < 200


def test_a_mixer_by_names_with_weights_and_strengths():
    strengths = ((0.5, 0.5), (0.1, 0.9))
    config = PseudoConfig(("object", "skip"), 0.3, weights=(1, 3), strengths=strengths)
    mixer = make_mixer(config)
    assert mixer.config == config
    assert [type(kind) for kind in mixer.kinds] == [PasteObjects, SkipFrames]
    assert [kind.strength for kind in mixer.kinds] == list(strengths)
    assert mixer.weights == [1, 3]
    with refused("conflict", field="strengths"):
        make_mixer(PseudoConfig(("skip", "object"), 0.3, strengths=strengths[:1]))


def test_kinds_are_in_the_table_under_their_own_names():
    assert [kind.name for kind in KINDS.values()] == list(KINDS)


@pytest.mark.parametrize("kind", ["blur", "Skip", ""])
def test_an_unknown_kind_is_refused_with_the_known_ones(kind):
    with refused("unknown-name", field="kinds"):
        make_mixer(PseudoConfig(("skip", kind), 0.2))
