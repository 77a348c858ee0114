"""Each term has its formula, and its gradient reaches the parameters that the design names, and no
others.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vadlib.config import ModelConfig
from vadlib.model import losses
from vadlib.model.losses import FARTHEST, Term, objective_terms, separation, weighted
from vadlib.model.memory import entropy
from vadlib.model.network import DualPathAutoencoder

PARTS = {
    "E": "encoder",
    "M_n": "normal_memory",
    "D_n": "normal_decoder",
    "M_p": "pseudo_memory",
    "D_p": "pseudo_decoder",
}
FAST = ModelConfig(width=8, slots=12)
PUBLISHED = ModelConfig(network="published", width=8, slots=12, skip=True)
MARGIN = 2.0  # above every error of an untrained network, so that each clip has a gradient


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    normal = torch.rand(4, 1, 8, 16, 16, generator=generator) * 2 - 1
    inputs, is_pseudo = normal.clone(), torch.tensor([False, True, False, True])
    inputs[is_pseudo] = torch.rand(2, 1, 8, 16, 16, generator=generator) * 2 - 1
    return normal, inputs, is_pseudo


def make(config, batch):
    torch.manual_seed(0)
    model = DualPathAutoencoder(config)
    model.fill_memories(batch[0], torch.Generator().manual_seed(0))
    return model


@pytest.fixture
def model(batch):
    return make(FAST, batch)


def values(terms):
    return {name: float(term.value.detach()) for name, term in terms.items()}


def reached(model, loss):
    model.zero_grad(set_to_none=True)
    loss.backward(retain_graph=True)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    parts = {part: getattr(model, name) for part, name in PARTS.items()}
    names = set()
    for part, module in parts.items():
        if module and any(p.grad is not None and p.grad.any() for p in module.parameters()):
            names.add(part)
    return names


@pytest.mark.parametrize("config", [FAST, PUBLISHED], ids=["fast", "published"])
@pytest.mark.parametrize(
    ("objective", "term", "parts"),
    [
        ("inpaint", "rebuild", {"E", "M_n", "D_n"}),
        ("inpaint", "inpaint", {"E", "M_n", "D_n"}),
        ("inpaint", "pseudo", {"M_p", "D_p"}),
        ("inpaint", "sparsity", {"E", "M_n", "M_p"}),
        ("inpaint", "separation", {"E", "M_n", "M_p", "D_n", "D_p"}),
        ("maximize", "rebuild", {"E", "M_n", "D_n"}),
        ("maximize", "maximize", {"E", "M_p", "D_p"}),
        ("maximize", "sparsity", {"E", "M_n", "M_p"}),
        ("maximize", "separation", {"E", "M_n", "M_p", "D_n", "D_p"}),
        ("none", "rebuild", {"E", "M_n", "D_n"}),
        ("none", "sparsity", {"E", "M_n"}),
    ],
)
def test_defect_10_each_term_reaches_its_parameters_and_no_others(
    config, batch, objective, term, parts
):
    model = make(config, batch)
    assert reached(model, objective_terms(model, *batch, objective, MARGIN)[term].value) == parts


@pytest.mark.parametrize(
    ("changes", "objective", "term", "parts"),
    [
        ({"memories": 1}, "maximize", "maximize", {"E", "M_n", "D_p"}),
        ({"memories": 0}, "maximize", "maximize", {"E", "D_p"}),
        ({"decoders": 1}, "maximize", "maximize", {"E", "M_p", "D_n"}),
        ({"memories": 0, "decoders": 1}, "inpaint", "pseudo", {"D_n"}),
        ({"memories": 1}, "inpaint", "pseudo", {"M_n", "D_p"}),
    ],
)
def test_without_a_part_of_its_own_the_pseudo_path_uses_the_normal_one(
    batch, changes, objective, term, parts
):
    model = make(ModelConfig(width=8, slots=12, **changes), batch)
    terms = objective_terms(model, *batch, objective, MARGIN)
    assert reached(model, terms[term].value) == parts
    assert all(math.isfinite(value) for value in values(terms).values())
    if changes.get("memories") == 0:
        assert values(terms)["sparsity"] == 0


def test_the_reads_alone_are_separated_without_touching_the_decoders(model, batch):
    terms = objective_terms(model, *batch, "inpaint")
    assert terms["separation"].value < 0
    features = model.encode(batch[1])
    reads = [
        model.reconstruct([f[rows] for f in features], path, batch[0][rows].shape).read.mean(0)
        for path, rows in ROUTES
    ]
    constant = torch.zeros(8)
    assert reached(model, separation(*reads, constant, constant)) == {"E", "M_n", "M_p"}


ROUTES = (
    ("normal", torch.tensor([True, False, True, False])),
    ("pseudo", torch.tensor([False, True, False, True])),
)


@pytest.mark.parametrize("objective", ["inpaint", "maximize"])
@pytest.mark.parametrize("config", [FAST, PUBLISHED], ids=["fast", "published"])
def test_every_parameter_is_trained(config, batch, objective):
    model = make(config, batch)
    terms = objective_terms(model, *batch, objective, MARGIN)
    weighted(terms, {"sparsity": 2e-4, "separation": 2e-4}).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def literally(model, normal, inputs, is_pseudo, margin, objective):
    """All terms, clip by clip, from whole paths (group norm only: batch norm looks at the batch)."""
    rebuild, inpaint, pseudo, maximize = [], [], [], []
    inpaint_entropies, maximize_entropies = [], []
    means = {False: [], True: []}
    for x, clip, changed in zip(normal, inputs, is_pseudo.tolist(), strict=True):
        through_normal = model(clip[None], "normal")
        through_pseudo = model(clip[None], "pseudo")
        error = float(((through_normal.reconstruction - x) ** 2).mean())
        own = through_pseudo if changed else through_normal
        means[changed].append((own.read[0], own.last[0]))
        inpaint_entropies.append(entropy(through_normal.weights).mean())
        maximize_entropies.append(entropy(own.weights).mean())
        if changed:
            failure = float(((through_pseudo.reconstruction - clip) ** 2).mean())
            inpaint.append(error)
            pseudo.append(failure)
            maximize.append(max(0.0, margin - failure))
            inpaint_entropies.append(entropy(through_pseudo.weights).mean())
        else:
            rebuild.append(error)
    n, p = (
        [torch.stack(part).mean(0).double() for part in zip(*rows, strict=True)]
        for rows in means.values()
    )

    def kl(one, other):
        one, other = torch.softmax(one, 0), torch.softmax(other, 0)
        pairs = zip(one.tolist(), other.tolist(), strict=True)
        return sum(a * math.log(a / b) for a, b in pairs)

    l1 = sum(abs(a - b) for a, b in zip(n[0].tolist(), p[0].tolist(), strict=True)) / len(n[0])
    apart = -(min(l1, FARTHEST) + min(kl(n[0], p[0]), FARTHEST) + min(kl(n[1], p[1]), FARTHEST))
    average = lambda numbers: float(sum(numbers) / len(numbers))  # noqa: E731
    lists = {
        "inpaint": {"rebuild": rebuild, "inpaint": inpaint, "pseudo": pseudo},
        "maximize": {"rebuild": rebuild, "maximize": maximize},
    }
    lists["inpaint"]["sparsity"] = inpaint_entropies
    lists["maximize"]["sparsity"] = maximize_entropies
    expected = {name: average(numbers) for name, numbers in lists[objective].items()}
    return expected | {"separation": apart}


@pytest.mark.parametrize("objective", ["inpaint", "maximize"])
def test_terms_are_their_formulas_sample_by_sample(model, batch, objective):
    """Defect 9: each sample takes the branch of its own, here computed one clip at a time."""
    with torch.no_grad():
        expected = literally(model, *batch, 0.35, objective)
        terms = values(objective_terms(model, *batch, objective, 0.35))
    assert terms == pytest.approx(expected, rel=1e-4, abs=1e-7)
    assert list(terms) == list(expected)


def test_without_a_memory_what_is_read_are_the_features(batch):
    model = make(ModelConfig(width=8, slots=12, memories=0), batch)
    with torch.no_grad():
        expected = model.normal_decoder(model.encode(batch[0])[-1], None)[0]
    torch.testing.assert_close(model(batch[0]).reconstruction.detach(), expected)


def test_defect_11_no_term_is_unbounded(batch):
    """What is maximised stops at the margin, what is driven apart stops at `FARTHEST`; then neither
    has a gradient.
    """
    for distance in (10.0, 1e3):
        far = [torch.full((16,), 0.0), torch.linspace(-distance, distance, 16).requires_grad_()]
        apart = separation(*far, *far)
        assert float(apart.detach()) == pytest.approx(-3 * FARTHEST)
        apart.backward()
        assert not far[1].grad.any()
    model = make(FAST, batch)
    errors = objective_terms(model, *batch, "inpaint")["pseudo"].value
    terms = objective_terms(model, *batch, "maximize", margin=float(errors.detach()) / 10)
    assert values(terms)["maximize"] == 0
    assert reached(model, terms["maximize"].value) == set()
    large = objective_terms(model, batch[0], batch[1] * 100, batch[2], "maximize")
    assert all(abs(value) < 100 for name, value in values(large).items() if name != "rebuild")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(*[st.floats(-50, 50)] * 4), min_size=2, max_size=20))
def test_separation_is_bounded_and_zero_only_for_equal_means(rows):
    means = [torch.tensor(column, dtype=torch.float64) for column in zip(*rows, strict=True)]
    assert -3 * FARTHEST <= float(separation(*means)) <= 1e-9
    assert float(separation(means[0], means[0], means[1], means[1])) == 0


def test_separation_does_not_grow_with_the_number_of_channels():
    """The published KL term is multiplied by the size of an array."""
    one, other = torch.zeros(4), torch.tensor([0.1, -0.1, 0.1, -0.1])
    small = float(separation(one, other, one, other))
    repeated = [values.repeat(100) for values in (one, other)]
    large = float(separation(*repeated, *repeated))
    assert large == pytest.approx(small, rel=1e-3)


@pytest.mark.parametrize("objective", ["inpaint", "maximize"])
@pytest.mark.parametrize(
    ("flags", "absent"),
    [
        ([False] * 4, {"inpaint", "pseudo", "maximize", "separation"}),
        ([True] * 4, {"rebuild", "separation"}),
    ],
)
def test_a_term_without_clips_of_its_kind_is_zero(model, batch, objective, flags, absent):
    terms = objective_terms(model, batch[0], batch[1], torch.tensor(flags), objective, MARGIN)
    assert {name for name, value in values(terms).items() if value == 0} == absent & set(terms)
    assert {name for name, term in terms.items() if term.clips == 0} == absent & set(terms)
    assert torch.isfinite(weighted(terms, {"sparsity": 2e-4}))


def test_a_term_says_of_how_many_clips_it_is_the_mean(model, batch):
    flags = torch.tensor([True, False, False, False])
    terms = objective_terms(model, *batch[:2], flags, "inpaint")
    counts = {name: int(term.clips) for name, term in terms.items()}
    assert counts == {"rebuild": 3, "inpaint": 1, "pseudo": 1, "sparsity": 5, "separation": 4}


def test_defect_12_terms_of_an_earlier_batch_leave_no_trace(model, batch):
    normal, inputs, is_pseudo = batch
    no_pseudo = torch.zeros(4, dtype=torch.bool)
    before = objective_terms(model, normal, normal, no_pseudo, "inpaint")
    objective_terms(model, normal, inputs, is_pseudo, "inpaint")
    assert values(before) == values(objective_terms(model, normal, normal, no_pseudo, "inpaint"))


def test_objective_none_rebuilds_normal_clips_only(model, batch):
    normal, _, _ = batch
    terms = objective_terms(model, *batch, "none")
    assert set(terms) == {"rebuild", "sparsity"}
    expected = ((model(normal).reconstruction - normal) ** 2).mean()
    torch.testing.assert_close(terms["rebuild"].value, expected)


def test_weights_are_one_but_where_one_is_given():
    one = torch.tensor(1.0)
    terms = {"rebuild": Term(torch.tensor(2.0), one), "sparsity": Term(torch.tensor(3.0), one)}
    assert float(weighted(terms, {})) == 5
    assert float(weighted(terms, {"sparsity": 0.5})) == 3.5
    nan = {**terms, "separation": Term(torch.tensor(math.nan), torch.tensor(0.0))}
    assert float(weighted(nan, {"separation": 0.0})) == 5  # what is off cannot do harm


@pytest.mark.parametrize("objective", ["inpaint", "maximize", "none"])
def test_terms_of_weight_0_are_not_computed_and_change_no_gradient(batch, objective, monkeypatch):
    torch.manual_seed(0)
    model = DualPathAutoencoder(FAST)
    complete = objective_terms(model, *batch, objective, MARGIN)
    weighted(complete, {"sparsity": 0.0, "separation": 0.0}).backward()
    expected = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    model.zero_grad(set_to_none=True)

    for name in ("entropy", "separation"):
        monkeypatch.setattr(losses, name, lambda *_: pytest.fail("a term off was computed"))
    errors = objective_terms(model, *batch, objective, MARGIN, regularisers=())
    assert errors.keys() == complete.keys() - {"sparsity", "separation"}
    weighted(errors, {}).backward()
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        assert (parameter.grad is None) == (gradient is None)
        assert gradient is None or torch.equal(parameter.grad, gradient)
