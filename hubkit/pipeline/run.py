"""The release: which stages there are, which of them must run and why, and running them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import EnvironmentFailure, HubkitError, UsageError
from ..files.disk import failure, full_disk, remove
from ..reporting import Reporter, SilentReporter
from ..sdk import codec
from ..sdk.excerpt import did_you_mean
from .seal import Seal
from .spec.model import Spec
from .spec.paths import check_paths
from .spec.where import LOCAL
from .stage import Context, Stage
from .stages import PURPOSES, stage_named
from .workspace import Workspace

if TYPE_CHECKING:
    from ..evaluation.results import Evaluated
    from ..publishing.verify import VerifiedTarget
    from ..sdk import Foreseen, PublishReceipt
    from ..variants.judge import Variant

NAMES = tuple(name for name in PURPOSES if name != "variants")
"""The stages that every release has."""

State = Literal["cached", "run", "depends"]
Selected = Sequence[tuple[str, bool]]
"""Stages by name, in order, each with whether it must run whatever its inputs."""


@dataclass(frozen=True)
class StagePlan:
    """`cached`: nothing to do; `run`: must run; `depends`: decided once the stages before it have
    run. `reasons` say why."""

    stage: str
    purpose: str
    state: State
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class StageOutcome:
    stage: str
    cached: bool
    seconds: float
    summary: str


@dataclass(frozen=True)
class ReleaseResult:
    """`folder` is the release folder (a git work tree at `commit`), `evaluation` the scores,
    `receipts` one per target, `verified` what was read back, that of variants after the release's
    own; `variants` what was found of each, by name. Fields of stages that did not run yet (`until`)
    are None or empty."""

    name: str
    tag: str
    stages: tuple[StageOutcome, ...]
    folder: Path | None
    commit: str | None
    evaluation: Evaluated | None
    receipts: tuple[PublishReceipt, ...]
    verified: tuple[VerifiedTarget, ...]
    variants: Mapping[str, Variant] = field(default_factory=dict)


def runs_here(spec: Spec) -> bool:
    """Whether a stage that needs hardware runs on this machine."""
    return any(spec.where_of(stage).scheduler == LOCAL for stage in spec.heavy)


def plan(
    spec: Spec, workdir: Path, *, from_: str | None = None, until: str | None = None
) -> tuple[StagePlan, ...]:
    """What `release` would do now, stage by stage. Nothing is written but the file digests'
    cache, where there is one."""
    context = Context(spec, Workspace(workdir, spec.name), SilentReporter())
    planned = _plan(context, list(_selected(spec, from_, until)), from_)
    if context.workspace.folder.is_dir():
        context.workspace.digests.save()
    return planned


def check(
    spec: Spec,
    workdir: Path,
    *,
    from_: str | None = None,
    until: str | None = None,
    reporter: Reporter | None = None,
) -> None:
    """Raises what `release` would refuse, all of it together: paths, names, terms, licence, texts,
    slices, tools, disk, hubs, and the environments of trainer and engines."""
    from .preflight import preflight

    context = Context(spec, Workspace(workdir, spec.name), reporter or SilentReporter())
    names = [name for name, _ in _selected(spec, from_, until)]
    preflight(context, names, workers=True)


def release(
    spec: Spec,
    workdir: Path,
    *,
    from_: str | None = None,
    until: str | None = None,
    reporter: Reporter | None = None,
) -> ReleaseResult:
    """Runs what must run, in order, and seals each stage. Killed at any instant, the next call
    continues.

    Raises:
        HubkitError: see `hubkit.sdk.errors`; the stages sealed before it stay.
    """
    context = Context(spec, Workspace(workdir, spec.name), reporter or SilentReporter())
    return _release(context, list(_selected(spec, from_, until)), from_)


def foresee(spec: Spec, workdir: Path, *, reporter: Reporter | None = None) -> Foreseen:
    """What the training of this release takes, as its trainer says. The data are prepared first,
    which `release` then need not do again; nothing else is run.

    Raises:
        UsageError: nothing is to be trained, or the trainer cannot tell.
        HubkitError: what `release` would raise for the data, and the trainer before its first step.
    """
    from .preflight import preflight
    from .stages import train

    context = Context(spec, Workspace(workdir, spec.name), reporter or SilentReporter())
    preflight(context, NAMES, workers=True)
    _release(context, list(_selected(spec, None, "prepare")), None)
    with context.workspace.lock():
        return train.foresee(context)


def join(spec: Spec, workdir: Path, *, reporter: Reporter | None = None) -> None:
    """On a node that is not the first of those that train together: prepares data and base in a run
    folder of its own, as the first does, and trains with it.

    Raises:
        UsageError: torchrun's variables do not say that this is such a node.
        HubkitError: what `release` would raise for the data, and the trainer.
    """
    from .stages import train

    if os.environ.get("PET_NODE_RANK", "0") == "0":
        raise UsageError(
            "this is the first of several nodes, or none of several",
            "run the release without --join here; on further nodes set PET_NODE_RANK to 1 and on",
        )
    train.check_join(spec)
    context = Context(spec, Workspace(workdir, spec.name), reporter or SilentReporter())
    _release(context, list(_selected(spec, None, "prepare")), None)
    with context.workspace.lock():
        train.join(context)


def _plan(context: Context, selected: Selected, from_: str | None) -> tuple[StagePlan, ...]:
    check_paths(context.spec)
    plans: list[StagePlan] = []
    for name, forced in selected:
        waiting = next((p.stage for p in plans if p.state != "cached"), None)
        seal = context.workspace.seal_of(name)
        if seal is not None and not forced and waiting:
            plans.append(StagePlan(name, PURPOSES[name], "depends", (f"on what {waiting} gives",)))
        else:
            reasons = _reasons(name, seal, context, from_ if forced else None)
            state: State = "run" if reasons else "cached"
            plans.append(StagePlan(name, PURPOSES[name], state, reasons))
    return tuple(plans)


def _release(context: Context, selected: Selected, from_: str | None) -> ReleaseResult:
    from .notify import Notifier
    from .preflight import obstacles, preflight, together
    from .requirements import check_workers

    workspace, reporter = context.workspace, context.run
    try:
        plans = _plan(context, selected, from_)
    except HubkitError as error:
        others = obstacles(context, [name for name, _ in selected])
        others = [one for one in others if one.message != error.message]
        raise together([error, *others]) from None
    to_run = [plan.stage for plan in plans if plan.state != "cached"]
    preflight(context, to_run)
    placed = [name for name in to_run if context.spec.where_of(name).scheduler != LOCAL]
    outcomes = []
    notifier = Notifier(context.spec, workspace.folder.parent.parent, reporter)
    with _disk_told(context, to_run), workspace.lock():
        check_workers(context, [one for one in to_run if one not in placed])
        workspace.planned()
        for index, (name, forced) in enumerate(selected, 1):
            reporter.check_cancelled()
            stage, seal = stage_named(name), workspace.seal_of(name)
            reasons = _reasons(name, seal, context, from_ if forced else None)
            if seal is not None and not reasons:
                summary = stage.summary(context.result(stage))
                reporter.stage_cached(stage.name, summary)
                outcomes.append(StageOutcome(stage.name, True, seal.seconds, summary))
                continue
            reporter.stage_started(stage.name, index, len(selected), reasons)
            try:
                done = _run_stage(stage, context)
            except Exception as error:
                notifier.failed(stage.name, error)
                raise
            outcomes.append(done)
            reporter.stage_sealed(stage.name, done.seconds, done.summary)
            notifier.sealed(stage.name, done.seconds, done.summary)
        if selected[-1][0] == NAMES[-1]:
            remove(workspace.folder / "native")
    return _result(context, tuple(outcomes))


@contextmanager
def _disk_told(context: Context, stages: Sequence[str]) -> Iterator[None]:
    """A full disk or a read-only folder is told with its place and the bytes that `stages` need,
    also where a program such as git is what failed."""
    from .requirements import disk_needed

    folder = context.workspace.folder
    try:
        yield
    except OSError as error:
        if told := failure(error, folder, disk_needed(context, stages)):
            raise told from error
        raise
    except EnvironmentFailure as error:
        if (full := full_disk(folder, disk_needed(context, stages))) and str(folder) not in str(
            error
        ):
            error.message = f"{error.message}\n{full}"
        raise


def _run_stage(stage: Stage[Any], context: Context) -> StageOutcome:
    from . import elsewhere

    started, workspace = time.monotonic(), context.workspace
    context.inputs(stage)  # what changes while the stage runs is not what it was made from
    if context.spec.where_of(stage.name).scheduler != LOCAL:
        return _run_elsewhere(stage, context)
    elsewhere.refuse_running(stage, context)
    partial = workspace.open(stage.name)
    try:
        result = stage.run(context, partial)
        seconds = time.monotonic() - started
        context.seal(stage, partial, result, seconds)
    except BaseException as error:
        with suppress(OSError):  # on a full disk: `error` is what is to be told
            workspace.keep_logs(stage.name, partial, error)
        with suppress(OSError):
            remove(partial)
        raise
    return StageOutcome(stage.name, False, seconds, stage.summary(result))


def _run_elsewhere(stage: Stage[Any], context: Context) -> StageOutcome:
    from . import elsewhere

    done = elsewhere.run(stage, context)
    result = codec.decode(stage.result, done.result, f"{stage.name}: what the job gave")
    context.seal(stage, done.folder, result, done.seconds)
    remove(context.workspace.job(stage.name))
    return StageOutcome(stage.name, False, done.seconds, stage.summary(result))


def _selected(spec: Spec, from_: str | None, until: str | None) -> Iterator[tuple[str, bool]]:
    """The stages of this release up to `until`, each with whether `from_` forces it."""
    names = tuple(PURPOSES) if spec.variants else NAMES
    for given in (from_, until):
        if given is not None and given not in names:
            near = did_you_mean(given, names)
            raise UsageError(
                f"there is no stage {given!r}{near}", f"stages are: {', '.join(names)}"
            )
    last = names.index(until) if until else len(names) - 1
    first = names.index(from_) if from_ else len(names)
    for index, name in enumerate(names[: last + 1]):
        yield name, index >= first


def _reasons(name: str, seal: Seal | None, context: Context, from_: str | None) -> tuple[str, ...]:
    """Why the stage must run; empty when its seal still stands."""
    if seal is None:
        return ("first run",)
    return (f"asked for by --from {from_}",) if from_ else _stale(stage_named(name), seal, context)


def _stale(stage: Stage[Any], seal: Seal, context: Context) -> tuple[str, ...]:
    """Why the sealed stage no longer stands: which inputs differ, or which output was touched."""
    now, then = context.inputs(stage), seal.inputs
    reasons = [
        _difference(name, then.get(name), now.get(name))
        for name in dict.fromkeys([*now, *then])
        if now.get(name) != then.get(name)
    ]
    if not reasons and (touched := context.workspace.tampered(seal) or _damaged(stage, context)):
        reasons.append(touched)
    return tuple(reasons)


def _damaged(stage: Stage[Any], context: Context) -> str | None:
    try:
        context.result(stage)
    except UsageError as error:
        return error.message
    return stage.touched(context)


def _difference(name: str, then: str | None, now: str | None) -> str:
    if then is None or now is None:
        return f"{name} is {'new' if then is None else 'gone'}"
    if len(then) == 64 and len(now) == 64:
        return f"{name} changed"
    return f"{name}: {then} -> {now}"


def _result(context: Context, outcomes: tuple[StageOutcome, ...]) -> ReleaseResult:
    from .stages.package import release_folder

    done = {outcome.stage for outcome in outcomes}

    def given(name: str) -> Any:
        return context.result(stage_named(name)) if name in done else None

    packaged, published, verified = map(given, ("package", "publish", "verify"))
    made = given("variants")
    return ReleaseResult(
        name=context.spec.name,
        tag=context.spec.tag,
        stages=outcomes,
        folder=release_folder(context) if packaged else None,
        commit=packaged.commit if packaged else None,
        evaluation=given("evaluate"),
        receipts=published.receipts if published else (),
        verified=verified.targets if verified else (),
        variants={one.name: one for one in made.made} if made else {},
    )
