"""Runs one call of a plugin in a process of its own: `python -m hubkit.sdk.worker
JOB_FOLDER`.

hubkit writes `input.json`, `{"plugin": "module:Class", "call": "health" or one of CALLS, "input":
{...}}`, and reads `output.json`, which appears whole or not at all:

    {"ok": true, "result": {...}}                                  the call's output, or a Health
    {"ok": false, "error": {"error", "message", "remedy", ...}}    a HubkitError, or what went wrong
                                                                   with a `traceback`
    {"ok": false, "health": {...}}                                 the interpreter lacks something
                                                                   that the plugin requires

Progress and notes go as JSON lines to the descriptor that HUBKIT_PROGRESS_FD names; stdout and
stderr are logs. SIGTERM asks the plugin to stop at its next `check_cancelled`, and ends a worker
that has not called the plugin yet; SIGUSR1 writes every thread's stack to stderr. Standard input is
a lifeline: when hubkit is gone, however it died, the pipe closes and the worker's process group is
killed.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .codec import decode, encode
from .engine import (
    GenerateInput,
    GenerateOutput,
    MeasureInput,
    MeasureOutput,
    ServeInput,
    ServeOutput,
)
from .environment import Health, check
from .errors import CancelledError, HubkitError, PluginError
from .exporter import ExportInput, ExportOutput
from .outline import Outline, OutlineInput
from .trainer import Foreseen, TrainInput, TrainOutput

PROGRESS_DESCRIPTOR = "HUBKIT_PROGRESS_FD"
SECONDS_BETWEEN_PROGRESS = 0.1


class Call(NamedTuple):
    """A plugin method that runs in a worker."""

    kind: str
    input: type
    output: type


CALLS = {
    "train": Call("trainer", TrainInput, TrainOutput),
    "foresee": Call("trainer", TrainInput, Foreseen),
    "generate": Call("engine", GenerateInput, GenerateOutput),
    "measure": Call("engine", MeasureInput, MeasureOutput),
    "serve": Call("engine", ServeInput, ServeOutput),
    "export": Call("exporter", ExportInput, ExportOutput),
    "outline": Call("family", OutlineInput, Outline),
}


class PipeRun:
    """The Run of a worker: at most ten progress lines a second, the first and the last of a count
    always among them."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._cancelled = False
        self._lock = threading.Lock()
        self._sent: tuple[float, float, str] | None = None
        self._sent_at = float("-inf")

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        state, now = (float(done), float(total), unit), time.monotonic()
        if now - self._sent_at < SECONDS_BETWEEN_PROGRESS and (done < total or state == self._sent):
            return
        self._sent, self._sent_at = state, now
        shown = {name: float(value) for name, value in numbers.items()}
        self._send({"done": state[0], "total": state[1], "unit": unit, "numbers": shown})

    def note(self, message: str) -> None:
        self._send({"note": str(message)})

    def check_cancelled(self) -> None:
        if self._cancelled:
            raise CancelledError("interrupted", "run the same command again to continue")

    def cancel(self, *_: object) -> None:
        """A signal handler: the next check_cancelled raises."""
        self._cancelled = True

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._descriptor is None:
            return
        line = memoryview((json.dumps(message) + "\n").encode())
        with self._lock:
            try:
                while line:
                    line = line[os.write(self._descriptor, line) :]
            except BrokenPipeError:
                self._descriptor = None


def main(folder: Path) -> int:
    """Answers `folder/input.json` in `folder/output.json`; 0 when the call succeeded."""
    run = PipeRun(_progress_descriptor())
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    try:
        answer = _answer(json.loads((folder / "input.json").read_text("utf-8")), run)
        text = json.dumps(answer)
    except BaseException as error:
        traceback.print_exc()
        answer = {"ok": False, "error": _describe(error)}
        text = json.dumps(answer)
    part = folder / "output.json.part"
    part.write_text(text, "utf-8")
    part.replace(folder / "output.json")
    return 0 if answer["ok"] else 1


def load(reference: str) -> Any:
    """An instance of the class that `module:Class` names."""
    module, _, names = reference.partition(":")
    found: Any = importlib.import_module(module)
    for name in names.split("."):
        found = getattr(found, name)
    return found()


def _answer(request: Mapping[str, Any], run: PipeRun) -> dict[str, Any]:
    plugin, name = load(request["plugin"]), request["call"]
    if name == "health":
        return {"ok": True, "result": encode(_health(plugin))}
    call = CALLS[name]
    job: Any = decode(call.input, request["input"], f"the input of {name}")
    if hasattr(job, "options"):
        options = decode(plugin.Options, job.options, f"options of {plugin.kind} {plugin.name}")
        job = dataclasses.replace(job, options=encode(options))
    if check(plugin.requirements, probe=False).missing:
        return {"ok": False, "health": encode(_health(plugin))}
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, run.cancel)
    result = getattr(plugin, name)(job, run)
    if not isinstance(result, call.output):
        message = (
            f"{plugin.kind} {plugin.name}: `{name}` returned {type(result).__name__}, its contract "
            f"says {call.output.__name__}"
        )
        raise PluginError(message, "this is a bug of the plugin: report it to its author")
    return {"ok": True, "result": encode(result)}


def _health(plugin: Any) -> Health:
    from .conflicts import conflicts

    return dataclasses.replace(check(plugin.requirements), conflicts=conflicts(plugin.requirements))


def _describe(error: BaseException) -> dict[str, Any]:
    if isinstance(error, (HubkitError, CancelledError)):
        known = next(
            kind for kind in type(error).__mro__ if kind.__module__ == HubkitError.__module__
        )
        return {**error.to_json(), "error": known.__name__}
    remedy = "this looks like a bug of the plugin: report it to its author with the log"
    described = {
        "error": "PluginError",
        "message": f"{type(error).__name__}: {error}",
        "remedy": remedy,
    }
    if isinstance(error, MemoryError):
        described.update(
            error="EnvironmentFailure",
            message="out of memory",
            remedy="free memory or lower the batch size",
        )
    if isinstance(error, SystemExit):
        described.update(
            message=f"the plugin called sys.exit({error.code!r}) instead of returning or raising"
        )
    return {
        **described,
        "traceback": "".join(traceback.format_exception(type(error), error, error.__traceback__)),
    }


def _progress_descriptor() -> int | None:
    """The descriptor hubkit reads from, kept from the plugin's own children, and the lifeline tied;
    None when a person started this worker by hand."""
    number = os.environ.pop(PROGRESS_DESCRIPTOR, None)
    if number is None:
        return None
    os.set_inheritable(int(number), False)
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    _tie(lifeline)
    threading.Thread(
        target=_die_with, args=(lifeline,), name="hubkit-lifeline", daemon=True
    ).start()
    return int(number)


def _tie(lifeline: int) -> None:
    """Linux itself kills the group when the pipe closes (fcntl(2), F_SETSIG); a thread would have
    to wait while an import such as torch's holds the interpreter."""
    if sys.platform == "linux":
        import fcntl

        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _die_with(lifeline: int) -> None:
    while os.read(lifeline, 1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute()))
