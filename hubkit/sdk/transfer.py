"""What hubs that speak http share: how fast they may send, and what is told meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from .run import Run

CHUNK = 1 << 20


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
