"""How much memory a training needs, before it starts."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import NamedTuple

import psutil
import torch
from tqdm.auto import tqdm

from vadlib.device import autocast, processes
from vadlib.errors import require
from vadlib.training.samples import Batch
from vadlib.training.trainer import Loss, Trainer

SPARE = 0.1  # share of the free memory that is left to everything else
# On a CPU `steady_memory` never gives back the holes between blocks of different sizes: 1.7 to 2.2
# times what is kept was measured.
HOLES = 2.2
CONTAINER_LIMITS = [
    Path("/sys/fs/cgroup", name) for name in ("memory.max", "memory/memory.limit_in_bytes")
]


class Footprint(NamedTuple):
    """An estimate of a training's memory, in bytes.

    Attributes:
        fixed: weights, gradients and the two moments of Adam.
        clip: what each clip of a batch adds: what the backward pass keeps, and the two largest
            gradients in flight; on a CPU times `HOLES`.
        free: what the device has to spare now.
    """

    fixed: int
    clip: int
    free: int

    @property
    def largest_batch(self) -> int:
        """How many clips fit; 0 if none."""
        return max(0, int(((1 - SPARE) * self.free - self.fixed) // self.clip))

    def needed(self, batch_size: int) -> int:
        """Bytes for batches of that size."""
        return self.fixed + batch_size * self.clip


def estimate_footprint(trainer: Trainer, batch: Batch) -> Footprint:
    """Run two clips forwards, and count what is kept for the way back.

    All of a batch is taken for pseudo-anomalies, which with "inpaint" go two ways; with fewer it is
    less.
    """
    free = free_memory(trainer.device)
    model = copy.deepcopy(trainer.model)  # batch norm counts what passes through it
    kept: dict[int, int] = {}
    alive = []  # until all are counted, so that no storage takes the place of another

    def count(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        alive.append(tensor)
        return tensor

    normal = batch.normal[:1].repeat(2, 1, 1, 1, 1).to(trainer.device)
    is_pseudo = torch.tensor([True, True], device=trainer.device)
    with (
        torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor),
        autocast(trainer.device, trainer.precision),
    ):
        terms = Loss(model, trainer.config)(normal, normal, is_pseudo)
    del terms
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    of_weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    sizes = [size for pointer, size in kept.items() if pointer not in of_weights]
    clip = (sum(sizes) + 2 * max(sizes)) / 2 * (HOLES if trainer.device.type == "cpu" else 1)
    # DistributedDataParallel keeps the gradients once more
    copies = 4 if processes().num_processes == 1 else 5
    return Footprint(copies * weights, int(clip), free)


def free_memory(device: torch.device) -> int:
    """Bytes that the device has to spare."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    limits = [
        int(path.read_text())
        for path in CONTAINER_LIMITS
        if path.is_file() and path.read_text().strip().isdigit()
    ]
    return min(
        [
            psutil.virtual_memory().available,
            *(limit - psutil.Process().memory_info().rss for limit in limits),
        ]
    )


def check_memory(trainer: Trainer, batch: Batch, progress: bool) -> None:
    """Say how much memory the training will take.

    Raises:
        InputError: more than is free, with the batch size that would fit.
    """
    footprint, together = estimate_footprint(trainer, batch), processes()
    size = -(-trainer.config.batch_size // together.num_processes)
    # processes of this machine
    sharing = int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if trainer.device.type == "cpu" else 1
    share = footprint._replace(free=footprint.free // sharing)
    needed, free = map(_readable, (share.needed(size), share.free))
    fitting = share.largest_batch * together.num_processes
    advice = (
        f"set batch_size to at most {fitting}"
        if fitting
        else "make the clips smaller (size or crop), or the network narrower"
    )
    clip = " x ".join(map(str, batch.normal.shape[1:]))
    require(
        size <= share.largest_batch,
        f"batches of {trainer.config.batch_size} clips of {clip} need about {needed}, but {free} are free on {trainer.device}; {advice}",
        "out-of-memory",
        field="TrainConfig.batch_size",
    )
    if progress and together.is_main_process:
        use = f"at most about {needed} for batches of {trainer.config.batch_size} clips"
        tqdm.write(f"training on {trainer.device}: {use}; {free} are free, enough for {fitting}")


def _readable(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
