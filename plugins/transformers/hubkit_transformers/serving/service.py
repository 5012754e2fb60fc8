"""What a server answers with, and to whom."""

from __future__ import annotations

from http.server import ThreadingHTTPServer

from .generator import Generator


class Service(ThreadingHTTPServer):
    """The model's `name` in the API, and the `key` to bear ("" for none). `names` are those under
    which a client may call; none when any will do."""

    generator: Generator
    name: str
    key: str
    names: frozenset[str]
