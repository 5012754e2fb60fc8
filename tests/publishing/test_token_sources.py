"""Where a token comes from, when it goes wrong: named, in time, and never shown."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import hubkit
from hubkit.errors import EnvironmentFailure, HubkitError, RemoteError
from hubkit.rehearsal import Faults, Running

from .conftest import NAME, TOKEN, needs_hubs

pytestmark = needs_hubs
HUBS = ["huggingface", "modelscope"]
ID_TOKEN = "eyJ.canary-id-token.sig"
OIDC = ("HF_OIDC_RESOURCE", "HF_OIDC_ID_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL")


@pytest.fixture(autouse=True)
def no_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*OIDC, "HUGGING_FACE_HUB_TOKEN", "ALL_PROXY", "all_proxy", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)


def fails(tracked: Path, to: str, **options: Any) -> HubkitError:
    """The error of a push, in under ten seconds."""
    started = time.monotonic()
    with pytest.raises(HubkitError) as caught:
        hubkit.push(tracked, to, options={"timeout": 2, "patience": 3, **options})
    assert time.monotonic() - started < 10
    assert not any(secret in str(caught.value) for secret in (TOKEN, ID_TOKEN))
    return caught.value


@pytest.mark.parametrize("name", HUBS)
def test_netrc_does_not_stand_in_for_the_token(
    hub: Running,
    faults: Faults,
    tracked: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login mallory password hf_other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    variable = {"huggingface": "HF_TOKEN", "modelscope": "MODELSCOPE_API_TOKEN"}[name]
    monkeypatch.setenv(variable, TOKEN)
    to, options = f"{name}:{NAME}", {"endpoint": hub.url}
    assert hubkit.push(tracked, to, options=options).receipts
    assert hubkit.verify(tracked, to, options=options).files
    state = hubkit.login_status({f"{name}.endpoint": hub.url})[name]
    assert (state.state, state.source) == ("ok", f"the environment variable {variable}")


def test_the_older_variable_is_named(hub: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUGGING_FACE_HUB_TOKEN", TOKEN)
    state = hubkit.login_status({"huggingface.endpoint": hub.url})["huggingface"]
    assert state.source == "the environment variable HUGGING_FACE_HUB_TOKEN"


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00binary"])
def test_a_login_that_cannot_be_read(
    hub: Running,
    tracked: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes | None,
) -> None:
    from huggingface_hub import constants

    path = tmp_path / "login"
    path.mkdir() if content is None else path.write_bytes(content)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(path))
    error = fails(tracked, f"huggingface:{NAME}", endpoint=hub.url)
    assert (
        isinstance(error, EnvironmentFailure) and f"login ({path}) cannot be read" in error.message
    )
    error = fails(tracked, f"modelscope:{NAME}", endpoint=hub.url, token_file=str(path))
    assert isinstance(error, EnvironmentFailure) and f"the token file {path}" in error.message


@pytest.mark.parametrize("token", ["hf_naïve", "hf_two words", "hf_new\nline", '"hf_quoted" x'])
@pytest.mark.parametrize("name", HUBS)
def test_odd_characters_in_a_token(
    hub: Running, tracked: Path, monkeypatch: pytest.MonkeyPatch, name: str, token: str
) -> None:
    monkeypatch.setenv("MY_TOKEN", token)
    error = fails(tracked, f"{name}:{NAME}", endpoint=hub.url, token_env="MY_TOKEN")
    assert isinstance(error, EnvironmentFailure) and token not in str(error)
    assert "the environment variable MY_TOKEN has a character that no token has" in error.message


@pytest.mark.parametrize("name", HUBS)
def test_a_proxy_without_its_package(
    tracked: Path, monkeypatch: pytest.MonkeyPatch, hub: Running, name: str
) -> None:
    for package in ("socksio", "socks"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, "urllib3.contrib.socks", None)
    if name == "modelscope":
        from requests import adapters

        def missing(*_: Any, **__: Any) -> Any:
            raise adapters.InvalidSchema("Missing dependencies for SOCKS support.")

        monkeypatch.setattr(adapters, "SOCKSProxyManager", missing)
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    error = fails(tracked, f"{name}:{NAME}", endpoint=hub.url, token_env="MY_TOKEN")
    assert isinstance(error, EnvironmentFailure) and "ALL_PROXY" in error.message
    assert "pip install socksio pysocks" in error.remedy


@pytest.mark.parametrize("address", ["hub.example", "ftp://hub.example", "http://u:pw@hub.example"])
def test_an_address_without_a_scheme(
    tracked: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", address)
    error = fails(tracked, f"huggingface:{NAME}", token_env="MY_TOKEN")
    assert isinstance(error, EnvironmentFailure)
    assert "the address of the hub from HF_ENDPOINT is not of the form" in error.message
    assert "pw" not in str(error)


@pytest.fixture
def untrusted(tmp_path: Path) -> Iterator[str]:
    """An https server with a certificate that nobody signed."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("name", HUBS)
