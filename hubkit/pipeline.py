"""The release: which stages there are, which of them must run and why, and running them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .errors import HubkitError, UsageError
from .evaluation.results import Evaluated
from .preflight import preflight
from .reporting import Reporter, SilentReporter
from .sdk import Foreseen, PublishReceipt
from .sdk.codec import encode
from .spec import Spec
from .stages import evaluate, merge, package, prepare, publish, smoke, train, verify
from .stages._stage import Context, Stage
from .workspace import Receipt, Workspace, remove

STAGES: tuple[Stage[Any], ...] = (
    prepare.STAGE,
    train.STAGE,
    merge.STAGE,
    smoke.STAGE,
    evaluate.STAGE,
    package.STAGE,
    publish.STAGE,
    verify.STAGE,
)
NAMES = tuple(stage.name for stage in STAGES)


@dataclass(frozen=True)
class StagePlan:
    """`cached`: nothing to do; `run`: must run; `depends`: decided once the stages before it have
    run. `reasons` say why."""

    stage: str
    purpose: str
    state: Literal["cached", "run", "depends"]
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
    `receipts` one a hub, `verified` what was read back. Fields of stages that did not run yet
    (`until`) are None or empty."""

    name: str
    tag: str
    stages: tuple[StageOutcome, ...]
    folder: Path | None
    commit: str | None
    evaluation: Evaluated | None
    receipts: tuple[PublishReceipt, ...]
    verified: tuple[verify.VerifiedTarget, ...]


def plan(
    spec: Spec, workdir: Path, *, from_: str | None = None, until: str | None = None
) -> tuple[StagePlan, ...]:
    """What `release` would do now, stage by stage. Nothing is written but the file digests'
    cache."""
    context = Context(spec, Workspace(workdir, spec.name), SilentReporter())
    plans: list[StagePlan] = []
    for stage, forced in _selected(from_, until):
        waiting = next((p.stage for p in plans if p.state != "cached"), None)
        receipt = context.workspace.receipt(stage.name)
        if receipt is None:
            plans.append(StagePlan(stage.name, stage.purpose, "run", ("it has not run yet",)))
        elif forced:
            plans.append(
                StagePlan(stage.name, stage.purpose, "run", (f"asked for by --from {from_}",))
            )
        elif waiting:
            plans.append(
                StagePlan(stage.name, stage.purpose, "depends", (f"on what {waiting} gives",))
            )
        else:
            reasons = _stale(stage, receipt, context)
            plans.append(
                StagePlan(stage.name, stage.purpose, "run" if reasons else "cached", reasons)
            )
    return tuple(plans)


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
    reporter = reporter or SilentReporter()
    workspace = Workspace(workdir, spec.name)
    context = Context(spec, workspace, reporter)
    selected = list(_selected(from_, until))
    preflight(
        context,
        [p.stage for p in plan(spec, workdir, from_=from_, until=until) if p.state != "cached"],
    )
    outcomes = []
    with workspace.lock():
        workspace.planned()
        for index, (stage, forced) in enumerate(selected, 1):
            reporter.check_cancelled()
            receipt = workspace.receipt(stage.name)
            reasons = _reasons(
                stage, receipt, context, f"asked for by --from {from_}" if forced else None
            )
            if receipt is not None and not reasons:
                summary = stage.summary(context.result(stage))
                reporter.stage_cached(stage.name, summary)
                outcomes.append(StageOutcome(stage.name, True, receipt.seconds, summary))
                continue
            reporter.stage_started(stage.name, index, len(selected), reasons)
            outcomes.append(_run_stage(stage, context))
            reporter.stage_sealed(stage.name, outcomes[-1].seconds, outcomes[-1].summary)
        if selected[-1][0] is STAGES[-1]:
            remove(workspace.folder / "native")
    return _result(context, tuple(outcomes))


