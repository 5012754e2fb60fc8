"""publish: the release folder -> each target; one receipt per target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...packaging import manifest
from ...publishing.publish import Destination, publish_all, withdrawals
from ...sdk import PublishReceipt
from .. import variant_facts
from ..stage import Context, Stage
from . import package


@dataclass(frozen=True)
class PublishedRelease:
    """One receipt for each target: of the release, and of each variant by name."""

    receipts: tuple[PublishReceipt, ...]
    variants: Mapping[str, tuple[PublishReceipt, ...]] = field(default_factory=dict)


def destinations(context: Context) -> list[Destination]:
    return [(target.to, target.options) for target in context.spec.publish]


def _inputs(context: Context) -> dict[str, str]:
    targets = {f"to {to}": str(sorted(options.items())) for to, options in destinations(context)}
    return targets | withdrawn(context) | context.upstream(package.STAGE)


def withdrawn(context: Context) -> dict[str, str]:
    """The targets that the release was withdrawn from, each with how often."""
    pushed = [(folder, to) for folder, places in _places(context) for to, _ in places]
    counts = {to: withdrawals(folder, to) for folder, to in pushed}
    return {f"withdrawal from {to}": str(count) for to, count in counts.items() if count}


def _run(context: Context, out: Path) -> PublishedRelease:
    names, places = [entry.name for entry, _ in package.variant_folders(context)], _places(context)
    releases = [(folder, manifest.read(folder), to) for folder, to in places]
    main, *further = publish_all(releases, context.run, limits=context.spec.upload.limits())
    variants = {name: one.receipts for name, one in zip(names, further, strict=True)}
    return PublishedRelease(main.receipts, variants)


def _places(context: Context) -> list[tuple[Path, list[Destination]]]:
    """The release folder and those of its variants, each with where it goes."""
    further = package.variant_folders(context)
    return [
        (package.release_folder(context), destinations(context)),
        *((folder, variant_facts.targets(context, entry)) for entry, folder in further),
    ]


STAGE = Stage(
    name="publish",
    result=PublishedRelease,
    inputs=_inputs,
    run=_run,
    summary=lambda r: (
        ", ".join(one.url for group in (r.receipts, *r.variants.values()) for one in group)
        or "no target is named; nothing was pushed"
    ),
)
