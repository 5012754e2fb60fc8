"""The training loop: AdamW, linear warm-up then cosine, loss on answer tokens only."""

from __future__ import annotations

import gc
import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hubkit.sdk import EnvironmentFailure, Run, TrainInput
from hubkit.sdk.finite import check_loss

from . import state
from .examples import Examples
from .feed import Feed
from .forecast import Size
from .gang import Gang
from .options import Options
from .order import Order
from .state import Metric

METRICS = "metrics.jsonl"


class Program(Protocol):
    """How batches are laid out and their loss is computed: `fast.Fast`, `fast.Arranged` or
    `plain.Plain`. `features` are what it keeps of pictures, if it does."""

    features: Any

    def collate(
        self, examples: Sequence[Any], samples: Sequence[int], seed: int, packing: str
    ) -> Any: ...

    def loss(self, batch: Any, learning: bool) -> Any:
        """The sum of the cross-entropy over answer tokens; with dropout when `learning`."""


@dataclass(frozen=True)
class Training:
    """One training, set up. The first `learnt` examples are trained on, the others are for
    validation; `sizes` are all examples'. `batch_size` is what `options` say or what was chosen."""

    job: TrainInput
    options: Options
    model: Any
    program: Program
    examples: Examples
    sizes: tuple[Size, ...]
    learnt: int
    steps: int
    batch_size: int
    device: str
    gang: Gang

    @property
    def samples_per_step(self) -> int:
        return self.batch_size * self.options.accumulation * self.gang.size


def train(training: Training, run: Run) -> list[Metric]:
    """Trains `training.model` in place and writes metrics.jsonl; continues from a checkpoint when
    there is one."""
    return _Loop(training, run).train()


