"""What the library reports to its caller while it works. The CLI shows it; automation may pass its
own Reporter."""

from __future__ import annotations

from typing import Protocol

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


def amount(done: float, total: float, unit: str) -> str:
    """How far the work is, for people: `3 of 12 steps`, `2.7 of 4.4 GB`."""
    if unit == "bytes":
        from rich.filesize import pick_unit_and_suffix

        size, name = pick_unit_and_suffix(int(total), ["bytes", "kB", "MB", "GB", "TB"], 1000)
        if size > 1:
            return f"{done / size:,.1f} of {total / size:,.1f} {name}"
    return f"{done:,.0f} of {total:,.0f} {unit}"
