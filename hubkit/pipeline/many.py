"""Many releases with one command: each in a process of its own, one report of all.

Each stage of each release is a job of its own and no member of an array: what they ask for differs,
none waits for another's training, and one that failed is run again by itself.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from ..errors import CancelledError, UsageError
from ..interruption import unhurried
from ..reporting import Reporter

State = Literal["done", "failed", "interrupted"]
SECONDS_TO_STOP = 10.0


@dataclass(frozen=True)
class Outcome:
    """How one release ended. `scores` are, by metric, the base's (None without one) and the
    model's; `links` where it was published. `message` and `remedy` are of the error."""

    spec: Path
    name: str
    state: State
    exit_code: int
    scores: Mapping[str, tuple[float | None, float]] = field(default_factory=dict)
    links: tuple[str, ...] = ()
    message: str = ""
    remedy: str = ""


def run_each(
    specs: Sequence[Path],
    options: Sequence[str],
    *,
    parallel: int,
    cancel: Callable[[Path], None],
    reporter: Reporter,
) -> tuple[Outcome, ...]:
    """Runs `hubkit release SPEC` with `options` for each of `specs`, `parallel` at once; their
    outcomes, in order. One that fails stops no other. `cancel` cancels the jobs of a release.

    Raises:
        UsageError: a file is named twice.
        CancelledError: the user interrupted, and was asked whether the jobs are to go on.
    """
    if len({spec.resolve() for spec in specs}) < len(specs):
        raise UsageError("a release file is named twice", "name each once")
    events: queue.Queue[tuple[_Child, dict[str, Any] | None]] = queue.Queue()
    waiting, outcomes = list(reversed(specs)), dict[Path, Outcome]()
    reporter.progress(0, len(specs), "releases")
    labels = _labels(specs)
    with _children(cancel, reporter) as running:
        while waiting or running:
            while waiting and len(running) < parallel:
                spec = waiting.pop()
                running.append(_Child(spec, labels[spec], options, events))
            child, event = _next(events, reporter)
            if event is not None:
                child.hear(event, reporter)
                continue
            running.remove(child)
            outcomes[child.spec] = child.outcome()
            reporter.note(f"{child.name}: {outcomes[child.spec].state}")
            reporter.progress(len(outcomes), len(specs), "releases")
    return tuple(outcomes[spec] for spec in specs)


def _labels(specs: Sequence[Path]) -> dict[Path, str]:
    """Files' names without their ending, or whole paths where two have the same."""
    short = len({spec.stem for spec in specs}) == len(specs)
    return {spec: spec.stem if short else str(spec) for spec in specs}


def _next(
    events: queue.Queue[tuple[_Child, dict[str, Any] | None]], reporter: Reporter
) -> tuple[_Child, dict[str, Any] | None]:
    while True:
        reporter.check_cancelled()
        try:
            return events.get(timeout=0.5)
        except queue.Empty:
            continue


class _Child:
    """`hubkit release SPEC --json`, in a session of its own: Ctrl-C is for this process."""

    def __init__(
        self, spec: Path, name: str, options: Sequence[str], events: queue.Queue[Any]
    ) -> None:
        self.spec, self.name, self._last = spec, name, ""
        self._told: dict[str, dict[str, Any]] = {}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hubkit", "release", str(spec), "--json", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        assert self.process.stdout is not None
        threading.Thread(target=self._read, args=(self.process.stdout, events), daemon=True).start()

    def _read(self, lines: IO[str], events: queue.Queue[Any]) -> None:
        for line in lines:
            try:
                event = json.loads(line)
                event["event"]
            except (ValueError, TypeError, KeyError):
                self._last = line.strip() or self._last
            else:
                events.put((self, event))
        self.process.wait()
        events.put((self, None))

    def hear(self, event: dict[str, Any], reporter: Reporter) -> None:
        kind = event["event"]
        self._told[kind] = event
        if kind == "note":
            reporter.note(f"{self.name}: {event['message']}")
        elif kind == "stage":
            summary = f": {event['summary']}" if event.get("summary") else ""
            reporter.note(f"{self.name}: {event['stage']} {event['state']}{summary}")

    def outcome(self) -> Outcome:
        code, error = self.process.returncode, self._told.get("error", {})
        if code == 0 and "result" in self._told:
            result = self._told["result"]
            measures = (result["evaluation"] or {}).get("measures", ())
            scores = {m["metric"]: (_value(m["base"]), m["score"]["value"]) for m in measures}
            links = tuple(receipt["url"] for receipt in result["receipts"])
            return Outcome(self.spec, result["name"], "done", 0, scores, links)
        state: State = "interrupted" if code == CancelledError.exit_code else "failed"
        message = error.get("message") or self._last or f"it ended with {code} and no word"
        remedy = error.get("remedy", "run this release by itself to see what it prints")
        return Outcome(self.spec, self.name, state, code, message=message, remedy=remedy)


def _value(interval: Mapping[str, Any] | None) -> float | None:
    return None if interval is None else float(interval["value"])


@contextmanager
def _children(cancel: Callable[[Path], None], reporter: Reporter) -> Iterator[list[_Child]]:
    """What still runs in the end is asked to end; a release that follows a job leaves it
    running."""
    running: list[_Child] = []
    try:
        yield running
    except KeyboardInterrupt:
        with unhurried():
            cancels = reporter.cancels(f"{len(running)} of the releases")
            _end(running)
            for child in running if cancels else ():
                cancel(child.spec)
        raise CancelledError(
            f"interrupted; their jobs {'are cancelled' if cancels else 'go on'}",
            "run the same command again to continue",
        ) from None
    finally:
        with unhurried():
            _end(running)


def _end(running: Sequence[_Child]) -> None:
    for child in running:
        if child.process.poll() is None:
            os.killpg(child.process.pid, signal.SIGTERM)
    for child in running:
        try:
            child.process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()
