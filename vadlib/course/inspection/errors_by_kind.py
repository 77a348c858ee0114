"""Errors on clips that were changed on purpose: what a model notices, found out without test
labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from vadlib.data.clips import Clip
from vadlib.model.losses import squared_error
from vadlib.model.run import Run
from vadlib.pseudo.kinds import PseudoAnomaly

BATCH = 16


@torch.inference_mode()
def errors_by_kind(
    run: Run, clips: Sequence[Clip], kinds: Sequence[PseudoAnomaly]
) -> dict[str, np.ndarray]:
    """What D_n makes of clips as they are, and of the pseudo-anomalies made of them, compared with
    its input, as in scoring.

    Args:
        run: its model computes, in float32.
        clips: normal ones that it was not trained on.
        kinds: how to change them; clip i is changed with seed i, so that all models meet the same
            pseudo-anomalies.

    Returns:
        "normal" and each kind's name -> mean squared error of each clip, (N,); clips of which a
        kind cannot be made are left out.
    """
    inputs = {"normal": [clip.tensor for clip in clips]}
    for kind in kinds:
        made = (kind(clip, torch.Generator().manual_seed(i)) for i, clip in enumerate(clips))
        inputs[kind.name] = [pseudo.tensor for pseudo in made if pseudo is not None]
    device, errors = next(run.model.parameters()).device, {}
    for name, tensors in inputs.items():
        batches = (
            torch.stack(tensors[first : first + BATCH]).to(device)
            for first in range(0, len(tensors), BATCH)
        )
        parts = [
            squared_error(run.model(batch).reconstruction, batch).mean((1, 2, 3, 4)).cpu().numpy()
            for batch in batches
        ]
        errors[name] = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    return errors
