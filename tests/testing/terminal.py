"""Programs at a terminal: a pseudo-terminal whose other end a test reads and types on."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path


class Terminal:
    """`shown` is all that was read so far."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process, self._descriptor = process, descriptor
        self.shown = ""

    def wait_for(self, text: str, seconds: float = 60) -> str:
        """What was shown until `text` came, which is taken away."""
        end = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < end and self._read(), f"no {text!r} in {self.shown!r}"
        before, _, self.shown = self.shown.partition(text)
        return before

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def rest(self, seconds: float = 60) -> str:
        """What is shown until the process ends."""
        end = time.monotonic() + seconds
        while self._read():
            assert time.monotonic() < end, self.shown
        self.process.wait(seconds)
        return self.shown

    def _read(self) -> bool:
        if not select.select([self._descriptor], [], [], 0.2)[0]:
            return True
        try:
            new = os.read(self._descriptor, 1 << 16)
        except OSError:  # EIO: Linux's way to say that the other end is closed
            return False
        self.shown += new.decode(errors="replace")
        return bool(new)


def hubkit(*arguments: str, cwd: Path) -> AbstractContextManager[Terminal]:
    return started([sys.executable, "-m", "hubkit", *arguments], cwd)


@contextmanager
def started(command: list[str], cwd: Path, **variables: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "200", **variables},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=_controlling,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _controlling() -> None:
    """Makes the terminal the session's own, so that a typed Ctrl-C is a signal."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
