"""The training loop. It knows nothing of the model's insides; what it minimises is
`objective_terms`.
"""

from __future__ import annotations

import csv
import io
import math
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm.auto import tqdm

from vadlib.config import TrainConfig
from vadlib.device import autocast, pick_precision, processes, sum_over_processes
from vadlib.errors import InputError, require
from vadlib.files import atomic
from vadlib.model.losses import Term, objective_terms, weighted
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import first_mismatch
from vadlib.pseudo.mixer import Outcome
from vadlib.training.samples import Batch, Samples, load_batches

CHECKPOINT_SECONDS = 60
POSITION = ("step", "sums", "history", "bad_steps")  # what a checkpoint holds of a `Trainer`
MAX_BAD_STEPS = 5  # non-finite steps in a row before training stops


class Loss(nn.Module):
    """Model and objective in one forward pass, which is what `DistributedDataParallel` can wrap."""

    def __init__(self, model: DualPathAutoencoder, config: TrainConfig):
        super().__init__()
        self.model = model
        self.config = config
        self.weights = {"sparsity": config.sparsity_weight, "separation": config.separation_weight}
        self.regularisers = [name for name, weight in self.weights.items() if weight > 0]

    def forward(
        self, normal: Tensor, inputs: Tensor, is_pseudo: Tensor
    ) -> tuple[Tensor, dict[str, Term]]:
        """Return the loss of all processes' batches together, and its terms without gradients."""
        objective = (self.config.objective, self.config.margin, sum_over_processes)
        batch = (normal, inputs, is_pseudo)
        terms = objective_terms(self.model, *batch, *objective, self.regularisers)
        detached = {name: Term(term.value.detach(), term.clips) for name, term in terms.items()}
        return weighted(terms, self.weights), detached


