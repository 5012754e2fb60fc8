"""verify: each target read back and compared with the manifest; deep: a fresh download, hashed,
checked and asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...files.disk import remove
from ...packaging import manifest
from ...publishing.verify import VerifiedTarget, verify, verify_download
from ..stage import Context, Stage, plugin_inputs
from . import package, publish, smoke


@dataclass(frozen=True)
class Verified:
    targets: tuple[VerifiedTarget, ...]


def _inputs(context: Context) -> dict[str, str]:
    engine = context.spec.smoke
    own = {"deep": str(context.spec.verify.deep)}
    return (
        own
        | plugin_inputs("engine", engine.engine, engine.options, engine.environment)
        | publish.withdrawn(context)
        | context.upstream(publish.STAGE)
    )


def _run(context: Context, out: Path) -> Verified:
    released, verified = manifest.read(package.release_folder(context)), []
    receipts = context.result(publish.STAGE).receipts
    targets = zip(publish.destinations(context), receipts, strict=True)
    for number, ((to, options), receipt) in enumerate(targets):
        found = verify(released, to, receipt.revision, options, context.run)
        if context.spec.verify.deep:
            fresh, questions = out / str(number), smoke.final_questions(context)
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
    return Verified(tuple(verified))


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
