"""publish: the release folder -> each target; a receipt a hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RefusedError
from ..models import open_model
from ..packaging import lfs, manifest
from ..registry import plugins
from ..sdk import ModelFamily, PublishInput, PublishReceipt, Run
from . import package
from ._stage import Context, Stage

Destination = tuple[str, Mapping[str, Any]]
"""`scheme:target` and the hub's options."""


@dataclass(frozen=True)
class Published:
    receipts: tuple[PublishReceipt, ...]


def check_names(family: ModelFamily, name: str, targets: Sequence[str]) -> None:
    """Raises RefusedError when the release, or a repository it goes to, has a name that the family's rule does not allow."""
    for repository in dict.fromkeys([name, *(hub.repository(target) for hub, target in map(plugins().hub_of, targets))]):
        if problem := family.repository_problem(repository):
            raise RefusedError(f"repository name {repository!r}: {problem}", "change `name` and the targets under `publish`")


def publish(folder: Path, destinations: Sequence[Destination], message: str, run: Run) -> Published:
    """Pushes the staged release in `folder` to each destination in turn. Safe to repeat.

    Raises:
        RefusedError: a file was changed since it was staged, a name is not allowed, or a hub holds another release.
        RemoteError: a hub failed; what was published before it stays, and running again continues.
    """
    listed = manifest.read(folder)
    staged = lfs.read_staged(folder)
    check_names(open_model(folder).family, listed.name, [to for to, _ in destinations])
    lfs.check_unchanged(folder)
    receipts = []
    for to, options in destinations:
        hub, target = plugins().hub_of(to)
        run.note(f"publishing to {to}")
        job = PublishInput(folder, manifest.published_files(folder), staged.commit, listed.tag, message, target, options)
        receipts.append(hub.publish(job, run))
    return Published(tuple(receipts))


def _destinations(context: Context) -> list[Destination]:
    return [(target.to, target.options) for target in context.spec.publish]


def _inputs(context: Context) -> dict[str, str]:
    return {f"to {to}": str(sorted(options.items())) for to, options in _destinations(context)} | context.upstream(package.STAGE)


def _run(context: Context, out: Path) -> Published:
    folder = package.release_folder(context)
    return publish(folder, _destinations(context), f"{context.spec.name} {context.spec.tag}", context.run)


STAGE = Stage(
    name="publish",
    purpose="push the release to its hubs",
    result=Published,
    inputs=_inputs,
    run=_run,
    summary=lambda r: ", ".join(receipt.url for receipt in r.receipts) or "no target is named; nothing was pushed",
)
