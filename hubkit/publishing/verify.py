"""What a hub has, read back and compared with the manifest; or a fresh download, hashed, checked
and asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..digests import files_below, sha256
from ..errors import RemoteError
from ..inference.questions import Questioning, view_for
from ..inference.smoke import Exchange, smoke
from ..packaging.manifest import Manifest
from ..registry.plugins import plugins
from ..sdk import RemoteFile, Run
from ..sdk.hubs.release import still_shown
from ..weights.check import adapter_structure, structure
from ..weights.merge import merge
from ..weights.model import Model, is_adapter, open_model
from .comparison import compare


@dataclass(frozen=True)
class VerifiedTarget:
    """`files` files were compared at `revision`; `transcript` is what the fresh download answered,
    empty without `deep`."""

    to: str
    revision: str
    files: int
    deep: bool
    transcript: tuple[Exchange, ...]


def verify(
    manifest: Manifest,
    to: str,
    revision: str,
    options: Mapping[str, Any],
    run: Run,
    *,
    branch: bool = True,
) -> VerifiedTarget:
    """Compares names, sizes and sha256 of all files that the hub has with `manifest`, and with
    `branch` what people get who name no revision.

    Raises:
        RemoteError: names every file that is missing, extra or different.
    """
    hub, target = plugins().hub_of(to)
    found = hub.files(target, revision, options, run)
    _refuse_difference(manifest, to, found)
    if branch and hasattr(hub, "branch") and (name := hub.branch(options)):
        _refuse_taken_back(manifest, to, name, hub.files(target, name, options, run), run)
    return VerifiedTarget(to, revision, len(found), False, ())


def verify_download(
    manifest: Manifest,
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
    download = out / manifest.name
    files = download_compared(manifest, to, revision, options, download, run)
    model = base if is_adapter(download) else open_model(download, questioning.environment)
    if problems := structure(download, model.family) if model else adapter_structure(download):
        listed = "".join(f"\n  {problem.where}: {problem.message}" for problem in problems)
        raise RemoteError(
            f"the download from {to} is not a sound model folder:{listed}",
            "withdraw it, and release again",
        )
    if model is None:
        run.note("this is an adapter; without its base it cannot be asked")
        return VerifiedTarget(to, revision, len(files), True, ())
    if is_adapter(download):
        merged = out / "merged" / download.name
        merge(model, [(download, 1.0)], merged, run=run)
        model = open_model(merged, questioning.environment)
    native = view_for(questioning.engine, model, out / "native", run)
    smoked = smoke(questioning, model, native, out / "smoke", run)
    return VerifiedTarget(to, revision, len(files), True, smoked.transcript)


def download_compared(
    manifest: Manifest, to: str, revision: str, options: Mapping[str, Any], out: Path, run: Run
) -> tuple[RemoteFile, ...]:
    """A fresh download into `out`, every byte hashed and compared with `manifest`.

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
    _refuse_difference(manifest, to, files)
    return files


def _refuse_taken_back(
    manifest: Manifest, to: str, branch: str, found: Sequence[RemoteFile], run: Run
) -> None:
    released = manifest.released()
    comparison = compare(released, found)
    wrong = [*comparison.missing, *(one.path for one in comparison.different)]
    there = [file.path for file in found]
    listed = "".join(f"\n  {problem}" for problem in comparison.problems)
    if not still_shown([file.path for file in released], there, wrong):
        raise RemoteError(
            f"{to}: {manifest.tag} is as it was released, and {branch} does not show it:{listed}",
            "run `hubkit push` again: the release then goes on top of what is there",
        )
    if wrong or comparison.extra:
        run.note(f"{to}: {branch} has been changed since {manifest.tag}:{listed}")


def _refuse_difference(manifest: Manifest, to: str, found: Sequence[RemoteFile]) -> None:
    comparison = compare(manifest.released(), found)
    if not comparison.ok:
        listed = "".join(f"\n  {problem}" for problem in comparison.problems)
        raise RemoteError(
            f"{to} is not what was released:{listed}",
            "run `hubkit push` again; if it stays so, use another repository",
        )
