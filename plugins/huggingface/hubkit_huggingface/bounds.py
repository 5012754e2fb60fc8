"""How much a hub may send: huggingface_hub 2.4 follows links to a next page for ever, and writes a
file as long as it comes."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Mapping

import httpx2

from hubkit.sdk import RemoteError
from hubkit.sdk.hubs import ANSWER_LIMIT, promised

_PAGES = 1000
"""Of one listing; huggingface.co puts up to 1,000 files on each."""
_TIMES = 100
"""How often one file is asked for: the client goes on where a connection broke, without end as long
as something comes each time."""
_FILE = re.compile(r"/resolve/[^/]+/(.+)")
_BEGUN = re.compile(r"bytes=(\d{1,18})-")


class Bounds:
    """Of one opened repository. `sizes` are those of the files that are downloaded, by path; None
    while nothing is."""

    def __init__(self) -> None:
        self.sizes: Mapping[str, int] | None = None
        self._asked: Counter[str] = Counter()
        self._pages: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._lock = threading.Lock()

    def page(self, request: httpx2.Request, response: httpx2.Response, place: str) -> None:
        """Counts an answer that has another after it.

        Raises:
            RemoteError: there are too many.
        """
        path = request.url.path
        with self._lock:
            if "next" not in response.links:
                self._pages[path] = self._bytes[path] = 0
                return
            self._pages[path] += 1
            self._bytes[path] += len(response.content)
            if self._pages[path] > _PAGES or self._bytes[path] > ANSWER_LIMIT:
                raise RemoteError(
                    f"{place}: the listing does not end: {self._pages[path]:,} pages were read",
                    "check the address: this does not look like a hub",
                )

    def file(self, request: httpx2.Request, response: httpx2.Response, place: str) -> None:
        """Lets no more than the listed size be read from the answer to a download.

        Raises:
            RemoteError: the file is asked for again and again.
        """
        found = _FILE.search(request.url.path)
        if self.sizes is None or request.method != "GET" or found is None:
            return
        with self._lock:
            self._asked[found[1]] += 1
            if self._asked[found[1]] > _TIMES:
                raise RemoteError(
                    f"{place}: the connection broke {_TIMES} times",
                    "check the network, then run the same command again",
                )
        size = self.sizes.get(found[1], 0)
        begun = _BEGUN.fullmatch(request.headers.get("range", ""))
        if begun and response.status_code == 206:
            size = max(0, size - int(begun[1]))
        chunks = response.iter_bytes
        response.iter_bytes = lambda *given, **named: promised(  # type: ignore[method-assign]
            chunks(*given, **named), size, place
        )
