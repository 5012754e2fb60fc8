"""Starts a worker, relays what it reports, and ends it, whatever it does."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hubkit.sdk import CancelledError, EnvironmentFailure, Run, SilentRun
from hubkit.sdk.worker import PROGRESS_DESCRIPTOR

SECONDS_BETWEEN_CHECKS = 0.1
SECONDS_TO_STOP = 1.5
SECONDS_TO_STOP_SERVING = 2.5
"""A server answers first what it was asked."""
SECONDS_TO_EXIT = 30.0
SECONDS_TO_DUMP = 0.5
LONGEST_LINE = 1 << 16


@dataclass(frozen=True)
class Ending:
    """`code` is as of subprocess: negative for a signal. `hung`: killed at the deadline."""

    code: int
    hung: bool


def watch(
    command: Sequence[str],
    *,
    variables: Mapping[str, str],
    folder: Path,
    result: Path,
    run: Run,
    deadline: float | None,
    serving: bool = False,
) -> Ending:
    """Runs `command` in a new process group in the folder `folder/cwd`, with logs in `folder`,
    until it ends.

    A worker that has written `result` but does not exit is killed after SECONDS_TO_EXIT; nothing of
    its group is left behind.

    Raises:
        CancelledError: `run` was cancelled, or Ctrl-C; the worker had SECONDS_TO_STOP to stop by
            itself, a server SECONDS_TO_STOP_SERVING.
    """
    with _started(command, variables, folder) as worker:
        try:
            return worker.until_end(run, deadline, result)
        except (KeyboardInterrupt, CancelledError):
            worker.signal_group(signal.SIGTERM)
            seconds = SECONDS_TO_STOP_SERVING if serving else SECONDS_TO_STOP
            worker.until_exit(SilentRun(), seconds)
            raise CancelledError("interrupted", "run the same command again to continue") from None


class _Worker:
    def __init__(self, process: subprocess.Popen[bytes], reports: int) -> None:
        self._process = process
        self._reports = reports
        self._pending = b""
        self._selector = selectors.DefaultSelector()
        os.set_blocking(reports, False)
        self._selector.register(reports, selectors.EVENT_READ)

    def until_end(self, run: Run, deadline: float | None, result: Path) -> Ending:
        started = time.monotonic()
        while not self.until_exit(run, SECONDS_BETWEEN_CHECKS):
            if result.exists():
                self.until_exit(run, SECONDS_TO_EXIT)
                break
            if deadline is not None and time.monotonic() - started > deadline:
                self._dump_stacks()
                return Ending(self._kill(), hung=True)
        return Ending(self._kill(), hung=False)

    def until_exit(self, run: Run, seconds: float) -> bool:
        """Relays reports to `run` until the process has exited (True) or time has run out
        (False)."""
        end = time.monotonic() + seconds
        while True:
            run.check_cancelled()
            exited = self._process.poll() is not None
            relayed = self._relay(run, 0 if exited else SECONDS_BETWEEN_CHECKS)
            if (exited and not relayed) or time.monotonic() > end:
                return exited

    def signal_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def close(self) -> None:
        self._kill()
        self._selector.close()
        os.close(self._reports)

    def _kill(self) -> int:
        others = _descendants(self._process.pid) if self._process.poll() is None else []
        self.signal_group(signal.SIGKILL)
        for other in others:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(other, signal.SIGKILL)
        return self._process.wait()

    def _dump_stacks(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGUSR1)
            self.until_exit(SilentRun(), SECONDS_TO_DUMP)

    def _relay(self, run: Run, timeout: float) -> bool:
        """Hands on what can be read within `timeout` seconds; False when that is nothing."""
        if not self._selector.get_map():
            time.sleep(timeout)
            return False
        if not self._selector.select(timeout):
            return False
        chunk = os.read(self._reports, LONGEST_LINE)
        if not chunk:
            self._selector.unregister(self._reports)
            return False
        *lines, rest = (self._pending + chunk).split(b"\n")
        self._pending = rest if len(rest) < LONGEST_LINE else b""
        for line in lines:
            report(line, run)
        return True


def _descendants(pid: int) -> list[int]:
    """All that the process has started, in sessions of their own too, as torchrun's workers are;
    where the system lists them (Linux, proc(5))."""
    children: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            children += map(int, listing.read_text().split())
    return [each for child in children for each in (child, *_descendants(child))]


def report(line: bytes, run: Run) -> None:
    """Hands one line of a worker to `run`; drops one that a kill has cut off."""
    try:
        message = json.loads(line)
        note = message.get("note")
        if note is None:
            done, total, unit = (
                float(message["done"]),
                float(message["total"]),
                str(message["unit"]),
            )
            numbers = {str(name): float(value) for name, value in message["numbers"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return
    if note is not None:
        run.note(str(note))
    else:
        run.progress(done, total, unit, **numbers)


@contextlib.contextmanager
def _started(
    command: Sequence[str], variables: Mapping[str, str], folder: Path
) -> Iterator[_Worker]:
    reports, ours = os.pipe()
    (folder / "cwd").mkdir(exist_ok=True)
    with (folder / "stdout.log").open("wb") as out, (folder / "stderr.log").open("wb") as err:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                cwd=folder / "cwd",
                env={**variables, PROGRESS_DESCRIPTOR: str(ours)},
                pass_fds=(ours,),
                start_new_session=True,
            )
        except OSError as error:
            os.close(reports)
            message = f"{command[0]} cannot be started ({error.strerror})"
            raise EnvironmentFailure(
                message, "name the interpreter of a working environment"
            ) from None
        finally:
            os.close(ours)
    worker = _Worker(process, reports)
    with process:
        try:
            yield worker
        finally:
            worker.close()
