"""How long an interrupted command may take to end, and when it may take longer."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from .sdk.errors import CancelledError

_asking = threading.Event()


def asking() -> bool:
    """The user has interrupted and is being asked what that should mean."""
    return _asking.is_set()


@contextmanager
def unhurried() -> Iterator[None]:
    """Meanwhile the interrupted command is not ended for being slow; another Ctrl-C raises
    KeyboardInterrupt, SIGTERM CancelledError."""
    main = threading.current_thread() is threading.main_thread()
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: _ended}
    before = {n: signal.signal(n, handler) for n, handler in handlers.items()} if main else {}
    _asking.set()
    try:
        yield
    finally:
        _asking.clear()
        for number, handler in before.items():
            signal.signal(number, handler)


def interruption() -> CancelledError:
    return CancelledError("interrupted", "run the same command again to continue")


def _ended(number: int, frame: FrameType | None) -> None:
    raise interruption()
