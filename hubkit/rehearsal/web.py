"""Requests, as all protocols read them: who asks, parts of the path, JSON bodies within limits."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from .database import Repository
from .hub import Hub, require_write
from .identity import User
from .refusal import Refusal

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
        """A part of the path, decoded: routes match the undecoded path, where a revision's slashes
        are %2F."""
        return unquote(str(self.request.path_params[name]))

    def query(self, name: str, default: str = "") -> str:
        return self.request.query_params.get(name, default)

    def number(self, name: str, default: int) -> int:
        """A number of the query; `default` when it is missing or not one."""
        value = self.query(name)
        return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else default

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
        value = self.body.get(key, default)
        if not isinstance(value, str):
            raise Refusal(400, f"the request has no text {key!r}")
        return value

    def event(self, protocol: str, action: str, repository: str, detail: str = "") -> None:
        self.hub.database.add_event(
            protocol, self.user.name if self.user else "", action, repository, detail
        )


def call_of(request: Request) -> Call:
    hub: Hub = request.app.state.hub
    headers = request.headers
    return Call(
        request, hub, hub.tokens.of(headers.get("authorization", ""), headers.get("cookie", ""))
    )


def endpoint(function: Callable[[Call], Response]) -> Endpoint:
    """An endpoint without a body; `function` runs in a thread."""

    @wraps(function)
    async def handle(request: Request) -> Response:
        return await run_in_threadpool(function, call_of(request))

    return handle


def json_endpoint(function: Callable[[Call], Response], limit: int = JSON_LIMIT) -> Endpoint:
    """An endpoint whose JSON body of at most `limit` bytes is in `call.body`; `function` runs in a
    thread."""

    @wraps(function)
    async def handle(request: Request) -> Response:
        call = call_of(request)
        data = await read(request, limit)
        call.body = parsed(data, "the body") if data.strip() else {}
        if not isinstance(call.body, dict):
            raise Refusal(400, "the body is not a JSON object")
        return await run_in_threadpool(function, call)

    return handle


def parsed(data: bytes, what: str) -> Any:
    """
    Raises:
        Refusal: 400, `what` is not JSON, or has text that is not Unicode (a lone surrogate).
    """
    try:
        value = json.loads(data)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Refusal(400, f"{what} is not JSON in Unicode") from None
    return value


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
