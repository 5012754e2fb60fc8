"""The life of a trainer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..trainer import Foreseen, Trainer, TrainInput, TrainOutput
from ._base import (
    WatchedRun,
    as_a_worker_gets_it,
    check_cancels,
    check_contract,
    check_relative,
    check_travels,
    digests,
    require,
)


def check_trainer(plugin: Trainer, job: TrainInput) -> TrainOutput:
    """Trains `job` twice, cancels a third run and continues it: the adapter is the same, byte for
    byte, each time. What the trainer foresees, where it can, is what it then does.

    The runs go to folders beside `job.output` and `job.scratch`. Returns the first run's output,
    made in `job.output`.
    """
    check_contract(plugin, "trainer")
    first = as_a_worker_gets_it(plugin, job)
    output = _train(plugin, first)
    adapter = digests(first.output)

    second = _beside(first, "again")
    _train(plugin, second)
    require(
        digests(second.output) == adapter,
        f"two runs differ in {_different(first.output, second.output)}",
    )

    third = _beside(first, "cancelled")
    _make(third)
    check_cancels(lambda run: plugin.train(third, run), "`train`", after=1)
    resumed = replace(third, output=third.output.with_name(third.output.name + "-resumed"))
    _train(plugin, resumed)
    require(
        digests(resumed.output) == adapter,
        f"a resumed run differs in {_different(first.output, resumed.output)}",
    )
    if callable(getattr(plugin, "foresee", None)):
        _check_foresees(plugin, _beside(first, "foreseen"), output)
    return output


def _check_foresees(plugin: Any, job: TrainInput, output: TrainOutput) -> None:
    _make(job)
    told = plugin.foresee(job, WatchedRun())
    check_travels(told, Foreseen)
    found, done = (told.steps, told.samples), (output.steps, output.samples)
    require(
        found == done,
        f"`foresee` says {found[0]} steps of {found[1]} samples in all, `train` made {done[0]} of "
        f"{done[1]}",
    )
    require(
        told.memory >= 0 and told.seconds >= 0, f"memory and seconds must not be negative: {told}"
    )


def _train(plugin: Trainer, job: TrainInput) -> TrainOutput:
    _make(job)
    run = WatchedRun()
    output = plugin.train(job, run)
    check_travels(output, TrainOutput)
    require(run.reports, "`train` reported no progress")
    check_relative(output.adapter, job.output, "TrainOutput.adapter")
    _check_metrics(check_relative(output.metrics, job.output, "TrainOutput.metrics"), output)
    require(
        output.samples > 0 and output.steps > 0 and output.trainable_parameters > 0,
        f"nothing was trained: {output}",
    )
    return output


def _check_metrics(path: Path, output: TrainOutput) -> None:
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    require(lines, f"{path.name} is empty")
    for line in lines:
        require(
            {"step", "loss", "learning_rate"} <= set(line),
            f"{path.name} lacks step, loss or learning_rate: {line}",
        )
    steps = [line["step"] for line in lines]
    require(steps == sorted(set(steps)), f"the steps in {path.name} do not rise: {steps[:10]}")
    require(
        steps[-1] <= output.steps,
        f"{path.name} goes to step {steps[-1]}, TrainOutput.steps is {output.steps}",
    )


def _beside(job: TrainInput, name: str) -> TrainInput:
    return replace(
        job,
        output=job.output.with_name(f"{job.output.name}-{name}"),
        scratch=job.scratch.with_name(f"{job.scratch.name}-{name}"),
    )


def _make(job: TrainInput) -> None:
    job.output.mkdir(parents=True, exist_ok=True)
    job.scratch.mkdir(parents=True, exist_ok=True)
    require(not any(job.output.iterdir()), f"{job.output} must be empty before a run")


def _different(one: Path, other: Path) -> str:
    left, right = digests(one), digests(other)
    return ", ".join(sorted(name for name in {*left, *right} if left.get(name) != right.get(name)))
