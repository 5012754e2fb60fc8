"""package: the model folder becomes the release folder: card, provenance, manifest, audit, Git LFS
commit."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..digests import of_json
from ..errors import RefusedError
from ..models import Model
from ..packaging import lfs, manifest, provenance
from ..packaging.audit import audit
from ..packaging.card import write_card
from ..packaging.configuration import write_configuration
from ..sdk import Problem, ReleaseFile
from ..sdk.codec import encode
from ..spec import Author
from ..weights.check import ADAPTER, check
from ..weights.export import Names, write_adapter
from ..weights.stream import WrittenFile
from . import _facts, evaluate, merge, prepare, smoke, train
from ._stage import Context, Stage

LINKED = ".safetensors"


@dataclass(frozen=True)
class Packaged:
    """`commit` holds `files` files of `size` bytes in all; `weights` of them are in Git LFS."""

    name: str
    tag: str
    commit: str
    files: int
    size: int
    in_lfs: int


def seal_release(
    folder: Path,
    model: Model,
    *,
    name: str,
    tag: str,
    created: str,
    author: Author,
    digests: Mapping[str, str],
) -> Packaged:
    """Makes `folder` a release: .gitattributes, manifest.json, audit, structure check, and the
    commit with LFS pointers.

    `folder` holds `model`, or an adapter for it. `digests` are the sha256 known already; only other
    files are read.

    Raises:
        RefusedError: the repository name, the audit or the structure says no; every finding is
            listed.
    """
    if problem := model.family.repository_problem(name):
        raise RefusedError(f"repository name {name!r}: {problem}", "choose another name")
    refuse([*audit(folder), *check(folder, model.family)], f"{name} cannot be published as it is")
    write_configuration(folder, model.family.card(model.config).pipeline_tag)
    manifest.write_gitattributes(folder)
    listed = manifest.build(folder, name=name, tag=tag, created=created, digests=digests)
    listed.write(folder)
    staged = lfs.stage(
        folder,
        listed,
        message=f"{name} {tag}",
        author_name=author.name,
        author_email=author.email,
        date=created,
        tag=tag,
    )
    size = sum(file.size for file in listed.files)
    return Packaged(
        name,
        tag,
        staged.commit,
        len(listed.files) + 1,
        size,
        sum(file.lfs for file in listed.files),
    )


def refuse(problems: list[Problem], what: str) -> None:
    """Raises RefusedError listing every problem with its remedy; nothing when there is none."""
    if problems:
        listed = "".join(
            f"\n  {p.where}: {p.message} ({p.remedy})" for p in dict.fromkeys(problems)
        )
        raise RefusedError(
            f"{what}: {len(problems)} problem(s):{listed}",
            "mend what is listed, and run the command again",
        )


def link_model(model: Path, folder: Path) -> None:
    """The model's files in `folder`: weights as hard links (no second copy on disk), the small ones
    copied."""
    folder.mkdir(parents=True)
    for source in sorted(model.iterdir()):
        target = folder / source.name
        if source.suffix == LINKED:
            try:
                os.link(source, target)
                continue
            except OSError:
                pass  # another file system, or one without hard links
        shutil.copyfile(source, target)


def release_folder(context: Context) -> Path:
    return context.folder(STAGE) / context.spec.name


def _inputs(context: Context) -> dict[str, str]:
    spec = context.spec
    own = {
        "name": spec.name,
        "tag": spec.tag,
        "author": f"{spec.author.name} <{spec.author.email}>",
        "card": spec.card.model_dump_json(),
        "base": context.base_digest,
        "base.name": spec.base.name,
        "publish": spec.merge.publish,
        "license": str(_facts.license_of(context)),
        "data.name": spec.data.name,
        "data.terms": of_json(encode(prepare.dataset_terms(context))),
        "data.accept_terms": of_json([term.model_dump() for term in spec.data.accept_terms]),
        "planned": context.workspace.planned(),
    }
    return own | context.upstream(
        prepare.STAGE, train.STAGE, merge.STAGE, smoke.STAGE, evaluate.STAGE
    )


def _place(context: Context, folder: Path) -> tuple[WrittenFile, ...]:
    """The model, the adapter or both in `folder`, as `merge.publish` says; the files with their
    digests."""
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


def _run(context: Context, out: Path) -> Packaged:
    spec, folder = context.spec, out / context.spec.name
    files = _place(context, folder)
    digests = {file.path: file.sha256 for file in files}
    weights = tuple(
        ReleaseFile(f.path, f.size, f.sha256, True) for f in files if f.path.endswith(LINKED)
    )
    write_card(folder, _facts.card_facts(context, weights))
    provenance.write(
        folder, _facts.provenance(context, {file.path: file.sha256 for file in weights})
    )
    packaged = seal_release(
        folder,
        context.base,
        name=spec.name,
        tag=spec.tag,
        created=context.workspace.planned(),
        author=spec.author,
        digests=digests,
    )
    context.workspace.digests.remember(
        folder, {file.path: file.sha256 for file in manifest.read(folder).files}
    )
    return packaged


STAGE = Stage(
    name="package",
    purpose="write the card and make the release folder with its Git LFS commit",
    result=Packaged,
    inputs=_inputs,
    run=_run,
    summary=lambda r: (
        f"{r.files} files, {r.size / 1e6:,.1f} MB, {r.in_lfs} in Git LFS, commit {r.commit[:12]}"
    ),
)
