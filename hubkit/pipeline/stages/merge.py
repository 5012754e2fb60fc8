"""merge: base + adapter -> the model folder, under the release's name."""

from __future__ import annotations

from pathlib import Path

from ...weights.merge import MergeReport
from ...weights.model import Model, open_model
from ...weights.relayout import merge_as
from ..given_adapter import digest
from ..spec.fields import environment
from ..stage import Context, Stage
from . import train


def _inputs(context: Context) -> dict[str, str]:
    spec = context.spec.merge
    further = {
        f"adapters.{n}": f"{digest(context, more.path)} x {more.weight:g}"
        for n, more in enumerate(spec.adapters)
    }
    return (
        {"base": context.base_digest, "rounding": spec.rounding, "layout": spec.layout}
        | further
        | context.upstream(train.STAGE)
    )


def _run(context: Context, out: Path) -> MergeReport:
    adapter = context.folder(train.STAGE) / context.result(train.STAGE).adapter
    model, spec = out / context.spec.name, context.spec
    adapters = [(adapter, 1.0), *((more.path, more.weight) for more in spec.merge.adapters)]
    report = merge_as(
        spec.merge.layout,
        context.base,
        adapters,
        model,
        rounding=spec.merge.rounding,
        run=context.run,
    )
    context.workspace.digests.remember(model, {file.path: file.sha256 for file in report.files})
    return report


def merged_model(context: Context) -> Model:
    return open_model(
        context.folder(STAGE) / context.spec.name, environment(context.spec.smoke.environment)
    )


def merged_native(context: Context) -> Path:
    """Where the native view of the merged model is, or will be."""
    return context.workspace.native("merged", context.upstream(STAGE)[STAGE.name])


STAGE = Stage(
    name="merge",
    result=MergeReport,
    inputs=_inputs,
    run=_run,
    summary=lambda report: report.summary,
)
