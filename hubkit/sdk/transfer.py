"""What hubs that speak http share: how fast they may send, what is told meanwhile, and how long
they try again."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from .errors import RemoteError
from .run import Run

CHUNK = 1 << 20
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same request may succeed (RFC 9110, RFC 6585)."""


@dataclass(frozen=True)
class Pace:
    """What one hub may use of the network. `bytes_per_second` 0 is no limit."""

    connections: int = 4
    bytes_per_second: float = 0.0


class Meter:
    """Counts bytes sent over all threads of one publish, reports them, and slows them down to the
    pace."""

    def __init__(self, run: Run, total: int, pace: Pace) -> None:
        self._run, self._total, self._rate = run, total, pace.bytes_per_second
        self._lock = threading.Lock()
        self._done, self._due = 0, time.monotonic()
        self._last_told = float("-inf")

    def add(self, count: int) -> None:
        """`count` more bytes went out; negative when they must be sent again. Raises CancelledError
        once interrupted."""
        self._run.check_cancelled()
        with self._lock:
            self._done += count
            now = time.monotonic()
            wait = 0.0
            if self._rate > 0 and count > 0:
                self._due = max(self._due, now) + count / self._rate
                wait = self._due - now
            if now - self._last_told >= 0.1 or self._done >= self._total:
                self._last_told = now
                self._run.progress(min(max(self._done, 0), self._total), self._total, "bytes")
        if wait > 0:
            time.sleep(wait)

    def enough(self) -> None:
        """Everything is there, also what needed no sending."""
        if self._total:
            self._run.progress(self._total, self._total, "bytes")


class Body:
    """A request's body from an open file, in large chunks; each iteration starts over, so the
    request can be repeated."""

    def __init__(self, file: BinaryIO, meter: Meter | None) -> None:
        self._file, self._meter = file, meter
        self._start = file.tell()
        self._size = file.seek(0, 2) - self._start
        self._counted = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        if self._meter and self._counted:
            self._meter.add(-self._counted)
        self._counted = 0
        self._file.seek(self._start)
        left = self._size
        while left and (chunk := self._file.read(min(CHUNK, left))):
            left -= len(chunk)
            if self._meter:
                self._meter.add(len(chunk))
                self._counted += len(chunk)
            yield chunk


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
