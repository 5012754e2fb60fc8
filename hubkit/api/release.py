"""A whole release: from its file, planned, foreseen, run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..files.yaml_text import load as option_value
from ..pipeline import run as pipeline
from ..pipeline.many import Outcome, run_each
from ..pipeline.run import ReleaseResult, StageOutcome, StagePlan
from ..pipeline.spec.file import load as load_spec
from ..pipeline.spec.model import Spec, json_schema
from ..pipeline.spec.where import scheduler_named
from ..pipeline.workspace import Workspace
from ..reporting import Reporter, SilentReporter
from ..sdk import Foreseen

__all__ = [
    "Outcome",
    "ReleaseResult",
    "Spec",
    "StageOutcome",
    "StagePlan",
    "check",
    "foresee",
    "join",
    "json_schema",
    "load_spec",
    "option_value",
    "plan",
    "release",
    "release_each",
]

Folder = str | Path


def release(
    spec: Spec | Folder,
    *,
    workdir: Folder | None = None,
    overrides: Sequence[str] = (),
    from_: str | None = None,
    until: str | None = None,
    where: str | None = None,
    reporter: Reporter | None = None,
) -> ReleaseResult:
    """Runs a release from its file (or a Spec) and returns what it made.

    Args:
        workdir: where `.hubkit/` goes; the release file's folder by default (the current one for a
            Spec).
        overrides: `key=value` items that replace values of the file, such as
            `train.options.rank=8`.
        from_: runs this stage and the later ones even if nothing changed.
        until: stops after this stage.
        where: the scheduler for stages that need hardware and have no `where` of their own, `local`
            or `slurm`; settings of the file for it stay.

    Raises:
        HubkitError: with a remedy and the designed exit code; sealed stages stay, and the next call
            continues.
    """
    loaded, place = _loaded(spec, workdir, overrides, where)
    return pipeline.release(loaded, place, from_=from_, until=until, reporter=reporter)


def join(
    spec: Spec | Folder,
    *,
    workdir: Folder | None = None,
    overrides: Sequence[str] = (),
    reporter: Reporter | None = None,
) -> None:
    """Trains with the node that runs the release, on each further one of several; torchrun's
    variables (`PET_NNODES`, `PET_NODE_RANK`, `PET_MASTER_ADDR`, `PET_MASTER_PORT`) say which is
    which and where they meet. No folder is shared.

    Raises:
        UsageError: this is the first node, or none of several.
        HubkitError: as `release` does.
    """
    pipeline.join(*_loaded(spec, workdir, overrides, "local"), reporter=reporter)


def release_each(
    specs: Sequence[Folder],
    *,
    overrides: Sequence[str] = (),
    from_: str | None = None,
    until: str | None = None,
    where: str | None = None,
    parallel: int = 0,
    reporter: Reporter | None = None,
) -> tuple[Outcome, ...]:
    """Runs many releases, each as `release` does, in a process of its own beside its file; one that
    fails stops no other.

    Args:
        parallel: how many at once; 0: one where any has stages that need hardware and run on this
            machine, else sixteen.

    Raises:
        SpecError, UsageError: of the first file that cannot be used; nothing was run then.
        CancelledError: the user interrupted.
    """
    from ..pipeline import elsewhere

    loaded = {Path(spec): _loaded(spec, None, overrides, where) for spec in specs}
    options = [option for one in overrides for option in ("--set", one)]
    for flag, value in (("--from", from_), ("--until", until), ("--where", where)):
        options += [flag, value] if value is not None else []

    def cancel(path: Path) -> None:
        spec, place = loaded[path]
        elsewhere.cancel_jobs(Workspace(place, spec.name))

    here = any(pipeline.runs_here(spec) for spec, _ in loaded.values())
    return run_each(
        list(loaded),
        options,
        parallel=parallel or (1 if here else 16),
        cancel=cancel,
        reporter=reporter or SilentReporter(),
    )


def plan(
    spec: Spec | Folder,
    *,
    workdir: Folder | None = None,
    overrides: Sequence[str] = (),
    from_: str | None = None,
    until: str | None = None,
) -> tuple[StagePlan, ...]:
    """What `release` would do now: each stage's state and why. Changes nothing."""
    loaded, place = _loaded(spec, workdir, overrides)
    return pipeline.plan(loaded, place, from_=from_, until=until)


def check(
    spec: Spec | Folder,
    *,
    workdir: Folder | None = None,
    overrides: Sequence[str] = (),
    from_: str | None = None,
    until: str | None = None,
    reporter: Reporter | None = None,
) -> None:
    """Raises what `release` would refuse before its first stage, all of it in one error. Changes
    nothing; hubs and environments are asked."""
    loaded, place = _loaded(spec, workdir, overrides)
    pipeline.check(loaded, place, from_=from_, until=until, reporter=reporter)


def foresee(
    spec: Spec | Folder,
    *,
    workdir: Folder | None = None,
    overrides: Sequence[str] = (),
    reporter: Reporter | None = None,
) -> Foreseen:
    """Steps, memory and time that the training of a release takes, before anything is trained. The
    data are prepared.

    Raises:
        UsageError: nothing is to be trained, or the trainer cannot foresee it.
        HubkitError: what is wrong with the data, the options, or the machine.
    """
    loaded, place = _loaded(spec, workdir, overrides)
    return pipeline.foresee(loaded, place, reporter=reporter)


def _loaded(
    spec: Spec | Folder, workdir: Folder | None, overrides: Sequence[str], where: str | None = None
) -> tuple[Spec, Path]:
    path = None if isinstance(spec, Spec) else Path(spec)
    loaded = spec if isinstance(spec, Spec) else load_spec(Path(spec), overrides)
    if where is not None:
        loaded = loaded.placed(scheduler_named(where))
    return loaded, Path(workdir or (path.parent if path else ".")).resolve()
