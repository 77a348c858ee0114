"""The training loop. It knows nothing of the model's insides; what it minimises is
`objective_terms`.
"""

from __future__ import annotations

import csv
import math
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm.auto import tqdm

from vadlib.config import TrainConfig
from vadlib.device import autocast, pick_precision, processes, sum_over_processes
from vadlib.errors import InputError
from vadlib.files import atomic
from vadlib.model.losses import Term, objective_terms, weighted
from vadlib.model.network import DualPathAutoencoder
from vadlib.model.run import first_mismatch
from vadlib.pseudo.mixer import Outcome
from vadlib.training.samples import Batch, Samples, load_batches

CHECKPOINT_SECONDS = 60
MAX_BAD_STEPS = 5  # non-finite steps in a row before training stops


class Loss(nn.Module):
    """Model and objective in one forward pass, which is what `DistributedDataParallel` can wrap."""

    def __init__(self, model: DualPathAutoencoder, config: TrainConfig):
        super().__init__()
        self.model, self.config = model, config
        self.weights = {"sparsity": config.sparsity_weight, "separation": config.separation_weight}
        self.regularisers = [name for name, weight in self.weights.items() if weight > 0]

    def forward(
        self, normal: Tensor, inputs: Tensor, is_pseudo: Tensor
    ) -> tuple[Tensor, dict[str, Term]]:
        """The loss of all processes' batches together, and its terms, which carry no gradient."""
        objective, margin = self.config.objective, self.config.margin
        terms = objective_terms(
            self.model,
            normal,
            inputs,
            is_pseudo,
            objective,
            margin,
            sum_over_processes,
            self.regularisers,
        )
        return weighted(terms, self.weights), {
            name: Term(term.value.detach(), term.clips) for name, term in terms.items()
        }


