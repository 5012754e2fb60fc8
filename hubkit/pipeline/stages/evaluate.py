"""evaluate: the base and the model answer the same held-out records, greedily; the scores are what
the card may claim."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import islice
from pathlib import Path

from ...digests import of_json
from ...evaluation.gates import refuse_below
from ...evaluation.judging import Answered, metric_named, score
from ...evaluation.results import Evaluated, summary
from ...evaluation.samples import write_samples
from ...evaluation.score import check_references, evaluated
from ...inference.questions import AFTER, BEFORE, Questioning, ask_each
from ...sdk import read_records
from ..first_prompt import sampled
from ..spec.model import environment
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


def _run(context: Context, out: Path) -> Evaluated:
    spec, workspace, sample = context.spec.evaluate, context.workspace, sampled(context)
    records = list(
        islice(read_records(context.folder(prepare.STAGE) / prepare.HOLDOUT), spec.limit)
    )
    check_references(spec.metrics, records, spec.slices)
    asked = [sample.record, *records]
    questioning = Questioning(
        spec.engine,
        environment(spec.environment),
        spec.options,
        spec.max_new_tokens,
        asked,
        context.images,
        seconds(spec.deadline),
    )
    models = {
        BEFORE: (context.base, workspace.native("base", context.base_digest)),
        AFTER: (merge.merged_model(context), merge.merged_native(context)),
    }
    scratch = _answers_so_far(context)
    given = ask_each(questioning, models, scratch, context.run)
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
)
