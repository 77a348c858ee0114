"""The training loop. It knows nothing of the model's insides; what it minimises is
`objective_terms`.
"""

from __future__ import annotations

import csv
import math
import os
import time
import warnings
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm.auto import tqdm

from vadlib.config import TrainConfig
from vadlib.device import autocast, pick_device, pick_precision, processes, sum_over_processes
from vadlib.errors import InputError, require
from vadlib.files import atomic
from vadlib.model.losses import Term, objective_terms, weighted
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import Run, first_mismatch
from vadlib.training.samples import Batch, Samples, load_batches

CHECKPOINT_SECONDS = 60
# What a checkpoint holds of a `Trainer`, beside the weights and the optimiser.
POSITION = ("step", "sums", "counts", "history", "bad_steps")
MAX_BAD_STEPS = 5  # non-finite steps in a row before training stops
Terms = dict[str, Term]


class Loss(nn.Module):
    """Model and objective in one forward pass, which is what `DistributedDataParallel` can wrap."""

    def __init__(self, model: DualPathAutoencoder, config: TrainConfig):
        super().__init__()
        self.model = model
        self.weights = {"sparsity": config.sparsity_weight, "separation": config.separation_weight}
        regularisers = [name for name, weight in self.weights.items() if weight > 0]
        self.objective = (config.objective, config.margin, regularisers)

    def forward(self, normal: Tensor, inputs: Tensor, is_pseudo: Tensor) -> tuple[Tensor, Terms]:
        """Return the loss of all processes' batches together, and its terms without gradients."""
        terms = objective_terms(self.model, normal, inputs, is_pseudo, *self.objective)
        detached = {name: Term(term.value.detach(), term.clips) for name, term in terms.items()}
        return weighted(terms, self.weights), detached


