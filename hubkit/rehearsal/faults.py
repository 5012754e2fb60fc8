"""Faults on order: what networks and hubs do to clients, at a chosen request.

faults = Faults(Fault("status", path=r"/commit/", status=429, headers={"retry-after": "1"}))
with serve(folder, faults=faults) as hub: ...
faults.requests  # every request so far: method, path, status
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "reset", "lost", "status", "truncate", "stall", "slow", "wrong", "endless", "redirect"
]
App = Any


@dataclass(frozen=True)
class Fault:
    """What happens to requests whose method and path match (regular expressions; the path has no
    query).

    Of those that match, the first `skip` pass unharmed and the next `times` (0: all) suffer;
    `index` instead names one request of all, from 0.

    - reset: the connection is reset, after `bytes` bytes of the request's body
    - lost: the request is carried out, then the connection is reset without an answer
    - status: answered with `status` and `headers`, not carried out
    - truncate: the answer ends after `bytes` bytes of its body
    - stall: the answer stops after `bytes` bytes of its body for `seconds`, then ends
    - slow: `seconds` pass before the request is carried out
    - wrong: an upload is stored with one byte changed, and nothing is checked
    - endless: the answer says no length, and goes on after its end until the client has had enough
    - redirect: 307 to the same path at `location` (another host)
    """

    kind: Kind
    method: str = ""
    path: str = ""
    skip: int = 0
    times: int = 1
    index: int | None = None
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = '{"error": "a fault on order", "message": "a fault on order"}'
    bytes: int = 0
    seconds: float = 0.0
    location: str = ""


@dataclass
class Seen:
    """A request and its answer's status; 0 when there was none. `fault` is what it suffered."""

    method: str
    path: str
    authorized: bool
    status: int = 0
    fault: str = ""


class Faults:
    """Faults to come and requests so far; may be changed while the hub runs."""

    def __init__(self, *faults: Fault) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = list(faults)
        self._matched: list[int] = [0] * len(faults)
        self.requests: list[Seen] = []

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)
            self._matched.append(0)

    def clear(self) -> None:
        """No more faults, and no requests seen."""
        with self._lock:
            self._faults, self._matched, self.requests = [], [], []

    def around(self, app: App) -> App:
        """`app` with these faults."""
        return _Faulty(app, self)

    def take(self, method: str, path: str, authorized: bool) -> tuple[Seen, Fault | None]:
        """Notes a request; the fault it is to suffer, if any."""
        with self._lock:
            number = len(self.requests)
            seen = Seen(method, path, authorized)
            self.requests.append(seen)
            chosen = None
            for place, fault in enumerate(self._faults):
                if not re.fullmatch(fault.method or ".*", method) or not re.search(
                    fault.path, path
                ):
                    continue
                count = self._matched[place]
                self._matched[place] += 1
                in_turn = count >= fault.skip and (
                    not fault.times or count < fault.skip + fault.times
                )
                if chosen is None and (
                    number == fault.index if fault.index is not None else in_turn
                ):
                    chosen, seen.fault = fault, fault.kind
            return seen, chosen


class _Faulty:
    def __init__(self, app: App, faults: Faults) -> None:
        self._app, self._faults = app, faults

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        authorized = b"authorization" in headers or b"cookie" in headers
        seen, fault = self._faults.take(
            scope["method"], scope["raw_path"].decode("latin-1"), authorized
        )

        async def noting(message: Any) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
            await send(message)

        if fault is None:
            await self._app(scope, receive, noting)
            return
        await _INJECT[fault.kind](fault, self._app, scope, receive, noting)


async def _reset(fault: Fault, app: App, scope: Any, receive: Any, send: Any) -> None:
    taken = 0
    while taken < fault.bytes:
        message = await receive()
        taken += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    await _cut(scope, receive)


async def _cut(scope: Any, receive: Any, *, at_once: bool = True) -> None:
    """Ends the connection, and returns when it has ended: uvicorn logs an error otherwise."""
    from .transport import EXTENSION, reset

    connection = scope["extensions"][EXTENSION]
    if at_once:
        reset(connection)
    else:
        connection.close()
    await _gone(receive)


async def _gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _lost(fault: Fault, app: App, scope: Any, receive: Any, send: Any) -> None:
    async def swallow(message: Any) -> None:
        pass

    await app(scope, receive, swallow)
    await _cut(scope, receive)


async def _status(fault: Fault, app: App, scope: Any, receive: Any, send: Any) -> None:
    headers = {
        "content-type": "application/json",
        "content-length": str(len(fault.body.encode())),
        **fault.headers,
    }
    await _answer(send, fault.status, headers, fault.body.encode())


async def _redirect(fault: Fault, app: App, scope: Any, receive: Any, send: Any) -> None:
    query = scope["query_string"].decode("latin-1")
    target = (
        fault.location.rstrip("/")
        + scope["raw_path"].decode("latin-1")
        + (f"?{query}" if query else "")
    )
    await _answer(send, 307, {"location": target, "content-length": "0", **fault.headers}, b"")


async def _answer(send: Any, status: int, headers: Mapping[str, str], body: bytes) -> None:
    raw = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
    ]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _truncate(fault: Fault, app: App, scope: Any, receive: Any, send: Any) -> None:
    await app(scope, receive, _limited(fault, scope, receive, send))


def _limited(fault: Fault, scope: Any, receive: Any, send: Any) -> Any:
    """Sends the head and `bytes` bytes of the body; then waits `seconds` and closes the
    connection."""
    left, over = fault.bytes, False

    async def limited(message: Any) -> None:
        nonlocal left, over
        if over:
            return
        if message["type"] != "http.response.body":
            await send(message)
            return
        body = message.get("body", b"")[:left]
        left -= len(body)
        if body:
            await send({"type": "http.response.body", "body": body, "more_body": True})
        if len(body) < len(message.get("body", b"")) or not message.get("more_body"):
            over = True
            await asyncio.sleep(fault.seconds)
            await _cut(scope, receive, at_once=False)

    return limited


async def _slow(fault: Fault, app: App, scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(fault.seconds)
    await app(scope, receive, send)


async def _wrong(fault: Fault, app: App, scope: Any, receive: Any, send: Any) -> None:
    await app({**scope, "hubkit.spoil": True}, receive, send)


async def _endless(fault: Fault, app: App, scope: Any, receive: Any, send: Any) -> None:
    async def unending(message: Any) -> None:
        if message["type"] == "http.response.start":
            headers = [pair for pair in message["headers"] if pair[0] != b"content-length"]
            await send({**message, "headers": headers})
        else:
            await send({**message, "more_body": True})

    await app(scope, receive, unending)
    gone = asyncio.ensure_future(_gone(receive))
    while not gone.done():
        await send({"type": "http.response.body", "body": bytes(1 << 16), "more_body": True})
        await asyncio.sleep(0)


_INJECT: dict[str, Any] = {
    "reset": _reset,
    "lost": _lost,
    "status": _status,
    "redirect": _redirect,
    "truncate": _truncate,
    "stall": _truncate,
    "slow": _slow,
    "wrong": _wrong,
    "endless": _endless,
}
