"""GIT_LFS_PROGRESS: the file to which Git LFS writes how far each transfer is."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from types import TracebackType

from hubkit.sdk import Run
from hubkit.sdk.hubs import longer_than

_LINE = re.compile(r"(?P<step>\w+) \d+/\d+ (?P<done>\d+)/\d+ (?P<name>.*)")
_TRANSFERS = ("upload", "download")


class LfsProgress:
    """Reads `path` as Git LFS writes it and reports the sum over all files; `total` is in bytes.

    Over a local path Git LFS links, and has nothing to tell."""

    def __init__(self, run: Run, total: int) -> None:
        self._run, self._total = run, total
        self._folder = tempfile.TemporaryDirectory(prefix="hubkit-lfs-")
        self.path = Path(self._folder.name, "progress")
        self._offset, self._rest = 0, ""
        self._done: dict[tuple[str, str], int] = {}

    def __enter__(self) -> LfsProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._run.progress(self._total, self._total, "bytes")
        self._folder.cleanup()

    def tick(self) -> bool:
        """True when something moved.

        Raises:
            CancelledError: the user has interrupted.
            RemoteError: the server sends more than the pointers promise; Git LFS itself looks only
                when all of it has come.
        """
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
        moved = False
        for found in filter(None, map(_LINE.fullmatch, lines)):
            key, done = (found["step"], found["name"]), int(found["done"])
            # Git LFS 3.3.0 tries for ever when a server answers 401 to an upload it has authorised:
            # only more counts
            moved = moved or done > self._done.get(key, -1)
            self._done[key] = max(done, self._done.get(key, -1))
        if sum(done for (step, _), done in self._done.items() if step == "download") > self._total:
            raise longer_than(self._total, "Git LFS")
        if moved:
            sent = sum(done for (step, _), done in self._done.items() if step in _TRANSFERS)
            self._run.progress(min(sent, self._total), self._total, "bytes")
        return moved
