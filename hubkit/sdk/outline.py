"""A family that has no tables of its own: what it knows of a model is asked of the library that
loads it, in a worker, and kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from .environment import Requirements
from .family import Experts, ModelFamily, ModuleGroup
from .run import Run


@dataclass(frozen=True)
class OutlineInput:
    """`config` is a config.json, `names` are the tensors of the weights beside it, and `shapes`
    their shapes; there may be none."""

    config: Mapping[str, Any]
    names: tuple[str, ...] = ()
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class OutlinedTensor:
    """`held` is the name in memory, by which adapters call it; `name` the one in the weights given,
    or where those lack it, the one that the library would save it under."""

    held: str
    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Outline:
    """`tensors` are all that the weights hold: what the model has in memory but what is another
    tensor, and what the library leaves out as it loads. `head` is the one that becomes a tensor of
    its own when config.json no longer ties it. `groups` as in NativeModel, those of them that the
    model has; `experts` as in ExpertFamily."""

    architecture: str
    tensors: tuple[OutlinedTensor, ...]
    groups: Mapping[str, ModuleGroup]
    head: OutlinedTensor | None = None
    image_token_id: int | None = None
    experts: tuple[Experts, ...] = ()


class OutliningFamily(ModelFamily, Protocol):
    """`fallback` is true where the family takes what no other recognises."""

    fallback: ClassVar[bool]
    requirements: ClassVar[Requirements]

    def outline(self, job: OutlineInput, run: Run) -> Outline:
        """Runs in a worker; no weights are loaded and no code of the model's folder is run.

        Raises:
            UsageError: the config is of no model of this family, or its weights are rearranged on
                loading.
            EnvironmentFailure: the library does not know the model.
        """

    def outlined(self, outline: Outline, folder: Path, config: Mapping[str, Any]) -> ModelFamily:
        """The family of the model in `folder`, which has this config.json."""
