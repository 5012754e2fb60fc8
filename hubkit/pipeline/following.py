"""Following a job: what it tells and prints is handed on until its result is there."""

from __future__ import annotations

import time
from pathlib import Path

from ..environments.process import report
from ..errors import EnvironmentFailure, HubkitError
from ..reporting import Reporter
from ..scheduling import Job, Scheduler, State
from ..sdk import json_text
from ..sdk.text import one_line

PROGRESS, STARTED = "progress.jsonl", "started.json"
SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_BETWEEN_QUESTIONS = (2.0, 15.0)
"""At the scheduler: at first, and after a minute."""
SECONDS_WITHOUT_SCHEDULER = 600.0
SECONDS_FOR_FILES = 20.0
"""In which a result shows here that a node has written: NFS keeps names and attributes for up to a
minute, but looks again when a folder changes."""
CLOCKS_DIFFER = 60.0


def follow(
    scheduler: Scheduler, id: str, job: Job, output: Path, run: Reporter
) -> HubkitError | None:
    """None when `output` is there; why there will be none when the job is over or can never start.

    Raises:
        EnvironmentFailure: the scheduler has not answered for SECONDS_WITHOUT_SCHEDULER.
    """
    relay, watch = _Relay(scheduler, job, run), _Watch(scheduler, id, job, run)
    while not output.exists():
        run.check_cancelled()
        relay.look()
        state = watch.look()
        if state is not None and (state.failure or state.phase in ("ended", "unknown")):
            if state.phase == "waiting":
                scheduler.cancel(id)
            elif _appears(output):
                break
            relay.look()
            return state.failure or _without_result(id, state, job)
        time.sleep(SECONDS_BETWEEN_LOOKS)
    relay.look()
    return None


def _appears(output: Path) -> bool:
    end = time.monotonic() + SECONDS_FOR_FILES
    while time.monotonic() < end:
        list(output.parent.iterdir())
        if output.exists():
            return True
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return False


def _without_result(id: str, state: State, job: Job) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"job {id} is over and left no result in {job.folder} ({state.told})",
        "run the same command again: it submits a new job, which goes on from the last checkpoint",
    )


class _Watch:
    """Asks the scheduler now and then, and says when the job's place has changed."""

    def __init__(self, scheduler: Scheduler, id: str, job: Job, run: Reporter) -> None:
        self._scheduler, self._id, self._job, self._run = scheduler, id, job, run
        self._started = self._answered = time.monotonic()
        self._next, self._told = self._started, ""

    def look(self) -> State | None:
        now = time.monotonic()
        if now < self._next:
            return None
        first, later = SECONDS_BETWEEN_QUESTIONS
        self._next = now + (first if now - self._started < 60 else later)
        try:
            state = self._scheduler.state(self._id, self._job)
        except EnvironmentFailure as error:
            if now - self._answered > SECONDS_WITHOUT_SCHEDULER:
                raise
            self._tell(f"{error.message}; asking again")
            return None
        self._answered = now
        place = f" on {state.nodes}" if state.nodes else ""
        self._tell(f"job {self._id}: {state.told}{place}")
        return state

    def _tell(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._run.note(text)


class _Relay:
    """Of a job that was submitted before, what it told last and nothing that it had printed."""

    def __init__(self, scheduler: Scheduler, job: Job, run: Reporter) -> None:
        self._scheduler, self._job, self._run = scheduler, job, run
        self._progress, self._started = job.folder / PROGRESS, job.folder / STARTED
        self._clock_checked = self._started.exists()
        size = self._progress.stat().st_size if self._progress.exists() else 0
        self._read = max(0, size - 1024)
        self._pending, self._line = b"", b""
        _, self._printed = scheduler.printed(job, 0) if size else (b"", 0)

    def look(self) -> None:
        self._print()
        try:
            with self._progress.open("rb") as file:
                file.seek(self._read)
                data = file.read()
        except FileNotFoundError:
            return
        self._read += len(data)
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            report(line, self._run)
        self._check_clock()

    def _print(self) -> None:
        data, self._printed = self._scheduler.printed(self._job, self._printed)
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            if text := one_line(line.decode("utf-8", "replace")):
                self._run.note(text)

    def _check_clock(self) -> None:
        """The file's time is the file server's."""
        if self._clock_checked or not self._started.exists():
            return
        self._clock_checked = True
        try:
            told = json_text.load(self._started)
            behind = self._started.stat().st_mtime - float(told["time"])
        except (OSError, ValueError, KeyError, TypeError):
            return
        if abs(behind) > CLOCKS_DIFFER:
            self._run.note(
                f"the clock of {told['node']} is {abs(behind):,.0f} s "
                f"{'behind' if behind > 0 else 'ahead of'} the file server's: times in its logs "
                "are wrong; let NTP set it. The release does not depend on it"
            )
