"""What a stage is to the pipeline, and what it may see of the release."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..digests import of_json, stamp
from ..registry.plugins import plugins
from ..reporting import Reporter
from ..sdk import codec
from .seal import SEAL
from .spec.fields import EnvironmentField, environment
from .spec.model import Spec
from .workspace import Workspace

if TYPE_CHECKING:
    from ..inference.shares import Nodes
    from ..weights.model import Model

T = TypeVar("T")


@dataclass(frozen=True)
class Stage(Generic[T]):
    """`inputs` names all that the result depends on, as short strings or digests: equal inputs, no
    new run. It is asked only when every earlier stage is sealed. `run` writes below the folder it
    is given and returns the result. `touched` says what is wrong with sealed files that the seal
    itself does not list. `join` is what further nodes of its job do beside `run`, given a folder
    that nothing is kept of; None for a stage that takes one node."""

    name: str
    result: type[T]
    inputs: Callable[[Context], dict[str, str]]
    run: Callable[[Context, Path], T]
    summary: Callable[[T], str]
    touched: Callable[[Context], str | None] = lambda context: None
    join: Callable[[Context, Path], None] | None = None


class Context:
    """The release as its stages see it. `nodes` is set where the nodes of a job run one of them
    together."""

    def __init__(
        self, spec: Spec, workspace: Workspace, reporter: Reporter, nodes: Nodes | None = None
    ) -> None:
        self.spec, self.workspace, self.run = spec, workspace, reporter
        self.nodes = nodes
        self._inputs: dict[str, dict[str, str]] = {}

    @cached_property
    def base(self) -> Model:
        from ..weights.model import open_model

        return open_model(self.spec.base.path, environment(self.spec.smoke.environment))

    @cached_property
    def base_files(self) -> dict[str, str]:
        """The base's companions and weights by digest; what else lies in its folder goes
        nowhere."""
        from ..weights.checkpoint import Checkpoint
        from ..weights.companions import INDEX, companion_names

        base = self.base
        with Checkpoint.open(base.folder) as weights:
            names = {*companion_names(base.folder, base.family, base.config), *weights.shards}
            names |= {INDEX} if weights.index is not None else set()
        return self.workspace.digests.tree(base.folder, names)

    @property
    def base_digest(self) -> str:
        return of_json(self.base_files)

    @property
    def images(self) -> Path:
        return self.spec.data.images or self.spec.data.path.parent

    def folder(self, stage: Stage[Any]) -> Path:
        return self.workspace.stage(stage.name)

    def digest(self, path: Path) -> str:
        """Of a file, or of all files in a folder."""
        digests = self.workspace.digests
        return digests.sha256(path) if path.is_file() else of_json(digests.tree(path))

    def inputs(self, stage: Stage[Any]) -> dict[str, str]:
        """The stage's inputs, worked out once as long as the sealed stages stay as they are."""
        if stage.name not in self._inputs:
            self._inputs[stage.name] = stage.inputs(self)
        return self._inputs[stage.name]

    def result(self, stage: Stage[T]) -> T:
        """What `stage` gave, from its seal."""
        seal = self.workspace.seal_of(stage.name)
        if seal is None:
            raise RuntimeError(f"stage {stage.name} is not sealed")
        return codec.decode(stage.result, seal.result, f"{stage.name}/{SEAL}")

    def upstream(self, *stages: Stage[Any]) -> dict[str, str]:
        """The digests of what these stages gave, by name."""
        seals = ((stage.name, self.workspace.seal_of(stage.name)) for stage in stages)
        return {name: seal.digest for name, seal in seals if seal}

    def seal(self, stage: Stage[Any], partial: Path, result: Any, seconds: float) -> None:
        """Puts what `stage` wrote into its place; the later stages' inputs may change with it."""
        self.workspace.seal(stage.name, partial, self.inputs(stage), codec.encode(result), seconds)
        self._inputs.clear()


def seconds(hours: float | None) -> float | None:
    """A deadline as release.yaml gives it, in the unit of workers."""
    return None if hours is None else hours * 3600


def plugin_inputs(
    kind: str, name: str, options: Mapping[str, Any], field: EnvironmentField | None = None
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
    where = environment(field or "current")
    if where.python is not None:
        inputs["environment"] = str(where.python)
    elif where.locked is not None:
        from ..environments import locked_name

        inputs["environment"] = locked_name(plugins().get(kind, name), where.locked)
    return inputs
