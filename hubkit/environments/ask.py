"""The exchange with a worker: a request in, its checked answer or a HubkitError out."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubkit.sdk import (
    Engine,
    EnvironmentFailure,
    Exporter,
    Health,
    HubkitError,
    PluginError,
    Run,
    SilentRun,
    Trainer,
    UsageError,
)
from hubkit.sdk.codec import decode, encode
from hubkit.sdk.worker import CALLS

from ..sdk.install import install, packages
from . import import_path
from .choice import lacks_gpu
from .environment import Environment, variables
from .process import watch
from .verdict import REPORT_IT, failure, read_answer

HEALTH_SECONDS = 600.0


def ask(
    plugin: Any,
    call: str,
    job: Any,
    environment: Environment,
    run: Run,
    folder: Path,
    deadline: float | None,
    given: Mapping[str, str],
) -> Any:
    """The output of `plugin.call(job)` in a worker of `environment`, which has its interpreter."""
    answer = _ask(
        plugin, call, _with_absolute_paths(job), environment, run, folder, deadline, given
    )
    return _decode(CALLS[call].output, answer, plugin, folder)


def ask_health(
    plugin: Trainer | Engine | Exporter, environment: Environment, folder: Path
) -> Health:
    """Raises EnvironmentFailure when something is missing or too old."""
    answer = _ask(plugin, "health", None, environment, SilentRun(), folder, HEALTH_SECONDS, {})
    found: Health = _decode(Health, answer, plugin, folder)
    if (
        environment.locked is not None
    ):  # its packages were tried together, whatever their metadata say
        found = dataclasses.replace(found, conflicts=())
    if found.missing:
        raise unhealthy(plugin, environment, found)
    return found


def _ask(
    plugin: Any,
    call: str,
    job: Any,
    environment: Environment,
    run: Run,
    folder: Path,
    deadline: float | None,
    given: Mapping[str, str],
) -> Any:
    interpreter, folder = environment.interpreter, folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / "output.json"
    output.unlink(missing_ok=True)
    reference = import_path.build(plugin, folder / "path")
    request = json.dumps({"plugin": reference, "call": call, "input": _encoded(job)})
    (folder / "input.json").write_text(request, "utf-8")
    ending = watch(
        [str(interpreter), "-m", "hubkit.sdk.worker", str(folder)],
        variables={**variables(os.environ, interpreter, folder / "path"), **given},
        folder=folder,
        result=output,
        run=run,
        deadline=deadline,
        serving=call == "serve",
    )
    who = f"{plugin.kind} {plugin.name}"
    if ending.hung or not output.exists():
        raise failure(who, call, ending, deadline, folder)
    answer = read_answer(who, output, folder)
    if answer.health is not None:
        raise unhealthy(plugin, environment, answer.health)
    if answer.error is not None:
        raise answer.error
    if ending.code != 0:
        run.note(f"{who}: the worker ended with code {ending.code} after it had finished its work")
    return answer.result


def _decode(kind: type[Any], data: Any, plugin: Any, folder: Path) -> Any:
    try:
        return decode(
            kind, data, f"{plugin.kind} {plugin.name}: {folder.absolute() / 'output.json'}"
        )
    except UsageError as error:
        raise PluginError(error.message, REPORT_IT) from None


def _with_absolute_paths(job: Any) -> Any:
    paths = {field.name: getattr(job, field.name) for field in dataclasses.fields(job)}
    return dataclasses.replace(
        job, **{name: path.absolute() for name, path in paths.items() if isinstance(path, Path)}
    )


def _encoded(job: Any) -> Any:
    try:
        return encode(job)
    except TypeError as error:
        raise UsageError(
            f"the job's options: {error}", "use text, numbers, true, false, lists and mappings"
        ) from None


def unhealthy(plugin: Any, environment: Environment, found: Health) -> HubkitError:
    """What is missing there, and how it is installed."""
    interpreter = environment.interpreter
    problems = "\n  ".join([*found.missing, *(f"conflict: {one}" for one in found.conflicts)])
    message = (
        f"{plugin.kind} {plugin.name} cannot run in {interpreter} (Python {found.python}):\n  "
        f"{problems}"
    )
    if environment.locked is not None:
        if lacks_gpu(environment.locked):
            return EnvironmentFailure(
                message, "there is no GPU here: use this environment where there is one"
            )
        name = interpreter.parent.parent.name
        return EnvironmentFailure(
            message,
            f"make it anew: `hubkit env remove {name}`, then `hubkit env build {plugin.name}`",
        )
    if environment.python is None:
        extra = plugin.requirements.extra
        ours = install(extra) if extra else "name an interpreter that has them"
        locked = (
            "use its locked environment (`environment: locked`), or "
            if plugin.requirements.locks
            else ""
        )
        return EnvironmentFailure(message, f"{locked}{ours}")
    wanted = " ".join(shlex.quote(one) for one in _distributions(plugin))
    return EnvironmentFailure(message, f"{interpreter} -m pip install {wanted}")


def _distributions(plugin: Any) -> list[str]:
    """What the extra asks for, as pip takes it; the plain modules when hubkit has no such extra."""
    return packages(plugin.requirements.extra) or [
        f"{module}>={least}" if least else module for module, least in plugin.requirements.modules
    ]
