"""The engine: checks who answers, asks several records at once, writes each answer in its turn, and
continues a file that a kill left behind."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from time import perf_counter
from typing import ClassVar

from hubkit.sdk import (
    GenerateInput,
    GenerateOutput,
    Requirements,
    Run,
    UsageError,
    read_records,
)
from hubkit.sdk.codec import decode
from hubkit.sdk.records import kept_answers

from .asking import Asker
from .in_order import in_order
from .options import Options

ANSWERS = "answers.jsonl"


class OpenAIEngine:
    kind: ClassVar[str] = "engine"
    name: ClassVar[str] = "openai"
    sdk: ClassVar[str] = "1.5"
    requirements: ClassVar[Requirements] = Requirements((("PIL", "10"),), "")
    Options: ClassVar[type] = Options

    def generate(self, job: GenerateInput, run: Run) -> GenerateOutput:
        options = decode(Options, job.options, "options of engine openai")
        if job.server is None:
            raise UsageError(
                f"no server to ask: {options.url_env} was not handed over",
                f"export {options.url_env} with its address",
            )
        records = list(read_records(job.records))
        path = job.output / ANSWERS
        done = kept_answers(path, records, 1)
        run.check_cancelled()
        started = perf_counter()
        asker = Asker(job.server, job, options, run)
        owner = asker.owner()
        ready = perf_counter()
        first = 0.0
        asking = in_order(asker.answer, records[done:], options.concurrency, run)
        with path.open("a", encoding="utf-8", newline="\n") as out:
            for number, answer in enumerate(asking, done + 1):
                line = json.dumps(asdict(answer), ensure_ascii=False, sort_keys=True)
                out.write(f"{line}\n")
                out.flush()
                first = first or perf_counter() - ready
                run.progress(number, len(records), "records")
                run.check_cancelled()
        return GenerateOutput(
            answers=ANSWERS,
            prompt="",
            template="the server's",
            versions={"python": platform.python_version(), "server": owner or "not told"},
            load_seconds=ready - started,
            first_seconds=first,
            total_seconds=perf_counter() - ready,
        )
