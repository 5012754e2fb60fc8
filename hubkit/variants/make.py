"""A variant's folder, written by an exporter in its worker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..environments import Environment, call
from ..environments.outputs import inside
from ..errors import PluginError
from ..registry.plugins import plugins
from ..sdk import ExportInput, ExportOutput, Run
from ..weights.model import Model


def make(
    model: Model,
    native: Path,
    out: Path,
    work: Path,
    run: Run,
    *,
    exporter: str,
    options: Mapping[str, Any],
    environment: Environment,
    name: str,
    deadline: float | None = None,
) -> ExportOutput:
    """Exports `model`, of which `native` is transformers' view, to `out`, which may hold what the
    same call left when it was killed; `work` takes the worker's files.

    Raises:
        RefusedError: the form has no place for the model.
        PluginError: the exporter named files that are not there, or left others.
    """
    out.mkdir(parents=True, exist_ok=True)
    job = ExportInput(model.folder, native, model.vision, name, out, options)
    output: ExportOutput = call(
        plugins().get("exporter", exporter),
        "export",
        job,
        environment=environment,
        run=run,
        folder=work,
        deadline=deadline,
    )
    who = f"exporter {exporter}"
    named = {inside(out, file, who).resolve() for file in output.files}
    there = {path.resolve() for path in out.rglob("*") if path.is_file()}
    if strays := sorted(path.name for path in there - named):
        raise PluginError(
            f"{who} left files that it did not name: {', '.join(strays[:5])}",
            "report it to the exporter's author; `hubkit plugins` names the plugin",
        )
    return output
