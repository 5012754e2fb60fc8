"""evaluate: the base and the model answer the same held-out records, greedily; the scores are what
the card may claim."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from ..digests import of_json
from ..errors import RefusedError
from ..evaluation.requirements import refuse_below
from ..evaluation.results import Evaluated, change_in_words, percent
from ..evaluation.samples import write_samples
from ..evaluation.score import Answered, check_references, evaluated, metric_named, score
from ..models import Model
from ..sdk import Answer, GenerateOutput, Run, read_records
from . import merge, prepare
from ._parity import sampled
from ._stage import Context, Stage, plugin_inputs
from ._workers import Questioning, ask, discard_worker, native_view

BEFORE, AFTER = "before", "after"
SAMPLES, ASKING = "samples.jsonl", "asking.sha256"

Given = tuple[GenerateOutput, list[Answer]]


def ask_each(
    questioning: Questioning, models: Mapping[str, tuple[Model, Path]], place: Path, run: Run
) -> dict[str, Given]:
    """Asks each model, given by name with the place of its native view. The answers so far are kept
    in `place`/name: killed, the same call continues.

    Raises:
        RefusedError: the models are asked with different prompts, so their scores cannot be
            compared.
    """
    given = {}
    for name, (model, view) in models.items():
        run.note(f"asking {model.folder.name}")
        given[name] = ask(questioning, model, native_view(model, view, run), place / name, run)
        discard_worker(place / name)
    if len({(output.prompt, output.prompt_ids) for output, _ in given.values()}) > 1:
        shown = "".join(
            f"\n  {models[name][0].folder.name}: {output.prompt!r}"
            for name, (output, _) in given.items()
        )
        raise RefusedError(
            "the models are asked with different prompts, which says nothing of what was "
            f"learnt:{shown}",
            "give the model and its base the same tokenizer files and chat template",
        )
    return given


def describe(result: Evaluated) -> str:
    first = result.measures[0]
    before = "" if first.base is None else f"{percent(first.base.value)} -> "
    change = "" if first.change is None else f" ({change_in_words(first.change)})"
    return (
        f"{first.metric} {before}{percent(first.score.value)}{change} on {result.count} held-out "
        "records"
    )


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
        spec.environment,
        spec.options,
        spec.max_new_tokens,
        asked,
        context.images,
        spec.deadline,
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
    receipt = workspace.receipt(STAGE.name)
    same = receipt and not workspace.tampered(receipt) and (sealed / ASKING).is_file()
    if same and not scratch.exists() and (sealed / ASKING).read_text("utf-8") == asking:
        for name in (BEFORE, AFTER):
            shutil.copytree(sealed / name, scratch / name)
    return scratch


STAGE = Stage(
    name="evaluate",
    purpose="measure the base and the model on the held-out records",
    result=Evaluated,
    inputs=_inputs,
    run=_run,
    summary=describe,
)
