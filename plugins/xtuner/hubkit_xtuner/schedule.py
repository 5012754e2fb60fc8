"""Epochs, iterations, warm-up and checkpoints of a configuration, predicted as xtuner and mmengine
count them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hubkit.sdk import UsageError

from .options import Options


@dataclass(frozen=True)
class Length:
    """`epochs` or `iterations` is what the configuration gives; `rise`, the warm-up, is in the same
    unit."""

    epochs: float | None
    iterations: int | None
    rise: float


@dataclass(frozen=True)
class Plan:
    """`iterations` are batches, not optimizer steps; `saved` are the iterations after which a
    checkpoint is written, `kept` how many of them are there at one time."""

    iterations: int
    per_epoch: int
    warmup: int
    saved: tuple[int, ...]
    kept: int
    samples: int


def batch(config: Mapping[str, Any]) -> int:
    return int(config["train_dataloader"]["batch_size"])


def accumulation(config: Mapping[str, Any]) -> int:
    return int(config["optim_wrapper"].get("accumulative_counts", 1))


def read(config: Mapping[str, Any]) -> Length:
    train, schedulers = config["train_cfg"], config.get("param_scheduler") or []
    first = schedulers[0] if isinstance(schedulers, list) and schedulers else {}
    linear = str(first.get("type", "")).endswith("LinearLR")
    return Length(
        train.get("max_epochs"), train.get("max_iters"), first.get("end", 0) if linear else 0
    )


def write(config: dict[str, Any], before: Length, options: Options) -> None:
    """A linear rise, then half a cosine to 0, as the shipped configuration has them; untouched when
    nothing is asked for."""
    if options.epochs is None and options.iterations is None and options.warmup_ratio is None:
        return
    share = options.warmup_ratio
    if share is None:
        share = before.rise / (before.iterations or before.epochs or 1)
    iterations = options.iterations or (None if options.epochs else before.iterations)
    whole: float = iterations or options.epochs or before.epochs or 1
    kind = {"by_epoch": not iterations, **({} if iterations else {"convert_to_iter_based": True})}
    rise = int(share * whole) if iterations else share * whole
    linear = {
        "type": "mmengine.optim.LinearLR",
        "start_factor": 1e-5,
        "begin": 0,
        "end": rise,
        **kind,
    }
    cosine = {
        "type": "mmengine.optim.CosineAnnealingLR",
        "eta_min": 0.0,
        "begin": rise,
        "end": whole,
        **kind,
    }
    config["param_scheduler"] = [linear, cosine] if share else [cosine]
    loop = {"type": config["train_cfg"].get("type", "xtuner.engine.runner.TrainLoop")}
    config["train_cfg"] = (
        {**loop, "max_iters": whole} if iterations else {**loop, "max_epochs": whole}
    )


def plan(config: Mapping[str, Any], samples: int, devices: int) -> Plan:
    """What a training of `samples` records on `devices` devices will do.

    Raises:
        UsageError: no whole number of iterations, no warm-up step, or a checkpoint between two
            optimizer steps.
    """
    size, group, length = batch(config), accumulation(config), read(config)
    per_epoch = _per_epoch(config, samples, devices, size, group)
    total = length.iterations or (length.epochs or 0) * per_epoch
    if total < 1 or int(total) != total:
        raise UsageError(
            f"{length.epochs} epochs of {per_epoch} iterations are {total} iterations: xtuner "
            "needs a whole number",
            "set `iterations` instead of `epochs`",
        )
    total = int(total)
    rise = int(length.rise * (1 if length.iterations else per_epoch))
    if rise < 2 and _warms_up(config):
        share = length.rise / (length.iterations or length.epochs or 1)
        raise UsageError(
            f"warmup_ratio {share:g} of {total} iterations gives {rise}: mmengine fails on an "
            "empty warm-up, and one of a single iteration leaves the learning rate at a "
            "hundred-thousandth for good",
            f"set warmup_ratio: 0 for none, or at least {_up(2 / total)}",
        )
    hook = config["default_hooks"].get("checkpoint", {})
    every, keep = int(hook.get("interval", total)), int(hook.get("max_keep_ckpts", -1))
    if every % group and every < total:
        raise UsageError(
            f"save_every {every} is no multiple of accumulation {group}: gradients between two "
            "steps are not saved",
            f"set save_every: {math.ceil(every / group) * group}",
        )
    saved = sorted({*range(every, total + 1, every), total})
    return Plan(
        total,
        per_epoch,
        rise,
        tuple(saved),
        len(saved) if keep < 0 else min(keep, len(saved)),
        samples,
    )


def _per_epoch(config: Mapping[str, Any], samples: int, devices: int, size: int, group: int) -> int:
    """LengthGroupedSampler fills up to whole optimizer steps on every device; other samplers to
    whole batches."""
    if str(config["train_dataloader"].get("sampler", {}).get("type", "")).endswith(
        "LengthGroupedSampler"
    ):
        return math.ceil(samples / devices / (size * group)) * group
    return math.ceil(math.ceil(samples / devices) / size)


def _warms_up(config: Mapping[str, Any]) -> bool:
    schedulers = config.get("param_scheduler") or [{}]
    return str(schedulers[0].get("type", "")).endswith("LinearLR")


def _up(value: float) -> float:
    """Rounded up to two significant digits."""
    scale: float = 10 ** (1 - math.floor(math.log10(value)))
    return math.ceil(value * scale) / scale
