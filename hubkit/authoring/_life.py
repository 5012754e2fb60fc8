"""One plugin's whole life, in a process of its own: `python -m hubkit.authoring._life REQUEST REPORT SCRATCH`.

Each step appends a JSON line to REPORT when it begins and one when it ends, so that whoever waits knows what a plugin that took
the process along was doing.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..environments import CURRENT, call
from ..sdk import CancelledError, GenerateInput, HubkitError, SilentRun, TrainInput, UsageError
from ..sdk import testing as drivers
from ..sdk.codec import decode
from ..sdk.contract import problems
from ..sdk.testing.cases import CASES
from . import _tiny

HEAVY = ("torch", "transformers", "peft", "tensorflow", "jax", "lmdeploy", "xtuner", "datasets", "matplotlib", "pandas")
SECONDS_TO_IMPORT = 3.0
SECONDS_TO_CANCEL = 60.0
DEADLINE = 1800.0
NEEDED = ("import", "contract")
"""Steps without which there is nothing to go on with."""


class Skipped(Exception):
    """The step cannot be made, for a reason that is no fault of the plugin."""


def steps(reference: str, scratch: Path) -> Iterator[tuple[str, Callable[[], str]]]:
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
        if strays := sorted(set(_strays(module))):
            raise drivers.ConformanceError(f"imports of hubkit beyond hubkit.sdk: {'; '.join(strays)}")
        return "of hubkit only hubkit.sdk"

    def options() -> str:
        kind = getattr(found["plugin"], "Options", None)
        if kind is None:
            raise Skipped("this kind has no options")
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
    yield "life", lambda: _life(found["plugin"], module, scratch / "life")
    if getattr(found.get("plugin"), "kind", "") in ("trainer", "engine"):
        yield "worker", lambda: _worker(found["plugin"], module, scratch / "worker")
        yield "cancellation", lambda: _cancellation(found["plugin"], module, scratch / "cancelled")


def _strays(module: str) -> Iterator[str]:
    """Imports of other parts of hubkit in the package's source."""
    top = importlib.import_module(module.partition(".")[0])
    file = Path(str(top.__file__))
    for source in sorted(file.parent.rglob("*.py")) if file.stem == "__init__" else [file]:
        for node in ast.walk(ast.parse(source.read_bytes())):
            if isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)] if node.module != "hubkit" else [f"hubkit.{a.name}" for a in node.names]
            else:
                continue
            for name in names:
                if name.split(".")[0] == "hubkit" and name.split(".")[:2] != ["hubkit", "sdk"]:
                    yield f"{source.name}, line {node.lineno}: {name}"


def _case(plugin: Any, module: str, folder: Path) -> Any:
    """What the plugin brings; None when it brings nothing."""
    name = f"{module.partition('.')[0]}.conformance"
    try:
        bring = importlib.import_module(name).case
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None
    folder.mkdir(parents=True)
    case, wanted = bring(folder), CASES[plugin.kind]
    if not isinstance(case, wanted):
        raise drivers.ConformanceError(f"{name}.case returned {type(case).__name__}, a {plugin.kind} brings {wanted.__name__}")
    return case


def _life(plugin: Any, module: str, folder: Path) -> str:
    folder.mkdir(parents=True)
    case = _case(plugin, module, folder / "case")
    if plugin.kind == "trainer":
        output = drivers.check_trainer(plugin, _tiny.training(folder, case.options if case else {}))
        return f"{output.steps} steps, repeated and resumed to the same bytes"
    if plugin.kind == "engine":
        drivers.check_engine(plugin, _tiny.questions(folder, case.options if case else {}))
        return "the same answers twice; cancelled"
    if case is None:
        raise Skipped(f"{module.partition('.')[0]} has no module `conformance` with `case(folder)`")
    if plugin.kind == "dataset":
        read = drivers.check_dataset(plugin, case.source, case.count, options=case.options, bad=case.bad)
        return f"{len(read)} records, {len(case.bad)} bad files refused"
    if plugin.kind == "metric":
        drivers.check_metric(plugin, case.scores)
        return f"{len(case.scores)} answers scored"
    if plugin.kind == "family":
        more = {"folder": case.folder, "preprocessor": case.preprocessor, "tokens": case.tokens}
        drivers.check_family(plugin, case.config, accepted=case.accepted, refused=case.refused, **more)
        return f"{len(plugin.layout(case.config))} tensors, each explained once"
    job = _tiny.release(folder, case.target, case.options)
    other = _tiny.release(folder, case.target, case.options, extra="other")
    drivers.check_hub(plugin, job, folder / "downloads", other=other, bad_target=case.bad_target)
    return f"{len(job.files)} files published, listed, downloaded; repeated; another release refused"


def _job(plugin: Any, module: str, folder: Path) -> Any:
    folder.mkdir(parents=True)
    case = _case(plugin, module, folder / "case")
    make = _tiny.training if plugin.kind == "trainer" else _tiny.questions
    job: TrainInput | GenerateInput = make(folder, case.options if case else {})
    for place in (job.output, getattr(job, "scratch", job.output)):
        place.mkdir(exist_ok=True)
    return job


def _name(plugin: Any) -> Any:
    return "train" if plugin.kind == "trainer" else "generate"


def _worker(plugin: Any, module: str, folder: Path) -> str:
    """The real way: another process that has the SDK and the plugin and nothing else of hubkit."""
    job, run = _job(plugin, module, folder), _Watching()
    call(plugin, _name(plugin), job, environment=CURRENT, run=run, folder=folder / "log", deadline=DEADLINE)
    if not run.reports:
        raise drivers.ConformanceError("no progress reached hubkit from the worker")
    return f"{run.reports} reports of progress"


def _cancellation(plugin: Any, module: str, folder: Path) -> str:
    job, run = _job(plugin, module, folder), _Watching(cancel=True)
    try:
        call(plugin, _name(plugin), job, environment=CURRENT, run=run, folder=folder / "log", deadline=DEADLINE)
    except CancelledError:
        seconds = time.monotonic() - run.cancelled_at
        if seconds > SECONDS_TO_CANCEL:
            raise drivers.ConformanceError(f"the worker took {seconds:.0f} s to stop: call run.check_cancelled() often") from None
        return f"stopped after {seconds:.1f} s"
    raise Skipped("the call ended before it could be cancelled")


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
    with report.open("a", encoding="utf-8") as out:

        def say(**row: Any) -> None:
            out.write(json.dumps(row) + "\n")
            out.flush()

        for name, work in steps(asked["plugin"], scratch):
            say(step=name, state="begun", message="")
            state, message = _made(work)
            say(step=name, state=state, message=message)
            if state == "failed" and name in NEEDED:
                return


def _made(work: Callable[[], str]) -> tuple[str, str]:
    try:
        return "ok", work()
    except Skipped as error:
        return "skipped", str(error)
    except drivers.ConformanceError as error:
        return "failed", str(error)
    except HubkitError as error:
        return "failed", f"{type(error).__name__}: {error.message} ({error.remedy})"
    except Exception as error:
        traceback.print_exc()
        return "failed", f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
