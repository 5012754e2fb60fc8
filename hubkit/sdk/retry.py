"""When a request is tried again, after which pause, and for how long."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping

from .errors import RemoteError
from .run import Run

TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same request may succeed (RFC 9110, RFC 6585)."""


class Patience:
    """The time that one operation may spend waiting between attempts. Shared by its threads."""

    def __init__(self, seconds: float, run: Run) -> None:
        self._left, self._run = seconds, run
        self._lock = threading.Lock()

    def wait(self, attempt: int, why: str, asked: float | None = None) -> None:
        """Sleeps before attempt number `attempt` (from 1): a jittered, growing time, or as long as
        the server asked when that is longer. Each pause is taken from the time that is left, and
        none is shorter than an eighth of a second.

        Raises:
            RemoteError: the time is spent, or the server asks for more than is left.
            CancelledError: interrupted.
        """
        own = min(0.25 * 2 ** min(attempt - 1, 10), 30.0) * random.uniform(0.5, 1.0)
        pause = asked if asked is not None and asked > own else own
        with self._lock:
            enough, self._left = self._left >= pause, self._left - pause
        if not enough:
            asks = (
                f"; the server asks to wait {min(asked or 0, 1e9):.0f} s" if pause == asked else ""
            )
            raise RemoteError(
                f"{why}{asks}", "run the same command again later: it continues where it stopped"
            )
        self._run.note(f"{why}: trying again in {pause:.1f} s")
        end = time.monotonic() + pause
        while (left := end - time.monotonic()) > 0:
            self._run.check_cancelled()
            time.sleep(min(left, 0.2))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from a `Retry-After` header, given as a number or as a date; None without one, and
    for one that is negative or no number."""
    from email.utils import parsedate_to_datetime

    value = next(
        (value for name, value in headers.items() if name.lower() == "retry-after"), ""
    ).strip()
    try:
        seconds = float(value)
        return seconds if seconds >= 0 else None
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
