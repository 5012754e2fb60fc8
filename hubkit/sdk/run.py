"""What a plugin may do while it works: report progress and notice cancellation."""

from __future__ import annotations

from typing import Protocol


class Run(Protocol):
    """Handed to every long call. Both methods are safe to call often."""

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        """`done` of `total` `unit`s; `numbers` are shown beside (loss, samples per second)."""

    def note(self, message: str) -> None:
        """One line for the log."""

    def check_cancelled(self) -> None:
        """Raises CancelledError once the user has interrupted."""


class SilentRun:
    """A Run for tests and for callers that do not want to watch."""

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        return None

    def note(self, message: str) -> None:
        return None

    def check_cancelled(self) -> None:
        return None
