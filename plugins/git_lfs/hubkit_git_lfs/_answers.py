"""What a server answered to git and to Git LFS: neither says it fully in its messages."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from hubkit.sdk.retry import retry_after

_STATUS = re.compile(r"(?:Recv header: HTTP/[0-9.]+|trace git-lfs: HTTP:) (\d{3})\b")
_HEADER = re.compile(r"Recv header: (Retry-After): ([^\r\n]*)", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """`status` 0: there was none. `retry_after` is in seconds."""

    status: int
    retry_after: float | None


class Answers:
    """`environment` makes git and Git LFS note their http exchanges in files of a private folder,
    which is removed with the block. Credentials are not in them: git redacts its trace, Git LFS has
    none in its own."""

    def __enter__(self) -> Answers:
        self._folder = tempfile.TemporaryDirectory(prefix="hubkit-answers-")
        self._curl, self._lfs = (Path(self._folder.name, name) for name in ("git", "lfs"))
        self.environment = {
            "GIT_TRACE_CURL": str(self._curl),
            "GIT_TRACE_CURL_NO_DATA": "1",
            "GIT_TRACE_REDACT": "1",
            "GIT_TRACE": str(self._lfs),
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.cleanup()

    def last(self) -> Answer:
        """The last answer that had an error; of Git LFS, if it spoke at all: it retries what asks
        to be retried by itself."""
        for path in (self._lfs, self._curl):
            text = path.read_text("utf-8", errors="replace") if path.is_file() else ""
            found = [one for one in _STATUS.finditer(text) if one[1] >= "400"]
            if found:
                header = _HEADER.search(text, found[-1].end())
                return Answer(
                    int(found[-1][1]), retry_after({header[1]: header[2]}) if header else None
                )
        return Answer(0, None)
