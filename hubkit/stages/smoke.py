"""smoke: a gate. The model folder, under its final name, must answer held-out images over the turns
of a conversation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from ..errors import EnvironmentFailure, RefusedError
from ..models import Model
from ..parity import Parity, Sampled
from ..sdk import Answer, Record, Run, Turn, read_records
from . import merge, prepare
from ._engines import Compared, can_run, compare, instead
from ._parity import sampled
from ._stage import Context, Stage, plugin_inputs
from ._workers import Questioning, ask, discard_worker, native_view


@dataclass(frozen=True)
class Exchange:
    """One conversation: `questions` and the model's `answers`, turn by turn, about `images`."""

    images: tuple[str, ...]
    questions: tuple[str, ...]
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Smoked:
    """`prompt` is the exact text of the first turn with the image positions shortened to one, of
    the first training record in a release; `parity` says whether the model was trained with it.
    `not_run` is the engine in whose place `engine` was asked; `numbers` are as in GenerateOutput.
    """

    engine: str
    transcript: tuple[Exchange, ...]
    prompt: str
    template: str
    versions: dict[str, str]
    load_seconds: float
    first_seconds: float
    not_run: str = ""
    compared: Compared | None = None
    numbers: dict[str, float] = field(default_factory=dict)
    parity: Parity | None = None


def smoke(
    questioning: Questioning,
    model: Model,
    native: Path,
    out: Path,
    run: Run,
    sample: Sampled | None = None,
) -> Smoked:
    """Asks `sample` before everything else, for its prompt alone.

    Raises:
        RefusedError: the prompt is not the one that the model was trained with; or an answer is
            empty, endless, repeats itself or holds a special token (with the transcript).
    """
    first = [sample.record] if sample else []
    output, answers = ask(
        replace(questioning, records=[*first, *questioning.records]), model, native, out, run
    )
    parity = sample.compare(questioning.engine, output) if sample else None
    answers = answers[len(first) :]
    pairs = list(zip(questioning.records, answers, strict=True))
    problems = [problem for record, answer in pairs for problem in _problems(record, answer)]
    transcript = tuple(
        Exchange(r.images, tuple(t.prompt for t in r.turns), a.texts) for r, a in pairs
    )
    if problems:
        raise RefusedError(
            "the model did not pass the smoke test:\n"
            + "\n".join(f"  {p}" for p in problems)
            + "\n"
            + show(transcript),
            "look at the training loss and the chat template; nothing was published",
        )
    return Smoked(
        questioning.engine,
        transcript,
        output.prompt,
        output.template,
        dict(output.versions),
        output.load_seconds,
        output.first_seconds,
        numbers=dict(output.numbers),
        parity=parity,
    )


def with_prompts(record: Record, prompts: tuple[str, ...]) -> Record:
    """`record` asked `prompts` instead of its own questions; the images go before the first one, as
    the model was trained."""
    if not prompts:
        return record
    images = "".join("<image>\n" for _ in record.images) if "<image>" not in prompts[0] else ""
    texts = (images + prompts[0], *prompts[1:])
    return replace(record, turns=tuple(Turn(text, "") for text in texts))


def _problems(record: Record, answer: Answer) -> list[str]:
    found = []
    for number, (text, finish) in enumerate(zip(answer.texts, answer.finish, strict=True), 1):
        where = f"{record.id}, turn {number}"
        if not text.strip():
            found.append(f"{where}: the answer is empty")
        elif finish != "stop":
            found.append(f"{where}: the answer did not end: {text[:80]!r}")
        elif _repeats(text):
            found.append(f"{where}: the answer repeats itself: {text[:80]!r}")
        if "<|" in text or "</s>" in text or "<IMG_CONTEXT>" in text:
            found.append(f"{where}: the answer holds special tokens: {text[:80]!r}")
    return found


