"""A checkpoint in the scratch folder: all that a killed training needs to go on to the same
bytes."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubkit.sdk import Run, TrainInput
from hubkit.sdk.codec import encode

from .gang import Gang
from .options import Options

FILE = "checkpoint.pt"
BEST = "best.pt"


@dataclass(frozen=True)
class Metric:
    """One optimizer step, from 1; `loss` is the mean over its answer tokens, `validation_loss` that
    over the tokens of the records set aside, where it was taken."""

    step: int
    loss: float
    learning_rate: float
    validation_loss: float | None = None

    def line(self) -> str:
        return (
            json.dumps({name: value for name, value in vars(self).items() if value is not None})
            + "\n"
        )


_ARRANGEMENT = ("batch_size", "accumulation", "gpus", "shard")
"""Options that arrange a step's samples on devices, and change what is learnt by rounding only."""


def fingerprint(job: TrainInput, options: Options, samples_per_step: int) -> str:
    """Of everything that a checkpoint must agree with: options, samples of a step, seed, records,
    the base's configuration and weights' sizes. On how many GPUs a step was taken is not of it."""
    chosen = {name: one for name, one in encode(options).items() if name not in _ARRANGEMENT}
    known = [chosen, samples_per_step, job.seed, encode(job.vision)]
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode())
    digest.update(job.records.read_bytes())
    digest.update((job.native / "config.json").read_bytes())
    if job.vision.fit == "processor":
        for path in sorted(
            (*job.native.glob("*processor*.json"), *job.native.glob("chat_template*"))
        ):
            digest.update(path.read_bytes())
    for path in sorted(job.native.glob("*.safetensors")):
        digest.update(f"{path.name} {path.stat().st_size}".encode())
    return digest.hexdigest()


def save(scratch: Path, key: str, model: Any, optimizer: Any, metrics: list[Metric]) -> None:
    """The best state so far is a file of its own, which is kept; those of earlier steps go."""
    import torch

    state = {
        "key": key,
        "metrics": [tuple(vars(metric).values()) for metric in metrics],
        "trained": {name: tensor.detach().cpu() for name, tensor in trained(model).items()},
        "optimizer": optimizer.state_dict(),
        "random": torch.get_rng_state(),
        "cuda_random": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    _write(state, scratch / FILE)
    for path in scratch.glob(f"*-{BEST}"):
        if path.name != f"{best_step(metrics)}-{BEST}":
            path.unlink()


def best_step(metrics: list[Metric]) -> int:
    """The first step with the least validation loss; 0 when none was taken."""
    taken = [
        (metric.validation_loss, metric.step)
        for metric in metrics
        if metric.validation_loss is not None
    ]
    return min(taken)[1] if taken else 0


def save_best(scratch: Path, step: int, model: Any) -> None:
    """The state after `step` is the best so far. Earlier ones stay until the next checkpoint: the
    last may go on from them."""
    _write(
        {name: tensor.detach().cpu() for name, tensor in trained(model).items()},
        scratch / f"{step}-{BEST}",
    )


def _write(state: Any, path: Path) -> None:
    """Written beside, flushed, then renamed: there is never half a file."""
    import torch

    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as out:
        torch.save(state, out)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(path)


def resume(
    scratch: Path, key: str, model: Any, optimizer: Any, gang: Gang, run: Run
) -> list[Metric]:
    """Loads the first process's checkpoint into model and optimizer; the metrics so far, empty when
    there is none of this very training. Other nodes need not see the first one's folder, or may
    see it late."""
    import torch

    path = scratch / FILE
    saved = gang.of_first(path.read_bytes() if gang.leads and path.is_file() else b"")
    if not saved and not path.is_file():
        return []
    try:
        state = torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True)
        if state["key"] != key:
            run.note("the checkpoint is of another training: starting anew")
            return []
        restore(trained(model), state["trained"])
    except Exception as error:
        run.note(f"the checkpoint cannot be used ({type(error).__name__}: {error}): starting anew")
        return []
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["random"])
    if torch.cuda.is_available() and len(state["cuda_random"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda_random"])
    metrics = [Metric(*line) for line in state["metrics"]]
    run.note(f"continuing after step {len(metrics)}")
    return metrics


def restore_best(scratch: Path, step: int, model: Any) -> None:
    import torch

    restore(
        trained(model),
        torch.load(scratch / f"{step}-{BEST}", map_location="cpu", weights_only=True),
    )


def trained(model: Any) -> dict[str, Any]:
    return {
        name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad
    }


def restore(parameters: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    import torch

    if {name: p.shape for name, p in parameters.items()} != {
        name: t.shape for name, t in saved.items()
    }:
        raise ValueError("its tensors are not those of this model")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(saved[name])
