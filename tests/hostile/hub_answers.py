"""Random answers of a hub: the rehearsal hub's own, changed on their way to the official clients.

An example is JSON: which hub, what is asked of it, and the changes, each with the number of the
request that it happens to (-1: every one).
"""

from __future__ import annotations

import copy
import itertools
import json
import logging
import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))

from testing.releases import make_release

from hubkit.errors import HubkitError
from hubkit.registry.plugins import plugins
from hubkit.rehearsal import Running, serve
from hubkit.sdk import PublishInput, SilentRun

TOKEN = "hf_canary0123456789abcdefghijklmnop"
NAME = "food/InternVL2-Tiny"
LONGEST = 20.0
"""Seconds for what takes a tenth of one; patience 0.3 and timeout 2 are among them."""
_WORDS = (
    *("../x", "/tmp/x", "a\0b", "\x1b[2J\u202e", "\ud800", "x" * 3000, "", "main", "v1.0.0", NAME),
    *("http://127.0.0.1:1/x", "file:///etc/passwd", "http://[", "//", "{url}{path}", "0" * 40),
    *("blob", "tree", "directory", "lfs", "basic", "multipart", "2026-01-01T00:00:00.000Z"),
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(_WORDS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("sha", "Data", "Files", "path", "Size", "objects", "actions")),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
_HEADERS = (
    *("content-length", "content-encoding", "content-type", "content-range", "transfer-encoding"),
    *("location", "link", "etag", "retry-after", "ratelimit", "set-cookie", "x-repo-commit"),
    *("x-linked-size", "x-linked-etag", "x-error-code", "x-error-message", "x-request-id"),
    *("x-xet-cas-url", "x-xet-hash", "lfs-authenticate", "www-authenticate"),
)
_HEADER_VALUES = st.sampled_from(
    [
        *("0", "-1", "7", "1" * 30, "nan", "gzip", "br", "chunked", "identity", "application/json"),
        *("{url}{path}", '<{url}{path}>; rel="next"', '<../x>; rel="next"', "http://[", "//x/y"),
        *("file:///etc/passwd", "bytes 5-1/3", '"abc"', 'W/"', "r=0;t=99999", "a=b; Domain=x"),
        *("RepoNotFound", "GatedRepo", "RevisionNotFound", "EntryNotFound", "ä", "%zz"),
    ]
) | st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=9)
_STATUS = st.sampled_from(
    (
        *(200, 201, 202, 204, 206, 300, 301, 302, 303, 304, 307, 308, 400, 401, 402, 403, 404, 405),
        *(409, 410, 412, 413, 416, 418, 421, 422, 429, 451, 499, 500, 501, 502, 503, 504, 507, 599),
        999,
    )
)
_CHANGES = st.one_of(
    st.tuples(st.just("value"), st.integers(0, 400), _VALUES),
    st.tuples(st.just("drop"), st.integers(0, 400)),
    st.tuples(st.just("whole"), _VALUES),
    st.tuples(st.just("bytes"), st.binary(max_size=40).map(lambda data: data.decode("latin-1"))),
    st.tuples(st.just("cut"), st.integers(0, 500)),
    st.tuples(st.just("status"), _STATUS),
    st.tuples(st.just("header"), st.sampled_from(_HEADERS), _HEADER_VALUES),
)
ASKED = ("files", "download", "publish", "publish", "examine", "withdraw", "login")
EXAMPLES = st.fixed_dictionaries(
    {
        "hub": st.sampled_from(("huggingface", "modelscope")),
        "asked": st.sampled_from(ASKED),
        "changes": st.lists(st.tuples(st.integers(-1, 14), _CHANGES), min_size=1, max_size=3),
    }
).map(lambda example: json.dumps(example).encode())


class Hung(BaseException):
    """Not an Exception: nothing on the way may take it for a failure of the hub."""


class Changing:
    """Stands where `serve` takes faults."""

    def __init__(self) -> None:
        self.changes: list[Any] = []
        self._numbers = itertools.count()

    def begin(self, changes: list[Any]) -> None:
        self.changes, self._numbers = changes, itertools.count()

    def around(self, app: Any) -> Any:
        async def changed(scope: Any, receive: Any, send: Any) -> None:
            number = next(self._numbers)
            ours = [change for at, change in self.changes if at in (-1, number)]
            if scope["type"] != "http" or not ours:
                await app(scope, receive, send)
                return
            start: dict[str, Any] = {}
            data = bytearray()

            async def keep(message: Any) -> None:
                if message["type"] == "http.response.start":
                    start.update(message)
                else:
                    data.extend(message.get("body", b""))

            await app(scope, receive, keep)
            status, headers = start["status"], dict(start["headers"])
            body = bytes(data)
            for change in ours:
                status, headers, body = _apply(change, status, headers, body, _address(scope))
            start |= {"status": status, "headers": list(headers.items())}
            await send(start)
            await send({"type": "http.response.body", "body": body, "more_body": False})

        return changed


