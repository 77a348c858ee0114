"""Each term has its formula, and its gradient reaches the parameters that the design names, and no
others.
"""

import math

import pytest
import torch

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


@pytest.fixture
def make_model(batch):
    """(config) -> a model whose memories are filled."""

    def make(config=FAST):
        torch.manual_seed(0)
        model = DualPathAutoencoder(config)
        model.fill_memories(batch[0], torch.Generator().manual_seed(0))
        return model

    return make


def values(terms):
    return {name: float(term.value.detach()) for name, term in terms.items()}


def reached(model, loss):
    """The parts of the model with a gradient."""
    model.zero_grad(set_to_none=True)
    loss.backward(retain_graph=True)
    names = set()
    for part, name in PARTS.items():
        module = getattr(model, name)
        gradients = [p.grad for p in module.parameters() if p.grad is not None] if module else []
        assert all(torch.isfinite(gradient).all() for gradient in gradients)
        if any(gradient.any() for gradient in gradients):
            names.add(part)
    return names


ALL = "E M_n M_p D_n D_p"
SHARED = {"rebuild": "E M_n D_n", "sparsity": "E M_n M_p", "separation": ALL}
REACHED = {  # objective -> term -> the parts of the model that it trains
    "inpaint": SHARED | {"inpaint": "E M_n D_n", "pseudo": "M_p D_p"},
    "maximize": SHARED | {"maximize": "E M_p D_p"},
    "none": {"rebuild": "E M_n D_n", "sparsity": "E M_n"},
}


@pytest.mark.parametrize("config", [FAST, PUBLISHED], ids=["fast", "published"])
@pytest.mark.parametrize("objective", REACHED)
def test_defect_10_each_term_reaches_its_parameters_and_no_others(
    make_model, config, batch, objective
):
    model = make_model(config)
    terms = objective_terms(model, *batch, objective, MARGIN)
    assert terms.keys() == REACHED[objective].keys()
    for name, parts in REACHED[objective].items():
        assert reached(model, terms[name].value) == set(parts.split()), name
    if objective != "none":
        model.zero_grad(set_to_none=True)
        weighted(terms, {"sparsity": 2e-4, "separation": 2e-4}).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("changes", "objective", "term", "parts"),
    [
        ({"memories": 1}, "maximize", "maximize", {"E", "M_n", "D_p"}),
        ({"decoders": 1}, "maximize", "maximize", {"E", "M_p", "D_n"}),
        ({"memories": 0, "decoders": 1}, "inpaint", "pseudo", {"D_n"}),
    ],
)
def test_the_pseudo_path_borrows_what_it_lacks(make_model, batch, changes, objective, term, parts):
    model = make_model(ModelConfig(width=8, slots=12, **changes))
    terms = objective_terms(model, *batch, objective, MARGIN)
    assert reached(model, terms[term].value) == parts
    assert (values(terms)["sparsity"] == 0) == (changes.get("memories") == 0)


def literally(model, normal, inputs, is_pseudo, margin, objective):
    """All terms, clip by clip, from whole paths (not with batch norm)."""
    terms = {"rebuild": [], "inpaint": [], "pseudo": [], "maximize": [], "sparsity": []}
    means = {False: [], True: []}
    for x, clip, changed in zip(normal, inputs, is_pseudo.tolist(), strict=True):
        paths = {path: model(clip[None], path) for path in ("normal", "pseudo")}
        own = paths["pseudo" if changed else "normal"]
        means[changed].append((own.read[0], own.last[0]))
        error = float(((paths["normal"].reconstruction - x) ** 2).mean())
        terms["inpaint" if changed else "rebuild"].append(error)
        failure = float(((paths["pseudo"].reconstruction - clip) ** 2).mean())
        terms["pseudo"] += [failure] if changed else []
        terms["maximize"] += [max(0.0, margin - failure)] if changed else []
        reads = paths.values() if changed and objective == "inpaint" else [own]
        terms["sparsity"] += [float(entropy(read.weights).mean()) for read in reads]
    rows = [torch.cat(row) for kind in (False, True) for row in means[kind]]
    normal_means, pseudo_means = (
        torch.stack(part).mean(0).double().split([32, 8]) for part in (rows[:2], rows[2:])
    )

    def kl(one, other):
        one, other = torch.softmax(one, 0), torch.softmax(other, 0)
        return float((one * (one / other).log()).sum())

    distances = [float((normal_means[0] - pseudo_means[0]).abs().mean())]
    distances += map(kl, normal_means, pseudo_means)
    names = ["rebuild", *(["maximize"] if objective == "maximize" else ["inpaint", "pseudo"])]
    expected = {name: sum(terms[name]) / len(terms[name]) for name in [*names, "sparsity"]}
    return expected | {"separation": -sum(min(distance, FARTHEST) for distance in distances)}


