"""The training process: started, watched through its log, ended."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hubkit.sdk import Run

from .log import Tail, parse

SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_TO_STOP = 8.0
_SHOWN = 25
_TORCHRUN = re.compile(r"torch/distributed/(elastic|run|launcher)")

MEMORY = ("out of memory", "OutOfMemoryError", "CUBLAS_STATUS_ALLOC_FAILED")


def train(
    command: Sequence[str], variables: Mapping[str, str], log: Path, run: Run, told: Callable[[], None] | None = None
) -> int:
    """Runs `command` with its output in `log` and reports progress from it, calling `told` after each line; the exit code,
    which alone says little.

    Raises:
        CancelledError: interrupted; the process was asked to stop, then killed.
    """
    log.unlink(missing_ok=True)
    tail = Tail(log)
    with _started(command, variables, log) as process:
        while True:
            ended = process.poll() is not None
            for line in filter(None, map(parse, tail.lines())):
                run.progress(min(line.step, line.total), line.total, "iterations", loss=line.loss, eta_seconds=line.eta)
                if told:
                    told()
            if ended:
                return process.returncode
            run.check_cancelled()
            time.sleep(SECONDS_BETWEEN_LOOKS)


@contextmanager
def _started(command: Sequence[str], variables: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """In the worker's own process group, so that it dies with it."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=dict(variables), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=log.parent
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


def last_lines(log: Path) -> str:
    """The end of the log, from the last traceback on when there is one; neither progress nor what torchrun says of it."""
    text = log.read_text("utf-8", "replace") if log.exists() else ""
    lines = [line.rstrip()[:300] for line in text.splitlines() if line.strip() and parse(line) is None]
    end = next((number for number, line in enumerate(lines) if _TORCHRUN.search(line)), len(lines))
    lines = lines[:end]
    starts = [number for number, line in enumerate(lines) if re.match(r"(\[rank\d+\]: ?)?Traceback ", line)]
    chosen = lines[starts[-1] :] if starts else lines
    return "\n".join(f"    {line}" for line in chosen[-_SHOWN:])


def ran_out_of_memory(log: Path) -> bool:
    text = log.read_text("utf-8", "replace") if log.exists() else ""
    return any(word in text for word in MEMORY)
