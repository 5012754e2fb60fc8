"""A program that a plugin runs inside its worker: its output goes to a log, which is watched, and
it ends with the worker."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from .run import Run

SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_TO_STOP = 8.0
_SHOWN = 25
_LAUNCHER = re.compile(r"torch/distributed/(elastic|run|launcher)|launch\.py:\d+:sigkill_handler")
_MEMORY = ("out of memory", "OutOfMemoryError", "CUBLAS_STATUS_ALLOC_FAILED")


def run_logged(
    command: Sequence[str],
    log: Path,
    run: Run,
    *,
    cwd: Path,
    variables: Mapping[str, str] | None = None,
    line: Callable[[str], None] | None = None,
) -> int:
    """Runs `command` in the folder `cwd` and calls `line` with each whole line of its output; the
    exit code. `variables` are its whole environment. What `line` raises ends the program, too.

    Raises:
        CancelledError: interrupted; the program was asked to stop, then killed.
    """
    log.unlink(missing_ok=True)
    tail = _Tail(log)
    with _started(command, log, cwd, variables) as process:
        while True:
            ended = process.poll() is not None
            for text in tail.lines():
                if line:
                    line(text)
            if ended:
                return process.returncode
            run.check_cancelled()
            time.sleep(SECONDS_BETWEEN_LOOKS)


@contextmanager
def _started(
    command: Sequence[str], log: Path, cwd: Path, variables: Mapping[str, str] | None
) -> Iterator[subprocess.Popen[bytes]]:
    """In the worker's own process group, so that it dies with it."""
    env = None if variables is None else dict(variables)
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=cwd,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(SECONDS_TO_STOP)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class _Tail:
    """The whole lines that a growing file has got since the last look."""

    def __init__(self, path: Path) -> None:
        self._path, self._at, self._rest = path, 0, b""

    def lines(self) -> Iterator[str]:
        with self._path.open("rb") as file:
            file.seek(self._at)
            data = self._rest + file.read()
            self._at = file.tell()
        *whole, self._rest = data.split(b"\n")
        yield from (text.decode("utf-8", "replace") for text in whole)


def last_lines(log: Path, skip: Callable[[str], bool] | None = None) -> str:
    """The end of the log, indented: from the last traceback on when there is one, without the lines
    that `skip` is true of and without what torchrun or deepspeed say of the failure."""
    lines = [
        line.rstrip()[:300]
        for line in _text(log).splitlines()
        if line.strip() and not (skip and skip(line))
    ]
    lines = lines[
        : next((number for number, line in enumerate(lines) if _LAUNCHER.search(line)), len(lines))
    ]
    starts = [
        number
        for number, line in enumerate(lines)
        if re.match(r"(\[rank\d+\]: ?)?Traceback ", line)
    ]
    chosen = lines[starts[-1] :] if starts else lines
    return "\n".join(f"    {line}" for line in chosen[-_SHOWN:])


def ran_out_of_memory(log: Path) -> bool:
    text = _text(log)
    return any(word in text for word in _MEMORY)


def _text(log: Path) -> str:
    return log.read_text("utf-8", "replace") if log.exists() else ""
