"""A stage as a job of a scheduler: its name, what it asks for, and what it would not find there."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..environments.environment import allowed
from ..errors import UsageError
from ..scheduling import Job
from .spec.fields import EnvironmentField, environment
from .spec.model import Spec
from .spec.paths import paths_of
from .spec.where import Where
from .stage import Context, Stage


def new_name(stage: Stage[Any], spec: Spec) -> str:
    readable = re.sub(r"[^A-Za-z0-9._-]", "-", spec.name)[:48]
    return f"{readable}.{stage.name}.{secrets.token_hex(4)}"


def job_for(stage: Stage[Any], context: Context, name: str, where: Where) -> Job:
    folder = context.workspace.job(stage.name)
    python = shlex.split(where.python) or ["python" if where.image else sys.executable]
    needs = where.needs() if stage.join else replace(where.needs(), nodes=1)
    return Job(
        name=name,
        folder=folder,
        command=(*python, "-m", "hubkit.pipeline.on_node", str(folder), name),
        variables={**allowed(os.environ), "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"},
        needs=replace(needs, mount=str(_mount(context, where))),
    )


def check_environments(stage: str, spec: Spec) -> None:
    """Raises UsageError when an environment of the stage depends on the machine."""
    for key, named in _environments(spec, stage).items():
        if environment(named).locked == "":
            raise UsageError(
                f"{key}: `locked` takes the lock that fits this machine, and the stage runs on "
                "another",
                f"name the variant, such as `{key}: locked:cu12`",
            )


def check_paths(context: Context, where: Where) -> None:
    """Raises UsageError when the job would not see what the release reads."""
    if not where.claim:
        return
    mount = _mount(context, where).resolve()
    named = {**paths_of(context.spec), "the run folder": context.workspace.folder}
    outside = [f"{key}: {path}" for key, path in named.items() if not _below(path, mount)]
    if outside:
        raise UsageError(
            f"the job sees {mount} alone, and the release needs {', '.join(outside)}",
            "put it there, or name a folder that holds all with `where.mount`, at which the "
            "volume of `where.claim` is mounted here too",
        )


def _environments(spec: Spec, stage: str) -> dict[str, EnvironmentField]:
    """By their keys in the release file."""
    if stage != "variants":
        return {f"{stage}.environment": getattr(spec, stage).environment}
    found: dict[str, EnvironmentField] = {}
    for number, one in enumerate(spec.variants):
        found[f"variants.{number}.environment"] = one.environment
        found[f"variants.{number}.ask.environment"] = one.ask.environment
    return found


def _mount(context: Context, where: Where) -> Path:
    return Path(where.mount or context.workspace.folder.parent.parent)


def _below(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder)
