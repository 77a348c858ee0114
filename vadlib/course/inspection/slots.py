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
from vadlib.errors import InputError, require
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
    """Return how much clips read each slot, over all their places.

    Args:
        run: its model computes, in float32.
        clips: (C, T, H, W) in [-1, 1] each, of one size.

    Returns:
        "M_n", and "M_p" if the model has one -> shares (N,) that sum to 1.

    Raises:
        InputError: no clips, or a model without a memory.
    """
    memories = {"M_n": _memory(run.model, "normal")}
    if run.model.pseudo_memory is not None:
        memories["M_p"] = run.model.pseudo_memory
    shares: dict[str, list[Tensor]] = {name: [] for name in memories}
    for _, features in _encoded(run.model, clips):
        for name, memory in memories.items():
            shares[name].append(memory(features[-1]).weights.mean((1, 2, 3)).cpu())
    return {name: torch.cat(parts).double().mean(0).numpy() for name, parts in shares.items()}


@torch.inference_mode()
def window_measures(run: Run, clips: Sequence[Tensor]) -> dict[str, np.ndarray]:
    """Measure clips: "entropy" is the mean of M_n's addressing in nats, "error" D_n's mean squared
    error, (len(clips),) each.

    Raises:
        InputError: no clips, or a model without a memory.
    """
    _memory(run.model, "normal")
    spreads, errors = [], []
    for batch, features in _encoded(run.model, clips):
        output = run.model.reconstruct(features, "normal", batch.shape)
        spreads.append(entropy(output.weights).mean((1, 2, 3)).cpu())
        errors.append(clip_errors(output.reconstruction, batch))
    return {"entropy": torch.cat(spreads).numpy(), "error": torch.cat(errors).numpy()}


@torch.inference_mode()
def slot_atlas(run: Run, clips: Sequence[Tensor], slots: Sequence[int]) -> list[SlotPicture]:
    """Decode some slots of M_n with D_n, and find the four clips whose middle reads each most.

    A few hundred clips are enough. A decoder with a skip gets zeros in place of the encoder's
    features.

    Args:
        run: its model computes, in float32.
        clips: (C, T, H, W) in [-1, 1] each, of one size, which the decoded slots have too.
        slots: their numbers.

    Raises:
        InputError: no clips, a slot that does not exist, or a model without a memory.
    """
    memory = _memory(run.model, "normal")
    _require_slots(memory, slots)
    middles = []
    for _, features in _encoded(run.model, clips):
        middle = tuple(size // 2 for size in features[-1].shape[2:])
        middles.append(memory(features[-1]).weights[(slice(None), *middle)].cpu())
    weights = torch.cat(middles)
    encoded, bottleneck = torch.zeros_like(features[0][:1]), torch.zeros_like(features[-1][:1])
    pages = []
    for slot in slots:
        filled = bottleneck + memory.slots[slot].reshape(-1, 1, 1, 1)
        clip = _decode(run.model, "normal", filled, encoded, clips[0].shape)[0]
        best = weights[:, slot].topk(min(4, len(weights)))
        page = SlotPicture(int(slot), to_frames(clip), best.indices.numpy(), best.values.numpy())
        pages.append(page)
    return pages


@torch.inference_mode()
def removal_errors(
    run: Run, clips: Sequence[Tensor], removed: Mapping[str, Sequence[int]], path: str = "normal"
) -> dict[str, np.ndarray]:
    """Measure a path's errors on clips when some slots cannot be read.

    The run's own memory does not change.

    Args:
        run: its model computes, in float32.
        clips: (C, T, H, W) in [-1, 1] each, of one size.
        removed: a name -> the slots to remove; at least one must remain.
        path: "normal" (M_n and D_n) or "pseudo" (M_p and D_p, or what the paths share).

    Returns:
        "nothing" and each name -> the mean squared error of each clip, (len(clips),).

    Raises:
        InputError: no clips, a slot that does not exist, no remaining slot, or a model without a
            memory.
    """
    memories = {"nothing": _memory(run.model, path)}
    for name, slots in removed.items():
        memories[name] = without_slots(memories["nothing"], slots)
    errors: dict[str, list[Tensor]] = {name: [] for name in memories}
    for batch, features in _encoded(run.model, clips):
        for name, memory in memories.items():
            read = memory(features[-1]).features
            decoded = _decode(run.model, path, read, features[0], batch.shape[1:])
            errors[name].append(clip_errors(decoded, batch))
    return {name: torch.cat(parts).numpy() for name, parts in errors.items()}


def without_slots(memory: Memory, slots: Sequence[int]) -> Memory:
    """Return a copy of the memory without some slots."""
    _require_slots(memory, slots)
    remaining = np.setdiff1d(np.arange(len(memory.slots)), np.asarray(slots, int))
    require(len(remaining) > 0, "no slot would remain", "out-of-range", field="slots")
    reduced = copy.deepcopy(memory)
    reduced.slots = nn.Parameter(memory.slots.detach()[remaining])
    return reduced


def clip_errors(reconstruction: Tensor, clips: Tensor) -> Tensor:
    """Return the mean squared error of each clip, (B,)."""
    return squared_error(reconstruction, clips).mean((1, 2, 3, 4)).cpu()


def _memory(model: DualPathAutoencoder, path: str) -> Memory:
    memory, _ = model.parts(path)
    if memory is None:
        message = "this model has no memory (ModelConfig.memories = 0); use a run with a memory"
        raise InputError(message, "conflict", field="ModelConfig.memories")
    return memory


def _require_slots(memory: Memory, slots: Sequence[int]) -> None:
    count = len(memory.slots)
    message = f"slots {list(slots)}; expected numbers of 0 to {count - 1}"
    require(set(slots) <= set(range(count)), message, "out-of-range", field="slots")


def _encoded(
    model: DualPathAutoencoder, clips: Sequence[Tensor]
) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Yield batches of the clips, and their features."""
    require(len(clips) > 0, "no clips; expected at least one", "too-few", field="clips")
    device = next(model.parameters()).device
    for first in range(0, len(clips), BATCH):
        batch = torch.stack(list(clips[first : first + BATCH])).to(device)
        yield batch, model.encode(batch)


def _decode(
    model: DualPathAutoencoder, path: str, read: Tensor, encoded: Tensor, shape: Sequence[int]
) -> Tensor:
    """Decode what a memory returned, cut to clips of `shape` (C, T, H, W)."""
    _, decoder = model.parts(path)
    clips: Tensor = decoder(read, encoded)[0]
    return clips[:, :, : shape[1], : shape[2], : shape[3]]
