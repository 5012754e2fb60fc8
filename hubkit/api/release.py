"""A whole release: from its file, planned, foreseen, run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..files.yaml_text import load as option_value
from ..pipeline import run as pipeline
from ..pipeline.run import ReleaseResult, StageOutcome, StagePlan
from ..pipeline.spec.file import load as load_spec
from ..pipeline.spec.model import Spec, json_schema
from ..reporting import Reporter
from ..sdk import Foreseen

__all__ = [
    "ReleaseResult",
    "Spec",
    "StageOutcome",
    "StagePlan",
    "check",
    "foresee",
    "json_schema",
    "load_spec",
    "option_value",
    "plan",
    "release",
]

Folder = str | Path


def release(
    spec: Spec | Folder,
    *,
    workdir: Folder | None = None,
    overrides: Sequence[str] = (),
    from_: str | None = None,
    until: str | None = None,
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

    Raises:
        HubkitError: with a remedy and the designed exit code; sealed stages stay, and the next call
            continues.
    """
    loaded, place = _loaded(spec, workdir, overrides)
    return pipeline.release(loaded, place, from_=from_, until=until, reporter=reporter)


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
    spec: Spec | Folder, workdir: Folder | None, overrides: Sequence[str]
) -> tuple[Spec, Path]:
    if isinstance(spec, Spec):
        return spec, Path(workdir or ".").resolve()
    path = Path(spec)
    return load_spec(path, overrides), Path(workdir or path.parent).resolve()
