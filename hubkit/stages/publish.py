"""publish: the release folder -> each target; a receipt a hub."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..digests import of_json
from ..errors import RefusedError, UsageError
from ..models import open_model
from ..packaging import lfs, manifest
from ..registry import plugins
from ..sdk import ModelFamily, Pace, PublishInput, PublishReceipt, Run, codec
from ..spec import Upload
from ..weights.check_adapter import is_adapter
from . import package
from ._stage import Context, Stage
from ._together import Work, together

Destination = tuple[str, Mapping[str, Any]]
"""`scheme:target` and the hub's options."""


@dataclass(frozen=True)
class Published:
    receipts: tuple[PublishReceipt, ...]


def check_names(family: ModelFamily, name: str, targets: Sequence[str]) -> None:
    """Raises RefusedError when the release, or a repository it goes to, has a name that the
    family's rule does not allow."""
    for repository in dict.fromkeys(
        [name, *(hub.repository(target) for hub, target in map(plugins().hub_of, targets))]
    ):
        if problem := family.repository_problem(repository):
            raise RefusedError(
                f"repository name {repository!r}: {problem}",
                "change `name` and the targets under `publish`",
            )


def publish(
    folder: Path,
    destinations: Sequence[Destination],
    message: str,
    run: Run,
    *,
    upload: Upload,
    journals: Path,
) -> Published:
    """Pushes the staged release in `folder` to all destinations, several at once. Safe to repeat.
    Each keeps its own journal in the folder `journals`.

    Raises:
        RefusedError: a file was changed since it was staged, a name is not allowed, or a hub holds
            another release.
        RemoteError: a hub failed; what was published to others stays, and running again continues.
    """
    listed = manifest.read(folder)
    staged = lfs.read_staged(folder)
    if not is_adapter(folder):  # servers choose the prompt by a model's name, not by an adapter's
        check_names(open_model(folder).family, listed.name, [to for to, _ in destinations])
    lfs.check_unchanged(folder)
    files = listed.released()

    def work(to: str, options: Mapping[str, Any]) -> Work[PublishReceipt]:
        hub, target = plugins().hub_of(to)
        journal = _receipt_file(journals, hub.name, to).with_suffix(".jsonl")

        def do(part: Run, pace: Pace) -> PublishReceipt:
            part.note(f"publishing to {to}")
            job = PublishInput(
                folder, files, staged.commit, listed.tag, message, target, options, journal, pace
            )
            receipt: PublishReceipt = hub.publish(job, part)
            _receipt_file(journals, hub.name, to).write_text(
                json.dumps(codec.encode(receipt), indent=1), "utf-8"
            )
            return receipt

        return do

    return Published(
        tuple(together([(to, work(to, options)) for to, options in destinations], upload, run))
    )


def _receipt_file(journals: Path, hub: str, to: str) -> Path:
    journals.mkdir(parents=True, exist_ok=True)
    return journals / f"{hub}-{of_json(to)[:12]}.json"


def read_receipt(journals: Path, hub: str, to: str) -> PublishReceipt:
    """What the last push to `to` gave.

    Raises:
        UsageError: there was none, or its receipt is gone.
    """
    path = _receipt_file(journals, hub, to)
    if not path.is_file():
        raise UsageError(
            f"{path} is not there: nothing was pushed from here to {to}",
            "push again (what is there is not sent again)",
        )
    return codec.decode(PublishReceipt, json.loads(path.read_text("utf-8")), str(path))


def _destinations(context: Context) -> list[Destination]:
    return [(target.to, target.options) for target in context.spec.publish]


def _inputs(context: Context) -> dict[str, str]:
    return {
        f"to {to}": str(sorted(options.items())) for to, options in _destinations(context)
    } | context.upstream(package.STAGE)


def _run(context: Context, out: Path) -> Published:
    folder = package.release_folder(context)
    message, journals = (
        f"{context.spec.name} {context.spec.tag}",
        context.workspace.folder / "journal",
    )
    return publish(
        folder,
        _destinations(context),
        message,
        context.run,
        upload=context.spec.upload,
        journals=journals,
    )


STAGE = Stage(
    name="publish",
    purpose="push the release to its hubs",
    result=Published,
    inputs=_inputs,
    run=_run,
    summary=lambda r: (
        ", ".join(receipt.url for receipt in r.receipts) or "no target is named; nothing was pushed"
    ),
)