@pytest.mark.parametrize("objective", ["inpaint", "maximize"])
def test_terms_are_their_formulas_sample_by_sample(make_model, batch, objective):
    """Defect 9: each sample takes the branch of its own, here computed one clip at a time."""
    model = make_model()
    with torch.no_grad():
        expected = literally(model, *batch, 0.35, objective)
        terms = values(objective_terms(model, *batch, objective, 0.35))
    assert terms == pytest.approx(expected, rel=1e-4, abs=1e-7)
    none = objective_terms(model, *batch, "none")
    error = ((model(batch[0]).reconstruction - batch[0]) ** 2).mean()
    torch.testing.assert_close(none["rebuild"].value, error)


def test_defect_11_no_term_is_unbounded(make_model, batch):
    """What is maximised stops at the margin, what is driven apart stops at `FARTHEST`; then neither
    has a gradient.
    """
    for distance in (10.0, 1e3):
        near, far = torch.zeros(16), torch.linspace(-distance, distance, 16).requires_grad_()
        apart = separation(near, far, near, far)
        assert float(apart.detach()) == pytest.approx(-3 * FARTHEST)
        apart.backward()
        assert not far.grad.any()
    model = make_model()
    error = float(objective_terms(model, *batch, "inpaint")["pseudo"].value.detach())
    terms = objective_terms(model, *batch, "maximize", margin=error / 10)
    assert values(terms)["maximize"] == 0
    assert reached(model, terms["maximize"].value) == set()
    large = values(objective_terms(model, batch[0], batch[1] * 100, batch[2], "maximize"))
    assert all(abs(value) < 100 for name, value in large.items() if name != "rebuild")


def test_separation_does_not_grow_with_the_number_of_channels():
    """The published KL term is multiplied by the size of an array."""
    means = [torch.zeros(4), torch.tensor([0.1, -0.1, 0.1, -0.1])] * 2
    assert float(separation(*means[:1] * 4)) == 0 > float(separation(*means))
    repeated = [mean.repeat(100) for mean in means]
    assert float(separation(*repeated)) == pytest.approx(float(separation(*means)), rel=1e-3)


@pytest.mark.parametrize("objective", ["inpaint", "maximize"])
def test_a_term_is_a_mean_over_clips_of_its_kind_and_zero_without(make_model, batch, objective):
    model = make_model()
    for is_pseudo, absent in ((False, {"inpaint", "pseudo", "maximize"}), (True, {"rebuild"})):
        flags = torch.full((4,), is_pseudo)
        terms = objective_terms(model, *batch[:2], flags, objective, MARGIN)
        empty = (absent | {"separation"}) & set(terms)
        assert {name for name, value in values(terms).items() if value == 0} == empty
        assert {name for name, term in terms.items() if term.clips == 0} == empty
        assert torch.isfinite(weighted(terms, {"sparsity": 2e-4}))
    flags = torch.tensor([True, False, False, False])
    terms = objective_terms(model, *batch[:2], flags, "inpaint")
    counts = {name: int(term.clips) for name, term in terms.items()}
    assert counts == {"rebuild": 3, "inpaint": 1, "pseudo": 1, "sparsity": 5, "separation": 4}


def test_defect_12_terms_of_an_earlier_batch_leave_no_trace(make_model, batch):
    model = make_model()
    terms = []
    for inputs, flags in ((batch[0], batch[2] & False), batch[1:], (batch[0], batch[2] & False)):
        terms.append(values(objective_terms(model, batch[0], inputs, flags, "inpaint")))
    assert terms[0] == terms[2] != terms[1]


def test_weights_are_one_but_where_one_is_given():
    one = torch.tensor(1.0)
    terms = {"rebuild": Term(torch.tensor(2.0), one), "sparsity": Term(torch.tensor(3.0), one)}
    assert float(weighted(terms, {})) == 5
    assert float(weighted(terms, {"sparsity": 0.5})) == 3.5
    nan = {**terms, "separation": Term(torch.tensor(math.nan), torch.tensor(0.0))}
    assert float(weighted(nan, {"separation": 0.0})) == 5  # what is off cannot do harm


@pytest.mark.parametrize("objective", ["inpaint", "maximize", "none"])
def test_terms_of_weight_0_are_not_computed_and_change_nothing(
    make_model, batch, objective, monkeypatch
):
    model = make_model()
    complete = values(objective_terms(model, *batch, objective, MARGIN))
    for name in ("entropy", "separation"):
        monkeypatch.setattr(losses, name, lambda *_: pytest.fail("a term off was computed"))
    errors = values(objective_terms(model, *batch, objective, MARGIN, regularisers=()))
    assert errors.keys() == complete.keys() - {"sparsity", "separation"}
    assert errors.items() <= complete.items()
