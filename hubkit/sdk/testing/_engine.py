"""The life of an engine."""

from __future__ import annotations

import contextlib

from ..engine import Engine, GenerateInput, GenerateOutput
from ..errors import CancelledError
from ..records import Answer, read_answers, read_records
from ._base import (
    WatchedRun,
    as_a_worker_gets_it,
    beside,
    check_cancels,
    check_contract,
    check_relative,
    check_travels,
    require,
)


def check_engine(plugin: Engine, job: GenerateInput) -> GenerateOutput:
    """Answers `job` twice, with the same result, cancels a third run, and lets one that was broken
    off go on in its folder.

    The runs go to folders beside `job.output`. Returns the first run's output, made in
    `job.output`.
    """
    check_contract(plugin, "engine")
    first = as_a_worker_gets_it(plugin, job)
    output, answers = _generate(plugin, first, WatchedRun())
    again, repeated = _generate(plugin, beside(first, "again"), WatchedRun())
    differing = [one.id for one, other in zip(answers, repeated, strict=True) if one != other]
    require(not differing, f"two runs answer differently: {differing[:5]}")
    require(again.prompt == output.prompt, "two runs have different prompts")
    cancelled = beside(first, "cancelled")
    cancelled.output.mkdir(parents=True)
    check_cancels(lambda run: plugin.generate(cancelled, run), "`generate`", after=0)
    broken_off = beside(first, "continued")
    broken_off.output.mkdir(parents=True)
    with contextlib.suppress(CancelledError):  # an engine may be done with its first report
        plugin.generate(broken_off, WatchedRun(cancel_at=1))
    _, continued = _generate(plugin, broken_off, None)
    require(
        continued == answers,
        "a run that goes on in the folder of one that was broken off answers differently",
    )
    return output


def _generate(
    plugin: Engine, job: GenerateInput, watched: WatchedRun | None
) -> tuple[GenerateOutput, list[Answer]]:
    """`watched` must see progress; a run with nothing left to do has none."""
    job.output.mkdir(parents=True, exist_ok=True)
    output = plugin.generate(job, watched or WatchedRun())
    check_travels(output, GenerateOutput)
    require(watched is None or watched.reports, "`generate` reported no progress")
    answers = list(
        read_answers(check_relative(output.answers, job.output, "GenerateOutput.answers"))
    )
    records = list(read_records(job.records))
    ids = [answer.id for answer in answers]
    require(
        ids == [record.id for record in records],
        f"answers must be of all records in their order, they are of {ids[:5]}...",
    )
    for answer, record in zip(answers, records, strict=True):
        turns = len(record.turns)
        require(
            len(answer.texts) == turns,
            f"record {record.id!r} has {turns} turns and {len(answer.texts)} answers",
        )
        reasons = set(answer.finish)
        require(
            len(answer.finish) == turns and reasons <= {"stop", "length"},
            f"record {record.id!r}: finish is {answer.finish}",
        )
        over = [count for count in answer.tokens if count > job.max_new_tokens]
        require(
            not over,
            f"record {record.id!r}: {over} tokens, more than max_new_tokens {job.max_new_tokens}",
        )
    context = job.vision.context
    require(
        (output.prompt or job.server) and context * 2 not in output.prompt,
        f"`prompt` must be the exact text with {context} shortened to one",
    )
    require(output.versions, "`versions` is empty")
    seconds = (output.load_seconds, output.first_seconds, output.total_seconds)
    require(min(seconds) >= 0, f"seconds must not be negative: {seconds}")
    return output, answers
