"""evaluate: the base and the model answer the same held-out records, greedily; the scores are what
the card may claim."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import islice
from pathlib import Path

from ...digests import of_json
from ...errors import UsageError
from ...evaluation.gates import refuse_below
from ...evaluation.judging import Answered, metric_named, score
from ...evaluation.results import Evaluated, summary
from ...evaluation.samples import write_samples
from ...evaluation.score import check_references, evaluated
from ...inference.questions import AFTER, BEFORE, Questioning, ask_each, join_each
from ...inference.shares import processes_here
from ...sdk import Record, read_records
from ...weights.model import Model
from ..first_prompt import sampled
from ..spec.fields import environment
from ..spec.model import Spec
from ..stage import Context, Stage, plugin_inputs, seconds
from . import merge, prepare

SAMPLES, ASKING = "samples.jsonl", "asking.sha256"


def _asking(context: Context) -> dict[str, str]:
    """What the answers depend on."""
    spec = context.spec.evaluate
    own = {
        "base": context.base_digest,
        "limit": str(spec.limit),
        "max_new_tokens": str(spec.max_new_tokens),
    }
    own |= {"trained prompt": sampled(context).digest}
    return (
        own
        | plugin_inputs("engine", spec.engine, spec.options, spec.environment)
        | context.upstream(prepare.STAGE, merge.STAGE)
    )


def _inputs(context: Context) -> dict[str, str]:
    spec = context.spec.evaluate
    metrics = ", ".join(f"{name} {metric_named(name).version}" for name in spec.metrics)
    return _asking(context) | {
        "metrics": metrics,
        "require": str(spec.require),
        "slices": ", ".join(spec.slices),
    }


def _records(context: Context) -> list[Record]:
    holdout = read_records(context.folder(prepare.STAGE) / prepare.HOLDOUT)
    return list(islice(holdout, context.spec.evaluate.limit))


def _questions(context: Context) -> Questioning:
    """The sample, whose prompt is compared, and the records."""
    spec = context.spec.evaluate
    return Questioning(
        spec.engine,
        environment(spec.environment),
        spec.options,
        spec.max_new_tokens,
        [sampled(context).record, *_records(context)],
        context.images,
        seconds(spec.deadline),
        spec.processes or context.spec.where_of(STAGE.name).gpus or processes_here(0),
        context.nodes,
    )


def _models(context: Context) -> dict[str, tuple[Model, Path]]:
    return {
        BEFORE: (context.base, context.workspace.native("base", context.base_digest)),
        AFTER: (merge.merged_model(context), merge.merged_native(context)),
    }


def _run(context: Context, out: Path) -> Evaluated:
    spec, sample, records = context.spec.evaluate, sampled(context), _records(context)
    check_references(spec.metrics, records, spec.slices)
    models = _models(context)
    scratch = _answers_so_far(context)
    given = ask_each(_questions(context), models, scratch, context.run)
    parity = sample.compare(spec.engine, given[AFTER][0])
    answered = Answered(records, given[AFTER][1][1:], given[BEFORE][1][1:])
    scores = score(spec.metrics, answered)
    result = replace(evaluated(scores, answered, spec.slices), parity=parity)
    refuse_below(result, spec.require)
    write_samples(out / SAMPLES, answered, scores)
    for name in models:
        (scratch / name).replace(out / name)
    (out / ASKING).write_text(of_json(_asking(context)), "utf-8")
    return result


def _join(context: Context, folder: Path) -> None:
    """The answers go where the first node collects them."""
    scratch = context.workspace.scratch(STAGE.name) / of_json(_asking(context))[:16]
    join_each(_questions(context), _models(context), scratch, context.run)


def check_nodes(spec: Spec) -> None:
    """Raises UsageError where the nodes could not know how many processes there are."""
    where = spec.where_of(STAGE.name)
    if where.nodes > 1 and not (spec.evaluate.processes or where.gpus):
        raise UsageError(
            f"where.nodes is {where.nodes}, and evaluate.processes is 0: one for each GPU of a "
            "node, and nobody says how many that are",
            "set where.gpus, or evaluate.processes",
        )


def _answers_so_far(context: Context) -> Path:
    """The scratch folder for answers to the same questions: of a run that was killed or refused, or
    of the sealed stage when only metrics, slices or gates have changed."""
    asking, sealed, workspace = of_json(_asking(context)), context.folder(STAGE), context.workspace
    scratch = workspace.scratch(STAGE.name) / asking[:16]
    seal = workspace.seal_of(STAGE.name)
    same = seal and not workspace.tampered(seal) and (sealed / ASKING).is_file()
    if same and not scratch.exists() and (sealed / ASKING).read_text("utf-8") == asking:
        for name in (BEFORE, AFTER):
            shutil.copytree(sealed / name, scratch / name)
    return scratch


STAGE = Stage(
    name="evaluate",
    result=Evaluated,
    inputs=_inputs,
    run=_run,
    summary=summary,
    join=_join,
)
