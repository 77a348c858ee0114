"""Errors on clips that were changed on purpose, which show what a model notices without labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vadlib.data.clips import Clip
from vadlib.model.losses import squared_error
from vadlib.model.run import Run
from vadlib.pseudo.kinds import PseudoAnomaly

BATCH = 16


def errors_by_kind(
    run: Run, clips: Sequence[Clip], kinds: Sequence[PseudoAnomaly]
) -> dict[str, np.ndarray]:
    """Measure the error of D_n on clips, and on the pseudo-anomalies made of them.

    As in scoring, the reconstruction is compared with the input.

    Args:
        run: its model computes, in float32.
        clips: normal ones that it was not trained on.
        kinds: how to change them; clip i is changed with seed i, so that all models get the same
            pseudo-anomalies.

    Returns:
        "normal" and each kind's name -> mean squared error of each clip, (N,). Clips that a kind
        cannot change are left out.
    """
    errors = {"normal": _errors(run, [clip.tensor for clip in clips])}
    for kind in kinds:
        changed = []
        for i, clip in enumerate(clips):
            pseudo = kind(clip, torch.Generator().manual_seed(i))
            if pseudo is not None:
                changed.append(pseudo.tensor)
        errors[kind.name] = _errors(run, changed)
    return errors


@torch.inference_mode()
def _errors(run: Run, clips: list[Tensor]) -> np.ndarray:
    device = next(run.model.parameters()).device
    parts = [np.zeros(0, np.float32)]
    for first in range(0, len(clips), BATCH):
        batch = torch.stack(clips[first : first + BATCH]).to(device)
        error = squared_error(run.model(batch).reconstruction, batch)
        parts.append(error.mean((1, 2, 3, 4)).cpu().numpy())
    return np.concatenate(parts)
