"""A family that has no tables of its own: what it knows of a model is asked of the library that
loads it, in a worker, and kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from .environment import Requirements
from .family import ModelFamily, ModuleGroup
from .run import Run


@dataclass(frozen=True)
class OutlineInput:
    """`config` is a config.json, `names` are the tensors of the weights beside it; there may be
    none."""

    config: Mapping[str, Any]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class OutlinedTensor:
    """`held` is the name in memory, by which adapters call it; `name` the one in the weights given,
    or where those lack it, the one that the library would save it under."""

    held: str
    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Outline:
    """`tensors` are all that the model has in memory but those that are another one. `head` is the
    one that becomes a tensor of its own when config.json no longer ties it. `groups` as in
    NativeModel, those of them that the model has."""

    architecture: str
    tensors: tuple[OutlinedTensor, ...]
    groups: Mapping[str, ModuleGroup]
    head: OutlinedTensor | None = None
    image_token_id: int | None = None


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
