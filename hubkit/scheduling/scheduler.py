"""What a job is and needs, and what a scheduler does with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from ..errors import HubkitError

LOG = "job.log"
"""What a job prints, in its folder."""

NO_FOLDER, NO_PROLOGUE = 97, 96
"""With these a job's script ends where its folder is not, and where a line of its prologue
fails."""

Phase = Literal["waiting", "running", "ended", "unknown"]


@dataclass(frozen=True)
class Needs:
    """What a job asks for. `gpus` and `cpus` are per node, `memory` per node in the scheduler's own
    spelling (`64G`); 0, "" and None leave it to the scheduler. `image` is of a container, and
    `claim` the volume that holds the job's folder, mounted at `mount`, for a scheduler that has
    them. `flags` go to it as they are, and `prologue` runs in bash on each node before the command;
    a line that fails ends the job."""

    nodes: int = 1
    gpus: int = 0
    cpus: int = 0
    memory: str = ""
    hours: float | None = None
    partition: str = ""
    image: str = ""
    claim: str = ""
    mount: str = ""
    flags: tuple[str, ...] = ()
    prologue: str = ""


@dataclass(frozen=True)
class Job:
    """`name` is of this job alone: letters, digits, `.`, `_` and `-`. `command` is run in `folder`,
    once on each node; `variables` are its environment beside the scheduler's own."""

    name: str
    folder: Path
    command: tuple[str, ...]
    variables: Mapping[str, str]
    needs: Needs


@dataclass(frozen=True)
class State:
    """Where a job is. `told` is the scheduler's own word for it with its reason, `nodes` the names
    of those that it has. `failure` is set when it ended badly or can never start. `unknown`: the
    scheduler answers, and has no such job any more."""

    phase: Phase
    told: str
    nodes: str = ""
    failure: HubkitError | None = None


class Scheduler(Protocol):
    """Each method raises EnvironmentFailure when the scheduler cannot be asked; its message holds
    what the scheduler said."""

    def check(self, job: Job) -> None:
        """Raises EnvironmentFailure when the scheduler would refuse `job`. Nothing is submitted and
        nothing written."""

    def submit(self, job: Job) -> str:
        """The job's id. Raises EnvironmentFailure when it is refused."""

    def find(self, job: Job) -> str | None:
        """The id of a job of this name: one that was submitted by somebody who was killed before he
        could write the id down."""

    def state(self, id: str, job: Job) -> State:
        """A job of another name under this id counts as unknown: ids start again when a cluster is
        set up anew."""

    def printed(self, job: Job, since: int) -> tuple[bytes, int]:
        """What the job has written to its output beyond the byte `since`, and where that ends."""

    def cancel(self, id: str) -> None:
        """Returns when the scheduler has taken it on; nothing when the job is over."""

    def cancelling(self, id: str) -> str:
        """The command by which a person cancels it."""


def printed(log: Path, since: int) -> tuple[bytes, int]:
    """The file beyond the byte `since`, and where that ends."""
    try:
        with log.open("rb") as file:
            file.seek(since)
            data = file.read(1 << 20)
    except FileNotFoundError:
        return b"", since
    return data, since + len(data)


def prologue(needs: Needs) -> str:
    """Lines of bash before the command, "" without a prologue."""
    if not needs.prologue:
        return ""
    return (
        f"set -eE\ntrap 'exit {NO_PROLOGUE}' ERR\n{needs.prologue.rstrip()}\ntrap - ERR\nset +eE\n"
    )
