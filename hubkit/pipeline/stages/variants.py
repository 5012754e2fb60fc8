"""variants: the merged model in further forms, each made by an exporter and then held to the merged
model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from ...digests import of_json, sha256
from ...environments.outputs import discard_worker
from ...errors import HubkitError, RefusedError
from ...evaluation.results import percent
from ...files.disk import remove
from ...inference.questions import Questioning
from ...inference.shares import processes_here
from ...packaging.track import link_model
from ...sdk import Answer, read_records
from ...sdk.checkpoints.compressed import is_compressed
from ...variants.judge import Standard, judge
from ...variants.judge import Variant as Made
from ...variants.make import make
from ...weights.convert import native_view
from ...weights.model import Model, open_model
from ...weights.stream import WrittenFile
from ..first_prompt import sampled
from ..spec.fields import environment
from ..spec.judging import Ask, Variant
from ..stage import Context, Stage, plugin_inputs, seconds
from . import evaluate, merge, prepare, smoke

MODEL, ANSWERS, KEYS = "model", "answers", "keys"


@dataclass(frozen=True)
class Variants:
    """`left_out` says by name why an optional variant is not published."""

    made: tuple[Made, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


def made(context: Context) -> Iterator[tuple[Variant, Made, Path]]:
    """Each variant that is published: as release.yaml has it, what it is, and its files."""
    if not context.spec.variants:
        return
    by_name = {one.name: one for one in context.result(STAGE).made}
    for entry in context.spec.variants:
        if entry.name in by_name:
            yield entry, by_name[entry.name], context.folder(STAGE) / entry.name / MODEL


def questions(context: Context, ask: Ask, asked: Questioning) -> Questioning:
    """`asked` to the engine of a variant."""
    where = environment(ask.environment)
    return replace(
        asked,
        engine=ask.engine,
        environment=where,
        options=ask.options,
        deadline=seconds(ask.deadline),
    )


def _making(context: Context, entry: Variant) -> dict[str, str]:
    own = plugin_inputs("exporter", entry.exporter, entry.options, entry.environment)
    return own | {"name": context.spec.name} | context.upstream(merge.STAGE)


def _asking(context: Context, entry: Variant) -> dict[str, str]:
    ask, spec = entry.ask, context.spec.evaluate
    own = plugin_inputs("engine", ask.engine, ask.options, ask.environment)
    own |= {"limit": str(spec.limit), "max_new_tokens": str(spec.max_new_tokens)}
    own |= {"trained prompt": sampled(context).digest}
    return own | context.upstream(prepare.STAGE)


def _inputs(context: Context) -> dict[str, str]:
    spec = context.spec
    own = {
        "smoke": of_json([spec.smoke.images, spec.smoke.prompts, spec.smoke.max_new_tokens]),
        "metrics": ", ".join(spec.evaluate.metrics),
        "slices": ", ".join(spec.evaluate.slices),
    }
    for entry in spec.variants:
        said = {f"making.{key}": value for key, value in _making(context, entry).items()}
        said |= {f"asking.{key}": value for key, value in _asking(context, entry).items()}
        said |= {"require": str(entry.require), "optional": str(entry.optional)}
        own |= {f"{entry.name}: {key}": value for key, value in said.items()}
    return own | context.upstream(evaluate.STAGE)


def _run(context: Context, out: Path) -> Variants:
    found, left_out = dict[str, tuple[Made, _Place]](), dict[str, str]()
    for entry in context.spec.variants:
        context.run.note(f"variant {entry.name}: {entry.exporter} makes it")
        place = _place(context, entry)
        try:
            found[entry.name] = _variant(context, entry, place, out / entry.name), place
        except HubkitError as error:
            error.message = f"variant {entry.name}: {error.message}"
            if not entry.optional:
                raise
            context.run.note(f"{error.message}; it is optional, so the release goes on without it")
            left_out[entry.name] = error.message
            remove(out / entry.name)
    for name, (_, place) in found.items():
        place.model.replace(out / name / MODEL)
        place.answers.replace(out / name / ANSWERS)
        (out / name / KEYS).write_text(place.keys, "utf-8")
    return Variants(tuple(made for made, _ in found.values()), left_out)


@dataclass(frozen=True)
class _Place:
    """Where a variant is made and its answers are kept until all variants are judged. `keys` are
    the digests of what model and answers depend on."""

    model: Path
    answers: Path
    keys: str


def _place(context: Context, entry: Variant) -> _Place:
    """With what the sealed stage has of the same variant, where only gates, metrics or other
    variants have changed."""
    making, asking = of_json(_making(context, entry)), of_json(_asking(context, entry))
    scratch = context.workspace.scratch(STAGE.name) / f"{entry.name}-{making[:16]}"
    place = _Place(scratch / context.spec.name, scratch / asking[:16], f"{making} {asking}")
    sealed, seal = context.folder(STAGE) / entry.name, context.workspace.seal_of(STAGE.name)
    if scratch.exists() or not seal or not (sealed / KEYS).is_file():
        return place
    keys = (sealed / KEYS).read_text("utf-8").split(" ")
    if keys[0] == making and not context.workspace.tampered(seal):
        link_model(sealed / MODEL, place.model)
        if keys[1] == asking:
            shutil.copytree(sealed / ANSWERS, place.answers)
    return place


def _variant(context: Context, entry: Variant, place: _Place, out: Path) -> Made:
    spec, run, model = context.spec, context.run, merge.merged_model(context)
    output = make(
        model,
        native_view(model, merge.merged_native(context), run),
        place.model,
        place.model.parent / "worker",
        run,
        exporter=entry.exporter,
        options=entry.options,
        environment=environment(entry.environment),
        name=spec.name,
        deadline=seconds(entry.deadline),
    )
    discard_worker(place.model.parent)
    if entry.publish == "within" and is_compressed(opened(model, place.model).config):
        raise RefusedError(
            "weights in safetensors beside those of the release would be taken for its own",
            "leave `publish: within` out: the variant gets a repository of its own",
        )
    standard = _standard(context, entry)
    smoking = questions(context, entry.ask, smoke.smoke_questions(context))
    records = [standard.sample.record, *standard.records]
    asking = replace(
        smoking,
        records=records,
        max_new_tokens=spec.evaluate.max_new_tokens,
        processes=processes_here(entry.ask.processes),
    )
    judged = judge(opened(model, place.model), smoking, asking, standard, out, place.answers, run)
    files = tuple(
        WrittenFile(name, (place.model / name).stat().st_size, sha256(place.model / name))
        for name in sorted(output.files)
    )
    return Made(
        entry.name, entry.exporter, files, judged, output.versions, output.usage, output.library
    )


def opened(model: Model, folder: Path) -> Model:
    """The variant: of the merged model's family, but for weights that are compressed, which lie in
    transformers' own layout."""
    variant = open_model(folder)
    return variant if is_compressed(variant.config) else replace(model, folder=folder)


def _standard(context: Context, entry: Variant) -> Standard:
    spec, sealed = context.spec.evaluate, context.folder(evaluate.STAGE)
    holdout = read_records(context.folder(prepare.STAGE) / prepare.HOLDOUT)
    rows = map(json.loads, (sealed / evaluate.SAMPLES).read_text("utf-8").splitlines())
    answers = [Answer(row["id"], tuple(row["answers"]), tuple(row["finish"])) for row in rows]
    return Standard(
        list(islice(holdout, spec.limit)),
        answers,
        sampled(context),
        spec.metrics,
        spec.slices,
        entry.require,
    )


def _summary(result: Variants) -> str:
    told = []
    for one in result.made:
        first, total = one.judged.evaluated.measures[0], one.judged.evaluated.count
        told.append(
            f"{one.name}: {percent(first.score.value)} {first.metric}, "
            f"{one.judged.same} of {total} texts the merged model's"
        )
    told += [f"{name}: left out" for name in result.left_out]
    return "; ".join(told)


STAGE = Stage(
    name="variants",
    result=Variants,
    inputs=_inputs,
    run=_run,
    summary=_summary,
)
