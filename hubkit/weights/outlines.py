"""What a family has to ask a library about a model: asked once in a worker, and kept."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubkit.sdk import json_text
from hubkit.sdk.codec import decode, encode
from hubkit.sdk.errors import UsageError
from hubkit.sdk.family import ModelFamily
from hubkit.sdk.outline import Outline, OutlineInput, OutliningFamily
from hubkit.sdk.run import SilentRun

from ..digests import of_json
from ..environments import CURRENT, Environment, call, resolve, versions_in
from ..home import home
from .checkpoint import inspect

_SECONDS = 300.0
_FOLDER = "outlines"


def outlined(
    family: OutliningFamily,
    folder: Path,
    config: Mapping[str, Any],
    environment: Environment | None,
) -> ModelFamily:
    """`family` for the model in `folder`. The answer is kept in hubkit's cache folder by what was
    asked and by the versions of the library that was asked.

    Raises:
        UsageError: the library has no such model, or rearranges its tensors.
        EnvironmentFailure: `environment` lacks the library, or its version does not know the model.
    """
    checkpoint, _ = inspect(folder)
    shapes: dict[str, tuple[int, ...]] = {}
    if checkpoint is not None:
        with checkpoint:
            shapes = {name: info.shape for name, info in checkpoint.tensors.items()}
    environment = resolve(environment or CURRENT, family, SilentRun())
    versions = versions_in(environment, [module for module, _ in family.requirements.modules])
    asked = of_json([family.name, config, sorted(shapes.items()), versions])
    kept = home() / _FOLDER / f"{asked}.json"
    outline = _read(kept) if versions else None
    if outline is None:
        outline = _asked(family, OutlineInput(config, tuple(shapes), shapes), environment)
        if versions:
            _keep(outline, kept)
    return family.outlined(outline, folder, config)


def _asked(family: OutliningFamily, job: OutlineInput, environment: Environment) -> Outline:
    with tempfile.TemporaryDirectory(prefix="hubkit-outline-") as work:
        return call(
            family,
            "outline",
            job,
            environment=environment,
            run=SilentRun(),
            folder=Path(work),
            deadline=_SECONDS,
        )


def _read(kept: Path) -> Outline | None:
    try:
        return decode(Outline, json_text.load(kept), kept.name)
    except (OSError, ValueError, UsageError):
        return None


def _keep(outline: Outline, kept: Path) -> None:
    """A cache that cannot be written costs only time."""
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=kept.parent, delete=False) as part:
            json.dump(encode(outline), part)
        Path(part.name).replace(kept)
