"""The life of an exporter."""

from __future__ import annotations

import contextlib

from ..errors import CancelledError
from ..exporter import Exporter, ExportInput, ExportOutput
from ._base import (
    WatchedRun,
    as_a_worker_gets_it,
    beside,
    check_cancels,
    check_contract,
    check_relative,
    check_travels,
    digests,
    require,
)


def check_exporter(plugin: Exporter, job: ExportInput) -> ExportOutput:
    """Exports `job` twice, to the same bytes, cancels a third run, and lets one that was broken off
    go on in its folder.

    The runs go to folders beside `job.output`. Returns the first run's output, made in
    `job.output`.
    """
    check_contract(plugin, "exporter")
    first = as_a_worker_gets_it(plugin, job)
    output, made = _export(plugin, first, WatchedRun())
    _, again = _export(plugin, beside(first, "again"), WatchedRun())
    require(again == made, "two runs write different files")
    cancelled = beside(first, "cancelled")
    cancelled.output.mkdir(parents=True)
    check_cancels(lambda run: plugin.export(cancelled, run), "`export`", after=0)
    broken_off = beside(first, "continued")
    broken_off.output.mkdir(parents=True)
    with contextlib.suppress(CancelledError):  # an exporter may be done with its first report
        plugin.export(broken_off, WatchedRun(cancel_at=1))
    _, continued = _export(plugin, broken_off, None)
    require(
        continued == made,
        "a run that goes on in the folder of one that was broken off writes other files",
    )
    return output


def _export(
    plugin: Exporter, job: ExportInput, watched: WatchedRun | None
) -> tuple[ExportOutput, dict[str, str]]:
    """`watched` must see progress; a run with nothing left to do has none."""
    job.output.mkdir(parents=True, exist_ok=True)
    output = plugin.export(job, watched or WatchedRun())
    check_travels(output, ExportOutput)
    require(watched is None or watched.reports, "`export` reported no progress")
    for name in output.files:
        check_relative(name, job.output, "ExportOutput.files")
    found = digests(job.output)
    require(
        found and sorted(output.files) == sorted(found),
        f"`files` are {sorted(output.files)}, `output` holds {sorted(found)}",
    )
    require(output.versions, "`versions` is empty")
    return output, found
