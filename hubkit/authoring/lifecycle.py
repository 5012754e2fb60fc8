"""One plugin's whole life, in a process of its own: `python -m hubkit.authoring.lifecycle REQUEST
REPORT SCRATCH`.

REQUEST is JSON: `plugin` (`module:Class`), `path` (what it needs on sys.path), and `environment`,
where a plugin that works in a worker is to run as release.yaml writes it, null when nobody said.
Each step appends a JSON line to REPORT when it begins and one when it ends, so that whoever waits
knows what a plugin was doing when it killed the process.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..environments import Environment
from ..sdk import EnvironmentFailure, HubkitError, UsageError
from ..sdk import testing as drivers
from ..sdk.codec import decode
from ..sdk.contract import problems
from .cases import strays
from .in_process import assembly, life
from .in_workers import in_workers
from .placement import Undrivable

HEAVY = (
    "torch",
    "transformers",
    "peft",
    "tensorflow",
    "jax",
    "lmdeploy",
    "xtuner",
    "datasets",
    "matplotlib",
    "pandas",
)
SECONDS_TO_IMPORT = 3.0
NEEDED = ("import", "contract")
"""Steps that all later ones need."""


def steps(
    reference: str, scratch: Path, asked: Environment | None
) -> Iterator[tuple[str, Callable[[], str]]]:
    """(name, what to do; its return value says what was seen) for the plugin `module:Class`."""
    module, _, name = reference.partition(":")
    found: dict[str, Any] = {}

    def load() -> str:
        before, started = set(sys.modules), time.perf_counter()
        found["class"] = getattr(importlib.import_module(module), name)
        seconds = time.perf_counter() - started
        heavy = sorted(set(HEAVY) & (set(sys.modules) - before))
        if heavy:
            raise drivers.ConformanceError(
                f"importing {module} imports {', '.join(heavy)}: import them inside the methods"
            )
        if seconds > SECONDS_TO_IMPORT:
            raise drivers.ConformanceError(
                f"importing {module} takes {seconds:.1f} s; every hubkit command pays for it"
            )
        return f"{module} in {seconds:.2f} s"

    def contract() -> str:
        if wrong := problems(found["class"]):
            raise drivers.ConformanceError("; ".join(wrong))
        found["plugin"] = found["class"]()
        return (
            f"{found['plugin'].kind} {found['plugin'].name}, written for SDK {found['plugin'].sdk}"
        )

    def imports() -> str:
        if module.partition(".")[0] == "hubkit":
            raise Undrivable("it is a part of hubkit itself")
        if found_strays := sorted(set(strays(module))):
            raise drivers.ConformanceError(
                f"imports of hubkit beyond hubkit.sdk: {'; '.join(found_strays)}"
            )
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
        raise drivers.ConformanceError("an unknown option is accepted without an error")

    yield "import", load
    yield "contract", contract
    yield "sdk only", imports
    yield "options", options
    if getattr(found.get("plugin"), "kind", "") in ("trainer", "engine", "exporter"):
        yield from in_workers(found["plugin"], module, scratch, asked)
        return
    yield "life", lambda: life(found["plugin"], module, scratch / "life")
    if callable(getattr(found.get("plugin"), "assemble", None)):
        yield "assembly", lambda: assembly(found["plugin"], module, scratch / "assembly")


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
    return (
        f" ({Path(own[-1].filename).name}, line {own[-1].lineno}, in {own[-1].name})" if own else ""
    )


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
