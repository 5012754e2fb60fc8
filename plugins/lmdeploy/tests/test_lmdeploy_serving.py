"""Waiting for a server, stopping it and reading its log, with real child processes; LMDeploy itself
needs a GPU."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hubkit_lmdeploy import serving
from hubkit_lmdeploy.options import Options

from hubkit.sdk import CancelledError, PluginError, ServeInput, SilentRun, UsageError

HEALTHY = """
    import http.server, sys
    class Health(http.server.BaseHTTPRequestHandler):
        asked = 0
        def do_GET(self):
            Health.asked += 1
            self.send_response(200 if self.path == "/health" and Health.asked > 2 else 503)
            self.end_headers()
        def log_message(self, *words): pass
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Health).serve_forever()
"""


class Cancelled(SilentRun):
    def check_cancelled(self):
        raise CancelledError("interrupted", "run it again")


@pytest.fixture
def job(base, vision, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return ServeInput(
        base,
        base,
        vision,
        "hubkit/InternVL2-Tiny",
        "127.0.0.1",
        port,
        tmp_path,
        {},
        tmp_path / "key",
    )


def child(code: str, job: ServeInput) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(job.port)])


def test_the_server_is_ready_when_it_says_so(job, tmp_path):
    server = child(HEALTHY, job)
    try:
        serving.await_health(server, job, tmp_path / "server.log", SilentRun())
        assert serving.healthy(f"http://127.0.0.1:{job.port}/health")
    finally:
        serving.stop(server)
    assert server.returncode == -signal.SIGTERM
    assert not serving.healthy(f"http://127.0.0.1:{job.port}/health")


def test_a_server_that_ends_while_it_starts_is_explained_by_its_log(job, tmp_path):
    log = tmp_path / "server.log"
    log.write_text("loading\nRuntimeError: CUDA error: out of memory\n", "utf-8")
    with pytest.raises(
        PluginError, match=r"(?s)ended with code 7 while it started.*CUDA error: out of memory"
    ):
        serving.await_health(child("raise SystemExit(7)", job), job, log, SilentRun())
    log.write_text(
        "[Errno 98] error while attempting to bind on address: address already in use\n", "utf-8"
    )
    with pytest.raises(UsageError, match=f"port {job.port} of 127.0.0.1 is in use"):
        serving.await_health(child("raise SystemExit(1)", job), job, log, SilentRun())


def test_cancelling_while_it_starts(job, tmp_path):
    server = child("import time; time.sleep(60)", job)
    try:
        with pytest.raises(CancelledError):
            serving.await_health(server, job, tmp_path / "server.log", Cancelled())
    finally:
        serving.stop(server)
    assert server.poll() is not None


def test_a_server_that_does_not_stop_is_ended(job, monkeypatch):
    monkeypatch.setattr(serving, "SECONDS_TO_STOP", 0.3)
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', "
        "flush=True); time.sleep(60)"
    )
    server = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert server.stdout is not None and server.stdout.readline() == b"deaf\n"
    serving.stop(server)
    assert server.returncode == -signal.SIGKILL
    server.stdout.close()


def test_the_key_stays_in_its_file(job):
    assert job.api_key_file is not None
    job.api_key_file.write_text("sk-secret-word", "utf-8")
    settings = serving.server_settings(job, Options(backend="pytorch", tp=2), "pytorch")
    assert settings["api_key_file"] == str(job.api_key_file)
    assert "sk-secret-word" not in json.dumps(settings)
    assert (settings["model"], settings["name"], settings["backend"]) == (
        job.model.name,
        "hubkit/InternVL2-Tiny",
        "pytorch",
    )
    assert Options(**settings["options"]).tp == 2


def test_answered_requests_are_counted_in_the_access_log():
    log = """
        INFO:     127.0.0.1:40112 - "GET /v1/models HTTP/1.1" 200 OK
        INFO:     127.0.0.1:40114 - "POST /v1/chat/completions HTTP/1.1" 200 OK
        INFO:     127.0.0.1:40116 - "POST /v1/chat/completions HTTP/1.1" 401 Unauthorized
        INFO:     127.0.0.1:40118 - "POST /v1/completions HTTP/1.1" 200 OK
    """
    assert serving.answered(log.splitlines()) == 2


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("10.1.2.3", "10.1.2.3"), ("fe80::1", "[fe80::1]")],
)
def test_where_a_server_is_asked(host, address):
    assert serving._address(host) == address


def test_the_end_of_a_log(tmp_path: Path):
    log = tmp_path / "server.log"
    log.write_text("\n".join(f"line {n}" for n in range(40)), "utf-8")
    assert serving.tail(log).splitlines()[0] == "    line 25"
