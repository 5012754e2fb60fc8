"""What every hub must refuse, or keep to, when it asks a server: offline, names, hosts, proxies,
messages, token files."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from testing.releases import make_release

import hubkit
from hubkit.errors import EnvironmentFailure, RefusedError, RemoteError
from hubkit.registry.plugins import plugins
from hubkit.rehearsal import Faults, Running
from hubkit.sdk import SilentRun

from .conftest import NAME, TOKEN, needs_hubs

pytestmark = needs_hubs
HUBS = ["huggingface", "modelscope", "git_lfs"]


class Proxy(BaseHTTPRequestHandler):
    """A forward proxy for http: one connection a request."""

    asked: list[str]

    def do(self) -> None:
        parts = urlsplit(self.path)
        self.asked.append(f"{self.command} {parts.path}")
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        onward = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=20)
        headers = {
            name: value
            for name, value in self.headers.items()
            if not name.lower().startswith(("proxy-", "connection"))
        }
        onward.request(
            self.command,
            f"{parts.path}?{parts.query}" if parts.query else parts.path,
            body,
            headers,
        )
        answer = onward.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_HEAD = do

    def log_message(self, format: str, *arguments: Any) -> None:
        return None


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """In the environment, as users set it; what it was asked."""
    asked: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Ours", (Proxy,), {"asked": asked})) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
        yield asked
        server.shutdown()


def test_the_users_proxy_is_used(
    hub: Running,
    faults: Faults,
    targets: list[str],
    options: dict[str, Any],
    tracked: Path,
    proxy: list[str],
) -> None:
    """Git LFS, as all programs in Go, goes to a loopback address straight."""
    hubkit.push(tracked, targets, options=options)
    through = [
        seen for seen in faults.requests if "lfs" not in seen.path or "-Git" not in seen.path
    ]
    assert sorted(f"{seen.method} {seen.path}" for seen in through) == sorted(proxy)
    assert any("-Git.git/info/refs" in one for one in proxy)
    assert any("/api/models/" in one for one in proxy) and any("/api/v1/" in one for one in proxy)


@pytest.mark.parametrize("number", range(3), ids=HUBS)
def test_offline_asks_nobody(
    tracked: Path,
    faults: Faults,
    targets: list[str],
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    monkeypatch.setenv("HUBKIT_OFFLINE", "1")
    with pytest.raises(
        EnvironmentFailure, match=r"HUBKIT_OFFLINE is set: .* is not asked"
    ) as caught:
        hubkit.push(tracked, targets[number], options=options)
    assert caught.value.remedy == "unset HUBKIT_OFFLINE, then run again" and faults.requests == []


def test_git_names_without_internvl_and_hosts_that_are_not_there(
    hub: Running, faults: Faults, tracked: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(RefusedError, match="Food-2B"):
        hubkit.push(tracked, f"git:{hub.url}/food/Food-2B.git", options=options)
    assert faults.requests == []
    with pytest.raises(RemoteError, match=r"hub\.invalid") as caught:
        hubkit.push(tracked, "git:https://hub.invalid/food/InternVL2-Tiny.git", options=options)
    assert "check the network" in caught.value.remedy


@pytest.mark.parametrize("name", HUBS[:2])
def test_the_commits_message(
    hub: Running, options: dict[str, Any], tmp_path: Path, name: str
) -> None:
    settings = {"endpoint": hub.url, "token_env": "MY_TOKEN", "message": "Kochrezepte, 2nd edition"}
    job = make_release(tmp_path / "InternVL2-Tiny", NAME, settings, weights=2000)
    plugins().get("hub", name).publish(job, SilentRun())
    git = hub.hub.git(hub.hub.find(NAME, hub.hub.tokens.user(TOKEN)))
    assert "Kochrezepte, 2nd edition" in str(git.log(git.resolve("main"), 1, 0)[0])


def test_git_takes_the_token_from_a_file(
    hub: Running, targets: list[str], tracked: Path, tmp_path: Path
) -> None:
    file = tmp_path / "a token's file"
    file.write_text(f"  {TOKEN}\n")
    options = {"token_file": str(file)}
    hubkit.push(tracked, targets[2], options=options)
    assert hubkit.verify(tracked, targets[2], options=options).revision == "v1.0.0"
    assert plugins().get("hub", "git_lfs").login(options).source == f"the file {file}"
    file.write_text("hf_wrong0123")
    with pytest.raises(EnvironmentFailure) as caught:
        hubkit.push(tracked, targets[2], options=options)
    assert f"the file {file}" in caught.value.message and "hf_wrong0123" not in str(caught.value)


def test_a_git_repository_that_moved_elsewhere_does_not_get_the_token(
    hub: Running,
    faults: Faults,
    tracked: Path,
    targets: list[str],
    options: dict[str, Any],
    tmp_path: Path,
) -> None:
    from hubkit.rehearsal import Fault, serve

    elsewhere = Faults()
    with serve(tmp_path / "elsewhere", token="hf_other", faults=elsewhere) as other:
        faults.add(Fault("redirect", location=other.url, times=0))
        with pytest.raises((EnvironmentFailure, RemoteError)):
            hubkit.push(tracked, targets[2], options=options)
    assert elsewhere.requests and not [seen for seen in elsewhere.requests if seen.authorized]
