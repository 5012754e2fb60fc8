"""What the library reports to its caller while it works. The CLI shows it; automation may pass its
own Reporter."""

from __future__ import annotations

import threading
from typing import Protocol

from .sdk.errors import CancelledError
from .sdk.run import Run, SilentRun


class Reporter(Run, Protocol):
    """A Run that also hears of stages."""

    def stage_started(
        self, stage: str, index: int, count: int, reasons: tuple[str, ...]
    ) -> None: ...

    def stage_sealed(self, stage: str, seconds: float, summary: str) -> None: ...

    def stage_cached(self, stage: str, summary: str) -> None: ...

    def cancels(self, job: str) -> bool:
        """The user has interrupted while `job` runs elsewhere: True cancels it, False leaves it
        running."""


class SilentReporter(SilentRun):
    def stage_started(self, stage: str, index: int, count: int, reasons: tuple[str, ...]) -> None:
        return None

    def stage_sealed(self, stage: str, seconds: float, summary: str) -> None:
        return None

    def stage_cached(self, stage: str, summary: str) -> None:
        return None

    def cancels(self, job: str) -> bool:
        return False


class Parts:
    """One Run for the work of several threads: their progress added up, one interruption for
    all."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._done: dict[str, tuple[float, float]] = {}

    def part(self, name: str) -> Run:
        """The Run of one of them."""
        return _Part(self, name)

    def stop(self) -> None:
        """The next `check_cancelled` of each raises."""
        self._stopped.set()

    def progress(self, name: str, done: float, total: float, unit: str) -> None:
        with self._lock:
            self._done[name] = (done, total)
            self.run.progress(
                sum(d for d, _ in self._done.values()),
                sum(t for _, t in self._done.values()),
                unit,
            )

    def note(self, message: str) -> None:
        with self._lock:
            self.run.note(message)

    def check_cancelled(self) -> None:
        if self._stopped.is_set():
            raise CancelledError("interrupted", "run the same command again to continue")
        self.run.check_cancelled()


class _Part:
    def __init__(self, parts: Parts, name: str) -> None:
        self._parts, self._name = parts, name

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        self._parts.progress(self._name, done, total, unit)

    def note(self, message: str) -> None:
        self._parts.note(message)

    def check_cancelled(self) -> None:
        self._parts.check_cancelled()


def amount(done: float, total: float, unit: str) -> str:
    """How far the work is, for people: `3 of 12 steps`, `2.7 of 4.4 GB`."""
    if unit == "bytes":
        from rich.filesize import pick_unit_and_suffix

        size, name = pick_unit_and_suffix(int(total), ["bytes", "kB", "MB", "GB", "TB"], 1000)
        if size > 1:
            return f"{done / size:,.1f} of {total / size:,.1f} {name}"
    return f"{done:,.0f} of {total:,.0f} {unit}"
