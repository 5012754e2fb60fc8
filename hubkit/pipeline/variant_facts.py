"""A variant's repository: where it goes, and what its card and its provenance say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .. import __version__
from ..digests import of_json
from ..packaging import card
from ..packaging.provenance import Provenance
from ..publishing.publish import Destination
from ..sdk import ReleaseFile
from ..sdk.codec import encode
from ..variants.judge import Variant as Made
from . import card_facts
from .spec.judging import Variant
from .stage import Context
from .stages import merge, prepare, variants
from .targets import beside, first_download

_CODE = "custom_code"
"""Hugging Face's tag for repositories that hold their model's code."""


def repository_name(context: Context, entry: Variant) -> str:
    return f"{context.spec.name}-{entry.name}"


def own(context: Context) -> Iterator[tuple[Variant, Made]]:
    """The variants with a repository of their own."""
    for entry, made, _ in variants.made(context):
        if entry.publish == "own":
            yield entry, made


def targets(context: Context, entry: Variant) -> list[Destination]:
    """Beside each target of the release, with the same options."""
    return [(beside(t.to, entry.name), t.options) for t in context.spec.publish]


def facts(
    context: Context, entry: Variant, made: Made, weights: tuple[ReleaseFile, ...]
) -> card.CardInput:
    """The merged model's card, as a variant's: another base, other scores, other snippets."""
    main = card_facts.card_facts(context, ())
    found = first_download(targets(context, entry))
    repository, download = found or (repository_name(context, entry), None)
    judged, family = made.judged, main.family
    smoked = card_facts.smoke_facts(judged.smoked)
    return replace(
        main,
        repository=repository,
        base=replace(
            main.base,
            name=main.repository,
            relation="quantized",
            page=main.download.page if main.download else "",
        ),
        family=replace(
            family,
            tags=tuple(tag for tag in family.tags if tag != _CODE),
            usage=made.usage,
            usage_in={},
            library_name=made.library or family.library_name,
        ),
        title=f"{main.title} ({entry.name})" if main.title else "",
        download=download,
        training=None,
        loss=(),
        evaluations=judged.evaluated.measures,
        samples=(),
        outcomes=None,
        smoke=smoked,
        weights=weights,
        lineage=card.Lineage(merged_digest(context), versions=versions(made)),
        evaluated_by_server=False,
        made_from=card.MadeFrom(
            made.exporter, judged.smoked.engine, context.spec.evaluate.engine, judged.same
        ),
        forms=(),
    )


def other_form(context: Context, entry: Variant, made: Made) -> card.OtherForm:
    """A variant as the merged model's card names it."""
    judged, size = made.judged, sum(file.size for file in made.files)
    first = judged.evaluated.measures[0]
    form = card.OtherForm(
        entry.name,
        size,
        judged.smoked.engine,
        first.metric,
        first.score,
        first.count,
        judged.same,
    )
    if entry.publish == "within":
        usage = {
            title: text.replace("{repository}", f"{context.spec.name}/{entry.name}")
            for title, text in made.usage.items()
        }
        return replace(form, folder=entry.name, usage=usage)
    found = first_download(targets(context, entry))
    repository, download = found or (repository_name(context, entry), None)
    return replace(form, repository=repository, download=download)


def merged_digest(context: Context) -> str:
    return of_json({file.path: file.sha256 for file in context.result(merge.STAGE).files})


def versions(made: Made) -> dict[str, str]:
    return {"hubkit": __version__, **made.versions, **made.judged.smoked.versions}


def provenance(context: Context, entry: Variant, made: Made) -> Provenance:
    main, judged = card_facts.first_place(context)[0], made.judged
    return Provenance(
        name=repository_name(context, entry),
        tag=context.spec.tag,
        created=context.workspace.planned(),
        base_name=main,
        base={file.path: file.sha256 for file in context.result(merge.STAGE).files},
        data_name=context.spec.data.title,
        data=card_facts.outputs(context, prepare.STAGE),
        adapter={},
        weights={file.path: file.sha256 for file in made.files},
        evaluation=card_facts.scores(judged.evaluated)
        | {"same_texts": judged.same, "beside": context.spec.evaluate.engine},
        prompts={
            "smoke": encode(judged.smoked.parity),
            "evaluate": encode(judged.evaluated.parity),
        },
        settings=card_facts.settings(context.spec),
        tools=versions(made),
    )
