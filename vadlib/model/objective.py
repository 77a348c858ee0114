"""What training minimises, term by term: the paper's terms, bounded, and ours (design: the table of
terms).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vadlib.config import TrainConfig
from vadlib.model.memory import entropy
from vadlib.model.network import DualPathAutoencoder

# terms of weight 0 by default; they are computed only on request
REGULARISERS = ("sparsity", "separation")
FARTHEST = 1.0  # distances between the paths count up to here, so that no term grows without end


class Term(NamedTuple):
    """One term of the objective.

    Attributes:
        value: scalar; 0 where there are no clips of its kind.
        clips: scalar, how many clips it is the mean of, over all processes.
    """

    value: Tensor
    clips: Tensor


class PathRows(NamedTuple):
    """What one path made of n clips, a row each: `error` and `entropy` (n,), `read` (n, C') and
    `last` (n, width) of `PathOutput`.
    """

    error: Tensor
    entropy: Tensor
    read: Tensor
    last: Tensor


def objective_terms(
    model: DualPathAutoencoder,
    normal: Tensor,
    inputs: Tensor,
    is_pseudo: Tensor,
    objective: str,
    margin: float = TrainConfig.margin,
    summed: Callable[[Tensor], Tensor] = lambda part: part,
    regularisers: Collection[str] = REGULARISERS,
) -> dict[str, Term]:
    """The unweighted terms of one batch, from one pass of the encoder.

    Each sample takes the branch of its own `is_pseudo`. With D and M of the normal (n) and the
    pseudo (p) path, x normal clips, x' pseudo clips and sg = stop gradient:

    - rebuild: mean (D_n M_n E x - x)^2 over the normal samples; trains E, M_n, D_n.
    - maximize: max(0, margin - mean (D_p M_p E x' - x')^2) of each pseudo sample: the pseudo path
    is to fail, as in the paper, but
      only up to the margin; E, M_p, D_p.
    - inpaint: mean (D_n M_n E x' - x)^2 over the pseudo samples: the normal path restores what was
    there before; E, M_n, D_n.
    - pseudo, with inpaint: mean (D_p M_p sg(E x') - x')^2: the pseudo path rebuilds the anomaly;
    M_p, D_p only.
    - sparsity: mean entropy of the addressing weights of those reads; E and the memories (not E
    behind sg).
    - separation: minus how far the paths are apart, see `separation`, in batches that hold both
    kinds; E (not behind sg), the
      memories and the decoders.

    With objective "none" only rebuild and its sparsity are made, of all samples' normal clips.

    Args:
        normal: the clips before they were changed, (B, C, T, H, W).
        inputs: the same, with pseudo-anomalous clips where `is_pseudo`.
        is_pseudo: bool (B,).
        objective: "inpaint", "maximize" or "none".
        margin: of maximize.
        summed: sums a tensor over all processes; the gradient is that of this process's part. So
            each term is that of all processes' batches together.
        regularisers: which of sparsity and separation to compute; the others are left out.
    """

    def mean(rows: Tensor) -> Term:
        clips = summed(torch.tensor(float(len(rows)), device=rows.device))
        return Term(summed(rows.sum(0)) / clips.clamp_min(1), clips)

    sparse = "sparsity" in regularisers
    if objective == "none":
        rows = _follow(
            model, model.encode(normal), "normal", torch.ones_like(is_pseudo), normal, sparse
        )
        terms = {"rebuild": mean(rows.error)}
        if sparse:
            terms["sparsity"] = mean(rows.entropy)
        return terms

    features = model.encode(inputs)
    if objective == "maximize":
        on_normal, pseudo_features = ~is_pseudo, features
    else:
        on_normal, pseudo_features = (
            torch.ones_like(is_pseudo),
            [level.detach() for level in features],
        )
    restored = _follow(model, features, "normal", on_normal, normal, sparse)
    kept = _follow(model, pseudo_features, "pseudo", is_pseudo, inputs, sparse)
    was_normal = ~is_pseudo[on_normal]

    terms = {"rebuild": mean(restored.error[was_normal])}
    if objective == "maximize":
        terms["maximize"] = mean((margin - kept.error).clamp_min(0))
    else:
        terms["inpaint"] = mean(restored.error[~was_normal])
        terms["pseudo"] = mean(kept.error)
    if sparse:
        terms["sparsity"] = mean(torch.cat([restored.entropy, kept.entropy]))
    if "separation" in regularisers:
        normal_read, pseudo_read = mean(restored.read[was_normal]), mean(kept.read)
        normal_last, pseudo_last = mean(restored.last[was_normal]), mean(kept.last)
        both = normal_read.clips * pseudo_read.clips > 0
        apart = separation(
            normal_read.value, pseudo_read.value, normal_last.value, pseudo_last.value
        )
        terms["separation"] = Term(
            torch.where(both, apart, 0.0), (normal_read.clips + pseudo_read.clips) * both
        )
    return terms


def separation(
    normal_read: Tensor, pseudo_read: Tensor, normal_last: Tensor, pseudo_last: Tensor
) -> Tensor:
    """Minus three distances between the paths' channel means (C,): mean L1 and KL of the reads, KL
    of the decoders' last features.

    KL is that of the softmaxed normal from the softmaxed pseudo means. Each distance counts up to
    `FARTHEST`: from there on it is far enough, and has no gradient.
    """
    distances = (
        (normal_read - pseudo_read).abs().mean(),
        _kl(normal_read, pseudo_read),
        _kl(normal_last, pseudo_last),
    )
    return -sum(distance.clamp_max(FARTHEST) for distance in distances)


def weighted(terms: Mapping[str, Term], weights: Mapping[str, float]) -> Tensor:
    """The loss: every term times its weight, 1 where none is given; terms of weight 0 are left out."""
    return sum(
        weights.get(name, 1.0) * term.value
        for name, term in terms.items()
        if weights.get(name, 1.0) != 0
    )


def squared_error(reconstruction: Tensor, target: Tensor) -> Tensor:
    """(reconstruction - target)^2, elementwise, in float32."""
    return (reconstruction.float() - target.float()).square()


def _follow(
    model: DualPathAutoencoder,
    features: list[Tensor],
    path: str,
    chosen: Tensor,
    targets: Tensor,
    with_entropy: bool,
) -> PathRows:
    """Send the chosen (bool (B,)) of the encoded clips along a path. Without `with_entropy` the
    entropies are 0.
    """
    if not chosen.any():
        nothing = targets.new_zeros(0)
        return PathRows(
            nothing,
            nothing,
            nothing.new_zeros(0, features[-1].shape[1]),
            nothing.new_zeros(0, model.config.width),
        )
    if not chosen.all():
        # A boolean mask keeps the channels-last layout; index_select does not.
        features, targets = [level[chosen] for level in features], targets[chosen]
    output = model.rebuild(features, path, targets.shape)
    errors = squared_error(output.reconstruction, targets).mean((1, 2, 3, 4))
    entropies = (
        entropy(output.weights).mean((1, 2, 3)) if with_entropy else torch.zeros_like(errors)
    )
    return PathRows(errors, entropies, output.read, output.last)


def _kl(one: Tensor, other: Tensor) -> Tensor:
    return F.kl_div(
        F.log_softmax(other, 0), F.log_softmax(one, 0), reduction="sum", log_target=True
    )
