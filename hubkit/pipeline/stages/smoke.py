"""smoke: a gate. The model folder, under its final name, must answer held-out images over the turns
of a conversation."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from ...inference.engines import instead
from ...inference.questions import Questioning
from ...inference.smoke import Smoked, smoke, with_prompts
from ...sdk import read_records
from ...weights.convert import native_view
from ..first_prompt import sampled
from ..spec.fields import environment
from ..stage import Context, Stage, plugin_inputs, seconds
from . import merge, prepare


def smoke_questions(context: Context) -> Questioning:
    spec = context.spec.smoke
    records = islice(read_records(context.folder(prepare.STAGE) / prepare.HOLDOUT), spec.images)
    asked = [with_prompts(record, spec.prompts) for record in records]
    return Questioning(
        spec.engine,
        environment(spec.environment),
        spec.options,
        spec.max_new_tokens,
        asked,
        context.images,
        seconds(spec.deadline),
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
    spec, model = context.spec.smoke, merge.merged_model(context)
    native = native_view(model, merge.merged_native(context), context.run)
    return smoke(
        smoke_questions(context),
        model,
        native,
        out,
        context.run,
        sample=sampled(context),
        fallback=spec.fallback,
        compare_with=spec.compare_with,
        tolerance=spec.tolerance,
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
    result=Smoked,
    inputs=_inputs,
    run=_run,
    summary=_summary,
)
