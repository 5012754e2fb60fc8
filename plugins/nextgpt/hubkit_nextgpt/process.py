"""The stage's process: started, watched, ended. It stays in the worker's process group, so that it dies with it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from hubkit.sdk import Run

SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_TO_STOP = 8.0
_SHOWN = 25


def run_logged(command: Sequence[str], cwd: Path, log: Path, run: Run) -> int:
    """Runs `command` with its output in `log`; its exit code.

    Raises:
        CancelledError: interrupted; the process was asked to stop, then killed.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=cwd)
    try:
        while process.poll() is None:
            run.check_cancelled()
            time.sleep(SECONDS_BETWEEN_LOOKS)
        return process.returncode
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(SECONDS_TO_STOP)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def last_lines(log: Path) -> str:
    text = log.read_text("utf-8", "replace") if log.exists() else ""
    return "\n".join(f"    {line[:300]}" for line in [line for line in text.splitlines() if line.strip()][-_SHOWN:])
