"""The engine: loads once, answers in batches of like length, keeps each batch at once, and
continues what a kill left behind."""

from __future__ import annotations

from contextlib import closing
from time import perf_counter
from typing import ClassVar

from hubkit.sdk import (
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

from .kept import Kept
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
        from .asking import Asker
        from .batching import Limits, Preparing, batches
        from .inputs import question
        from .loading import load

        options = decode(Options, job.options, "options of engine transformers")
        records = list(read_records(job.records))
        kept = Kept(job.output / ANSWERS, records)
        started = perf_counter()
        loaded = load(job.native, job.model, job.vision, options)
        ready = perf_counter()
        first = 0.0
        arrange = loaded.arrange
        limits = Limits(options.batch_size, options.batch_tokens, loaded.steady)
        prepare = Preparing(
            arrange, lambda record: question(record, job.images, arrange), job.max_new_tokens
        )
        asker = Asker(loaded, prepare, job.max_new_tokens, limits, options.exact)
        with closing(batches(kept.missing(), prepare, limits)) as chosen:
            for batch in chosen:
                for answers in asker.ask(batch, run):
                    kept.add(answers)
                first = first or perf_counter() - ready
                run.progress(len(kept), len(records), "records")
        kept.finish()
        if asker.again:
            run.note(f"{asker.again} of {len(records)} answers hung on a close call: asked alone")
        prompt, ids, inputs = arrange.first(records[0], job.images) if records else ("", (), "")
        return GenerateOutput(
            answers=ANSWERS,
            prompt=prompt,
            prompt_ids=ids,
            template=arrange.template,
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


def _versions() -> dict[str, str]:
    import platform
    from importlib.metadata import version

    return {
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
    }
