"""What training minimises (design: rebuild, inpaint, the pseudo path, sparsity), term by term."""

from __future__ import annotations

import torch
from torch import Tensor

from vadlib.model.memory import entropy
from vadlib.model.network import DualPathAutoencoder

OBJECTIVES = ("inpaint", "none")


def objective_terms(model: DualPathAutoencoder, normal: Tensor, inputs: Tensor, is_pseudo: Tensor, objective: str) -> dict[str, Tensor]:
    """The unweighted terms of one batch, from one pass of the encoder.

    Each sample takes the branch of its own `is_pseudo`. With D and M of the normal (n) and the pseudo (p) path, x normal
    clips, x' pseudo clips and sg = stop gradient:

    - rebuild: mean (D_n M_n E x - x)^2 over the normal samples; trains E, M_n, D_n.
    - inpaint: mean (D_n M_n E x' - x)^2 over the pseudo samples: the normal path restores what was there before; E, M_n, D_n.
    - pseudo: mean (D_p M_p sg(E x') - x')^2: the pseudo path rebuilds the anomaly; M_p, D_p only.
    - sparsity: mean entropy of the addressing weights of those reads; E and the memories (not E behind sg).

    A term without samples of its kind is 0. With objective "none" only rebuild and its sparsity are made, of all samples'
    normal clips.

    Args:
        normal: the clips before they were changed, (B, C, T, H, W).
        inputs: the same, with pseudo-anomalous clips where `is_pseudo`.
        is_pseudo: bool (B,).
        objective: "inpaint" or "none".
    """
    if objective == "none":
        output = model(normal)
        return {"rebuild": squared_error(output.reconstruction, normal).mean(), "sparsity": entropy(output.weights).mean()}
    features = model.encode(inputs)
    output = model.rebuild(features, "normal", inputs.shape)
    errors = squared_error(output.reconstruction, normal).mean((1, 2, 3, 4))
    terms = {"rebuild": _mean(errors, ~is_pseudo), "inpaint": _mean(errors, is_pseudo)}
    entropies = [entropy(output.weights).flatten()]
    terms["pseudo"] = errors.new_zeros(())
    if is_pseudo.any():
        changed = inputs[is_pseudo]
        behind_stop = [level[is_pseudo].detach() for level in features]
        rebuilt = model.rebuild(behind_stop, "pseudo", changed.shape)
        terms["pseudo"] = squared_error(rebuilt.reconstruction, changed).mean()
        entropies.append(entropy(rebuilt.weights).flatten())
    terms["sparsity"] = torch.cat(entropies).mean()
    return terms


def total(terms: dict[str, Tensor], sparsity_weight: float) -> Tensor:
    """The loss: every term with weight 1, the sparsity with its own."""
    return sum(value * (sparsity_weight if name == "sparsity" else 1.0) for name, value in terms.items())


def squared_error(reconstruction: Tensor, target: Tensor) -> Tensor:
    """(reconstruction - target)^2, elementwise, in float32."""
    return (reconstruction.float() - target.float()).square()


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    return (values * chosen).sum() / chosen.sum().clamp_min(1)
