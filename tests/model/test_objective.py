"""Each term has its formula, and its gradient reaches the parameters that the design names, and no others."""

import pytest
import torch

from vadlib.model.memory import entropy
from vadlib.model.network import DualPathAutoencoder, ModelConfig
from vadlib.model.objective import objective_terms, total

PARTS = {"E": "encoder", "M_n": "normal_memory", "D_n": "normal_decoder", "M_p": "pseudo_memory", "D_p": "pseudo_decoder"}


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    normal = torch.rand(4, 1, 8, 16, 16, generator=generator) * 2 - 1
    inputs, is_pseudo = normal.clone(), torch.tensor([False, True, False, True])
    inputs[is_pseudo] = torch.rand(2, 1, 8, 16, 16, generator=generator) * 2 - 1
    return normal, inputs, is_pseudo


@pytest.fixture
def model(batch):
    torch.manual_seed(0)
    model = DualPathAutoencoder(ModelConfig(width=8, slots=12))
    model.fill_memories(batch[0], torch.Generator().manual_seed(0))
    return model


def reached(model, loss):
    model.zero_grad(set_to_none=True)
    loss.backward(retain_graph=True)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    return {part for part, name in PARTS.items() if any(p.grad is not None and p.grad.any() for p in getattr(model, name).parameters())}


@pytest.mark.parametrize(
    ("term", "parts"),
    [
        ("rebuild", {"E", "M_n", "D_n"}),
        ("inpaint", {"E", "M_n", "D_n"}),
        ("pseudo", {"M_p", "D_p"}),
        ("sparsity", {"E", "M_n", "M_p"}),
    ],
)
def test_defect_10_each_term_reaches_its_parameters_and_no_others(model, batch, term, parts):
    assert reached(model, objective_terms(model, *batch, "inpaint")[term]) == parts


def test_every_parameter_is_trained(model, batch):
    model.zero_grad(set_to_none=True)
    total(objective_terms(model, *batch, "inpaint"), 2e-4).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_terms_are_their_formulas_sample_by_sample(model, batch):
    """Defect 9: each sample takes the branch of its own, here computed one clip at a time."""
    normal, inputs, is_pseudo = batch
    terms = objective_terms(model, *batch, "inpaint")
    with torch.no_grad():
        errors = {"rebuild": [], "inpaint": [], "pseudo": []}
        entropies = []
        for x, given, pseudo in zip(normal, inputs, is_pseudo, strict=True):
            restored = model(given[None], "normal")
            errors["inpaint" if pseudo else "rebuild"].append(((restored.reconstruction - x) ** 2).mean())
            entropies.append(entropy(restored.weights).flatten())
            if pseudo:
                kept = model(given[None], "pseudo")
                errors["pseudo"].append(((kept.reconstruction - given) ** 2).mean())
                entropies.append(entropy(kept.weights).flatten())
    for name, values in errors.items():
        torch.testing.assert_close(terms[name].detach(), torch.stack(values).mean(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(terms["sparsity"].detach(), torch.cat(entropies).mean(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("flags", "absent"), [([False] * 4, {"inpaint", "pseudo"}), ([True] * 4, {"rebuild"})])
def test_a_term_without_clips_of_its_kind_is_zero(model, batch, flags, absent):
    terms = objective_terms(model, batch[0], batch[1], torch.tensor(flags), "inpaint")
    assert {name for name, value in terms.items() if float(value.detach()) == 0} == absent
    assert torch.isfinite(total(terms, 2e-4))


def test_defect_12_terms_of_an_earlier_batch_leave_no_trace(model, batch):
    normal, inputs, is_pseudo = batch
    before = objective_terms(model, normal, normal, torch.zeros(4, dtype=torch.bool), "inpaint")
    objective_terms(model, normal, inputs, is_pseudo, "inpaint")
    after = objective_terms(model, normal, normal, torch.zeros(4, dtype=torch.bool), "inpaint")
    assert {k: float(v.detach()) for k, v in before.items()} == {k: float(v.detach()) for k, v in after.items()}


def test_objective_none_rebuilds_normal_clips_only(model, batch):
    normal, inputs, is_pseudo = batch
    terms = objective_terms(model, normal, inputs, is_pseudo, "none")
    assert set(terms) == {"rebuild", "sparsity"}
    expected = ((model(normal).reconstruction - normal) ** 2).mean()
    torch.testing.assert_close(terms["rebuild"], expected)
    assert reached(model, total(terms, 2e-4)) == {"E", "M_n", "D_n"}


def test_total_weighs_sparsity_alone(model, batch):
    terms = objective_terms(model, *batch, "inpaint")
    plain = sum(float(v.detach()) for k, v in terms.items() if k != "sparsity")
    assert float(total(terms, 0.5).detach()) == pytest.approx(plain + 0.5 * float(terms["sparsity"].detach()), rel=1e-6)
