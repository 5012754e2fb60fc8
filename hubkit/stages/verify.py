"""verify: what a hub has, read back and compared with the manifest; deep: a fresh download, hashed,
checked and asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..digests import files_below, sha256
from ..errors import RemoteError
from ..models import Model, open_model
from ..packaging import manifest
from ..packaging.compare import compare
from ..registry import plugins
from ..sdk import RemoteFile, Run
from ..weights.check import check, check_adapter
from ..weights.check_adapter import is_adapter
from ..weights.merge import merge
from ..workspace import remove
from . import package, publish, smoke
from ._stage import Context, Stage, plugin_inputs
from ._workers import Questioning, native_view


@dataclass(frozen=True)
class VerifiedTarget:
    """`files` files were compared at `revision`; `transcript` is what the fresh download answered,
    empty without `deep`."""

    to: str
    revision: str
    files: int
    deep: bool
    transcript: tuple[smoke.Exchange, ...]


@dataclass(frozen=True)
class Verified:
    targets: tuple[VerifiedTarget, ...]


def verify(
    folder: Path, to: str, revision: str, options: Mapping[str, Any], run: Run
) -> VerifiedTarget:
    """Compares names, sizes and sha256 of all files that the hub has with the manifest in `folder`.

    Raises:
        RemoteError: names every file that is missing, extra or different.
    """
    hub, target = plugins().hub_of(to)
    found = hub.files(target, revision, options, run)
    _refuse_difference(folder, to, found)
    return VerifiedTarget(to, revision, len(found), False, ())


def verify_download(
    folder: Path,
    to: str,
    revision: str,
    options: Mapping[str, Any],
    questioning: Questioning,
    out: Path,
    run: Run,
    base: Model | None = None,
) -> VerifiedTarget:
    """Downloads as a user would into `out`, hashes every byte, checks the folder's structure and
    asks the model in it; an adapter is merged into `base` for that."""
    download = out / manifest.read(folder).name
    files = download_compared(folder, to, revision, options, download, run)
    model = base if is_adapter(download) else open_model(download)
    if problems := check(download, model.family) if model else check_adapter(download):
        listed = "".join(f"\n  {problem.where}: {problem.message}" for problem in problems)
        raise RemoteError(
            f"the download from {to} is not a sound model folder:{listed}",
            "withdraw it, and release again",
        )
    if model is None:
        run.note("this is an adapter; without its base it cannot be asked")
        return VerifiedTarget(to, revision, len(files), True, ())
    if is_adapter(download):
        merge(model.folder, download, out / "merged" / download.name, model.family, run=run)
        model = open_model(out / "merged" / download.name)
    native = native_view(model, out / "native", run)
    smoked = smoke.smoke(questioning, model, native, out / "smoke", run)
    return VerifiedTarget(to, revision, len(files), True, smoked.transcript)


def download_compared(
    folder: Path, to: str, revision: str, options: Mapping[str, Any], out: Path, run: Run
) -> tuple[RemoteFile, ...]:
    """A fresh download into `out`, every byte hashed and compared with the manifest in `folder`.

    Raises:
        RemoteError: names every file that is missing, extra or different.
    """
    hub, target = plugins().hub_of(to)
    run.note(f"downloading {to} afresh")
    hub.download(target, revision, out, options, run)
    files = tuple(
        RemoteFile(name, (out / name).stat().st_size, sha256(out / name))
        for name in files_below(out)
    )
    _refuse_difference(folder, to, files)
    return files


def _refuse_difference(folder: Path, to: str, found: tuple[RemoteFile, ...]) -> None:
    comparison = compare(manifest.published_files(folder), found)
    if not comparison.ok:
        listed = "".join(f"\n  {problem}" for problem in comparison.problems)
        raise RemoteError(
            f"{to} is not what was released:{listed}",
            "run `hubkit push` again; if it stays so, use another repository",
        )


def _inputs(context: Context) -> dict[str, str]:
    engine = context.spec.smoke
    own = {"deep": str(context.spec.verify.deep)}
    return (
        own
        | plugin_inputs("engine", engine.engine, engine.options, engine.environment)
        | context.upstream(publish.STAGE)
    )


def _run(context: Context, out: Path) -> Verified:
    folder, verified = package.release_folder(context), []
    options = {target.to: target.options for target in context.spec.publish}
    receipts = context.result(publish.STAGE).receipts
    for number, (to, receipt) in enumerate(zip(options, receipts, strict=True)):
        found = verify(folder, to, receipt.revision, options[to], context.run)
        if context.spec.verify.deep:
            questions, fresh = smoke.final_questions(context), out / str(number)
            fresh.mkdir()
            found = verify_download(
                folder,
                to,
                receipt.revision,
                options[to],
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
    purpose="read the release back and prove it",
    result=Verified,
    inputs=_inputs,
    run=_run,
    summary=_summary,
)
