"""Answers that are longer than memory should hold: streams, and files with ranges."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_BLOCK = 1024 * 1024


class Streaming(Response):
    """Chunks as they come. Starlette's own class waits for a disconnect meanwhile, and so takes the
    request's body away from whoever still reads it."""

    def __init__(
        self, chunks: AsyncGenerator[bytes, None], media_type: str, headers: dict[str, str]
    ) -> None:
        self.background, self.status_code = None, 200
        self.chunks = chunks
        self.init_headers({"content-type": media_type, **headers})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        async with aclosing(self.chunks) as chunks:
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class FileResponse(Response):
    """Bytes of a file or of memory, whole or in one range, a megabyte at a time."""

    def __init__(
        self, source: Path | bytes, size: int, request: Request, headers: dict[str, str], name: str
    ) -> None:
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
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        if scope["method"] != "HEAD" and self.status_code != 416:
            if isinstance(self.source, bytes):
                await send(
                    {
                        "type": "http.response.body",
                        "body": self.source[self.start : self.end],
                        "more_body": True,
                    }
                )
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
    """(start, end, status) for a Range header; several ranges or another unit are ignored, as RFC
    9110 allows."""
    found = re.fullmatch(r"bytes=([0-9]{0,19})-([0-9]{0,19})", header.strip())
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
    if (
        guessed.startswith("text/")
        or guessed == "application/json"
        or name.endswith((".md", ".py", ".jinja", ".yaml"))
    ):
        return "text/plain; charset=utf-8"
    return "application/octet-stream"