def foresee(spec: Spec, workdir: Path, *, reporter: Reporter | None = None) -> Foreseen:
    """What the training of this release takes, as its trainer says. The data are prepared first,
    which `release` then need not do again; nothing else is run.

    Raises:
        UsageError: nothing is to be trained, or the trainer cannot tell.
        HubkitError: what `release` would raise for the data, and the trainer before its first step.
    """
    release(spec, workdir, until=prepare.STAGE.name, reporter=reporter)
    return train.foresee(Context(spec, Workspace(workdir, spec.name), reporter or SilentReporter()))


def _run_stage(stage: Stage[Any], context: Context) -> StageOutcome:
    started, workspace = time.monotonic(), context.workspace
    inputs = stage.inputs(context)
    partial = workspace.open(stage.name)
    try:
        result = stage.run(context, partial)
        seconds = time.monotonic() - started
        workspace.seal(stage.name, partial, inputs, encode(result), seconds)
    except BaseException as error:
        _keep_logs(workspace, stage.name, partial, error)
        remove(partial)
        raise
    return StageOutcome(stage.name, False, seconds, stage.summary(result))


def _keep_logs(workspace: Workspace, stage: str, partial: Path, error: BaseException) -> None:
    """A failed stage leaves nothing but its worker's logs, where the error message can point to
    them."""
    logs = workspace.folder / "logs" / stage
    remove(logs)
    for found in sorted(partial.rglob("*.log")):
        target = logs / "-".join(found.relative_to(partial).parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        found.replace(target)
    if isinstance(error, HubkitError) and str(partial) in str(error):
        error.message = error.message.replace(str(partial), str(logs))
        error.remedy = error.remedy.replace(str(partial), str(logs))


def _selected(from_: str | None, until: str | None) -> Iterator[tuple[Stage[Any], bool]]:
    """The stages up to `until`, each with whether `from_` forces it."""
    for given in (from_, until):
        if given is not None and given not in NAMES:
            raise UsageError(f"there is no stage {given!r}", f"stages are: {', '.join(NAMES)}")
    last = NAMES.index(until) if until else len(NAMES) - 1
    first = NAMES.index(from_) if from_ else len(NAMES)
    for index, stage in enumerate(STAGES[: last + 1]):
        yield stage, index >= first


def _reasons(
    stage: Stage[Any], receipt: Receipt | None, context: Context, forced: str | None
) -> tuple[str, ...]:
    if receipt is None:
        return ("it has not run yet",)
    return (forced,) if forced else _stale(stage, receipt, context)


def _stale(stage: Stage[Any], receipt: Receipt, context: Context) -> tuple[str, ...]:
    """Why the sealed stage no longer stands: which inputs differ, or which output was touched."""
    now, then = stage.inputs(context), receipt.inputs
    reasons = [
        _difference(name, then.get(name), now.get(name))
        for name in dict.fromkeys([*now, *then])
        if now.get(name) != then.get(name)
    ]
    if not reasons and (touched := context.workspace.tampered(receipt)):
        reasons.append(touched)
    return tuple(reasons)


def _difference(name: str, then: str | None, now: str | None) -> str:
    if then is None or now is None:
        return f"{name} is {'new' if then is None else 'gone'}"
    if len(then) == 64 and len(now) == 64:
        return f"{name} changed"
    return f"{name}: {then} -> {now}"


def _result(context: Context, outcomes: tuple[StageOutcome, ...]) -> ReleaseResult:
    done = {outcome.stage for outcome in outcomes}

    def given(stage: Stage[Any]) -> Any:
        return context.result(stage) if stage.name in done else None

    packaged, published, verified = given(package.STAGE), given(publish.STAGE), given(verify.STAGE)
    return ReleaseResult(
        name=context.spec.name,
        tag=context.spec.tag,
        stages=outcomes,
        folder=package.release_folder(context) if packaged else None,
        commit=packaged.commit if packaged else None,
        evaluation=given(evaluate.STAGE),
        receipts=published.receipts if published else (),
        verified=verified.targets if verified else (),
    )
