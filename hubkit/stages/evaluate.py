"""evaluate: the base and the model answer the same held-out records, greedily; the scores are what the card may claim."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ..digests import of_json
from ..errors import RefusedError
from ..sdk import IMAGE, Answer, Record, read_records
from ..spec import Evaluate
from . import merge, prepare
from ._stage import Context, Stage, plugin_inputs
from ._workers import Questioning, ask, discard_worker, native_view

BEFORE, AFTER = "before", "after"
_SAMPLES = 24


@dataclass(frozen=True)
class Sample:
    """One held-out record as the card shows it: the first image and turn."""

    id: str
    image: str
    question: str
    reference: str
    base_answer: str | None
    answer: str


@dataclass(frozen=True)
class Evaluated:
    """`count` records; `base_correct` and `correct` of them are right, in all their turns. Without a base to compare with,
    `base_correct` and `base_score` are None."""

    metric: str
    count: int
    base_correct: int | None
    correct: int
    samples: tuple[Sample, ...]

    @property
    def base_score(self) -> float | None:
        return None if self.base_correct is None else self.base_correct / self.count

    @property
    def score(self) -> float:
        return self.correct / self.count


def _exact_match(answer: str, reference: str) -> bool:
    return answer.strip() == reference.strip()


def _contains(answer: str, reference: str) -> bool:
    return reference.strip().casefold() in answer.casefold()


METRICS: dict[str, Callable[[str, str], bool]] = {"exact_match": _exact_match, "contains": _contains}


def is_correct(metric: str, record: Record, answer: Answer) -> bool:
    judge = METRICS[metric]
    return all(judge(text, turn.answer) for text, turn in zip(answer.texts, record.turns, strict=True))


def score(metric: str, records: Sequence[Record], answers: Sequence[Answer], base: Sequence[Answer] | None) -> Evaluated:
    """Scores the answers, beside the base's when there are any, and picks samples: first those that the base answered
    differently, in the order of the records."""
    correct = sum(is_correct(metric, r, a) for r, a in zip(records, answers, strict=True))
    base_correct = None if base is None else sum(is_correct(metric, r, b) for r, b in zip(records, base, strict=True))
    rows = [(r, a, base[i].texts[0] if base else None) for i, (r, a) in enumerate(zip(records, answers, strict=True)) if r.images]
    rows.sort(key=lambda row: row[2] == row[1].texts[0])
    samples = tuple(
        Sample(r.id, r.images[0], r.turns[0].prompt.replace(IMAGE, "").strip(), r.turns[0].answer, before, a.texts[0])
        for r, a, before in rows[:_SAMPLES]
    )
    return Evaluated(metric, len(records), base_correct, correct, samples)


def describe(result: Evaluated) -> str:
    before = "" if result.base_score is None else f"{result.base_score:.1%} -> "
    return f"{result.metric} {before}{result.score:.1%} on {result.count} held-out records"


def check_gate(result: Evaluated, spec: Evaluate) -> None:
    """Raises RefusedError when the scores are below what the release file requires."""
    gain = result.score - (result.base_score or 0.0)
    problems = []
    if result.score < spec.min_score:
        problems.append(f"{result.metric} is {result.score:.1%}, and evaluate.min_score asks for {spec.min_score:.1%}")
    if spec.min_improvement is not None and gain < spec.min_improvement:
        problems.append(
            f"the change is {100 * gain:+.1f} points, and evaluate.min_improvement asks for {100 * spec.min_improvement:+.1f}"
        )
    if problems:
        raise RefusedError(
            f"the model is not good enough to release ({result.count} held-out records): " + "; ".join(problems),
            "train longer or on better data; nothing was published",
        )


def _inputs(context: Context) -> dict[str, str]:
    spec = context.spec.evaluate
    plain = spec.model_dump(include={"metric", "limit", "max_new_tokens", "min_score", "min_improvement"})
    own = {"base": context.base_digest} | {key: str(value) for key, value in plain.items()}
    return (
        own | plugin_inputs("engine", spec.engine, spec.options, spec.environment) | context.upstream(prepare.STAGE, merge.STAGE)
    )


def _run(context: Context, out: Path) -> Evaluated:
    spec, workspace = context.spec.evaluate, context.workspace
    records = list(islice(read_records(context.folder(prepare.STAGE) / prepare.HOLDOUT), spec.limit))
    questioning = Questioning(
        spec.engine, spec.environment, spec.options, spec.max_new_tokens, records, context.images, spec.deadline
    )
    models = {
        BEFORE: (context.base, workspace.native("base", context.base_digest)),
        AFTER: (merge.merged_model(context), merge.merged_native(context)),
    }
    scratch = workspace.scratch(STAGE.name) / of_json(_inputs(context))[:16]  # answers so far survive a kill
    answers = {}
    for name, (model, place) in models.items():
        context.run.note(f"asking {model.folder.name}")
        native = native_view(model, place, context.run)
        answers[name] = ask(questioning, model, native, scratch / name, context.run)[1]
        discard_worker(scratch / name)
    for name in models:
        (scratch / name).replace(out / name)
    result = score(spec.metric, records, answers[AFTER], answers[BEFORE])
    check_gate(result, spec)
    return result


STAGE = Stage(
    name="evaluate",
    purpose="measure the base and the model on the held-out records",
    result=Evaluated,
    inputs=_inputs,
    run=_run,
    summary=describe,
)
