"""publish: the release folder -> each target; one receipt per target."""

from __future__ import annotations

from pathlib import Path

from ...packaging import manifest
from ...publishing.publish import Destination, Published, publish
from ..stage import Context, Stage
from . import package


def destinations(context: Context) -> list[Destination]:
    return [(target.to, target.options) for target in context.spec.publish]


def _inputs(context: Context) -> dict[str, str]:
    targets = {f"to {to}": str(sorted(options.items())) for to, options in destinations(context)}
    return targets | context.upstream(package.STAGE)


def _run(context: Context, out: Path) -> Published:
    folder, limits = package.release_folder(context), context.spec.upload.limits()
    return publish(folder, manifest.read(folder), destinations(context), context.run, limits=limits)


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