def test_a_certificate_that_is_not_trusted_is_not_tried_again(
    tracked: Path, untrusted: str, name: str
) -> None:
    started = time.monotonic()
    error = fails(tracked, f"{name}:{NAME}", endpoint=untrusted, token_env="MY_TOKEN", patience=60)
    assert isinstance(error, EnvironmentFailure) and "certificate is not trusted" in error.message
    assert "SSL_CERT_FILE" in error.remedy and time.monotonic() - started < 5


def test_git_says_that_a_certificate_is_not_trusted(tracked: Path, untrusted: str) -> None:
    with pytest.raises(EnvironmentFailure, match="certificate") as caught:
        hubkit.push(tracked, f"git:{untrusted}/food/InternVL2-Tiny.git", options={"patience": 60})
    assert "GIT_SSL_CAINFO" in caught.value.remedy


class Exchange:
    """The address of a hub's token exchange: `answer` (status, body) or None to hang."""

    def __init__(self, answer: tuple[int, Any] | None, url: str = "") -> None:
        self.answer, self.asked, self.url = answer, list[tuple[str, Any]](), url


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    ours, ended = Exchange((200, {"access_token": TOKEN, "expires_in": 3600})), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            ours.asked.append((self.path, json.loads(body)))
            if ours.answer is None:
                ended.wait(20)
                return
            self.send_response(ours.answer[0])
            self.send_header("location", "http://127.0.0.1:9/stolen")
            self.end_headers()
            self.wfile.write(json.dumps(ours.answer[1]).encode())

        def do_GET(self) -> None:
            self.send_error(401)

        def log_message(self, format: str, *arguments: Any) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ours.url = f"http://127.0.0.1:{server.server_port}"
        yield ours
        ended.set()
        server.shutdown()


def test_an_exchange_without_an_id_token(tracked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_OIDC_RESOURCE", NAME)
    error = fails(tracked, f"huggingface:{NAME}", endpoint="http://127.0.0.1:9")
    assert isinstance(error, EnvironmentFailure)
    assert "HF_OIDC_RESOURCE is set and there is no id token to exchange" in error.message
    assert "HF_OIDC_ID_TOKEN" in error.remedy


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        ((403, {"error": f"denied to {ID_TOKEN}"}), EnvironmentFailure, "answered 403"),
        ((307, {}), EnvironmentFailure, "answered 307"),
        ((200, []), RemoteError, "is not a JSON dict"),
        ((200, {"token": "x"}), RemoteError, "has no access_token"),
        (None, RemoteError, "could not be exchanged for HF_OIDC_RESOURCE"),
    ],
)
def test_an_exchange_that_is_denied_or_hangs(
    tracked: Path,
    exchange: Exchange,
    monkeypatch: pytest.MonkeyPatch,
    answer: tuple[int, Any] | None,
    kind: type[HubkitError],
    told: str,
) -> None:
    monkeypatch.setenv("HF_OIDC_RESOURCE", NAME)
    monkeypatch.setenv("HF_OIDC_ID_TOKEN", ID_TOKEN)
    exchange.answer = answer
    error = fails(tracked, f"huggingface:{NAME}", endpoint=exchange.url)
    assert isinstance(error, kind) and told in error.message
    assert [path for path, _ in exchange.asked] == ["/oauth/token"]


def test_the_id_token_goes_to_the_endpoint_of_the_option_only(
    hub: Running, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    other = Exchange((200, {}))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_OIDC_RESOURCE", NAME)
    monkeypatch.setenv("HF_OIDC_ID_TOKEN", ID_TOKEN)
    state = hubkit.login_status({"huggingface.endpoint": exchange.url})["huggingface"]
    assert (state.state, other.asked) == ("rejected", [])
    ((path, body),) = exchange.asked
    assert path == "/oauth/token" and (body["subject_token"], body["resource"]) == (ID_TOKEN, NAME)
    assert f"the exchange for HF_OIDC_RESOURCE at {exchange.url}" in state.source


def test_login_status_of_a_hub_that_does_not_answer(exchange: Exchange) -> None:
    """Every option's own `timeout` may be longer."""
    exchange.answer = None
    silent = {
        f"{name}.{key}": value
        for name in HUBS
        for key, value in {"endpoint": exchange.url, "token_env": "MY_TOKEN"}.items()
    }
    import socket

    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"http://127.0.0.1:{mute.getsockname()[1]}"
        silent |= {f"{name}.endpoint": address for name in HUBS}
        started = time.monotonic()
        found = hubkit.login_status(silent)
        assert time.monotonic() - started < 11
    for name in HUBS:
        assert (found[name].state, found[name].user) == ("unknown", "")
        assert found[name].remedy and TOKEN not in str(found[name])


@pytest.mark.parametrize("name", HUBS)
def test_a_host_that_is_not_there_is_not_tried_again(
    tracked: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    import socket

    def nobody(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    address = "http://hub.invalid"
    error = fails(tracked, f"{name}:{NAME}", endpoint=address, token_env="MY_TOKEN", patience=60)
    assert isinstance(error, RemoteError) and "there is no host of this name" in error.message
    assert "`endpoint`" in error.remedy
