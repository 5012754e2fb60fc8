"""Requests and answers that all protocols share: who asks, JSON bodies within limits, files with ranges."""

from __future__ import annotations

import json
import mimetypes
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from ._refusal import Refusal
from .database import Repository
from .hub import Hub, require_write
from .identity import User

_BLOCK = 1024 * 1024
JSON_LIMIT = 1024 * 1024
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass
class Call:
    """One request. `body` is its JSON where the endpoint takes some."""

    request: Request
    hub: Hub
    user: User | None
    body: Any = None
    _repository: Repository | None = field(default=None, repr=False)

    def path(self, name: str) -> str:
        """A part of the path, decoded: routes match the undecoded path, where a revision's slashes are %2F."""
        return unquote(str(self.request.path_params[name]))

    def query(self, name: str, default: str = "") -> str:
        return self.request.query_params.get(name, default)

    @property
    def name(self) -> str:
        return f"{self.path('owner')}/{self.path('name')}"

    def repository(self, *, write: bool = False) -> Repository:
        return self.hub.find(self.name, self.user, write=write)

    @property
    def author(self) -> str:
        return require_write(self.user).name

    @property
    def base(self) -> str:
        return str(self.request.base_url).rstrip("/")

    def link(self, method: str, path: str) -> str:
        """An absolute URL that permits `method` on `path` without a token."""
        return self.base + self.hub.links.sign(method, path, self.user.name if self.user else "")

    def text(self, key: str, default: str | None = None) -> str:
        """A string of the JSON body.

        Raises:
            Refusal: 400, it is missing or of another type.
        """
        value = self.body.get(key, default) if isinstance(self.body, dict) else None
        if not isinstance(value, str):
            raise Refusal(400, f"the request has no text {key!r}")
        return value

    def event(self, protocol: str, action: str, repository: str, detail: str = "") -> None:
        self.hub.database.add_event(protocol, self.user.name if self.user else "", action, repository, detail)


def call_of(request: Request) -> Call:
    hub: Hub = request.app.state.hub
    headers = request.headers
    return Call(request, hub, hub.tokens.of(headers.get("authorization", ""), headers.get("cookie", "")))


def endpoint(function: Callable[[Call], Response]) -> Endpoint:
    """An endpoint without a body; `function` runs in a thread."""

    @wraps(function)
    async def handle(request: Request) -> Response:
        return await run_in_threadpool(function, call_of(request))

    return handle


def json_endpoint(function: Callable[[Call], Response], limit: int = JSON_LIMIT) -> Endpoint:
    """An endpoint whose JSON body of at most `limit` bytes is in `call.body`; `function` runs in a thread."""

    @wraps(function)
    async def handle(request: Request) -> Response:
        call = call_of(request)
        data = await read(request, limit)
        try:
            call.body = json.loads(data) if data.strip() else {}
        except (ValueError, RecursionError):
            raise Refusal(400, "the body is not JSON") from None
        return await run_in_threadpool(function, call)

    return handle


async def read(request: Request, limit: int) -> bytes:
    """The whole body.

    Raises:
        Refusal: 413, it is longer than `limit` bytes.
    """
    data = bytearray()
    async for chunk in stream(request):
        data += chunk
        if len(data) > limit:
            raise Refusal(413, f"the body is longer than {limit} bytes")
    return bytes(data)


async def stream(request: Request) -> AsyncGenerator[bytes, None]:
    """
    Raises:
        Refusal: 400, the connection ended before the body did.
    """
    try:
        async for chunk in request.stream():
            if chunk:
                yield chunk
    except ClientDisconnect:
        raise Refusal(400, "the connection ended before the body did") from None


def ok(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(data, status, headers)


class Streaming(Response):
    """Chunks as they come. Starlette's own class waits for a disconnect meanwhile, and so takes the request's body away
    from whoever still reads it."""

    def __init__(self, chunks: AsyncGenerator[bytes, None], media_type: str, headers: dict[str, str]) -> None:
        self.background, self.status_code = None, 200
        self.chunks = chunks
        self.init_headers({"content-type": media_type, **headers})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self.chunks) as chunks:
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class FileResponse(Response):
    """Bytes of a file or of memory, whole or in one range, a megabyte at a time."""

    def __init__(self, source: Path | bytes, size: int, request: Request, headers: dict[str, str], name: str) -> None:
        self.background, self.body = None, b""
        self.source = source
        self.start, self.end, self.status_code = _range(request.headers.get("range", ""), size)
        kind = _content_type(name)
        fixed = {
            "accept-ranges": "bytes",
            "content-length": str(self.end - self.start),
            "content-type": kind,
            "x-content-type-options": "nosniff",
            "content-security-policy": "sandbox; default-src 'none'",
        }
        if self.status_code == 206:
            fixed["content-range"] = f"bytes {self.start}-{self.end - 1}/{size}"
        if self.status_code == 416:
            fixed |= {"content-range": f"bytes */{size}", "content-length": "0"}
        self.init_headers({**fixed, **headers})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] != "HEAD" and self.status_code != 416:
            if isinstance(self.source, bytes):
                await send({"type": "http.response.body", "body": self.source[self.start : self.end], "more_body": True})
            else:
                await self._send_file(self.source, send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_file(self, path: Path, send: Send) -> None:
        with path.open("rb", buffering=0) as file:
            file.seek(self.start)
            left = self.end - self.start
            while left and (block := await run_in_threadpool(file.read, min(_BLOCK, left))):
                left -= len(block)
                await send({"type": "http.response.body", "body": block, "more_body": True})


def _range(header: str, size: int) -> tuple[int, int, int]:
    """(start, end, status) for a Range header; several ranges or another unit are ignored, as RFC 9110 allows."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if not found or not any(found.groups()):
        return 0, size, 200
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    return (start, end, 206) if start < end else (0, 0, 416)


def _content_type(name: str) -> str:
    """Images as what they are, for model cards; everything else so that no browser runs it."""
    guessed = mimetypes.guess_type(name)[0] or ""
    if guessed.startswith("image/"):
        return guessed
    if guessed.startswith("text/") or guessed == "application/json" or name.endswith((".md", ".py", ".jinja", ".yaml")):
        return "text/plain; charset=utf-8"
    return "application/octet-stream"
