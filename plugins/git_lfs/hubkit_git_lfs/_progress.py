"""GIT_LFS_PROGRESS: the file to which Git LFS writes how far each transfer is."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from types import TracebackType

from hubkit.sdk import Run

_LINE = re.compile(r"(?:upload|download|checkout) \d+/\d+ (?P<done>\d+)/\d+ (?P<name>.*)")


class LfsProgress:
    """Reads `path` as Git LFS writes it and reports the sum over all files; `total` is in bytes.

    Over a local path Git LFS links, and has nothing to tell."""

    def __init__(self, run: Run, total: int) -> None:
        self._run, self._total = run, total
        self._folder = tempfile.TemporaryDirectory(prefix="hubkit-lfs-")
        self.path = Path(self._folder.name, "progress")
        self._offset, self._rest = 0, ""
        self._done: dict[str, int] = {}

    def __enter__(self) -> LfsProgress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self._run.progress(self._total, self._total, "bytes")
        self._folder.cleanup()

    def tick(self) -> bool:
        """True when something moved. Raises CancelledError once the user has interrupted."""
        self._run.check_cancelled()
        return self._report()

    def _report(self) -> bool:
        try:
            with self.path.open(encoding="utf-8", errors="replace") as stream:
                stream.seek(self._offset)
                text = stream.read()
                self._offset = stream.tell()
        except FileNotFoundError:
            return False
        *lines, self._rest = (self._rest + text).split("\n")
        moved = [found for line in lines if (found := _LINE.fullmatch(line))]
        self._done.update((found["name"], int(found["done"])) for found in moved)
        if moved:
            self._run.progress(min(sum(self._done.values()), self._total), self._total, "bytes")
        return bool(text)
