"""What training minimises, term by term: the paper's terms, bounded, and ours."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vadlib.config import TrainConfig
from vadlib.device import sum_over_processes
from vadlib.model.memory import entropy
from vadlib.model.network import DualPathAutoencoder, PathOutput

FARTHEST = 1.0  # distances between the paths count up to here, so that no term grows without end


class Term(NamedTuple):
    """One term of the objective.

    Attributes:
        value: scalar; 0 where there are no clips of its kind.
        clips: scalar, how many clips it is the mean of, over all processes.
    """

    value: Tensor
    clips: Tensor


def objective_terms(
    model: DualPathAutoencoder,
    normal: Tensor,
    inputs: Tensor,
    is_pseudo: Tensor,
    objective: str,
    margin: float = TrainConfig.margin,
    regularisers: Collection[str] = ("sparsity", "separation"),
) -> dict[str, Term]:
    """Compute the unweighted terms of one batch, from one pass of the encoder. Each is that of all
    processes' batches together; its gradient is that of this process's part.

    Each sample takes its own branch, by its `is_pseudo`. With D and M of the normal (n) and the
    pseudo (p) path, x normal clips, x' pseudo clips and sg = stop gradient, and what each trains:

    - rebuild: mean (D_n M_n E x - x)^2 over the normal samples. E, M_n, D_n.
    - maximize: max(0, margin - mean (D_p M_p E x' - x')^2) of each pseudo sample: the pseudo path
      must fail, as in the paper, but only up to the margin. E, M_p, D_p.
    - inpaint: mean (D_n M_n E x' - x)^2 over the pseudo samples: the normal path restores the
      clip as it was before. E, M_n, D_n.
    - pseudo, with inpaint: mean (D_p M_p sg(E x') - x')^2: the pseudo path reconstructs the
      anomaly. M_p, D_p only.
    - sparsity: mean entropy of the addressing weights of those reads. E and the memories (not E
      behind sg).
    - separation: minus the distance of the paths, see `separation`, in batches that hold both
      kinds. E (not behind sg), the memories and the decoders.

    The objective "none" has only rebuild and its sparsity, of all samples' normal clips.

    Args:
        model: in training mode.
        normal: the clips before they were changed, (B, C, T, H, W) in [-1, 1].
        inputs: the same, with pseudo-anomalous clips where `is_pseudo`.
        is_pseudo: bool (B,).
        objective: "inpaint", "maximize" or "none".
        margin: of maximize.
        regularisers: which of sparsity and separation to compute.
    """

    def mean(rows: Tensor) -> Term:
        clips = sum_over_processes(torch.tensor(float(len(rows)), device=rows.device))
        return Term(sum_over_processes(rows.sum(0)) / clips.clamp_min(1), clips)

    if objective == "none":
        inputs, is_pseudo = normal, torch.zeros_like(is_pseudo)
    features = model.encode(inputs)

    # Both kinds go along the normal path, except with "maximize".
    on_normal = ~is_pseudo if objective == "maximize" else torch.ones_like(is_pseudo)
    errors, restored = _follow(model, features, "normal", on_normal, normal)
    was_normal = ~is_pseudo[on_normal]
    terms = {"rebuild": mean(errors[was_normal])}
    outputs = [restored]

    if objective == "inpaint":
        features = [level.detach() for level in features]
    if objective != "none":
        pseudo_errors, pseudo = _follow(model, features, "pseudo", is_pseudo, inputs)
        outputs.append(pseudo)
    if objective == "inpaint":
        terms["inpaint"] = mean(errors[~was_normal])
        terms["pseudo"] = mean(pseudo_errors)
    elif objective == "maximize":
        terms["maximize"] = mean((margin - pseudo_errors).clamp_min(0))

    if "sparsity" in regularisers:
        entropies = [entropy(output.weights).mean((1, 2, 3)) for output in outputs]
        terms["sparsity"] = mean(torch.cat(entropies))
    if "separation" in regularisers and objective != "none":
        rows = (restored.read[was_normal], pseudo.read, restored.last[was_normal], pseudo.last)
        means = [mean(part) for part in rows]
        has_both = means[0].clips * means[1].clips > 0  # clips of both paths
        value = torch.where(has_both, separation(*(term.value for term in means)), 0.0)
        terms["separation"] = Term(value, (means[0].clips + means[1].clips) * has_both)
    return terms


def separation(*means: Tensor) -> Tensor:
    """Compute minus three distances between the paths' channel means (C,): mean L1 and KL of the
    reads, KL of the decoders' last features.

    KL is that of the softmaxed normal from the softmaxed pseudo means. Each distance counts up to
    `FARTHEST` and has no gradient beyond it.

    Args:
        means: normal and pseudo read, normal and pseudo last features.
    """
    distances = [(means[0] - means[1]).abs().mean(), _kl(*means[:2]), _kl(*means[2:])]
    return -torch.stack(distances).clamp_max(FARTHEST).sum()


def weighted(terms: Mapping[str, Term], weights: Mapping[str, float]) -> Tensor:
    """Compute the loss: each term times its weight, by default 1; weight 0 leaves a term out."""
    loss = torch.zeros(())
    for name, term in terms.items():
        if weights.get(name, 1.0) != 0:
            loss = loss + weights.get(name, 1.0) * term.value
    return loss


def squared_error(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Compute (reconstruction - target)^2, elementwise, in float32."""
    return (reconstruction.float() - target.float()).square()


def _follow(
    model: DualPathAutoencoder, features: list[Tensor], path: str, selected: Tensor, targets: Tensor
) -> tuple[Tensor, PathOutput]:
    """Send the selected n (bool (B,)) of the encoded clips along a path. Return the mean squared
    error of each, (n,), and what the path returned.
    """
    if not selected.any():
        empty = targets.new_zeros(0, 1, 1, 1, 1)
        read = targets.new_zeros(0, features[-1].shape[1])
        last = targets.new_zeros(0, model.config.width)
        return empty.flatten(), PathOutput(empty, empty, read, last)
    if not selected.all():
        # A boolean mask keeps the channels-last layout; index_select does not.
        features = [level[selected] for level in features]
        targets = targets[selected]
    output = model.reconstruct(features, path, targets.shape)
    return squared_error(output.reconstruction, targets).mean((1, 2, 3, 4)), output


def _kl(one: Tensor, other: Tensor) -> Tensor:
    one, other = one.log_softmax(0), other.log_softmax(0)
    return nn.functional.kl_div(other, one, reduction="sum", log_target=True)