class _Loop:
    def __init__(self, training: Training, run: Run) -> None:
        import torch

        self.training, self.options, self.run = training, training.options, run
        self.parameters = list(state.trained(training.model).values())
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=self.options.learning_rate,
            weight_decay=self.options.weight_decay,
            fused=True,
        )
        self.key = state.fingerprint(training.job, self.options, training.samples_per_step)
        self.metrics = state.resume(
            training.job.scratch,
            self.key,
            training.model,
            self.optimizer,
            training.gang,
            run,
        )
        self.order = Order(training.learnt, training.samples_per_step, training.job.seed)
        self.unread: deque[tuple[int, float, _Number]] = deque()
        self.resumed, self.started = len(self.metrics), time.monotonic()

    def train(self) -> list[Metric]:
        training, done = self.training, len(self.metrics)
        readers = self.options.readers(training.device)
        feed = Feed(training.examples.__getitem__, self._batches, readers)
        self._see_again(feed, done)
        for step, batches in enumerate(feed.steps(self._own, done, training.steps), done):
            self.run.check_cancelled()
            rate = self.options.learning_rate * pace(
                step, training.steps, self.options.warmup_ratio
            )
            self.unread.append((step + 1, rate, _Number(self._step(step, batches, rate))))
            gc.enable()
            self._read(all_but=0 if training.device == "cpu" else 1)
            if self._validates(step + 1):
                self._read()
                self._validate()
            if (step + 1) % self.options.checkpoint_every == 0 and step + 1 < training.steps:
                self._read()
                if training.gang.leads:
                    state.save(
                        training.job.scratch, self.key, training.model, self.optimizer, self.metrics
                    )
        self._read()
        if training.gang.leads:
            if self.options.keep == "best":
                state.restore_best(
                    training.job.scratch, state.best_step(self.metrics), training.model
                )
            _write(training.job.output / METRICS, self.metrics)
        return self.metrics

    def _see_again(self, feed: Feed, done: int) -> None:
        """Makes the features that the steps before the checkpoint kept, by the same batches: how
        they are rounded depends on what is beside them."""
        program: Any = self.training.program
        for batches in feed.steps(self._own, 0, done) if program.features else ():
            self.run.check_cancelled()
            if program.features.full:
                return
            for batch in batches:
                program.see(batch.to(self.training.device))

    def _step(self, step: int, batches: Sequence[Any], rate: float) -> Any:
        """One optimizer step; the mean loss over its answer tokens, still on the device.

        Raises:
            EnvironmentFailure: memory is too small.
        """
        import torch

        for group in self.optimizer.param_groups:
            group["lr"] = rate
        answers = sum(self.training.sizes[number].answers for number in self.order.step(step))
        loss = torch.zeros((), device=self.training.device)
        try:
            for batch in batches:
                value = (
                    self.training.program.loss(batch.to(self.training.device), learning=True)
                    / answers
                )
                value.backward()
                loss += value.detach()
        except torch.OutOfMemoryError:
            raise _out_of_memory(self.training.batch_size) from None
        self._share(loss)
        torch.nn.utils.clip_grad_norm_(self.parameters, self.options.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def _share(self, loss: Any) -> None:
        """Sums gradients and loss over all GPUs; what no sample here has used counts as 0."""
        import torch

        gang = self.training.gang
        if gang.size > 1:
            for parameter in self.parameters:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            gang.sum([*(parameter.grad for parameter in self.parameters), loss])

    def _own(self, step: int) -> list[int]:
        return self.training.gang.share(self.order.step(step))

    def _batches(self, step: int, examples: Sequence[Any]) -> list[Any]:
        """The step's batches on this device; examples are numbered through the whole training."""
        first, count = step * self.training.samples_per_step, self.training.samples_per_step
        return list(self._collated(examples, self.training.gang.share(range(first, first + count))))

    def _collated(self, examples: Sequence[Any], samples: Sequence[int]) -> Iterator[Any]:
        training, size = self.training, self.training.batch_size
        for start in range(0, len(examples), size):
            part = slice(start, start + size)
            batch = training.program.collate(
                examples[part], samples[part], training.job.seed, self.options.packing
            )
            yield batch if training.device == "cpu" else batch.pinned()

    def _validates(self, step: int) -> bool:
        every = self.options.validate_every or max(
            1, self.training.learnt // self.training.samples_per_step
        )
        return self.options.validation > 0 and (step % every == 0 or step == self.training.steps)

    def _validate(self) -> None:
        """Adds the loss over the records set aside to the last metric."""
        import torch

        training = self.training
        numbers = training.gang.share(range(training.learnt, len(training.examples)))
        loss = torch.zeros((), device=training.device)
        with torch.no_grad():
            for batch in self._collated([training.examples[number] for number in numbers], numbers):
                loss += training.program.loss(batch.to(training.device), learning=False)
        training.gang.sum([loss])
        last = self.metrics[-1]
        answers = sum(size.answers for size in training.sizes[training.learnt :])
        self.metrics[-1] = Metric(last.step, last.loss, last.learning_rate, loss.item() / answers)
        if (
            self.options.keep == "best"
            and training.gang.leads
            and state.best_step(self.metrics) == last.step
        ):
            state.save_best(training.job.scratch, last.step, training.model)

    def _read(self, all_but: int = 0) -> None:
        """Takes the losses of finished steps into the metrics. On a GPU one step stays unread, so
        that it is never idle.

        Raises:
            EnvironmentFailure: the loss is no longer a number.
        """
        while len(self.unread) > all_but:
            step, rate, number = self.unread.popleft()
            loss = number.value()
            check_loss(loss)
            self.metrics.append(Metric(step, loss, rate))
            speed = (
                (len(self.metrics) - self.resumed)
                * self.training.samples_per_step
                / (time.monotonic() - self.started)
            )
            self.run.progress(
                step, self.training.steps, "steps", loss=loss, samples_per_second=speed
            )


class _Number:
    """A number on a device, on its way to the host while the device goes on."""

    def __init__(self, tensor: Any) -> None:
        import torch

        self._host, self._event = tensor, None
        if tensor.is_cuda:
            self._host = torch.empty((), pin_memory=True).copy_(tensor, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()

    def value(self) -> float:
        if self._event is not None:
            self._event.synchronize()
        return float(self._host)


def pace(step: int, steps: int, warmup_ratio: float) -> float:
    """The learning rate's share of its peak at `step`, from 0: a linear rise, then half a cosine
    towards 0."""
    warmup = math.ceil(steps * warmup_ratio)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _out_of_memory(batch_size: int) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"not enough GPU memory for {batch_size} records at once",
        "lower batch_size and raise accumulation by the same factor, or set "
        "gradient_checkpointing: true",
    )


def _write(path: Path, metrics: Sequence[Metric]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as out:
        out.writelines(metric.line() for metric in metrics)
