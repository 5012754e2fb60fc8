"""verify: each target read back and compared with the manifest; deep: a fresh download, hashed,
checked and asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...files.disk import remove
from ...inference.questions import Questioning
from ...packaging import manifest
from ...publishing.publish import Destination
from ...publishing.verify import VerifiedTarget, verify, verify_download
from ...sdk import PublishReceipt
from .. import variant_facts
from ..stage import Context, Stage, plugin_inputs
from . import package, publish, smoke, variants


@dataclass(frozen=True)
class Verified:
    targets: tuple[VerifiedTarget, ...]


def _inputs(context: Context) -> dict[str, str]:
    engine = context.spec.smoke
    own = {"deep": str(context.spec.verify.deep)}
    for entry, _ in package.variant_folders(context):
        ask = entry.ask
        said = plugin_inputs("engine", ask.engine, ask.options, ask.environment)
        own |= {f"{entry.name}: {key}": value for key, value in said.items()}
    return (
        own
        | plugin_inputs("engine", engine.engine, engine.options, engine.environment)
        | publish.withdrawn(context)
        | context.upstream(publish.STAGE)
    )


def _run(context: Context, out: Path) -> Verified:
    published, asked = context.result(publish.STAGE), smoke.final_questions(context)
    where = zip(publish.destinations(context), published.receipts, strict=True)
    verified = _read_back(context, package.release_folder(context), where, asked, out)
    for entry, folder in package.variant_folders(context):
        receipts = published.variants[entry.name]
        where = zip(variant_facts.targets(context, entry), receipts, strict=True)
        questions = variants.questions(context, entry.ask, smoke.smoke_questions(context))
        verified += _read_back(context, folder, where, questions, out)
    return Verified(tuple(verified))


def _read_back(
    context: Context,
    folder: Path,
    where: Iterable[tuple[Destination, PublishReceipt]],
    questions: Questioning,
    out: Path,
) -> list[VerifiedTarget]:
    """The release in `folder` at each of its places."""
    released, verified = manifest.read(folder), []
    for (to, options), receipt in where:
        found = verify(released, to, receipt.revision, options, context.run)
        if context.spec.verify.deep:
            fresh = out / "fresh"
            fresh.mkdir()
            found = verify_download(
                released,
                to,
                receipt.revision,
                options,
                questions,
                fresh,
                context.run,
                context.base,
            )
            remove(fresh)
        verified.append(found)
    return verified


def _summary(result: Verified) -> str:
    if not result.targets:
        return "nothing was published, so there is nothing to verify"
    files, deep = sum(t.files for t in result.targets), any(t.deep for t in result.targets)
    how = (
        "downloaded afresh: digests equal, structure sound, the model answers"
        if deep
        else "names, sizes and digests equal"
    )
    return f"{files} files at {len(result.targets)} target(s); {how}"


STAGE = Stage(
    name="verify",
    result=Verified,
    inputs=_inputs,
    run=_run,
    summary=_summary,
)
