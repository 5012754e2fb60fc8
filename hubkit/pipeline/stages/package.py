"""package: the model folder becomes the release folder: card, provenance, manifest, audit, Git LFS
commit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from ...digests import of_json
from ...packaging import provenance
from ...packaging.card import write_card
from ...packaging.lfs import damage
from ...packaging.track import LINKED, Packaged, link_model, track_release
from ...publishing.publish import keep_journal_in
from ...sdk import ReleaseFile
from ...sdk.codec import encode
from ...weights.check import ADAPTER
from ...weights.export import Names, write_adapter
from ...weights.model import Model
from ...weights.stream import WrittenFile
from .. import card_facts, variant_facts
from ..spec.judging import Variant
from ..stage import Context, Stage
from ..targets import first_download
from . import evaluate, merge, prepare, smoke, train, variants


def release_folder(context: Context) -> Path:
    return context.folder(STAGE) / context.spec.name


def variant_folders(context: Context) -> Iterator[tuple[Variant, Path]]:
    """The variants with a repository of their own, each with its release folder."""
    for entry, _ in variant_facts.own(context):
        yield entry, context.folder(STAGE) / variant_facts.repository_name(context, entry)


def _inputs(context: Context) -> dict[str, str]:
    spec = context.spec
    own = {
        "name": spec.name,
        "tag": spec.tag,
        "author": f"{spec.author.name} <{spec.author.email}>",
        "card": spec.card.model_dump_json(),
        "download": str(card_facts.first_place(context)),
        "base": context.base_digest,
        "base.name": spec.base.name,
        "settings": of_json(card_facts.settings(spec)),
        "license": str(card_facts.license_of(context)),
        "data.name": spec.data.title,
        "data.terms": of_json(encode(prepare.dataset_terms(context))),
        "data.accept_terms": of_json([term.model_dump() for term in spec.data.accept_terms]),
        "planned": context.workspace.planned(),
    }
    for entry in spec.variants:
        where = first_download(variant_facts.targets(context, entry))
        own |= {f"{entry.name}: publish": entry.publish, f"{entry.name}: download": str(where)}
    stages = (prepare.STAGE, train.STAGE, merge.STAGE, smoke.STAGE, evaluate.STAGE)
    further = (variants.STAGE,) if spec.variants else ()
    return own | context.upstream(*stages, *further)


def _place(context: Context, folder: Path) -> tuple[WrittenFile, ...]:
    """The model, the adapter or both in `folder`, as `merge.publish` says, and the variants that go
    with it; the files with their digests."""
    found = list(_place_model(context, folder))
    for entry, made, files in variants.made(context):
        if entry.publish == "within":
            link_model(files, folder / entry.name)
            found += [replace(file, path=f"{entry.name}/{file.path}") for file in made.files]
    return tuple(found)


def _place_model(context: Context, folder: Path) -> tuple[WrittenFile, ...]:
    what = context.spec.merge.publish
    if what == "adapter":
        return _place_adapter(context, folder)
    link_model(context.folder(merge.STAGE) / context.spec.name, folder)
    files = context.result(merge.STAGE).files
    if what == "merged":
        return files
    return (
        *files,
        *(
            replace(file, path=f"{ADAPTER}/{file.path}")
            for file in _place_adapter(context, folder / ADAPTER)
        ),
    )


def _place_adapter(context: Context, folder: Path) -> tuple[WrittenFile, ...]:
    """A PEFT folder under the names that it was trained with: a LoRA on queries alone has no equal
    on the base's fused tensor. Any other adapter under transformers' names, so that peft loads it
    without remote code."""
    trained, base, name = context.result(train.STAGE), context.base, context.spec.base.name
    names: Names = "trained" if trained.format == "peft" else "native"
    adapter = context.folder(train.STAGE) / trained.adapter
    return write_adapter(
        adapter, folder, base.family, base.folder, name, names=names, run=context.run
    ).files


def _touched(context: Context) -> str | None:
    result = context.result(STAGE)
    folders = {
        entry.name: (folder, result.variants[entry.name])
        for entry, folder in variant_folders(context)
    }
    places = [(release_folder(context), result.commit), *folders.values()]
    return next(filter(None, (damage(*place) for place in places)), None)


def _run(context: Context, out: Path) -> Packaged:
    folder = out / context.spec.name
    files = _place(context, folder)
    weights = _weights(files)
    forms = tuple(
        variant_facts.other_form(context, entry, made) for entry, made, _ in variants.made(context)
    )
    write_card(folder, replace(card_facts.card_facts(context, weights), forms=forms))
    provenance.write(
        folder, card_facts.provenance(context, {file.path: file.sha256 for file in weights})
    )
    model = merge.merged_model(context)
    packaged = _track(context, model, folder, files)
    commits = {}
    for entry, made, source in variants.made(context):
        if entry.publish == "own":
            place = out / variant_facts.repository_name(context, entry)
            link_model(source, place)
            write_card(place, variant_facts.facts(context, entry, made, _weights(made.files)))
            provenance.write(place, variant_facts.provenance(context, entry, made))
            own = variants.opened(model, place)
            commits[entry.name] = _track(context, own, place, made.files).commit
    return replace(packaged, variants=commits)


def _weights(files: Iterable[WrittenFile]) -> tuple[ReleaseFile, ...]:
    return tuple(
        ReleaseFile(f.path, f.size, f.sha256, True) for f in files if f.path.endswith(LINKED)
    )


def _track(context: Context, model: Model, folder: Path, files: Iterable[WrittenFile]) -> Packaged:
    spec = context.spec
    packaged, listed = track_release(
        folder,
        model,
        name=folder.name,
        tag=spec.tag,
        created=context.workspace.planned(),
        author_name=spec.author.name,
        author_email=spec.author.email,
        digests={file.path: file.sha256 for file in files},
    )
    keep_journal_in(context.workspace.folder / "journal", folder)
    sealed = {file.path: file.sha256 for file in listed.files}
    context.workspace.digests.remember(folder, sealed)
    return packaged


STAGE = Stage(
    name="package",
    result=Packaged,
    inputs=_inputs,
    run=_run,
    touched=_touched,
    summary=lambda r: (
        f"{r.files} files, {r.size / 1e6:,.1f} MB, {r.in_lfs} in Git LFS, commit {r.commit[:12]}"
        + (f"; beside it {', '.join(r.variants)}" if r.variants else "")
    ),
)