class Trainer:
    """Weights, optimiser and position of one training, which a checkpoint holds and brings back."""

    def __init__(
        self,
        model: DualPathAutoencoder,
        samples: Samples,
        config: TrainConfig,
        device: torch.device,
        out: Path,
    ):
        self.model, self.samples, self.config, self.device, self.out = (
            model,
            samples,
            config,
            device,
            out,
        )
        self.precision = pick_precision(config.precision, device)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
        self.per_epoch = len(samples.chosen) // config.batch_size
        self.step = 0
        # of the current epoch: each term's sum over its clips, and their number
        self.sums: dict[str, list[float]] = {}
        # what the mixer made and could not make in the current epoch
        self.counts: Counter[str] = Counter()
        self.history: list[dict] = []
        self.bad_steps = 0

    @cached_property
    def loss(self) -> nn.Module:
        """Made for the first step: by then the weights are those after `fill_memories`, or of a
        checkpoint, and all processes get them.
        """
        loss = Loss(self.model, self.config)
        if self.config.compile:
            loss.compile()
        # A batch without pseudo-anomalies leaves their path without gradients.
        return (
            DistributedDataParallel(loss, find_unused_parameters=True)
            if processes().num_processes > 1
            else loss
        )

    def train(self, progress: bool) -> None:
        """Go from the current step to the end."""
        steps, saved, size = (
            self.config.epochs * self.per_epoch,
            time.monotonic(),
            self.config.batch_size,
        )
        shown = progress and processes().is_main_process
        with tqdm(
            total=steps * size,
            initial=self.step * size,
            desc="training",
            unit="clip",
            disable=not shown,
        ) as bar:
            while self.step < steps:
                epoch, done = divmod(self.step, self.per_epoch)
                batches = self.samples.batches(
                    epoch, size, done, processes().process_index, processes().num_processes
                )
                for batch in load_batches(
                    self.samples, batches, self.workers(), self.device.type == "cuda"
                ):
                    error = self.update(batch, steps)
                    bar.update(size)
                    bar.set_postfix({"epoch": epoch + 1, "error": f"{error:.4f}"}, refresh=False)
                    # Not at an epoch's end: there the history's row is still to be written, and a
                    # save follows.
                    if time.monotonic() - saved > CHECKPOINT_SECONDS and self.step % self.per_epoch:
                        self.save()
                        saved = time.monotonic()
                means = {name: value / max(1, clips) for name, (value, clips) in self.sums.items()}
                self.history.append({"epoch": epoch + 1} | means | self.counts)
                self.sums, self.counts = {}, Counter()
                self.save()
        self.write_history()

    def workers(self) -> int:
        """How many processes read clips ahead."""
        automatic = 0 if self.device.type == "cpu" else min(4, max(0, (os.cpu_count() or 1) - 1))
        return automatic if self.config.workers is None else self.config.workers

    def update(self, batch: Batch, steps: int) -> float:
        """One step; returns the error of normal clips. A non-finite loss or gradient leaves the
        weights as they are.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * schedule(self.step, steps)
        clips = [part.to(self.device, non_blocking=True) for part in batch[:3]]
        # batch norm's, which the forward pass changes
        buffers = [buffer.clone() for buffer in self.model.buffers()]
        with autocast(self.device, self.precision):
            loss, terms = self.loss(*clips)
        self.optimizer.zero_grad(set_to_none=True)
        # The gradients of the processes are averaged, but those of their parts of one loss are to
        # be added.
        (loss * processes().num_processes).backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_gradient)
        values = dict(
            zip(
                terms,
                torch.stack([torch.stack(term) for term in terms.values()]).tolist(),
                strict=True,
            )
        )
        self._count(batch.outcomes)
        if all(math.isfinite(value) for value, _ in values.values()) and bool(torch.isfinite(norm)):
            self.optimizer.step()
            self.bad_steps = 0
            for name, (value, clips) in values.items():
                so_far, count = self.sums.get(name, [0.0, 0.0])
                self.sums[name] = [so_far + value * clips, count + clips]
        else:
            for buffer, before in zip(self.model.buffers(), buffers, strict=True):
                buffer.copy_(before)
            self.bad_steps += 1
            if processes().is_main_process:
                tqdm.write(f"step {self.step}: the loss or its gradient is not finite; skipped")
            if self.bad_steps >= MAX_BAD_STEPS:
                raise InputError(
                    f"training diverged ({MAX_BAD_STEPS} non-finite steps in a row); lower learning_rate, or set precision to fp32",
                    "diverged",
                    field="TrainConfig.learning_rate",
                )
        self.step += 1
        return values["rebuild"][0]

    def _count(self, outcomes: list[Outcome]) -> None:
        """Add the outcomes of all processes' parts of a batch."""
        if self.samples.mixer:
            counts = self.samples.mixer.count(outcomes)
            totals = sum_over_processes(torch.tensor(list(counts.values()), device=self.device))
            self.counts.update(dict(zip(counts, totals.tolist(), strict=True)))

    def computed(self) -> dict[str, str | int]:
        """How the steps are computed; another way ends with weights that differ a little."""
        return {
            "precision": str(self.precision or torch.float32),
            "processes": processes().num_processes,
        }

    def save(self) -> None:
        """Write `state.pt` and `history.csv`, atomically, in the main process."""
        if not processes().is_main_process:
            return
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        state |= {
            "step": self.step,
            "sums": self.sums,
            "counts": dict(self.counts),
            "history": self.history,
        }
        state |= {"bad_steps": self.bad_steps, "computed": self.computed()}
        with atomic(self.out / "state.pt") as temporary:
            torch.save(state, temporary)
        self.write_history()

    def write_history(self) -> None:
        """Write `history.csv`: one row an epoch, the mean of each term over its clips, and what the
        mixer made and could not make.
        """
        if self.history and processes().is_main_process:
            with (
                atomic(self.out / "history.csv") as temporary,
                temporary.open("w", newline="", encoding="utf-8") as file,
            ):
                # An epoch whose steps were all skipped has no terms.
                writer = csv.DictWriter(file, max(self.history, key=len), restval="")
                writer.writeheader()
                writer.writerows(self.history)

    def load(self) -> bool:
        """Go on from `state.pt`, if there is one, on whatever device it was written.

        Raises:
            InputError: it is damaged, or from another model.
        """
        path = self.out / "state.pt"
        if not path.exists():
            return False
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            found, optimizer, computed = state["model"], state["optimizer"], state["computed"]
            self.step, self.sums, self.history, self.bad_steps = (
                state[key] for key in ("step", "sums", "history", "bad_steps")
            )
            self.counts = Counter(state["counts"])
        # torch raises many kinds for a damaged file; all mean the same to the user
        except Exception as error:
            first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(
                f"{path}: a damaged checkpoint ({first_line}); remove it to start over",
                "damaged-file",
                file=path,
            ) from error
        if mismatch := first_mismatch(self.model, found):
            raise InputError(
                f"{path}: a checkpoint of another model ({mismatch}); remove it to start over",
                "other-run",
                file=path,
            )
        self.model.load_state_dict(found)
        self.optimizer.load_state_dict(optimizer)
        if computed != self.computed() and processes().is_main_process:
            tqdm.write(
                f"going on with {self.computed()} what began with {computed}: the weights will differ a little"
            )
        return True


def schedule(step: int, steps: int) -> float:
    """Factor of the learning rate: rises over the first 2% of the steps, then falls to 0 along half
    a cosine.
    """
    warm = max(1, steps // 50)
    return min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * step / max(1, steps)))


@contextmanager
def plain_errors(config: TrainConfig, device: torch.device) -> Iterator[None]:
    """Says what to do where memory or a compiler is missing: `InputError` instead of torch's own
    errors.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        advice = "lower it, or make the clips smaller (size or crop)"
        raise InputError(
            f"{device} ran out of memory with batch_size = {config.batch_size}; {advice}",
            "out-of-memory",
            field="TrainConfig.batch_size",
        ) from error
    except RuntimeError as error:
        if config.compile and type(error).__module__.startswith(
            ("torch._dynamo", "torch._inductor")
        ):
            reason = str(error).splitlines()[0]
            raise InputError(
                f"the model cannot be compiled here ({reason}); set compile to false, or install a C++ compiler",
                "not-available",
                field="TrainConfig.compile",
            ) from error
        raise
