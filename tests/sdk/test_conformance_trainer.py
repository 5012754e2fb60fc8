"""The driver of trainers passes an honest one and names what others do wrong."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import Any

import pytest
from testing.honest_plugins import Walker, caught

from hubkit.sdk import TrainInput, TrainOutput
from hubkit.sdk.testing import check_trainer


def test_trainer(train_job: TrainInput) -> None:
    output = check_trainer(Walker(), train_job)
    assert (output.steps, output.settings) == (6, {"steps": 6})
    assert (train_job.output / output.adapter).exists()


class Unseeded(Walker):
    def train(self, job: TrainInput, run: Any) -> TrainOutput:
        return super().train(replace(job, seed=random.SystemRandom().randrange(1 << 30)), run)


class Deaf(Walker):
    def train(self, job: TrainInput, run: Any) -> TrainOutput:
        run.check_cancelled = lambda: None
        return super().train(job, run)


class Timed(Walker):
    def train(self, job: TrainInput, run: Any) -> TrainOutput:
        output = super().train(job, run)
        (job.output / "time.txt").write_text(str(time.monotonic_ns()))
        return output


class Outside(Walker):
    def train(self, job: TrainInput, run: Any) -> TrainOutput:
        return replace(super().train(job, run), adapter=str(job.output / "adapter.json"))


class Forgetful(Walker):
    def train(self, job: TrainInput, run: Any) -> TrainOutput:
        first = not (job.scratch / "state.json").exists()
        output = super().train(job, run)
        (job.output / "adapter.json").write_text(f"{first}")
        return output


@pytest.mark.parametrize(
    ("plugin", "says"),
    [
        (Unseeded(), "two runs differ in adapter.json, metrics.jsonl"),
        (Timed(), "two runs differ in time.txt"),
        (Deaf(), "`train` finished although it was cancelled"),
        (Outside(), "TrainOutput.adapter is '"),
        (Forgetful(), "a resumed run differs in adapter.json"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_trainer_that_breaks_its_contract(train_job: TrainInput, plugin: Any, says: str) -> None:
    assert says in caught(lambda: check_trainer(plugin, train_job))