def _repeats(text: str) -> bool:
    """Four or more times the same run of words at the end: greedy decoding gone round in
    circles."""
    words = text.split()
    return any(
        len(words) >= 4 * n and words[-n:] * 4 == words[-4 * n :]
        for n in range(1, len(words) // 4 + 1)
    )


def show(transcript: tuple[Exchange, ...]) -> str:
    lines = []
    for exchange in transcript:
        lines.append(f"  [{', '.join(exchange.images) or 'no image'}]")
        for question, answer in zip(exchange.questions, exchange.answers, strict=True):
            lines += [
                f"    user:  {question.replace('<image>', '').strip()}",
                f"    model: {answer}",
            ]
    return "\n".join(lines)


def smoke_questions(context: Context) -> Questioning:
    spec = context.spec.smoke
    records = islice(read_records(context.folder(prepare.STAGE) / prepare.HOLDOUT), spec.images)
    asked = [with_prompts(record, spec.prompts) for record in records]
    return Questioning(
        spec.engine,
        spec.environment,
        spec.options,
        spec.max_new_tokens,
        asked,
        context.images,
        spec.deadline,
    )


def final_questions(context: Context) -> Questioning:
    """The same, to the engine that was asked in the end."""
    ran, questions = context.result(STAGE), smoke_questions(context)
    return instead(questions, ran.engine) if ran.not_run else questions


def _inputs(context: Context) -> dict[str, str]:
    spec = context.spec.smoke
    own = {
        "images": str(spec.images),
        "prompts": str(spec.prompts),
        "max_new_tokens": str(spec.max_new_tokens),
    }
    own |= {
        "compare_with": spec.compare_with,
        "tolerance": str(spec.tolerance),
        "fallback": spec.fallback,
    }
    own |= {"trained prompt": sampled(context).digest}
    return (
        own
        | plugin_inputs("engine", spec.engine, spec.options, spec.environment)
        | context.upstream(prepare.STAGE, merge.STAGE)
    )


def _run(context: Context, out: Path) -> Smoked:
    model = merge.merged_model(context)
    native = native_view(model, merge.merged_native(context), context.run)
    result = _or_fallback(
        context,
        lambda questions: smoke(questions, model, native, out, context.run, sampled(context)),
    )
    result = _compared(context, result, model, native, out)
    discard_worker(out)
    return result


def _or_fallback(context: Context, smoke: Callable[[Questioning], Smoked]) -> Smoked:
    """The fallback's answers only where the engine's environment, a GPU included, is what is
    missing."""
    spec, questions = context.spec.smoke, smoke_questions(context)
    try:
        return smoke(questions)
    except EnvironmentFailure as error:
        if not spec.fallback or can_run(questions):
            raise
        context.run.note(
            f"{spec.engine} cannot run here, so {spec.fallback} is asked: {error.message}"
        )
        return replace(smoke(instead(questions, spec.fallback)), not_run=spec.engine)


def _compared(context: Context, result: Smoked, model: Model, native: Path, out: Path) -> Smoked:
    spec, folder = context.spec.smoke, out / "compared"
    if spec.compare_with in ("", result.engine):
        return result
    context.run.note(f"asking {spec.compare_with} the same")
    _, answers = ask(
        instead(smoke_questions(context), spec.compare_with), model, native, folder, context.run
    )
    discard_worker(folder)
    texts = [
        (f"{answer.id}, turn {turn}", mine.strip(), theirs.strip())
        for exchange, answer in zip(result.transcript, answers, strict=True)
        for turn, (mine, theirs) in enumerate(zip(exchange.answers, answer.texts, strict=True), 1)
    ]
    return replace(
        result, compared=compare(result.engine, spec.compare_with, texts, spec.tolerance)
    )


def _summary(result: Smoked) -> str:
    text = (
        f"{sum(len(e.answers) for e in result.transcript)} answers by {result.engine}, all ended "
        "as they should"
    )
    if result.compared:
        text += (
            f"; {result.compared.different} of {result.compared.answers} unlike those of "
            f"{result.compared.engine}"
        )
    return text + (f"; {result.not_run} was not run" if result.not_run else "")


STAGE = Stage(
    name="smoke",
    purpose="the model must answer before anything is published",
    result=Smoked,
    inputs=_inputs,
    run=_run,
    summary=_summary,
)
