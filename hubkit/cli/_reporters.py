"""Progress for people at a terminal (bars), in a log (lines) and for programs (JSON)."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ..reporting import Reporter, SilentReporter, amount
from ._options import QUIET

_EVERY = 10.0
"""Seconds between two progress lines of one kind in a log."""


@contextmanager
def reporter(as_json: bool) -> Iterator[Reporter]:
    """The reporter that fits where the output goes."""
    console = Console(stderr=True, highlight=False)
    context = click.get_current_context(silent=True)
    if context is not None and context.meta.get(QUIET):
        yield SilentReporter()
    elif as_json:
        yield JsonReporter()
    elif console.is_terminal:
        with BarReporter(console) as bars:
            yield bars
    else:
        yield LineReporter(console)


def emit(event: str, data: dict[str, Any]) -> None:
    """One JSON object on a line of stdout."""
    click.echo(json.dumps({"event": event, **data}, ensure_ascii=False, sort_keys=True))


def _told(done: float, total: float, unit: str, numbers: dict[str, float]) -> str:
    """`3 of 12 steps loss 0.52`"""
    more = (f"{name} {value:.4g}" for name, value in numbers.items())
    return " ".join([amount(done, total, unit), *more])


class JsonReporter(SilentReporter):
    def __init__(self) -> None:
        self._last = 0.0

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        if time.monotonic() - self._last >= 1 or done == total:
            self._last = time.monotonic()
            emit("progress", {"done": done, "total": total, "unit": unit, **numbers})

    def note(self, message: str) -> None:
        emit("note", {"message": message})

    def stage_started(self, stage: str, index: int, count: int, reasons: tuple[str, ...]) -> None:
        emit(
            "stage",
            {
                "stage": stage,
                "state": "started",
                "index": index,
                "count": count,
                "reasons": list(reasons),
            },
        )

    def stage_sealed(self, stage: str, seconds: float, summary: str) -> None:
        emit(
            "stage",
            {"stage": stage, "state": "sealed", "seconds": round(seconds, 3), "summary": summary},
        )

    def stage_cached(self, stage: str, summary: str) -> None:
        emit("stage", {"stage": stage, "state": "cached", "summary": summary})


class LineReporter(SilentReporter):
    """For logs: a line per stage, and now and then one within a long stage."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._last = time.monotonic()

    def line(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style=style), soft_wrap=True)

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        if time.monotonic() - self._last >= _EVERY:
            self._last = time.monotonic()
            self.line(f"    {_told(done, total, unit, numbers)}")

    def note(self, message: str) -> None:
        self.line(f"    {message}", "dim")

    def stage_started(self, stage: str, index: int, count: int, reasons: tuple[str, ...]) -> None:
        self._last = time.monotonic()
        self.line(f"[{index}/{count}] {stage}: {'; '.join(reasons)}", "bold")

    def stage_sealed(self, stage: str, seconds: float, summary: str) -> None:
        self.line(f"  ✓ {stage} ({seconds:.1f} s): {summary}", "green")

    def stage_cached(self, stage: str, summary: str) -> None:
        self.line(f"  = {stage} (unchanged): {summary}", "dim")


class BarReporter(LineReporter):
    """A bar for what is being done now, above it the lines of what was done."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[amount]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = TaskID(0)
        self._stage = self._unit = ""

    def __enter__(self) -> BarReporter:
        self._bars.start()
        self._show("", "")
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def cancels(self, job: str) -> bool:
        """Asks where somebody can answer."""
        self._bars.stop()
        if not sys.stdin.isatty():
            return False
        question = f"{job} is running: [c]ancel it, or [l]eave it running?"
        try:
            answer: str = click.prompt(question, default="l", err=True, show_default=True)
        except click.Abort:
            return False
        return answer.strip().lower().startswith("c")

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        if unit != self._unit:
            self._show(self._stage, unit)
        told = _told(done, total, unit, numbers)
        self._bars.update(self._task, completed=done, total=total or None, amount=told)

    def _show(self, stage: str, unit: str) -> None:
        """A new bar, which turns until it is known how far the work is."""
        if self._task in self._bars.task_ids:
            self._bars.remove_task(self._task)
        self._stage, self._unit = stage, unit
        self._task = self._bars.add_task(stage or "at work", total=None, amount="")

    def stage_started(self, stage: str, index: int, count: int, reasons: tuple[str, ...]) -> None:
        self._show(stage, "")
        super().stage_started(stage, index, count, reasons)

    def stage_sealed(self, stage: str, seconds: float, summary: str) -> None:
        self._show("", "")
        super().stage_sealed(stage, seconds, summary)
