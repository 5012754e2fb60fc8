"""A tracked folder goes to hubs: several at once, each with its journal and a receipt."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from ..digests import of_json
from ..errors import CancelledError, EnvironmentFailure, HubkitError, RefusedError, UsageError
from ..packaging import lfs
from ..packaging.manifest import Manifest
from ..registry.plugins import plugins
from ..sdk import ModelFamily, Pace, PublishInput, PublishReceipt, Run, codec, json_text
from ..weights.model import is_adapter, open_model
from .parallel import Limits, Work, in_parallel

Destination = tuple[str, Mapping[str, Any]]
"""`scheme:target` and the hub's options."""

JOURNAL = "hubkit-journal"
"""Within `.git` of a tracked folder: a folder, or in a release a link to the run's own, which
outlives the package."""
_PUSH_AGAIN = "push again (what is there is not sent again)"


@dataclass(frozen=True)
class Published:
    receipts: tuple[PublishReceipt, ...]


def check_names(family: ModelFamily, name: str, targets: Sequence[str]) -> None:
    """Raises RefusedError when the release, or a repository it goes to, has a name that the
    family's rule does not allow."""
    repositories = [name, *(hub.repository(place) for hub, place in map(_hub_of, targets))]
    for repository in dict.fromkeys(repositories):
        if problem := family.repository_problem(repository):
            raise RefusedError(
                f"repository name {repository!r}: {problem}",
                "change `name` and the targets under `publish`",
            )


def address(to: str) -> str:
    """The place `to` by its hub's name and in one spelling."""
    hub, target = _hub_of(to)
    return f"{hub.name}:{hub.address(target) if hasattr(hub, 'address') else target}"


def check_distinct(targets: Sequence[str]) -> None:
    """Raises UsageError when a target is named twice."""
    counts = Counter(map(address, targets))
    if twice := sorted(to for to in targets if counts[address(to)] > 1):
        raise UsageError(f"named more than once: {', '.join(twice)}", "name each target once")


def publish(
    folder: Path,
    manifest: Manifest,
    destinations: Sequence[Destination],
    run: Run,
    *,
    limits: Limits,
) -> Published:
    """Pushes the staged release in `folder`, whose manifest is `manifest`, to all destinations; as
    `publish_all` does."""
    (published,) = publish_all([(folder, manifest, destinations)], run, limits=limits)
    return published


def publish_all(
    releases: Sequence[tuple[Path, Manifest, Sequence[Destination]]], run: Run, *, limits: Limits
) -> tuple[Published, ...]:
    """Pushes staged releases, each to its destinations, several at once. Safe to repeat.

    Raises:
        RefusedError: a file was changed since it was staged, a name is not allowed, or a hub holds
            another release.
            All hubs are asked before anything goes to one of them.
        RemoteError: a hub failed; what was published to others stays, and running again continues.
    """
    check_distinct([to for _, _, destinations in releases for to, _ in destinations])
    jobs = [_jobs(*release) for release in releases]
    _examine([job for own in jobs for job in own], run)
    pushes = [(to, _push(to, hub, job)) for own in jobs for to, hub, job in own]
    receipts = iter(in_parallel(pushes, limits, run))
    return tuple(Published(tuple(islice(receipts, len(own)))) for own in jobs)


def _jobs(
    folder: Path, manifest: Manifest, destinations: Sequence[Destination]
) -> list[tuple[str, Any, PublishInput]]:
    staged = lfs.read_staged(folder)
    if not is_adapter(folder):  # servers choose the prompt by a model's name, not by an adapter's
        family = open_model(folder).family
        check_names(family, manifest.name, [to for to, _ in destinations])
    lfs.check_unchanged(folder, manifest)
    files, message = manifest.released(), f"{manifest.name} {manifest.tag}"
    jobs = []
    for to, options in destinations:
        hub, target = _hub_of(to)
        journal = _receipt_file(folder, to).with_suffix(".jsonl")
        job = PublishInput(
            folder, files, staged.commit, manifest.tag, message, target, options, journal
        )
        jobs.append((to, hub, job))
    return jobs


def _push(to: str, hub: Any, job: PublishInput) -> Work[PublishReceipt]:
    def do(part: Run, pace: Pace) -> PublishReceipt:
        part.note(f"publishing to {to}")
        receipt: PublishReceipt = hub.publish(replace(job, pace=pace), part)
        _write(_receipt_file(job.folder, to), receipt)
        return receipt

    return do


def _examine(jobs: Sequence[tuple[str, Any, PublishInput]], run: Run) -> None:
    """Asks every hub whether it will take its release, before anything goes to one of them."""
    refused: list[HubkitError] = []
    for to, hub, job in jobs:
        try:
            if hasattr(hub, "examine"):
                hub.examine(job, run)
            elif found := hub.check(job.target, job.options):
                told = "; ".join(problem.message for problem in found)
                raise EnvironmentFailure(f"{to}: {told}", found[0].remedy)
        except CancelledError:
            raise
        except HubkitError as error:
            refused.append(error)
    for other in refused[1:]:
        run.note(other.message)
    if refused:
        if len(jobs) > 1:
            refused[0].message += "; nothing was published to any hub"
        raise refused[0]


def keep_journal_in(journals: Path, folder: Path) -> None:
    """From now on the pushes of the tracked `folder` are journaled in the folder `journals`, which
    lies beside or above it and stays where it is from there."""
    journals.mkdir(parents=True, exist_ok=True)
    place = folder / ".git" / JOURNAL
    place.symlink_to(Path(os.path.relpath(journals, place.parent)))


def read_receipt(folder: Path, to: str) -> PublishReceipt:
    """What the last push of `folder` to `to` gave, withdrawn since or not.

    Raises:
        UsageError: there was none, or its receipt is gone.
    """
    path, taken_back = _receipt_file(folder, to), _withdrawn(folder, to)
    if not path.is_file() and taken_back:
        path = taken_back[-1]
    if not path.is_file():
        raise UsageError(f"{path} is not there: nothing was pushed from here to {to}", _PUSH_AGAIN)
    try:
        return codec.decode(PublishReceipt, json_text.load(path), str(path))
    except (OSError, ValueError, UsageError) as error:
        raise UsageError(
            f"{path} is damaged: {getattr(error, 'message', error)}", _PUSH_AGAIN
        ) from None


def note_withdrawal(folder: Path, to: str) -> None:
    """From now on the last receipt of `to` counts as withdrawn: the release is published again."""
    path = _receipt_file(folder, to)
    if path.is_file():
        count = withdrawals(folder, to)
        path.replace(path.with_suffix(f".withdrawn-{count + 1:03}.json"))


def withdrawals(folder: Path, to: str) -> int:
    """How often a push of `folder` to `to` was withdrawn from here."""
    return len(_withdrawn(folder, to))


def _withdrawn(folder: Path, to: str) -> list[Path]:
    path = _receipt_file(folder, to)
    return sorted(path.parent.glob(f"{path.stem}.withdrawn-*.json"))


def _write(path: Path, receipt: PublishReceipt) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(codec.encode(receipt), indent=1), "utf-8")


def _receipt_file(folder: Path, to: str) -> Path:
    journals, place = folder / ".git" / JOURNAL, address(to)
    if journals.is_symlink() and not journals.exists():  # the folder was moved away from its run
        journals.unlink()
    return journals / f"{place.partition(':')[0]}-{of_json(place)[:12]}.json"


def _hub_of(to: str) -> tuple[Any, str]:
    return plugins().hub_of(to)
