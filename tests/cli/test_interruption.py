"""Ctrl-C and SIGTERM: exit code 130 within seconds, whatever the work does with what is raised."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from hubkit.sdk import CancelledError, HubkitError
from hubkit.sdk.errors import from_json

COMMAND = """
import sys, time
from hubkit import __main__ as entry, cli

class Command:
    def main(self, *arguments, **settings):
{body}

cli.cli = Command()
sys.exit(entry.run(["release", "--json"]))
"""

READY = 'print("ready", flush=True)'
WAITS = f"{READY}; time.sleep(60)"
SWALLOWS_ERRORS = f"""
        {READY}
        for _ in range(3):
            try:
                time.sleep(60)
            except Exception:
                pass
"""
BREAKS = f"""
        try:
            {READY}
            time.sleep(60)
        except BaseException:
            raise AttributeError("what an import left behind that was broken off")
"""
SWALLOWS_ALL = f"""
        for _ in range(3):
            try:
                {READY}
                time.sleep(60)
            except BaseException:
                pass
"""
CLEANS_UP = f"""
        try:
            {READY}
            time.sleep(60)
        finally:
            time.sleep(0.5)
            print("cleaned up", flush=True)
"""


def start(body: str) -> subprocess.Popen[str]:
    code = COMMAND.format(body=body if body.startswith("\n") else f"        {body}")
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def rest(process: subprocess.Popen[str]) -> str:
    """What it still says; not by `communicate`, which overlooks what readline has read ahead."""
    assert process.stdout is not None
    output = process.stdout.read()
    process.wait(10)
    return output


def test_a_cancellation_is_no_error_that_a_handler_of_errors_takes() -> None:
    assert not issubclass(CancelledError, Exception) and not issubclass(CancelledError, HubkitError)
    told = from_json(CancelledError("interrupted", "again").to_json())
    assert isinstance(told, CancelledError)
    assert (told.message, told.remedy, told.exit_code) == ("interrupted", "again", 130)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "body", [WAITS, SWALLOWS_ERRORS, BREAKS], ids=["waits", "swallows errors", "breaks"]
)
def test_a_signal_ends_the_command_at_once(number: signal.Signals, body: str) -> None:
    process = start(body)
    began = time.monotonic()
    process.send_signal(number)
    output = rest(process)
    assert process.returncode == 130
    assert json.loads(output) == {
        "event": "error",
        "error": "CancelledError",
        "message": "interrupted",
        "remedy": "run the same command again to continue",
        "exit_code": 130,
    }
    assert time.monotonic() - began < 3


def test_who_swallows_all_is_ended_in_the_end() -> None:
    process = start(SWALLOWS_ALL)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output = rest(process)
    last = json.loads(output.splitlines()[-1])
    assert process.returncode == 130 and last["message"] == "interrupted"
    assert time.monotonic() - began < 5


def test_cleaning_up_is_not_interrupted_again() -> None:
    process = start(CLEANS_UP)
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    output = rest(process)
    assert process.returncode == 130 and output.startswith("cleaned up\n")


def test_a_signal_that_was_ignored_before_stays_so() -> None:
    """As Ctrl-C is in a script's background jobs."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = start(f"{READY}; time.sleep(0.3); return 0")
    finally:
        signal.signal(signal.SIGINT, before)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("number", "code", "remedy"), [("ENOSPC", 4, "make room"), ("EROFS", 4, "permissions")]
)
def test_a_disk_that_takes_nothing_more_is_no_bug(number: str, code: int, remedy: str) -> None:
    process = start(
        f"{READY}; import errno; raise OSError(errno.{number}, 'No room', '/tmp/there/file')"
    )
    output = rest(process)
    error = json.loads(output)
    assert (process.returncode, error["error"]) == (code, "EnvironmentFailure")
    assert error["message"].startswith("/tmp/there/file: No room") and remedy in error["remedy"]
