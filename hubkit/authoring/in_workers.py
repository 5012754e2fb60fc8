"""The steps of a trainer, an engine or an exporter, in the environment that it needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..environments import CURRENT, Environment, call
from ..sdk import CancelledError, ExportInput, GenerateInput, SilentRun, TrainInput
from ..sdk import testing as drivers
from . import fixtures
from .cases import case_of
from .placement import Undrivable, fitting, there

SECONDS_TO_CANCEL = 60.0
DEADLINE = 1800.0
_MAKE: Mapping[str, Callable[..., Any]] = {
    "trainer": fixtures.training,
    "engine": fixtures.questions,
    "exporter": fixtures.exporting,
}


def in_workers(
    plugin: Any, module: str, scratch: Path, asked: Environment | None
) -> Iterator[tuple[str, Callable[[], str]]]:
    """(name, what to do), as `lifecycle.steps` has them."""
    place: dict[str, Environment] = {}

    def environment() -> str:
        place["found"] = fitting(plugin, asked, scratch / "health")
        return f"{place['found'].interpreter} has what it requires"

    def where() -> Environment:
        if not place:
            raise Undrivable("there is no environment for it: see above")
        return place["found"]

    yield "environment", environment
    yield "life", lambda: _life(plugin, module, scratch / "life", where())
    if callable(getattr(plugin, "serve", None)):
        yield "serving", lambda: _serving(plugin, module, scratch / "serving", where())
    yield "worker", lambda: _worker(plugin, module, scratch / "worker", where())
    yield "cancellation", lambda: _cancellation(plugin, module, scratch / "cancelled", where())


def _options(plugin: Any, module: str, folder: Path) -> Mapping[str, Any]:
    case = case_of(plugin, module, folder, needed=False)
    return case.options if case else {}


def _life(plugin: Any, module: str, folder: Path, where: Environment) -> str:
    options = _options(plugin, module, folder / "case")
    driven = plugin if where == CURRENT else there(plugin, where, folder / "workers")
    if plugin.kind == "trainer":
        trained = drivers.check_trainer(driven, fixtures.training(folder, options))
        return f"{trained.steps} steps, repeated and resumed to the same bytes"
    if plugin.kind == "exporter":
        output = drivers.check_exporter(driven, fixtures.exporting(folder, options))
        return f"{len(output.files)} files, repeated and continued to the same bytes"
    drivers.check_engine(driven, fixtures.questions(folder, options))
    return "the same answers twice; cancelled; continued"


def _serving(plugin: Any, module: str, folder: Path, where: Environment) -> str:
    options = _options(plugin, module, folder / "case")
    drivers.check_serving(
        there(plugin, where, folder / "workers"), fixtures.serving(folder, options)
    )
    return "texts, a picture and a stream answered; a request without the key refused; stopped"


def _job(plugin: Any, module: str, folder: Path) -> Any:
    options = _options(plugin, module, folder / "case")
    job: TrainInput | GenerateInput | ExportInput = _MAKE[plugin.kind](folder, options)
    for place in (job.output, getattr(job, "scratch", job.output)):
        place.mkdir(exist_ok=True)
    return job


def _name(plugin: Any) -> Any:
    return {"trainer": "train", "engine": "generate", "exporter": "export"}[plugin.kind]


def _worker(plugin: Any, module: str, folder: Path, where: Environment) -> str:
    """As in a release: in another process that has the SDK and the plugin and nothing else of
    hubkit."""
    job, run = _job(plugin, module, folder), _Watching()
    call(
        plugin,
        _name(plugin),
        job,
        environment=where,
        run=run,
        folder=folder / "log",
        deadline=DEADLINE,
    )
    if not run.reports:
        raise drivers.ConformanceError("no progress reached hubkit from the worker")
    return f"{run.reports} reports of progress"


def _cancellation(plugin: Any, module: str, folder: Path, where: Environment) -> str:
    job, run = _job(plugin, module, folder), _Watching(cancel=True)
    try:
        call(
            plugin,
            _name(plugin),
            job,
            environment=where,
            run=run,
            folder=folder / "log",
            deadline=DEADLINE,
        )
    except CancelledError:
        seconds = time.monotonic() - run.cancelled_at
        if seconds > SECONDS_TO_CANCEL:
            raise drivers.ConformanceError(
                f"the worker took {seconds:.0f} s to stop: call run.check_cancelled() often"
            ) from None
        return f"stopped after {seconds:.1f} s"
    raise Undrivable("the call ended before it could be cancelled")


class _Watching(SilentRun):
    """Counts reports; with `cancel`, cancels at the first."""

    def __init__(self, cancel: bool = False) -> None:
        self.reports, self.cancelled_at, self._cancel = 0, 0.0, cancel

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        self.reports += 1

    def check_cancelled(self) -> None:
        if self._cancel and self.reports:
            self.cancelled_at = self.cancelled_at or time.monotonic()
            raise CancelledError("cancelled by the check", "none needed")