class Trainer:
    """Weights, optimiser and position of one training, which a checkpoint saves and restores."""

    def __init__(
        self,
        model: DualPathAutoencoder,
        samples: Samples,
        config: TrainConfig,
        device: torch.device,
        out: Path,
    ):
        self.model = model
        self.samples = samples
        self.config = config
        self.device = device
        self.out = out
        self.precision = pick_precision(config.precision, device)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
        self.per_epoch = len(samples.positions) // config.batch_size
        self.step = 0
        # Of the current epoch: each term's sum over its clips and their number, and what the mixer
        # made and could not make.
        self.sums: dict[str, list[float]] = {}
        self.counts: Counter[str] = Counter()
        self.history: list[dict[str, float]] = []  # a row for each finished epoch
        self.bad_steps = 0
        self.saved = time.monotonic()

    @cached_property
    def loss(self) -> nn.Module:
        """The loss, built at the first step, when the weights are those of `fill_memories` or of a
        checkpoint: `DistributedDataParallel` copies them to all processes.
        """
        loss = Loss(self.model, self.config)
        if self.config.compile:
            loss.compile()
        if processes().num_processes == 1:
            return loss
        # A batch without pseudo-anomalies leaves their path without gradients.
        return DistributedDataParallel(loss, find_unused_parameters=True)

    def train(self, progress: bool) -> None:
        """Train from the current step to the end."""
        steps = self.config.epochs * self.per_epoch
        self.saved = time.monotonic()
        with tqdm(
            total=steps * self.config.batch_size,
            initial=self.step * self.config.batch_size,
            desc="training",
            unit="clip",
            disable=not (progress and processes().is_main_process),
        ) as bar:
            while self.step < steps:
                self._train_epoch(steps, bar)
        self.write_history()

    def _train_epoch(self, steps: int, bar: tqdm[NoReturn]) -> None:
        """Train to the end of the current epoch, and write its row of the history."""
        epoch, done = divmod(self.step, self.per_epoch)
        size = self.config.batch_size
        state = processes()
        batches = self.samples.batches(epoch, size, done, state.process_index, state.num_processes)
        pin = self.device.type == "cuda"
        for batch in load_batches(self.samples, batches, self.workers(), pin):
            error = self.update(batch, steps)
            bar.update(size)
            bar.set_postfix({"epoch": epoch + 1, "error": f"{error:.4f}"}, refresh=False)
            # At the end of an epoch, the row of the history comes first, and then a checkpoint.
            is_last = self.step % self.per_epoch == 0
            if not is_last and time.monotonic() - self.saved > CHECKPOINT_SECONDS:
                self.save()
        row: dict[str, float] = {"epoch": epoch + 1}
        for name, (total, clips) in self.sums.items():
            row[name] = total / max(1, clips)
        self.history.append(row | self.counts)
        self.sums = {}
        self.counts = Counter()
        self.save()

    def workers(self) -> int:
        """Return how many processes read clips ahead."""
        if self.config.workers is not None:
            return self.config.workers
        if self.device.type == "cpu":
            return 0
        return min(4, max(0, (os.cpu_count() or 1) - 1))

    def update(self, batch: Batch, steps: int) -> float:
        """Train one step of `steps` and return the error of normal clips.

        A non-finite loss or gradient leaves the weights as they are.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * schedule(self.step, steps)
        clips = [part.to(self.device, non_blocking=True) for part in batch[:3]]
        # The forward pass changes batch norm's statistics.
        buffers = [buffer.clone() for buffer in self.model.buffers()]
        with autocast(self.device, self.precision):
            loss, terms = self.loss(*clips)
        self.optimizer.zero_grad(set_to_none=True)
        # The processes' gradients are averaged, but those of parts of one loss must be summed.
        (loss * processes().num_processes).backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_gradient)
        self._count(batch.outcomes)
        errors = torch.stack([term.value for term in terms.values()])
        if bool(torch.isfinite(errors).all()) and bool(torch.isfinite(norm)):
            self.optimizer.step()
            self.bad_steps = 0
            self._add(terms)
        else:
            for buffer, before in zip(self.model.buffers(), buffers, strict=True):
                buffer.copy_(before)
            self._note_bad_step()
        self.step += 1
        return float(terms["rebuild"].value)

    def _add(self, terms: dict[str, Term]) -> None:
        """Add the terms of one step to the sums of the epoch."""
        for name, term in terms.items():
            total, count = self.sums.get(name, [0.0, 0.0])
            clips = float(term.clips)
            self.sums[name] = [total + float(term.value) * clips, count + clips]

    def _note_bad_step(self) -> None:
        self.bad_steps += 1
        if processes().is_main_process:
            tqdm.write(f"step {self.step}: the loss or its gradient is not finite; skipped")
        message = f"training diverged ({MAX_BAD_STEPS} non-finite steps in a row); lower "
        message += "learning_rate, or set precision to fp32"
        continues = self.bad_steps < MAX_BAD_STEPS
        require(continues, message, "diverged", field="TrainConfig.learning_rate")

    def _count(self, outcomes: list[Outcome]) -> None:
        """Count the mixer's outcomes in all processes' parts of a batch."""
        if self.samples.mixer:
            counts = self.samples.mixer.count(outcomes)
            totals = sum_over_processes(torch.tensor(list(counts.values()), device=self.device))
            self.counts.update(dict(zip(counts, totals.tolist(), strict=True)))

    def computed(self) -> dict[str, str | int]:
        """Return how steps are computed; another way ends with slightly different weights."""
        precision = str(self.precision or torch.float32)
        return {"precision": precision, "processes": processes().num_processes}

    def save(self) -> None:
        """Write `state.pt` and `history.csv`, atomically, in the main process."""
        self.saved = time.monotonic()
        if not processes().is_main_process:
            return
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "counts": dict(self.counts),
            "computed": self.computed(),
        }
        state |= {name: getattr(self, name) for name in POSITION}
        with atomic(self.out / "state.pt") as temporary:
            torch.save(state, temporary)
        self.write_history()

    def write_history(self) -> None:
        """Write `history.csv`: one row an epoch, the mean of each term over its clips, and the
        mixer's counts.
        """
        if not self.history or not processes().is_main_process:
            return
        columns = max(self.history, key=len)  # an epoch of skipped steps has no terms
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns, restval="")
        writer.writeheader()
        writer.writerows(self.history)
        with atomic(self.out / "history.csv") as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8", newline="")

    def load(self) -> bool:
        """Restore `state.pt` on this device; return whether there is one.

        Raises:
            InputError: it is damaged, or from another model.
        """
        path = self.out / "state.pt"
        if not path.exists():
            return False
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            weights = state["model"]
            optimizer = state["optimizer"]
            computed = state["computed"]
            for name in POSITION:
                setattr(self, name, state[name])
            self.counts = Counter(state["counts"])
        # torch raises many kinds for a damaged file; all mean the same to the user
        except Exception as error:
            message = f"{path}: a damaged checkpoint ({_reason(error)}); remove it to start again"
            raise InputError(message, "damaged-file", file=path) from error
        mismatch = first_mismatch(self.model, weights)
        message = f"{path}: a checkpoint of another model ({mismatch}); remove it to start again"
        require(mismatch is None, message, "other-run", file=path)
        self.model.load_state_dict(weights)
        self.optimizer.load_state_dict(optimizer)
        if computed != self.computed() and processes().is_main_process:
            change = f"continuing with {self.computed()} what began with {computed}"
            tqdm.write(f"{change}: the weights will differ a little")
        return True


def schedule(step: int, steps: int) -> float:
    """Return the factor of the learning rate: it rises over the first 2% of the steps, then falls
    to 0 along half a cosine.
    """
    warm = max(1, steps // 50)
    return min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * step / max(1, steps)))


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


@contextmanager
def plain_errors(config: TrainConfig, device: torch.device) -> Iterator[None]:
    """Translate out-of-memory and compiler errors into an `InputError` with advice."""
    try:
        yield
    except RuntimeError as error:
        reason = _reason(error)
        # Without enough memory on a CPU, PyTorch raises a plain RuntimeError of its allocator.
        if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in reason:
            message = (
                f"{device} ran out of memory with batch_size = {config.batch_size}; lower it, "
            )
            message += "or make the clips smaller (size or crop)"
            field = "TrainConfig.batch_size"
            raise InputError(message, "out-of-memory", field=field) from error
        of_compiler = type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))
        if config.compile and of_compiler:
            message = f"the model cannot be compiled here ({reason}); set compile to false, or "
            message += "install a C++ compiler"
            raise InputError(message, "not-available", field="TrainConfig.compile") from error
        raise
