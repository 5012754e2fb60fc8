"""`hubkit demo` from the command line: what it says, and that Ctrl-C ends page and server."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hubkit.demo_page import demo
from hubkit.errors import UsageError

# A shell may start its background jobs with SIGINT ignored, and Python then leaves it so.
COMMAND = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); from "
    "hubkit.__main__ import main; main()"
)


@pytest.mark.integration
def test_the_command_ends_with_everything_it_started(models: tuple[Path, Path]) -> None:
    command = [
        sys.executable,
        "-c",
        COMMAND,
        "demo",
        str(models[1]),
        "--json",
        "--option",
        "threads=1",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    said = next(one for line in process.stdout if (one := json.loads(line))["event"] == "demo")
    place = urlsplit(said["url"])
    assert said["models"] == ["InternVL2-Tuned"] and place.hostname == "127.0.0.1"
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=30)
    connection.request("GET", "/")
    assert connection.getresponse().status == 200
    connection.close()
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert "stopped InternVL2-Tuned after 0 answers" in rest
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection("127.0.0.1", place.port, timeout=5).connect()


def test_what_is_refused_before_anything_starts(models: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"), demo(tmp_path / "nothing"):
        pass
    with (
        pytest.raises(UsageError, match="cannot be read"),
        demo(models[0], examples=tmp_path / "nothing.jsonl"),
    ):
        pass
    with (
        pytest.raises(UsageError, match="is not a folder"),
        demo(models[0], examples=tmp_path / "x", images=tmp_path / "y"),
    ):
        pass
    with pytest.raises(UsageError, match="peft"), demo(models[0], engine="peft"):
        pass
