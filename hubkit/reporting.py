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
