"""The driver of engines passes an honest one and names what others do wrong."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from testing.honest_plugins import Echo, caught

from hubkit.sdk import GenerateInput, GenerateOutput, read_records
from hubkit.sdk.testing import check_engine


def test_engine(generate_job: GenerateInput) -> None:
    assert check_engine(Echo(), generate_job).template == "plain"


class Moody(Echo):
    def say(self, prompt: str) -> str:
        return f"{prompt} {random.random()}"


class Chatty(Echo):
    def say(self, prompt: str) -> str:
        return "word " * 9


class Shuffled(Echo):
    def generate(self, job: GenerateInput, run: Any) -> GenerateOutput:
        output = super().generate(job, run)
        path = job.output / output.answers
        path.write_text("\n".join(reversed(path.read_text().splitlines())))
        return output


class Unstoppable(Echo):
    def generate(self, job: GenerateInput, run: Any) -> GenerateOutput:
        run.check_cancelled = lambda: None
        return super().generate(job, run)


class Quiet(Echo):
    def generate(self, job: GenerateInput, run: Any) -> GenerateOutput:
        run.progress = lambda *amounts: None
        return super().generate(job, run)


class Doubling(Echo):
    """Writes each answer at once, whatever an earlier run left."""

    def generate(self, job: GenerateInput, run: Any) -> GenerateOutput:
        records, path = list(read_records(job.records)), job.output / "answers.jsonl"
        for number, record in enumerate(records):
            run.check_cancelled()
            answer = {
                "id": record.id,
                "texts": ["x" for _ in record.turns],
                "finish": ["stop" for _ in record.turns],
            }
            with path.open("a") as out:
                out.write(json.dumps(answer) + "\n")
            run.progress(number + 1, len(records), "records")
        return GenerateOutput(
            "answers.jsonl",
            "<img><IMG_CONTEXT></img> which?",
            "plain",
            {"echo": "1"},
            0.0,
            0.1,
            0.2,
        )


class Verbose(Echo):
    def generate(self, job: GenerateInput, run: Any) -> GenerateOutput:
        return replace(super().generate(job, run), prompt="<IMG_CONTEXT>" * 16)


@pytest.mark.parametrize(
    ("plugin", "says"),
    [
        (Moody(), "two runs answer differently: ['a', 'b']"),
        (Chatty(), "[9] tokens, more than max_new_tokens 8"),
        (Shuffled(), "answers must be of all records in their order"),
        (Verbose(), "shortened to one"),
        (Unstoppable(), "`generate` finished although it was cancelled"),
        (Quiet(), "`generate` reported no progress"),
        (Doubling(), "answers must be of all records in their order, they are of ['a', 'a', 'b']"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_engine_that_breaks_its_contract(
    generate_job: GenerateInput, plugin: Any, says: str
) -> None:
    assert says in caught(lambda: check_engine(plugin, generate_job))
