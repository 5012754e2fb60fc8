"""A server that is no hub, or means harm: an answer in seconds, within memory, fit to be shown."""

from __future__ import annotations

import json
import math
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import hubkit
from hubkit.api.hubs import hub_options
from hubkit.errors import EnvironmentFailure, HubkitError, RemoteError
from hubkit.publishing.comparison import compare
from hubkit.registry.plugins import plugins
from hubkit.rehearsal import Fault, Faults, Running
from hubkit.sdk import Journal, RemoteFile, SilentRun
from hubkit.sdk.codec import decode
from hubkit.sdk.hubs import read_whole
from hubkit.sdk.retry import Patience, retry_after
from hubkit.sdk.text import one_line

from .conftest import NAME, TOKEN, needs_hubs

pytestmark = needs_hubs
HUBS = ["huggingface", "modelscope"]


def bomb() -> Iterator[bytes]:
    """200 MiB of zeros in one gzip member of about 200 kB."""
    packer = zlib.compressobj(1, wbits=31)
    for _ in range(200):
        yield packer.compress(bytes(1 << 20))
    yield packer.flush()


@dataclass
class Server:
    """Answers every request with `status`, `headers` and the chunks of `body`; `asked` has method,
    path, headers and body of each."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Callable[[], Iterator[bytes]] = lambda: iter([b"{}"])
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def server() -> Iterator[Server]:
    ours = Server()

    class Handler(BaseHTTPRequestHandler):
        def do(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            ours.asked.append(
                (self.command, self.path, dict(self.headers), self.rfile.read(length))
            )
            try:
                self.send_response(ours.status)
                for name, value in ours.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                for chunk in ours.body():
                    self.wfile.write(chunk)
            except OSError:
                return

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do

        def log_message(self, format: str, *arguments: Any) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        threading.Thread(target=http.serve_forever, daemon=True).start()
        ours.url = f"http://127.0.0.1:{http.server_port}"
        yield ours
        http.shutdown()


def push(tracked: Path, name: str, url: str, **more: Any) -> HubkitError:
    """The error that a push ends with, in under ten seconds."""
    options = {"endpoint": url, "token_env": "MY_TOKEN", "patience": 0.5, "timeout": 3} | more
    started = time.monotonic()
    with pytest.raises(HubkitError) as caught:
        hubkit.push(tracked, f"{name}:{NAME}", options=options)
    assert time.monotonic() - started < 10
    assert TOKEN not in str(caught.value)
    return caught.value


def endless() -> Iterator[bytes]:
    while True:
        yield b'{"a": "' + bytes(1 << 20)


@pytest.mark.parametrize("name", HUBS)
def test_an_endless_answer_ends(tracked: Path, server: Server, name: str) -> None:
    server.body, server.headers = endless, {"content-type": "application/json"}
    error = push(tracked, name, server.url)
    assert isinstance(error, RemoteError) and "longer than 67,108,864 bytes" in error.message
    assert "does not look like a hub" in error.remedy


@pytest.mark.parametrize("name", HUBS)
def test_a_compressed_bomb_ends(tracked: Path, server: Server, name: str) -> None:
    server.body = bomb
    server.headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert "longer than 67,108,864 bytes" in push(tracked, name, server.url).message


JSON = ["[]", "null", '"x"', "1e999", '{"Data": []}', '{"Data": {"a": 1}}', "[" * 50_000, "\udcff"]


@pytest.mark.parametrize("text", JSON, ids=[one[:12] for one in JSON])
@pytest.mark.parametrize("name", HUBS)
def test_json_of_another_type(tracked: Path, server: Server, name: str, text: str) -> None:
    server.body = lambda: iter([text.encode("utf-8", "surrogateescape")])
    server.headers = {"content-type": "application/json"}
    assert push(tracked, name, server.url).exit_code in (4, 5)


@pytest.mark.parametrize("name", HUBS)
def test_what_a_hub_says_is_shown_harmless_and_short(
    tracked: Path, server: Server, name: str
) -> None:
    said = "no\x1b[2J\u202e" + "x" * 5000 + TOKEN
    server.status, server.headers = 400, {"content-type": "application/json"}
    server.body = lambda: iter([json.dumps({"error": said, "Message": said, "Code": 400}).encode()])
    error = push(tracked, name, server.url)
    assert "no[2J" in error.message and len(error.message) < 3000
    assert not {"\x1b", "\u202e"} & set(error.message)


@pytest.mark.parametrize("value", ["0", "-5", "nan", "-inf", "Thu, 01 Jan 1970 00:00:00 GMT", "x"])
@pytest.mark.parametrize("name", HUBS)
def test_waiting_spends_patience_whatever_is_asked(
    tracked: Path, server: Server, name: str, value: str
) -> None:
    server.status, server.headers = 429, {"retry-after": value}
    error = push(tracked, name, server.url)
    assert "the hub answered 429" in error.message and 2 <= len(server.asked) < 8


def test_every_pause_has_a_floor_and_is_counted() -> None:
    assert [retry_after({"Retry-After": one}) for one in ("nan", "-1", "0", "7")] == [
        None,
        None,
        0.0,
        7.0,
    ]
    patience, attempts, started = Patience(0.4, SilentRun()), 0, time.monotonic()
    with pytest.raises(RemoteError, match="busy"):
        while attempts < 100:
            attempts += 1
            patience.wait(1, "busy", 0.0)
    assert attempts < 5 and time.monotonic() - started < 2
    with pytest.raises(RemoteError, match="asks to wait 1000000000 s"):
        Patience(5, SilentRun()).wait(1, "busy", math.inf)
    with pytest.raises(RemoteError):
        Patience(5, SilentRun()).wait(5000, "busy")


def elsewhere(server: Server) -> Fault:
    return Fault("redirect", path="/commit/", location=server.url, times=0)


@pytest.mark.parametrize("name", HUBS)
def test_a_commit_that_is_redirected_elsewhere_carries_nothing(
    tracked: Path,
    hub: Running,
    faults: Faults,
    server: Server,
    options: dict[str, Any],
    name: str,
) -> None:
    faults.add(elsewhere(server))
    with pytest.raises(RemoteError, match=r"redirects this write to 127\.0\.0\.1") as caught:
        hubkit.push(tracked, f"{name}:{NAME}", options=options)
    assert server.asked == [] and "`endpoint`" in caught.value.remedy


@pytest.mark.parametrize("name", HUBS)
def test_a_link_that_went_stale_is_asked_for_again(
    tracked: Path, hub: Running, faults: Faults, options: dict[str, Any], name: str
) -> None:
    """As after a restart of the hub, which then knows its old links no more."""
    refused = {"method": "PUT", "path": "^/lfs/", "status": 403}
    faults.add(Fault("status", **refused, times=0))  # type: ignore[arg-type]
    with pytest.raises(EnvironmentFailure, match="403"):
        hubkit.push(tracked, f"{name}:{NAME}", options=options)
    faults.clear()
    faults.add(Fault("status", **refused))  # type: ignore[arg-type]
    assert hubkit.push(tracked, f"{name}:{NAME}", options=options).receipts
    batches = [seen for seen in faults.requests if seen.path.endswith("/objects/batch")]
    assert len(batches) == 2


def test_names_from_a_hub_are_shown_harmless() -> None:
    theirs = [RemoteFile("a\x1b[31m\u202e.txt\n" + "b" * 1000, 1, "")]
    (line,) = compare([], theirs).problems
    assert line.startswith("a[31m.txt b") and len(line) < 500 and line.isprintable()
    assert one_line("x\u2066y\x00 \n z", 100) == "xy z"


def test_read_whole_stops_reading() -> None:
    taken = []

    def chunks() -> Iterator[bytes]:
        while True:
            taken.append(1)
            yield bytes(1000)

    with pytest.raises(RemoteError, match="longer than 5,000 bytes"):
        read_whole(chunks(), "here", 5000)
    assert len(taken) == 6


@pytest.mark.parametrize("name", HUBS)
def test_a_download_is_bounded_by_what_the_listing_promised(
    tracked: Path,
    hub: Running,
    faults: Faults,
    options: dict[str, Any],
    tmp_path: Path,
    name: str,
) -> None:
    """A file that goes on after its listed size is read no further, and nothing is left."""
    hubkit.push(tracked, f"{name}:{NAME}", options=options)
    faults.add(Fault("endless", method="GET", path=r"/resolve/|/repo$", times=0))
    given = hub_options(f"{name}:{NAME}", options)
    with pytest.raises(
        RemoteError, match=r"the hub lists [\d,]+ bytes and sends more|Server exceeded \d"
    ):
        plugins().get("hub", name).download(NAME, "v1.0.0", tmp_path / "out", given, SilentRun())
    assert not list(tmp_path.glob("*out*"))


def test_a_listing_without_sizes_lets_no_more_in(
    tracked: Path,
    hub: Running,
    faults: Faults,
    options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """modelscope_hub asks for a listing of its own, and takes what has no size there."""
    from modelscope_hub._legacy_api import LegacyClient

    hubkit.push(tracked, f"modelscope:{NAME}", options=options)
    faults.add(Fault("endless", method="GET", path="/repo$", times=0))
    listed, asked = LegacyClient.list_repo_files, []

    def without_sizes(*given: Any, **named: Any) -> list[dict[str, Any]]:
        asked.append(1)
        entries = listed(*given, **named)
        lacking = [{k: v for k, v in one.items() if k != "Size"} for one in entries]
        return lacking if len(asked) > 1 else entries

    monkeypatch.setattr(LegacyClient, "list_repo_files", without_sizes)
    given = hub_options(f"modelscope:{NAME}", options)
    with pytest.raises(RemoteError, match=r"the hub lists [\d,]+ bytes and sends more"):
        plugins().get("hub", "modelscope").download(
            NAME, "v1.0.0", tmp_path / "out", given, SilentRun()
        )
    assert len(asked) > 1 and not list(tmp_path.glob("*out*"))


def test_a_listing_without_end_ends(tracked: Path, server: Server) -> None:
    server.body = lambda: iter([b"[]"])
    server.headers = {
        "link": f'<{server.url}/more>; rel="next"',
        "content-type": "application/json",
    }
    own = {"endpoint": server.url, "token_env": "MY_TOKEN", "patience": 0.5, "timeout": 3}
    plugin = plugins().get("hub", "huggingface")
    settings, journal = decode(plugin.Options, own, ""), Journal(None, "", "")
    with (
        pytest.raises(RemoteError, match="listing does not end: 1,001 pages"),
        plugin.opened(NAME, settings, SilentRun(), journal, anonymous=False) as session,
    ):
        session.tree("main")


def test_an_answer_of_many_values_is_not_read(tracked: Path, server: Server) -> None:
    """64 MiB of empty lists take two gigabytes once they are read."""
    server.body = lambda: iter([b"[" + b"[]," * 4_000_001 + b"1]"])
    server.headers = {"content-type": "application/json"}
    for name in HUBS:
        assert "has more than 4,000,000 values" in push(tracked, name, server.url).message
