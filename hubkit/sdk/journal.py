"""The journal of a publish: one JSON line before and one after each remote step, on disk before the
step goes on.

It is for people who ask what happened before a crash. What to do next is never read from it: a hub
is asked what it has.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from . import json_text
from .errors import EnvironmentFailure, HubkitError
from .files import read_text


class Journal:
    """Lines of `at` (UTC), `hub`, `target`, `step`, `state` (begun, done, failed) and what is known
    of the step.

    Without a path nothing is written, and `done` still tells what was reached. No secret belongs
    into a step's facts.
    """

    def __init__(self, path: Path | None, hub: str, target: str) -> None:
        self._path, self._who = path, {"hub": hub, "target": target}
        self._lock = threading.Lock()
        self.done: list[str] = []

    @contextmanager
    def step(self, name: str, **facts: Any) -> Iterator[dict[str, Any]]:
        """Brackets one remote step. What the caller puts into the mapping that it gets is in the
        closing line."""
        self._write(name, "begun", facts)
        learned: dict[str, Any] = {}
        try:
            yield learned
        except BaseException as error:
            told = error.message if isinstance(error, HubkitError) else ""
            self._write(name, "failed", {"error": type(error).__name__, "message": told})
            raise
        self._write(name, "done", learned)
        self.done.append(name)

    def _write(self, step: str, state: str, facts: dict[str, Any]) -> None:
        if self._path is None:
            return
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        line = (
            json.dumps(
                {"at": now, **self._who, "step": step, "state": state, **facts}, ensure_ascii=False
            )
            + "\n"
        )
        with self._lock:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(line)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                remedy = "free some space or make the folder writable, then run again"
                raise EnvironmentFailure(
                    f"the journal {self._path} cannot be written: {error.strerror}", remedy
                ) from None


def read(path: Path) -> list[dict[str, Any]]:
    """The journal's lines in order; one that a crash cut short is left out.

    Raises:
        OSError, UnicodeDecodeError: as `files.read_text`.
    """
    lines = []
    for text in read_text(path).splitlines():
        try:
            lines.append(json_text.parse(text))
        except ValueError:
            continue
    return lines
