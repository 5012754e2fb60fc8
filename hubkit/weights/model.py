"""A model folder and its family: the first look that every verb takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..files.outside import read_config, read_json
from ..registry.plugins import plugins
from ..sdk import ModelFamily, Vision
from .adapters.names import SETTINGS
from .companions import INDEX

if TYPE_CHECKING:
    from ..environments import Environment

PREPROCESSOR = "preprocessor_config.json"


@dataclass(frozen=True)
class Model:
    folder: Path
    config: dict[str, Any]
    family: ModelFamily

    @classmethod
    def of(cls, folder: Path, family: ModelFamily) -> Model:
        """The model in `folder`, of a family that is known already."""
        return cls(folder, read_config(folder), family)

    @property
    def vision(self) -> Vision:
        there = (self.folder / PREPROCESSOR).is_file()
        return self.family.vision(
            self.config, read_json(self.folder, PREPROCESSOR) if there else None
        )


def is_adapter(folder: Path) -> bool:
    """Whether `folder` is an adapter and no model. LLaVA's own training puts the model's
    config.json beside its adapters."""
    if not (folder / SETTINGS).is_file():
        return False
    weights = ("model.safetensors", INDEX, "pytorch_model.bin")
    return not (folder / "config.json").is_file() or not any(
        (folder / name).is_file() for name in weights
    )


def open_model(folder: Path, environment: Environment | None = None) -> Model:
    """The model in `folder`. A family without tables of its own is asked about it in a worker of
    `environment`, which by default is hubkit's own.

    Raises:
        UsageError: `folder` is no model folder but, say, an adapter, or no installed family
            recognises it.
        EnvironmentFailure: `environment` lacks what such a family asks.
    """
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is not a folder", "give the folder that holds the model's config.json"
        )
    if is_adapter(folder):
        raise UsageError(
            f"{folder} is an adapter, and no model",
            f"merge it into its base (`hubkit merge BASE {folder} OUT`), and give the folder OUT",
        )
    config = read_config(folder)
    family = plugins().family_of(config)
    if hasattr(family, "outline"):
        from .outlines import outlined

        family = outlined(family, folder, config, environment)
    return Model(folder, config, family)
