"""What a stage is to the pipeline, and what it may see of the release."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from ..digests import of_json, stamp
from ..environments import locked_name
from ..models import Model, open_model
from ..registry import plugins
from ..reporting import Reporter
from ..sdk import codec
from ..spec import EnvironmentField, LockedEnvironment, PythonEnvironment, Spec
from ..workspace import Workspace

T = TypeVar("T")


@dataclass(frozen=True)
class Stage(Generic[T]):
    """`inputs` names all that the result depends on, as short strings or digests: equal inputs, no
    new run. It is asked only when every earlier stage is sealed. `run` writes below the folder it
    is given and returns the result."""

    name: str
    purpose: str
    result: type[T]
    inputs: Callable[[Context], dict[str, str]]
    run: Callable[[Context, Path], T]
    summary: Callable[[T], str]


class Context:
    """The release as its stages see it."""

    def __init__(self, spec: Spec, workspace: Workspace, reporter: Reporter) -> None:
        self.spec, self.workspace, self.run = spec, workspace, reporter

    @cached_property
    def base(self) -> Model:
        return open_model(self.spec.base.path)

    @cached_property
    def base_digest(self) -> str:
        return of_json(self.workspace.digests.tree(self.spec.base.path))

    @property
    def images(self) -> Path:
        return self.spec.data.images or self.spec.data.path.parent

    def folder(self, stage: Stage[Any]) -> Path:
        return self.workspace.stage(stage.name)

    def result(self, stage: Stage[T]) -> T:
        """What `stage` gave, from its receipt."""
        receipt = self.workspace.receipt(stage.name)
        if receipt is None:
            raise RuntimeError(f"stage {stage.name} is not sealed")
        return codec.decode(stage.result, receipt.result, f"{stage.name}/receipt.json")

    def upstream(self, *stages: Stage[Any]) -> dict[str, str]:
        receipts = ((stage.name, self.workspace.receipt(stage.name)) for stage in stages)
        return {name: receipt.digest for name, receipt in receipts if receipt}


def plugin_inputs(
    kind: str, name: str, options: Mapping[str, Any], environment: EnvironmentField | None = None
) -> dict[str, str]:
    """A plugin, its options with defaults filled in and its environment, as inputs of a stage. An
    option that names a file, by its absolute path, changes with the file."""
    settings = codec.encode(
        codec.decode(plugins().get(kind, name).Options, options, f"{name} options")
    )
    inputs = {kind: name} | {f"options.{key}": json.dumps(value) for key, value in settings.items()}
    files = {
        key: Path(value)
        for key, value in settings.items()
        if isinstance(value, str) and value.startswith("/")
    }
    inputs |= {f"options.{key}.file": stamp(path) for key, path in files.items() if path.is_file()}
    if isinstance(environment, PythonEnvironment):
        inputs["environment"] = str(environment.python)
    elif isinstance(environment, LockedEnvironment) or environment == "locked":
        inputs["environment"] = locked_name(
            plugins().get(kind, name), "" if environment == "locked" else environment.locked
        )
    return inputs
