"""One plugin's whole life, in a process of its own: `python -m hubkit.authoring._life REQUEST REPORT SCRATCH`.

REQUEST is JSON: `plugin` (`module:Class`), `path` (what it needs on sys.path), and `environment`, where a trainer or an engine is
to run as release.yaml writes it, null when nobody said. Each step appends a JSON line to REPORT when it begins and one when it
ends, so that whoever waits knows what a plugin that took the process along was doing.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..environments import CURRENT, Environment, call
from ..sdk import CancelledError, EnvironmentFailure, GenerateInput, HubkitError, SilentRun, TrainInput, UsageError
from ..sdk import testing as drivers
from ..sdk.codec import decode
from ..sdk.contract import problems
from . import _tiny
from ._brought import case_of, strays
from ._elsewhere import Undrivable, fitting, there

HEAVY = ("torch", "transformers", "peft", "tensorflow", "jax", "lmdeploy", "xtuner", "datasets", "matplotlib", "pandas")
SECONDS_TO_IMPORT = 3.0
SECONDS_TO_CANCEL = 60.0
DEADLINE = 1800.0
NEEDED = ("import", "contract")
"""Steps without which there is nothing to go on with."""


def steps(reference: str, scratch: Path, asked: Environment | None) -> Iterator[tuple[str, Callable[[], str]]]:
    """(name, what to do; its return value says what was seen) for the plugin `module:Class`."""
    module, _, name = reference.partition(":")
    found: dict[str, Any] = {}

    def load() -> str:
        before, started = set(sys.modules), time.perf_counter()
        found["class"] = getattr(importlib.import_module(module), name)
        seconds = time.perf_counter() - started
        heavy = sorted(set(HEAVY) & (set(sys.modules) - before))
        if heavy:
            raise drivers.ConformanceError(f"importing {module} imports {', '.join(heavy)}: import them inside the methods")
        if seconds > SECONDS_TO_IMPORT:
            raise drivers.ConformanceError(f"importing {module} takes {seconds:.1f} s; every hubkit command pays for it")
        return f"{module} in {seconds:.2f} s"

    def contract() -> str:
        if wrong := problems(found["class"]):
            raise drivers.ConformanceError("; ".join(wrong))
        found["plugin"] = found["class"]()
        return f"{found['plugin'].kind} {found['plugin'].name}, written for SDK {found['plugin'].sdk}"

    def imports() -> str:
        if module.partition(".")[0] == "hubkit":
            raise Undrivable("it is a part of hubkit itself")
        if found_strays := sorted(set(strays(module))):
            raise drivers.ConformanceError(f"imports of hubkit beyond hubkit.sdk: {'; '.join(found_strays)}")
        return "of hubkit only hubkit.sdk"

    def options() -> str:
        kind = getattr(found["plugin"], "Options", None)
        if kind is None:
            raise Undrivable("this kind has no options")
        decode(kind, {}, "options")
        try:
            decode(kind, {"no_such_option_at_all": 1}, "options")
        except UsageError:
            return f"{len(dataclasses.fields(kind))} options, each with a default"
        raise drivers.ConformanceError("an unknown option is taken without complaint")

    yield "import", load
    yield "contract", contract
    yield "sdk only", imports
    yield "options", options
    if getattr(found.get("plugin"), "kind", "") in ("trainer", "engine"):
        yield from _in_workers(found["plugin"], module, scratch, asked)
        return
    yield "life", lambda: _life(found["plugin"], module, scratch / "life")
    if callable(getattr(found.get("plugin"), "assemble", None)):
        yield "assembly", lambda: _assembly(found["plugin"], module, scratch / "assembly")


def _in_workers(plugin: Any, module: str, scratch: Path, asked: Environment | None) -> Iterator[tuple[str, Callable[[], str]]]:
    """The steps of a trainer or an engine."""
    place: dict[str, Environment] = {}

    def environment() -> str:
        place["found"] = fitting(plugin, asked, scratch / "health")
        return f"{place['found'].interpreter} has what it requires"

    def where() -> Environment:
        if not place:
            raise Undrivable("there is no environment for it: see above")
        return place["found"]

    yield "environment", environment
    yield "life", lambda: _life_at(plugin, module, scratch / "life", where())
    if callable(getattr(plugin, "serve", None)):
        yield "serving", lambda: _serving(plugin, module, scratch / "serving", where())
    yield "worker", lambda: _worker(plugin, module, scratch / "worker", where())
    yield "cancellation", lambda: _cancellation(plugin, module, scratch / "cancelled", where())


def _life(plugin: Any, module: str, folder: Path) -> str:
    case = case_of(plugin, module, folder / "case")
    if plugin.kind == "dataset":
        read = drivers.check_dataset(plugin, case.source, case.count, options=case.options, bad=case.bad)
        scanned = "; scanned likewise" if hasattr(plugin, "scan") else ""
        return f"{len(read)} records, {len(case.bad)} bad files refused{scanned}"
    if plugin.kind == "metric":
        drivers.check_metric(plugin, case.scores, bad=case.bad)
        return f"{len(case.scores)} answers scored"
    if plugin.kind == "family":
        _family(plugin, case)
        return f"{len(plugin.layout(case.config))} tensors, each explained once"
    with _tiny.placed(case, folder / "hub") as case:
        job = _tiny.release(folder, case.target, case.options)
        other = _tiny.release(folder, case.target, case.options, extra="other")
        drivers.check_hub(plugin, job, folder / "downloads", other=other, bad_target=case.bad_target, whole=True)
    return f"{len(job.files)} files published, listed, downloaded; interrupted; repeated; another release refused; withdrawn"


def _family(plugin: Any, case: Any) -> None:
    more = {"folder": case.folder, "preprocessor": case.preprocessor, "tokens": case.tokens}
    drivers.check_family(plugin, case.config, accepted=case.accepted, refused=case.refused, **more)
    own = json.loads((_tiny.BASE / "config.json").read_text("utf-8"))
    if plugin.recognises(own):
        drivers.check_family(plugin, own, accepted=case.accepted, refused=case.refused, folder=_tiny.BASE)


def _assembly(plugin: Any, module: str, folder: Path) -> str:
    case = case_of(plugin, module, folder)
    if case.parts is None:
        raise Undrivable("the case brings no `parts` to assemble")
    drivers.check_family(plugin, case.config, accepted=case.accepted, refused=case.refused, parts=case.parts)
    made = plugin.assemble(case.parts.llm, case.parts.vision, case.parts.image_token)
    return f"{len(made.tensors)} tensors from the parts, {len(made.fresh)} fresh"


def _options(plugin: Any, module: str, folder: Path) -> Mapping[str, Any]:
    case = case_of(plugin, module, folder, needed=False)
    return case.options if case else {}


def _life_at(plugin: Any, module: str, folder: Path, where: Environment) -> str:
    options = _options(plugin, module, folder / "case")
    driven = plugin if where == CURRENT else there(plugin, where, folder / "workers")
    if plugin.kind == "trainer":
        output = drivers.check_trainer(driven, _tiny.training(folder, options))
        return f"{output.steps} steps, repeated and resumed to the same bytes"
    drivers.check_engine(driven, _tiny.questions(folder, options))
    return "the same answers twice; cancelled; continued"


def _serving(plugin: Any, module: str, folder: Path, where: Environment) -> str:
    options = _options(plugin, module, folder / "case")
    drivers.check_serving(there(plugin, where, folder / "workers"), _tiny.serving(folder, options))
    return "texts, a picture and a stream answered; a request without the key refused; stopped"


def _job(plugin: Any, module: str, folder: Path) -> Any:
    options = _options(plugin, module, folder / "case")
    make = _tiny.training if plugin.kind == "trainer" else _tiny.questions
    job: TrainInput | GenerateInput = make(folder, options)
    for place in (job.output, getattr(job, "scratch", job.output)):
        place.mkdir(exist_ok=True)
    return job


def _name(plugin: Any) -> Any:
    return "train" if plugin.kind == "trainer" else "generate"


def _worker(plugin: Any, module: str, folder: Path, where: Environment) -> str:
    """The real way: another process that has the SDK and the plugin and nothing else of hubkit."""
    job, run = _job(plugin, module, folder), _Watching()
    call(plugin, _name(plugin), job, environment=where, run=run, folder=folder / "log", deadline=DEADLINE)
    if not run.reports:
        raise drivers.ConformanceError("no progress reached hubkit from the worker")
    return f"{run.reports} reports of progress"


def _cancellation(plugin: Any, module: str, folder: Path, where: Environment) -> str:
    job, run = _job(plugin, module, folder), _Watching(cancel=True)
    try:
        call(plugin, _name(plugin), job, environment=where, run=run, folder=folder / "log", deadline=DEADLINE)
    except CancelledError:
        seconds = time.monotonic() - run.cancelled_at
        if seconds > SECONDS_TO_CANCEL:
            raise drivers.ConformanceError(f"the worker took {seconds:.0f} s to stop: call run.check_cancelled() often") from None
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


def main(request: Path, report: Path, scratch: Path) -> None:
    asked = json.loads(request.read_text("utf-8"))
    sys.path[:0] = asked["path"]
    environment = None if asked["environment"] is None else Environment.parse(asked["environment"])
    with report.open("a", encoding="utf-8") as out:

        def say(**row: Any) -> None:
            out.write(json.dumps(row) + "\n")
            out.flush()

        for name, work in steps(asked["plugin"], scratch, environment):
            say(step=name, state="begun", message="")
            state, message = _made(work, asked["plugin"].partition(":")[0].partition(".")[0])
            say(step=name, state=state, message=message)
            if state == "failed" and name in NEEDED:
                return


def _made(work: Callable[[], str], package: str) -> tuple[str, str]:
    try:
        return "ok", work()
    except Undrivable as error:
        return "skipped", str(error)
    except drivers.ConformanceError as error:
        return "failed", str(error)
    except EnvironmentFailure as error:  # a PluginError is one, and is the plugin's own fault
        state = "skipped" if type(error) is EnvironmentFailure else "failed"
        return state, f"{error.message} ({error.remedy})"
    except HubkitError as error:
        return "failed", f"{type(error).__name__}: {error.message} ({error.remedy})"
    except Exception as error:
        traceback.print_exc()
        return "failed", f"{type(error).__name__}: {error}{_place(error, package)}"


def _place(error: BaseException, package: str) -> str:
    """Where in the plugin's package it was raised, or passed on."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if package in Path(frame.filename).with_suffix("").parts]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno}, in {own[-1].name})" if own else ""


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
