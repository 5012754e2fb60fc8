"""Clients of the rehearsal hub that mean harm: they are refused as clients, what is private stays
so, and the hub goes on."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from case import Case

KIND = "clients of the hub"

_TOKEN = "hub-canary-0123456789"
_HUB = ("hub", "serve", "--port", "0", "--json")
_SECONDS = 5.0
_JSON = {"content-type": "application/json"}
_KNOWN = {"authorization": f"Bearer {_TOKEN}"}
_LFS = {"content-type": "application/vnd.git-lfs+json"}
Answered = tuple[int, bytes]


def _address(folder: Path) -> tuple[str, int]:
    """As the command says it in its first line."""
    log, until = folder.parent / "log", time.monotonic() + _SECONDS
    while not (log.exists() and "\n" in log.read_text("utf-8")):
        if time.monotonic() > until:
            raise TimeoutError("the hub does not say its address")
        time.sleep(0.01)
    host, port = json.loads(log.read_text("utf-8").splitlines()[0])["url"][7:].split(":")
    return host, int(port)


def _asked(
    at: tuple[str, int], method: str, path: str, body: bytes, headers: Mapping[str, str]
) -> Answered:
    connection = http.client.HTTPConnection(*at, timeout=_SECONDS)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read(1 << 20)
    finally:
        connection.close()


def _raw(at: tuple[str, int], sent: bytes) -> bytes:
    with socket.create_connection(at, timeout=_SECONDS) as connection:
        found = b""
        with suppress(ConnectionError):  # it need not hear all of it
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(1 << 16):
                found += piece
        return found


def _beside(ask: Callable[[tuple[str, int]], object]) -> Callable[[Path, int], None]:
    """Asks, sees whether the hub still answers others, and ends it."""

    def beside(folder: Path, child: int) -> None:
        try:
            at = _address(folder)
            ask(at)
            status, _ = _asked(at, "GET", "/api/models", b"", {})
            assert status == 200, f"{status} for a client that means no harm"
        finally:
            os.kill(child, signal.SIGINT)

    return beside


def _case(name: str, ask: Callable[[tuple[str, int]], object]) -> Case:
    return Case(
        name, _HUB, lambda folder: None, 0, "", {"HUBKIT_HUB_TOKEN": _TOKEN}, beside=_beside(ask)
    )


def _refused(
    method: str, path: str, body: bytes = b"", **headers: str
) -> Callable[[tuple[str, int]], None]:
    given = {**_JSON, **_KNOWN, **{name.replace("_", "-"): word for name, word in headers.items()}}

    def ask(at: tuple[str, int]) -> None:
        status, said = _asked(at, method, path, body, given)
        assert 400 <= status < 500, f"{status} for {path}: {said[:200]!r}"

    return ask


def _not_understood(sent: bytes) -> Callable[[tuple[str, int]], None]:
    def ask(at: tuple[str, int]) -> None:
        said = _raw(at, sent)
        assert not said or said.split()[1][:1] == b"4", said[:200]

    return ask


def _create(at: tuple[str, int], name: str, private: bool) -> None:
    body = json.dumps({"name": name, "organization": "a", "private": private}).encode()
    status, said = _asked(at, "POST", "/api/repos/create", body, {**_JSON, **_KNOWN})
    assert status == 200, said


def _private(at: tuple[str, int]) -> None:
    """Nobody without the token sees a private repository, or is told that there is one."""
    _create(at, "hidden", True)
    for path in (
        "/api/models/a/hidden",
        "/api/models/a/hidden/tree/main",
        "/a/hidden/resolve/main/config.json",
        "/api/v1/models/a/hidden",
        "/a/hidden.git/info/refs?service=git-upload-pack",
        "/a/hidden",
    ):
        status, said = _asked(at, "GET", path, b"", {})
        assert status in (401, 403, 404), f"{status} for {path}"
        other = path.replace("hidden", "absent")
        assert status == _asked(at, "GET", other, b"", {})[0], f"{path} tells that it is there"
    status, said = _asked(at, "GET", "/api/models", b"", {})
    assert b"hidden" not in said


def _foreign_object(at: tuple[str, int]) -> None:
    """An object of a private repository is not to be had through a public one."""
    _create(at, "hidden", True)
    _create(at, "open", False)
    content = b"weights of nobody's business"
    oid = hashlib.sha256(content).hexdigest()
    batch = {"operation": "upload", "transfers": ["basic"], "hash_algo": "sha256"}
    wanted = [{"oid": oid, "size": len(content)}]
    body = json.dumps({**batch, "objects": wanted}).encode()
    status, said = _asked(
        at, "POST", "/a/hidden.git/info/lfs/objects/batch", body, {**_LFS, **_KNOWN}
    )
    assert status == 200, said
    place = json.loads(said)["objects"][0]["actions"]["upload"]["href"]
    path = place[place.index("/", 8) :]
    assert _asked(at, "PUT", path, content, _KNOWN)[0] == 200
    body = json.dumps({**batch, "operation": "download", "objects": wanted}).encode()
    status, said = _asked(at, "POST", "/a/open.git/info/lfs/objects/batch", body, _LFS)
    assert "actions" not in json.loads(said)["objects"][0], said
    status, said = _asked(at, "GET", f"/lfs/a/open/objects/{oid}", b"", {})
    assert status in (401, 403, 404) and content not in said, said


_BODIES: dict[str, bytes] = {
    "no JSON": b"{",
    "a list": b"[1]",
    "null": b"null",
    "deep JSON": b"[" * 100_000,
    "5,000 digits": b'{"name": ' + b"9" * 5000 + b"}",
    "half a surrogate pair": b'{"name": "\\ud800", "organization": "a"}',
    "NaN": b'{"name": NaN}',
    "Latin-1": b'{"name": "\xe9"}',
    "another place": b'{"name": "../../x", "organization": ".."}',
    "a name with NUL": b'{"name": "a\\u0000b", "organization": "a"}',
}
_DOORS = {
    "Hugging Face": "/api/repos/create",
    "ModelScope": "/api/v1/models",
    "Git LFS": "/a/open.git/info/lfs/objects/batch",
}
_PATHS = (
    *("/../../etc/passwd", "/a/../../etc/passwd/resolve/main/x", "/%2e%2e/%2e%2e/etc/passwd"),
    *("/a/b/resolve/main/%00", "/api/models/%ff/%fe", "/api/models/a/b/tree/main/" + "x/" * 2000),
)
_RAW: dict[str, bytes] = {
    "no HTTP": b"\x16\x03\x01\x00\xa5" * 50,
    "a length below 0": b"POST /api/repos/create HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    "a length of 5,000 digits": b"POST /api/repos/create HTTP/1.1\r\nhost: x\r\ncontent-length: "
    + b"9" * 5000
    + b"\r\n\r\n{}",
    "a header of 10 MB": b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * (10 << 20) + b"\r\n\r\n",
    "a header with NUL": b"GET / HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n",
    "a chunk of no length": b"POST /api/repos/create HTTP/1.1\r\nhost: x\r\n"
    b"transfer-encoding: chunked\r\n\r\nzz\r\n",
}

CASES = [
    _case("a private repository", _private),
    _case("an object of a private repository", _foreign_object),
    *(
        _case(f"{door}: {name}", _refused("POST", path, body))
        for door, path in _DOORS.items()
        for name, body in _BODIES.items()
    ),
    *(_case(f"GET {path[:40]}", _refused("GET", path)) for path in _PATHS),
    *(_case(name, _not_understood(sent)) for name, sent in _RAW.items()),
    _case(
        "a compressed bomb",
        _refused(
            "POST", _DOORS["Hugging Face"], gzip.compress(bytes(200 << 20)), content_encoding="gzip"
        ),
    ),
    _case("another's token", _refused("POST", _DOORS["Hugging Face"], b"{}", authorization="x")),
]
