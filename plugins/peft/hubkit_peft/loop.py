"""The training loop: AdamW, linear warm-up then cosine, loss on answer tokens only."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hubkit.sdk import EnvironmentFailure, Run, TrainInput

from . import state
from .examples import Example, Examples, collate
from .options import Options
from .order import Order
from .state import Metric

METRICS = "metrics.jsonl"


@dataclass(frozen=True)
class Training:
    """One training, set up."""

    job: TrainInput
    options: Options
    model: Any
    examples: Examples
    steps: int
    pad: int
    device: str


def train(training: Training, run: Run) -> None:
    """Trains `training.model` in place and writes metrics.jsonl; continues from a checkpoint when there is one."""
    import torch

    options, model = training.options, training.model
    parameters = list(state.trained(model).values())
    optimizer = torch.optim.AdamW(parameters, lr=options.learning_rate, weight_decay=options.weight_decay, fused=True)
    key = state.fingerprint(training.job)
    metrics = state.resume(training.job.scratch, key, model, optimizer, run)
    order = Order(len(training.examples), options.batch_size * options.accumulation, training.job.seed)
    model.train()
    with (training.job.output / METRICS).open("w", encoding="utf-8", newline="\n") as out:
        out.writelines(_line(metric) for metric in metrics)
        for step in range(len(metrics), training.steps):
            run.check_cancelled()
            rate = options.learning_rate * pace(step, training.steps, options.warmup_ratio)
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = _accumulate(training, [training.examples[number] for number in order.step(step)])
            torch.nn.utils.clip_grad_norm_(parameters, options.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            metrics.append(Metric(step + 1, loss, rate))
            out.write(_line(metrics[-1]))
            out.flush()
            run.progress(step + 1, training.steps, "steps", loss=loss)
            if (step + 1) % options.checkpoint_every == 0 and step + 1 < training.steps:
                state.save(training.job.scratch, key, model, optimizer, metrics)


def pace(step: int, steps: int, warmup_ratio: float) -> float:
    """The learning rate's share of its peak at `step`, from 0: a linear rise, then half a cosine towards 0."""
    warmup = math.ceil(steps * warmup_ratio)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _accumulate(training: Training, examples: Sequence[Example]) -> float:
    """Adds the gradients of one step's batches, each weighted by its answer tokens; the mean loss over all of them.

    Raises:
        EnvironmentFailure: memory is too small, or the loss is no longer a number.
    """
    import torch

    total = sum(example.answer_tokens for example in examples)
    loss = 0.0
    try:
        for batch in _batches(examples, training):
            with torch.autocast(training.device, torch.bfloat16, enabled=training.model.dtype == torch.bfloat16):
                value = training.model(**batch, num_items_in_batch=total).loss
            value.backward()
            loss += value.item()
    except torch.OutOfMemoryError:
        raise EnvironmentFailure(
            f"not enough GPU memory for {training.options.batch_size} records at once",
            "lower batch_size and raise accumulation by the same factor, or set gradient_checkpointing: true",
        ) from None
    if not math.isfinite(loss):
        raise EnvironmentFailure(f"the loss is {loss}", "lower learning_rate; nothing usable was trained")
    return loss


def _batches(examples: Sequence[Example], training: Training) -> Iterator[dict[str, Any]]:
    size = training.options.batch_size
    for start in range(0, len(examples), size):
        yield collate(examples[start : start + size], training.pad, training.device)


def _line(metric: Metric) -> str:
    return json.dumps(asdict(metric)) + "\n"
