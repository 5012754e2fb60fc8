"""A line that says that hubkit is at work, until the command has something to say itself."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

_DELAY = 0.3
"""Seconds before it shows: commands that are faster need none."""
_PERIOD = 0.1
_FRAMES = {True: "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", False: "|/-\\"}
_CLEAR = "\r\x1b[K"


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Shows `what` on a terminal's standard error, in a thread of its own since imports keep the
    main one busy. The first thing that is written takes the line away."""
    if not sys.stderr.isatty():
        yield
        return
    line = _Line(what, sys.stdout, sys.stderr)
    try:
        yield
    finally:
        line.end()


class _Line:
    def __init__(self, what: str, out: TextIO, err: TextIO) -> None:
        self._what, self._out, self._err = what, out, err
        self._lock, self._ended, self._drawn = threading.RLock(), threading.Event(), False
        self._streams = (_Watched(out, self.end), _Watched(err, self.end))
        sys.stdout, sys.stderr = self._streams
        threading.Thread(target=self._turn, name="hubkit-waiting", daemon=True).start()

    def end(self) -> None:
        with self._lock:
            if self._ended.is_set():
                return
            self._ended.set()
            if self._drawn:
                self._err.write(_CLEAR)
                self._err.flush()
            if (sys.stdout, sys.stderr) == self._streams:
                sys.stdout, sys.stderr = self._out, self._err

    def _turn(self) -> None:
        started, unicode = time.monotonic(), "utf" in (self._err.encoding or "").lower()
        pause = _DELAY
        for frame in itertools.cycle(_FRAMES[unicode]):
            if self._ended.wait(pause):
                return
            pause = _PERIOD
            seconds = time.monotonic() - started
            told = f"{frame} {self._what}" + (f" {seconds:.0f} s" if seconds > 2 else "")
            with self._lock:
                if self._ended.is_set():
                    return
                self._err.write(_CLEAR + told)
                self._err.flush()
                self._drawn = True


class _Watched:
    """A stream that tells before it is first written to."""

    def __init__(self, stream: TextIO, first: Callable[[], None]) -> None:
        self._stream, self._first = stream, first

    def write(self, text: str) -> int:
        if text:
            self._first()
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
