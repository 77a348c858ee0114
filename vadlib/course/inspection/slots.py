"""The slots of a run's memories: how much each is read, what it decodes to, and what changes
without it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vadlib.data.clips import to_frames
from vadlib.errors import require
from vadlib.model.losses import squared_error
from vadlib.model.memory import Memory, entropy
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import Run

BATCH = 32


class SlotPicture(NamedTuple):
    """What one slot stands for.

    Attributes:
        slot: its number.
        decoded: uint8 (T, H, W, C), what the decoder makes of a bottleneck that holds this slot at
            every place.
        nearest: positions of the clips whose middle reads the slot most, the most first.
        weights: its weight in the middle of each of them, in [0, 1].
    """

    slot: int
    decoded: np.ndarray
    nearest: np.ndarray
    weights: np.ndarray


@torch.inference_mode()
def slot_usage(run: Run, clips: Sequence[Tensor]) -> dict[str, np.ndarray]:
    """How much some clips read each slot, over all their places.

    Args:
        run: its model computes, in float32.
        clips: (C, T, H, W) in [-1, 1] each, of one size.

    Returns:
        "M_n", and "M_p" if the model has one -> shares (N,) that sum to 1.

    Raises:
        InputError: no clips, or a model without a memory.
    """
    memories = {"M_n": _memory(run.model, "normal")} | (
        {"M_p": run.model.pseudo_memory} if run.model.pseudo_memory else {}
    )
    shares = {name: [] for name in memories}
    for _, features in _encoded(run.model, clips):
        for name, memory in memories.items():
            shares[name].append(memory(features[-1]).weights.mean((1, 2, 3)).cpu())
    return {name: torch.cat(parts).double().mean(0).numpy() for name, parts in shares.items()}


@torch.inference_mode()
def window_measures(run: Run, clips: Sequence[Tensor]) -> dict[str, np.ndarray]:
    """Two measures of each clip, (len(clips),): "entropy", the mean of M_n's addressing in nats,
    and "error", D_n's mean squared error.

    Raises:
        InputError: no clips, or a model without a memory.
    """
    _memory(run.model, "normal")
    found = {"entropy": [], "error": []}
    for batch, features in _encoded(run.model, clips):
        output = run.model.reconstruct(features, "normal", batch.shape)
        found["entropy"].append(entropy(output.weights).mean((1, 2, 3)).cpu())
        found["error"].append(squared_error(output.reconstruction, batch).mean((1, 2, 3, 4)).cpu())
    return {name: torch.cat(parts).numpy() for name, parts in found.items()}


@torch.inference_mode()
def slot_atlas(
    run: Run, clips: Sequence[Tensor], slots: Sequence[int], path: str = "normal", nearest: int = 4
) -> list[SlotPicture]:
    """What some slots stand for: each decoded alone, and the clips whose middle reads it most. A
    few hundred clips are enough.

    A decoder with a skip gets zeros in place of the encoder's features.

    Args:
        run: its model computes, in float32.
        clips: (C, T, H, W) in [-1, 1] each, of one size, which the decoded slots have too.
        slots: their numbers.
        path: "normal" (M_n and D_n) or "pseudo" (M_p and D_p, or what the paths share).
        nearest: how many clips to find.

    Raises:
        InputError: no clips, a slot that is not there, or a model without a memory.
    """
    memory, (_, decoder) = _memory(run.model, path), run.model.parts(path)
    _require_slots(memory, slots)
    middles = []
    for _, features in _encoded(run.model, clips):
        middle = [size // 2 for size in features[-1].shape[2:]]
        middles.append(memory(features[-1]).weights[:, *middle].cpu())
    bottleneck, encoded = (torch.zeros_like(level[:1]) for level in (features[-1], features[0]))
    pages, weights = [], torch.cat(middles)
    for slot in map(int, slots):
        filled = bottleneck + memory.slots[slot].reshape(-1, 1, 1, 1)
        best = weights[:, slot].topk(min(nearest, len(weights)))
        decoded = to_frames(_decode(decoder, filled, encoded, (1, *clips[0].shape))[0])
        pages.append(SlotPicture(slot, decoded, best.indices.numpy(), best.values.numpy()))
    return pages


@torch.inference_mode()
def removal_errors(
    run: Run, clips: Sequence[Tensor], removed: Mapping[str, Sequence[int]], path: str = "normal"
) -> dict[str, np.ndarray]:
    """What a path makes of clips when some slots cannot be read. The run's own memory stays as it
    is.

    Args:
        run: its model computes, in float32.
        clips: (C, T, H, W) in [-1, 1] each, of one size.
        removed: a name -> the slots to remove; at least one must be left.
        path: see `slot_atlas`.

    Returns:
        "nothing" and each name -> the mean squared error of each clip, (len(clips),).

    Raises:
        InputError: no clips, a slot that is not there, none left, or a model without a memory.
    """
    memory, (_, decoder) = _memory(run.model, path), run.model.parts(path)
    memories = {"nothing": memory} | {
        name: without_slots(memory, slots) for name, slots in removed.items()
    }
    errors = {name: [] for name in memories}
    for batch, features in _encoded(run.model, clips):
        for name, reduced in memories.items():
            rebuilt = _decode(decoder, reduced(features[-1]).features, features[0], batch.shape)
            errors[name].append(squared_error(rebuilt, batch).mean((1, 2, 3, 4)).cpu())
    return {name: torch.cat(parts).numpy() for name, parts in errors.items()}


def without_slots(memory: Memory, slots: Sequence[int]) -> Memory:
    """A copy of the memory in which some slots are not there to be read."""
    _require_slots(memory, slots)
    left = np.setdiff1d(np.arange(len(memory.slots)), np.asarray(slots, int))
    require(
        len(left) > 0,
        f"all {len(memory.slots)} slots would be removed; leave at least one",
        "out-of-range",
        field="slots",
    )
    reduced = copy.deepcopy(memory)
    reduced.slots = nn.Parameter(memory.slots.detach()[left])
    return reduced


def _memory(model: DualPathAutoencoder, path: str) -> Memory:
    memory, _ = model.parts(path)
    require(
        memory is not None,
        "this model has no memory (ModelConfig.memories = 0), so no slots; use a run with a memory",
        "conflict",
        field="ModelConfig.memories",
    )
    return memory


def _require_slots(memory: Memory, slots: Sequence[int]) -> None:
    wrong = [int(slot) for slot in slots if not 0 <= slot < len(memory.slots)]
    require(
        not wrong,
        f"slots {wrong} do not exist; expected numbers from 0 to {len(memory.slots) - 1}",
        "out-of-range",
        field="slots",
    )


def _encoded(
    model: DualPathAutoencoder, clips: Sequence[Tensor]
) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Batches of the clips, and their features."""
    require(len(clips) > 0, "no clips; expected at least one", "too-few", field="clips")
    device = next(model.parameters()).device
    for first in range(0, len(clips), BATCH):
        batch = torch.stack(list(clips[first : first + BATCH])).to(device)
        yield batch, model.encode(batch)


def _decode(decoder: nn.Module, read: Tensor, encoded: Tensor, shape: Sequence[int]) -> Tensor:
    return decoder(read, encoded)[0][:, :, : shape[2], : shape[3], : shape[4]]