def _address(scope: Any) -> dict[str, str]:
    host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    return {"url": f"http://{host}", "path": scope["raw_path"].decode("latin-1")}


def _apply(
    change: Any, status: int, headers: dict[bytes, bytes], body: bytes, address: dict[str, str]
) -> tuple[int, dict[bytes, bytes], bytes]:
    kind, *given = change
    if kind == "status":
        return given[0], headers, body
    if kind == "header":
        value = _filled(given[1], address).encode("latin-1")
        return status, {**headers, given[0].encode(): value}, body
    if kind in ("value", "drop", "whole"):
        try:
            data = given[0] if kind == "whole" else json.loads(body)
        except ValueError:
            return status, headers, body
        if kind != "whole":
            _replace(data, given[0], given[1:])
        body = _filled(json.dumps(data), address).encode()
    elif kind == "bytes":
        body = given[0].encode("latin-1")
    else:
        return status, headers, body[: given[0]]
    headers = {name: value for name, value in headers.items() if name != b"content-length"}
    return status, headers, body


def _filled(text: str, address: dict[str, str]) -> str:
    for name, value in address.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _replace(data: Any, number: int, value: list[Any]) -> None:
    """The value with this number, of all below `data`, becomes `value`; is left out without one."""
    places: list[tuple[Any, Any]] = []
    waiting = [data]
    while waiting:
        one = waiting.pop()
        inner = one.items() if isinstance(one, dict) else enumerate(one)
        for key, below in inner if isinstance(one, (dict, list)) else ():
            places.append((one, key))
            waiting.append(below)
    if places:
        holder, key = places[number % len(places)]
        if value:
            holder[key] = copy.deepcopy(value[0])
        else:
            del holder[key]


@dataclass(frozen=True)
class World:
    changing: Changing
    hub: Running
    job: PublishInput
    numbers: Any


@cache
def _world() -> World:
    """A hub, and a release that each example publishes under another name; no login of the user's
    is seen."""
    logging.disable(logging.CRITICAL)
    stack, changing = ExitStack(), Changing()
    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hubkit-fuzz-")))
    os.environ |= {"HOME": str(home), "HF_HOME": str(home), "MODELSCOPE_HOME": str(home)}
    os.environ["MY_TOKEN"] = TOKEN
    running = stack.enter_context(serve(home / "hub", token=TOKEN, faults=changing))
    options = {"endpoint": running.url, "token_env": "MY_TOKEN", "patience": 0.3, "timeout": 2}
    job = make_release(home / "InternVL2-Tiny", NAME, options, weights=2000)
    for hub in ("huggingface", "modelscope"):
        name = f"food/{hub}"
        plugins().get("hub", hub).publish(replace(job, target=name), SilentRun())
    import atexit

    atexit.register(stack.close)
    return World(changing, running, job, itertools.count())


def ask(data: bytes) -> None:
    """
    Raises:
        AssertionError: what came of it is not as promised: the token was shown, a failed download
            left something, or control characters were shown.
        Hung: it took too long.
    """
    example, world = json.loads(data), _world()
    hub, asked = plugins().get("hub", example["hub"]), example["asked"]
    own = f"food/R{next(world.numbers)}"
    job = replace(world.job, target=own)
    receipt = None
    world.changing.begin([])
    if asked == "withdraw":
        calm = {**job.options, "patience": 30.0, "timeout": 30}
        receipt = hub.publish(replace(job, options=calm), SilentRun())
    world.changing.begin(example["changes"])
    signal.signal(signal.SIGALRM, _hung)
    with tempfile.TemporaryDirectory(prefix="hubkit-fuzz-") as name:
        out, run = Path(name) / "out", SilentRun()
        signal.setitimer(signal.ITIMER_REAL, LONGEST)
        told = ""
        try:
            if asked == "login":
                told = str(hub.login(job.options))
            elif asked == "files":
                told = str(hub.files(f"food/{hub.name}", "", job.options, run))
            elif asked == "download":
                hub.download(f"food/{hub.name}", "v1.0.0", out, job.options, run)
            elif asked == "withdraw":
                told = str(hub.withdraw(own, receipt, job.options, run))
            else:
                told = str(getattr(hub, asked)(job, run))
        except HubkitError as error:
            told = f"{error.message} {error.remedy}"
            assert error.exit_code != 1
            assert set(told) - {"\n"} == {one for one in told if one.isprintable()}, repr(told)
            assert not list(Path(name).iterdir()), "a failed download left something"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        assert TOKEN not in told
        assert {path.name for path in Path(name).iterdir()} <= {"out"}


def _hung(number: int, frame: Any) -> None:
    raise Hung(f"more than {LONGEST:g} s")
