"""Which visitor is being answered, so that an answer can be stopped, and waited for."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

SECONDS_TO_END = 10.0


class Sessions:
    """A visitor is named by the session that Gradio gives to a tab."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stops: dict[str, tuple[threading.Event, threading.Event]] = {}

    @contextlib.contextmanager
    def answering(self, session: str) -> Iterator[threading.Event]:
        """While the block lasts, `stop` sets the event that it gets. An answer that is still under
        way is stopped first."""
        self.stop(session)
        stopped, ended = threading.Event(), threading.Event()
        with self._lock:
            self._stops[session] = stopped, ended
        try:
            yield stopped
        finally:
            ended.set()
            with self._lock:
                if self._stops.get(session) == (stopped, ended):
                    del self._stops[session]

    def stop(self, session: str) -> None:
        """Stops the session's answer, when there is one, and waits until it has ended."""
        with self._lock:
            found = self._stops.get(session)
        if found:
            found[0].set()
            found[1].wait(SECONDS_TO_END)
