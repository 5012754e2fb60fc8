"""publish: the release folder -> each target; one receipt per target."""

from __future__ import annotations

from pathlib import Path

from ...packaging import manifest
from ...publishing.publish import Destination, Published, publish, withdrawals
from ..stage import Context, Stage
from . import package


def destinations(context: Context) -> list[Destination]:
    return [(target.to, target.options) for target in context.spec.publish]


def _inputs(context: Context) -> dict[str, str]:
    targets = {f"to {to}": str(sorted(options.items())) for to, options in destinations(context)}
    return targets | withdrawn(context) | context.upstream(package.STAGE)


def withdrawn(context: Context) -> dict[str, str]:
    """The targets that the release was withdrawn from, each with how often."""
    folder = package.release_folder(context)
    counts = {to: withdrawals(folder, to) for to, _ in destinations(context)}
    return {f"withdrawal from {to}": str(count) for to, count in counts.items() if count}


def _run(context: Context, out: Path) -> Published:
    folder, limits = package.release_folder(context), context.spec.upload.limits()
    return publish(folder, manifest.read(folder), destinations(context), context.run, limits=limits)


STAGE = Stage(
    name="publish",
    result=Published,
    inputs=_inputs,
    run=_run,
    summary=lambda r: (
        ", ".join(receipt.url for receipt in r.receipts) or "no target is named; nothing was pushed"
    ),
)
