"""The engine: loads once, answers in batches, writes each batch at once, and continues a file that
a kill left behind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from time import perf_counter
from typing import ClassVar, TextIO

from hubkit.sdk import (
    Answer,
    GenerateInput,
    GenerateOutput,
    Length,
    MeasureInput,
    MeasureOutput,
    Requirements,
    Run,
    ServeInput,
    ServeOutput,
    read_records,
)
from hubkit.sdk.codec import decode
from hubkit.sdk.records import kept_answers

from .options import Options

ANSWERS = "answers.jsonl"


class TransformersEngine:
    kind: ClassVar[str] = "engine"
    name: ClassVar[str] = "transformers"
    sdk: ClassVar[str] = "1.4"
    requirements: ClassVar[Requirements] = Requirements(
        (("torch", "2.4"), ("transformers", "5.20")), "transformers"
    )
    Options: ClassVar[type] = Options

    def generate(self, job: GenerateInput, run: Run) -> GenerateOutput:
        from .asking import answer
        from .inputs import question
        from .loading import load

        options = decode(Options, job.options, "options of engine transformers")
        records = list(read_records(job.records))
        path = job.output / ANSWERS
        done = kept_answers(path, records, options.batch_size)
        started = perf_counter()
        loaded = load(job.native, job.model, job.vision, options)
        ready = perf_counter()
        first = 0.0
        with path.open("a", encoding="utf-8", newline="\n") as out:
            for start in range(done, len(records), options.batch_size):
                run.check_cancelled()
                chosen = records[start : start + options.batch_size]
                batch = [question(record, job.images, loaded.arrange) for record in chosen]
                _write(out, answer(loaded, batch, job.max_new_tokens))
                first = first or perf_counter() - ready
                run.progress(start + len(batch), len(records), "records")
        prompt, ids, inputs = (
            loaded.arrange.first(records[0], job.images) if records else ("", (), "")
        )
        return GenerateOutput(
            answers=ANSWERS,
            prompt=prompt,
            prompt_ids=ids,
            template=loaded.arrange.template,
            versions=_versions(),
            load_seconds=ready - started,
            first_seconds=first,
            total_seconds=perf_counter() - ready,
            inputs=inputs,
        )

    def measure(self, job: MeasureInput, run: Run) -> MeasureOutput:
        from .inputs import arrangement, measured

        arrange, lengths = arrangement(job.native, job.vision), []
        records = list(read_records(job.records))
        for number, record in enumerate(records, 1):
            run.check_cancelled()
            tokens, answers = measured(arrange, record, job.images)
            lengths.append(Length(record.id, tokens, answers))
            run.progress(number, len(records), "records measured")
        return MeasureOutput(tuple(lengths))

    def serve(self, job: ServeInput, run: Run) -> ServeOutput:
        from .serving import serve

        return serve(job, run)


def _write(out: TextIO, answers: Sequence[Answer]) -> None:
    lines = "".join(
        json.dumps(asdict(answer), ensure_ascii=False, sort_keys=True) + "\n" for answer in answers
    )
    out.write(lines)
    out.flush()


def _versions() -> dict[str, str]:
    import platform
    from importlib.metadata import version

    return {
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
    }
