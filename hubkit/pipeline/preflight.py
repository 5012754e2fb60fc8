"""What can be known to fail before any work is done: names, files, tools, licence, hubs, disk,
environments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ..errors import HubkitError
from ..packaging.lfs import require_git_lfs
from ..publishing.publish import check_distinct, check_names
from ..weights.arithmetic import require_torch
from . import elsewhere
from .requirements import (
    check_base_folder,
    check_card,
    check_charts,
    check_disk,
    check_hubs,
    check_placeholders,
    check_slices,
    check_texts,
    check_variants,
    check_workers,
)
from .spec.paths import check_paths, missing_paths
from .spec.where import LOCAL
from .stage import Context
from .stages import evaluate, stage_named, train
from .stages.prepare import check_terms
from .targets import all_targets


def preflight(context: Context, stages: Sequence[str], *, workers: bool = False) -> None:
    """Checks what the named stages will need, with `workers` their environments as well; all that
    is in the way is told at once.

    Raises:
        RefusedError: a repository name is against the family's rule, or the dataset's terms against
            the release.
        UsageError: the base is not sound, or nothing says under which licence the result may be
            published.
        EnvironmentFailure: git-lfs, torch, disk space or a hub is not up to it.
    """
    if found := obstacles(context, stages, workers=workers):
        raise together(found)


def obstacles(
    context: Context, stages: Sequence[str], *, workers: bool = False
) -> list[HubkitError]:
    """What `preflight` raises, each for itself and in the order of a release."""
    found: dict[str, HubkitError] = {}
    for check in _checks(context, stages, workers) if stages else ():
        try:
            check()
        except HubkitError as error:
            found.setdefault(error.message, error)
    return list(found.values())


def together(found: Sequence[HubkitError]) -> HubkitError:
    """One error for all of `found`, of the first one's kind."""
    if len(found) == 1:
        return found[0]
    listed = "".join(f"\n- {error.message} ({error.remedy})" for error in found)
    return type(found[0])(
        f"{len(found)} things are in the way of this release:{listed}",
        "follow the remedies in brackets; `hubkit plan` lists what is left",
    )


def _checks(
    context: Context, stages: Sequence[str], workers: bool
) -> Iterator[Callable[[], object]]:
    spec, wanted = context.spec, set(stages)
    yield lambda: check_paths(spec)
    yield lambda: check_distinct([to for to, _ in all_targets(spec)])
    if spec.data.path.exists():
        if wanted - {"prepare"}:
            yield lambda: check_terms(context)
        if "evaluate" in wanted:
            yield lambda: check_slices(spec)
    if spec.base.path.exists():
        yield lambda: check_names(
            context.base.family, spec.name, [to for to, _ in all_targets(spec)]
        )
        yield lambda: check_base_folder(context)
        yield lambda: check_card(context)
        yield lambda: check_disk(context, stages)
        if "variants" in wanted:
            yield lambda: check_variants(context)
    yield lambda: check_placeholders(spec)
    yield lambda: check_texts(spec)
    if "merge" in wanted:
        yield require_torch
    if "package" in wanted:
        yield check_charts
    if {"package", "publish", "verify"} & wanted:
        yield require_git_lfs
    if {"publish", "verify"} & wanted:
        yield lambda: check_hubs(context)
    placed = [stage for stage in stages if spec.where_of(stage).scheduler != LOCAL]
    if "train" in placed:
        yield lambda: train.check_nodes(spec)
    if "evaluate" in placed:
        yield lambda: evaluate.check_nodes(spec)
    for stage in placed:
        yield partial(elsewhere.check, stage_named(stage), context)
    if workers and not missing_paths(spec):  # an environment takes seconds to start
        yield lambda: check_workers(context, [one for one in stages if one not in placed])
