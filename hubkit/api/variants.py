"""A model in the forms that people run."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..environments import Environment, EnvironmentLike
from ..reporting import SilentReporter
from ..sdk import ExportOutput, Run
from ..variants.make import make
from ..weights.convert import native_view
from ..weights.model import open_model
from ..weights.staging import staged

Folder = str | Path


def export(
    folder: Folder,
    out: Folder,
    *,
    exporter: str = "gguf",
    options: Mapping[str, Any] | None = None,
    environment: EnvironmentLike = "current",
    reporter: Run | None = None,
) -> ExportOutput:
    """Writes the model in `folder` in another form to `out`, which must not exist.

    Raises:
        RefusedError: the form has no place for the model; nothing is written.
    """
    model, run, place = open_model(Path(folder)), reporter or SilentReporter(), Path(out)
    needed = sum(path.stat().st_size for path in model.folder.glob("*.safetensors"))
    with (
        staged(place, needed) as made,
        tempfile.TemporaryDirectory(prefix=".hubkit-export-", dir=place.absolute().parent) as work,
    ):
        return make(
            model,
            native_view(model, Path(work) / "native", run),
            made,
            Path(work) / "worker",
            run,
            exporter=exporter,
            options=options or {},
            environment=Environment.parse(environment),
            name=model.folder.resolve().name,
        )