class Trainer:
    """Weights, optimiser and position of one training, which a checkpoint saves and restores."""

    def __init__(self, run: Run, samples: Samples):
        self.run = run
        self.config = run.config.training
        self.samples = samples
        self.device = pick_device(self.config.device)
        self.model = run.model.to(self.device).train()
        self.precision = pick_precision(self.config.precision, self.device)
        self.setup = [str(self.precision or "fp32"), processes().num_processes]
        self.path = run.folder / "state.pt"
        field = "TrainConfig.batch_size"
        n, size = len(samples.positions), self.config.batch_size
        message = f"{n} training clips, fewer than a batch of {size}; lower batch_size or clip_step"
        require(n >= size, message, "too-few", field=field)
        message = f"batch_size = {size}; expected at least one clip for each process"
        require(size >= processes().num_processes, message, "conflict", field=field)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.config.learning_rate)
        self.per_epoch = n // size
        self.step = self.bad_steps = 0
        # Of the current epoch: each term's sum over its clips and their number, and what the mixer
        # made and could not make.
        self.sums: dict[str, list[float]] = {}
        self.counts: dict[str, int] = {}
        self.history: list[dict[str, float]] = []  # a row for each finished epoch
        self.saved = time.monotonic()

    @cached_property
    def loss(self) -> nn.Module:
        """The loss, built at the first step, when the weights are those of `fill_memories` or of a
        checkpoint: `DistributedDataParallel` copies them to all processes.
        """
        loss = Loss(self.model, self.config)
        if self.config.compile:
            loss.compile()
        is_alone = processes().num_processes == 1
        # A batch without pseudo-anomalies leaves their path without gradients.
        return loss if is_alone else DistributedDataParallel(loss, find_unused_parameters=True)

    def train(self, progress: bool) -> None:
        """Train from the current step to the end."""
        size, state = self.config.batch_size, processes()
        steps = self.config.epochs * self.per_epoch
        hidden = not (progress and state.is_main_process)
        total, initial = steps * size, self.step * size
        with tqdm(None, "training", total, initial=initial, unit="clip", disable=hidden) as bar:
            while self.step < steps:
                epoch, done = divmod(self.step, self.per_epoch)
                place = (state.process_index, state.num_processes)
                keys = self.samples.batches(epoch, size, done, *place)
                pin = self.device.type == "cuda"
                for batch in load_batches(self.samples, keys, self.workers(), pin):
                    error = self.update(batch, steps)
                    bar.update(size)
                    bar.set_postfix({"epoch": epoch + 1, "error": f"{error:.4f}"}, refresh=False)
                    is_due = time.monotonic() - self.saved > CHECKPOINT_SECONDS
                    if is_due and self.step % self.per_epoch:
                        self.save()
                # A row of the history: the mean of each term over its clips, and the counts.
                means = {name: total / max(1, clips) for name, (total, clips) in self.sums.items()}
                self.history.append({"epoch": epoch + 1} | means | self.counts)
                self.sums, self.counts = {}, {}
                self.save()
        self.save()  # history.csv may be older than the checkpoint

    def workers(self) -> int:
        """Return how many processes read clips ahead."""
        default = 0 if self.device.type == "cpu" else min(4, (os.cpu_count() or 1) - 1)
        return default if self.config.workers is None else self.config.workers

    def update(self, batch: Batch, steps: int) -> float:
        """Train one step of `steps` and return the error of normal clips.

        A non-finite loss or gradient leaves the weights as they are.
        """
        # The rate rises over the first 2% of the steps, then falls to 0 along half a cosine.
        factor = min(1.0, (self.step + 1) / max(1, steps // 50))
        factor *= 0.5 * (1 + math.cos(math.pi * self.step / steps))
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * factor
        clips = [part.to(self.device, non_blocking=True) for part in batch[:3]]
        # The forward pass changes batch norm's statistics.
        buffers = [buffer.clone() for buffer in self.model.buffers()]
        with autocast(self.device, self.precision):
            loss, terms = self.loss(*clips)
        self.optimizer.zero_grad(set_to_none=True)
        # The processes' gradients are averaged, but those of parts of one loss must be summed.
        (loss * processes().num_processes).backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_gradient)
        errors = torch.stack([term.value for term in terms.values()])
        is_finite = bool(errors.isfinite().all()) and bool(norm.isfinite())
        if is_finite:
            self.optimizer.step()
        else:
            for buffer, before in zip(self.model.buffers(), buffers, strict=True):
                buffer.copy_(before)
        self._note(batch, terms, is_finite)
        self.step += 1
        return float(terms["rebuild"].value)

    def _note(self, batch: Batch, terms: Terms, is_finite: bool) -> None:
        """Add a step's terms and the mixer's outcomes, of all processes, to those of the epoch."""
        if self.samples.mixer:
            counts = self.samples.mixer.count(batch.outcomes)
            totals = sum_over_processes(torch.tensor(list(counts.values()), device=self.device))
            for name, count in zip(counts, totals.tolist(), strict=True):
                self.counts[name] = self.counts.get(name, 0) + count
        self.bad_steps = 0 if is_finite else self.bad_steps + 1
        refuse_divergence(self.bad_steps < MAX_BAD_STEPS, self.run.folder)
        for name, term in terms.items() if is_finite else ():
            total, clips = self.sums.get(name, [0.0, 0.0])
            added = float(term.clips)
            self.sums[name] = [total + float(term.value) * added, clips + added]

    def save(self) -> None:
        """Write `state.pt` and `history.csv`, atomically, in the main process.

        A row of `history.csv` holds the mean of each term over an epoch's clips, and the counts.
        """
        self.saved = time.monotonic()
        if not processes().is_main_process:
            return
        state = {name: getattr(self, name) for name in POSITION} | {"setup": self.setup}
        state |= {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        with atomic(self.path) as temporary:
            torch.save(state, temporary)
        if self.history:
            columns = max(self.history, key=len)  # an epoch of skipped steps has no terms
            path = self.path.with_name("history.csv")
            with atomic(path) as temporary, temporary.open("w", newline="") as file:
                writer = csv.DictWriter(file, columns, restval="")
                writer.writeheader()
                writer.writerows(self.history)

    def load(self) -> None:
        """Restore `state.pt` on this device.

        Raises:
            InputError: it is damaged, or from another model.
        """
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            mismatch = first_mismatch(self.model, state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            for name in POSITION:
                setattr(self, name, state[name])
        # torch raises many kinds for a damaged file; all mean the same to the user
        except Exception as error:
            reason = str(error).partition("\n")[0]
            message = f"{self.path}: damaged ({reason}); remove it to start again"
            raise InputError(message, "damaged-file", file=self.path) from error
        message = f"{self.path}: of another model ({mismatch}); remove it to start again"
        require(mismatch is None, message, "other-run", file=self.path)
        self.model.load_state_dict(state["model"])
        before = state.get("setup", self.setup)
        message = f"{self.path}: precision and processes were {before}, now {self.setup}"
        if before != self.setup:
            warnings.warn(f"{message}; the weights will differ", stacklevel=2)


def refuse_divergence(ok: bool, folder: Path) -> None:
    """Raise `InputError` for a run's folder unless its training is still finite."""
    message = f"{folder}: training diverged, not finite; lower learning_rate"
    require(ok, message, "diverged", file=folder, field="TrainConfig.learning_rate")


def refuse_lacks(error: Exception, device: torch.device) -> None:
    """Raise `InputError` with advice where an error means too little memory or no compiler."""
    # Without enough memory on a CPU, PyTorch raises a plain RuntimeError of its allocator.
    is_full = isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
    message = f"out of memory on {device}; lower batch_size, size or crop"
    require(not is_full, message, "out-of-memory", field="TrainConfig.batch_size")
    is_compiler = type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))
    reason = str(error).partition("\n")[0]
    message = f"the model cannot be compiled ({reason}); set compile to false"
    require(not is_compiler, message, "not-available", field="TrainConfig.compile")
