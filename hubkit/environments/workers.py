"""One call of a plugin in a worker: the job in, its output or a HubkitError out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, overload

from hubkit.sdk import (
    Engine,
    Exporter,
    ExportInput,
    ExportOutput,
    ForeseeingTrainer,
    Foreseen,
    GenerateInput,
    GenerateOutput,
    Health,
    MeasureInput,
    MeasureOutput,
    MeasuringEngine,
    Run,
    ServeInput,
    ServeOutput,
    ServingEngine,
    SilentRun,
    Trainer,
    TrainInput,
    TrainOutput,
)
from hubkit.sdk.outline import Outline, OutlineInput, OutliningFamily

from .ask import ask, ask_health
from .build import build
from .choice import choose
from .environment import Environment
from .store import name_of


@overload
def call(
    plugin: Trainer,
    call: Literal["train"],
    job: TrainInput,
    *,
    environment: Environment,
    run: Run,
    folder: Path,
    deadline: float | None = None,
    given: Mapping[str, str] | None = None,
) -> TrainOutput: ...
@overload
def call(
    plugin: ForeseeingTrainer,
    call: Literal["foresee"],
    job: TrainInput,
    *,
    environment: Environment,
    run: Run,
    folder: Path,
    deadline: float | None = None,
) -> Foreseen: ...
@overload
def call(
    plugin: Engine,
    call: Literal["generate"],
    job: GenerateInput,
    *,
    environment: Environment,
    run: Run,
    folder: Path,
    deadline: float | None = None,
    given: Mapping[str, str] | None = None,
) -> GenerateOutput: ...
@overload
def call(
    plugin: MeasuringEngine,
    call: Literal["measure"],
    job: MeasureInput,
    *,
    environment: Environment,
    run: Run,
    folder: Path,
    deadline: float | None = None,
) -> MeasureOutput: ...
@overload
def call(
    plugin: OutliningFamily,
    call: Literal["outline"],
    job: OutlineInput,
    *,
    environment: Environment,
    run: Run,
    folder: Path,
    deadline: float | None = None,
) -> Outline: ...
@overload
def call(
    plugin: ServingEngine,
    call: Literal["serve"],
    job: ServeInput,
    *,
    environment: Environment,
    run: Run,
    folder: Path,
    deadline: float | None = None,
) -> ServeOutput: ...
@overload
def call(
    plugin: Exporter,
    call: Literal["export"],
    job: ExportInput,
    *,
    environment: Environment,
    run: Run,
    folder: Path,
    deadline: float | None = None,
) -> ExportOutput: ...
def call(
    plugin: Any,
    call: str,
    job: Any,
    *,
    environment: Environment,
    run: Run,
    folder: Path,
    deadline: float | None = None,
    given: Mapping[str, str] | None = None,
) -> Any:
    """Runs `plugin.call(job)` in a worker of `environment` and returns its output.

    A locked environment is built first, unless it is there. `folder` takes input.json, output.json,
    stdout.log and stderr.log; `deadline` is in seconds, `given` are variables for this worker
    alone. Relative paths in `job` are of the current directory.

    Raises:
        UsageError: `job.options` do not fit the plugin's Options.
        EnvironmentFailure: the interpreter is missing or lacks what the plugin requires, or the
            environment cannot be built.
        PluginError: the plugin raised, crashed, hung or returned something else; says where the log
            is.
        CancelledError: `run` was cancelled.
        HubkitError: of whatever kind the plugin raised.
    """
    where = resolve(environment, plugin, run)
    return ask(plugin, call, job, where, run, folder, deadline, given or {})


def health(
    plugin: Trainer | Engine | Exporter,
    environment: Environment,
    folder: Path,
    run: Run | None = None,
) -> Health:
    """Imports in a worker of `environment` what `plugin` requires and runs its probe.

    Raises:
        EnvironmentFailure: something is missing or too old; the remedy is the command that installs
            it.
    """
    return ask_health(plugin, resolve(environment, plugin, run or SilentRun()), folder)


def resolve(environment: Environment, plugin: Any, run: Run) -> Environment:
    """`environment` with its interpreter: a locked one is built now, unless it is there.

    Raises:
        EnvironmentFailure: no lock fits this machine, or the environment cannot be built.
    """
    if environment.locked is None or environment.python is not None:
        return environment
    built = build(plugin, choose(plugin, environment.locked), run)
    return Environment(built.python, locked=built.state.variant)


def locked_name(plugin: Any, variant: str) -> str:
    """The name of the environment that `{locked: VARIANT}` ("" for `locked`) means here: it changes
    with the lock.

    Raises:
        EnvironmentFailure: no lock fits this machine.
    """
    return name_of(choose(plugin, variant).lock)
