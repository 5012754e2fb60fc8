"""A server as the host sees it: started in its worker, watched, and ended with the host, however
that ends."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import hubkit
from hubkit.errors import EnvironmentFailure, HubkitError, PluginError, UsageError
from hubkit.inference.serving import read_key
from hubkit.inference.serving import serve as host_serve
from hubkit.reporting import SilentReporter

SECONDS = 60.0
SLOW = r"InternVL2-Served: the server did not answer within 0\.2 s"


class Notes(SilentReporter):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def note(self, message: str) -> None:
        self.seen.append(message)


def ask(url: str, name: str, text: str, key: str = "") -> tuple[int, dict]:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
    body = json.dumps({"model": name, "messages": [{"role": "user", "content": text}]})
    headers = {"Content-Type": "application/json"} | (
        {"Authorization": f"Bearer {key}"} if key else {}
    )
    try:
        connection.request("POST", "/v1/chat/completions", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def is_closed(url: str) -> bool:
    place = urlsplit(url)
    try:
        socket.create_connection((place.hostname, place.port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.integration
def test_serves_until_the_block_ends(model: Path) -> None:
    notes = Notes()
    with hubkit.serve(
        model, options={"threads": 1}, api_key="a-key-of-mine", reporter=notes
    ) as server:
        assert server.name == "InternVL2-Served" and "a-key-of-mine" not in repr(server)
        status, answer = ask(server.url, server.name, "Spell it.", "a-key-of-mine")
        assert (status, answer["choices"][0]["message"]["content"]) == (200, "three")
        assert ask(server.url, server.name, "Spell it.")[0] == 401
        server.check()
    assert is_closed(server.url)
    assert notes.seen[-1] == "stopped InternVL2-Served after 1 answers"
    assert not any("a-key-of-mine" in note for note in notes.seen)


@pytest.mark.integration
def test_a_server_that_cannot_start_says_why(model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(EnvironmentFailure, match=f"cannot listen on 127.0.0.1 port {port}"),
            host_serve(model, port=port),
        ):
            pass


def test_what_is_refused_before_anything_starts(model: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match=r"0\.0\.0\.0 is reached from elsewhere"),
        host_serve(model, host="0.0.0.0"),
    ):
        pass
    with pytest.raises(UsageError, match="is not a folder"), host_serve(tmp_path / "nothing"):
        pass
    (tmp_path / "key").write_text("two words")
    with pytest.raises(UsageError, match="does not hold an API key"):
        read_key(tmp_path / "key")
    with pytest.raises(UsageError, match="cannot be read"):
        read_key(tmp_path / "missing")


def start(model: Path, *arguments: str) -> tuple[subprocess.Popen[str], str]:
    """`hubkit serve` in a process, and its URL."""
    command = [
        sys.executable,
        "-m",
        "hubkit",
        "serve",
        str(model),
        "--json",
        "--option",
        "threads=1",
        *arguments,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    for line in process.stdout:
        said = json.loads(line)
        if said["event"] == "serving":
            return process, said["url"]
    raise AssertionError(process.communicate()[1])


@pytest.mark.integration
def test_the_command_stops_cleanly(model: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("key-of-the-command\n")
    process, url = start(model, "--api-key-file", str(tmp_path / "key"), "--name", "other")
    assert ask(f"{url}", "other", "Spell it.", "key-of-the-command")[0] == 200
    process.send_signal(signal.SIGTERM)
    rest, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (0, "")
    assert "stopped other after 1 answers" in rest and is_closed(url)


@pytest.mark.integration
def test_the_server_dies_with_its_host(model: Path) -> None:
    process, url = start(model)
    process.kill()
    process.communicate(timeout=SECONDS)
    end = time.monotonic() + SECONDS
    while not is_closed(url) and time.monotonic() < end:
        time.sleep(0.05)
    assert is_closed(url)


@pytest.mark.integration
def test_a_server_that_dies_is_noticed(model: Path) -> None:
    import psutil

    with pytest.raises(HubkitError) as caught, host_serve(model, options={"threads": 1}) as server:
        workers = [
            one for one in psutil.Process().children() if "hubkit.sdk.worker" in one.cmdline()
        ]
        assert len(workers) == 1
        os.kill(workers[0].pid, signal.SIGKILL)
        server.wait()
    assert (
        isinstance(caught.value, PluginError)
        and "died of SIGKILL in `serve`" in caught.value.message
    )


@pytest.mark.integration
def test_a_server_that_is_too_slow_shows_its_log(model: Path) -> None:
    with pytest.raises(EnvironmentFailure, match=SLOW), host_serve(model, deadline=0.2):
        pass
