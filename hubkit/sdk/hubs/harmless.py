"""What a hub's client logs by itself: it holds text of the hub's."""

from __future__ import annotations

import logging

from ..text import one_line


class _Harmless(logging.Filter):
    """Leaves out control characters and direction marks, and the end of what is long."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = one_line(record.getMessage(), 1000), ()
        return True


_FILTER = _Harmless()


def log_harmless(client: str) -> None:
    """From now on the handlers of the logger `client` write what can be shown."""
    for handler in logging.getLogger(client).handlers:
        handler.addFilter(_FILTER)
