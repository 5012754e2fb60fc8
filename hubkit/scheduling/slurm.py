"""Slurm, by sbatch, scontrol, squeue and scancel.

Its commands and not submitit: submitit hands functions and results over as pickles, and what hubkit
hands over is a JSON file in a folder; of the rest, one sbatch is left.
"""

from __future__ import annotations

import math
import os
import re
import shlex
import subprocess
from pathlib import Path

from ..errors import EnvironmentFailure
from . import endings
from .scheduler import LOG, NO_FOLDER, Job, Phase, State, printed, prologue

SCRIPT = "job.sh"
SECONDS_TO_ANSWER = 60.0
FIRST_PORT, PORTS = 20000, 10000
"""Where the nodes of a job meet; below those that Linux gives out by itself (from 32768)."""
_OVER = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "REVOKED",
    "TIMEOUT",
}
_RUNNING = {"COMPLETING", "RUNNING", "STAGE_OUT", "SUSPENDED", "STOPPED"}
"""All others wait: a job that was preempted is PREEMPTED until it is queued again."""
_NO_SUCH_JOB = "Invalid job id"
_TRANSIENT = ("down, drained", "Required node not available")


class Slurm:
    def __init__(self, flags: tuple[str, ...] = ()) -> None:
        """`flags` are for the submission alone, where the job has them."""

    def check(self, job: Job) -> None:
        done = _run("sbatch", "--test-only", *_flags(job), stdin=script(job))
        if done.returncode and not any(word in done.stderr for word in _TRANSIENT):
            raise endings.refused(done.stderr, job.needs)

    def submit(self, job: Job) -> str:
        path = job.folder / SCRIPT
        path.write_text(script(job), "utf-8")
        variables = {**_own(), **job.variables}
        done = _run("sbatch", "--parsable", *_flags(job), str(path), variables=variables)
        if done.returncode:
            raise endings.refused(done.stderr, job.needs)
        return done.stdout.strip().split(";")[0]

    def find(self, job: Job) -> str | None:
        done = _answered("squeue", "-h", "-t", "all", "-o", "%i", f"--name={job.name}")
        return next(iter(done.split()), None)

    def state(self, id: str, job: Job) -> State:
        done = _run("scontrol", "show", "job", "-o", id)
        if done.returncode and _NO_SUCH_JOB not in done.stderr:
            raise _unreachable("scontrol", done)
        shown = done.stdout
        if done.returncode or _field(shown, "JobName") != job.name:
            return self._state_in_accounts(id, job)
        code = _field(shown, "ExitCode")
        return _state(
            id, _field(shown, "JobState"), _field(shown, "Reason"), code, _nodes(shown), job
        )

    def _state_in_accounts(self, id: str, job: Job) -> State:
        """Of a job that slurmctld has forgotten (MinJobAge, five minutes after its end)."""
        done = _run("sacct", "-n", "-P", "-X", "-j", id, "-o", "JobName,State,ExitCode,NodeList")
        line = next(iter(done.stdout.splitlines()), "") if done.returncode == 0 else ""
        name, *found = line.split("|")
        if name != job.name or len(found) != 3:
            return State("unknown", f"{_NO_SUCH_JOB} specified")
        return _state(id, found[0].split(" ")[0], "", found[1], found[2], job)

    def printed(self, job: Job, since: int) -> tuple[bytes, int]:
        return printed(job.folder / LOG, since)

    def cancel(self, id: str) -> None:
        done = _run("scancel", id)
        if done.returncode and _NO_SUCH_JOB not in done.stderr:
            raise _unreachable("scancel", done)

    def cancelling(self, id: str) -> str:
        return f"scancel {id}"


def _flags(job: Job) -> list[str]:
    """`--open-mode=append`: a job that is requeued writes on. `--no-requeue` among the user's own
    flags stands after `--requeue` and wins."""
    needs = job.needs
    flags = [
        f"--job-name={job.name}",
        f"--output={_literal(job.folder / LOG)}",
        "--open-mode=append",
        f"--chdir={job.folder}",
        "--requeue",
        f"--nodes={needs.nodes}",
        "--ntasks-per-node=1",
    ]
    flags += [f"--gpus-per-node={needs.gpus}"] if needs.gpus else []
    flags += [f"--cpus-per-task={needs.cpus}"] if needs.cpus else []
    flags += [f"--mem={needs.memory}"] if needs.memory else []
    flags += [f"--time={math.ceil(needs.hours * 60)}"] if needs.hours is not None else []
    flags += [f"--partition={needs.partition}"] if needs.partition else []
    return [*flags, *needs.flags]


def _literal(path: Path) -> str:
    """sbatch replaces `%j` and the like in the name of the output."""
    return str(path).replace("%", "%%")


def script(job: Job) -> str:
    """The command on one node, or on each through srun; there with torchrun's variables, by which
    the nodes meet on the first, where this script runs."""
    inner = f"cd {shlex.quote(str(job.folder))} || exit {NO_FOLDER}\n{prologue(job.needs)}exec "
    inner += shlex.join(job.command) + "\n"
    if job.needs.nodes == 1:
        return f"#!/bin/bash\n{inner}"
    flags = f"--nodes={job.needs.nodes} --ntasks-per-node=1 --kill-on-bad-exit=1 --export=ALL"
    meeting = (
        f"export PET_NNODES={job.needs.nodes} PET_MASTER_ADDR=$(hostname)\n"
        f"export PET_MASTER_PORT=$(({FIRST_PORT} + SLURM_JOB_ID % {PORTS}))\n"
    )
    each = shlex.quote(f"export PET_NODE_RANK=$SLURM_NODEID\n{inner}")
    return f"#!/bin/bash\n{meeting}exec srun {flags} bash -c {each}\n"


def _state(id: str, word: str, reason: str, code: str, nodes: str, job: Job) -> State:
    told = f"{word} ({reason})" if reason not in ("", "None") else word
    phase: Phase = "ended" if word in _OVER else "running" if word in _RUNNING else "waiting"
    failure = None
    if phase == "ended" and word != "COMPLETED":
        failure = endings.ended(id, word, reason, code, nodes, job, job.folder / LOG)
    elif phase == "waiting":
        failure = endings.never(id, reason, job.needs)
    return State(phase, told, nodes, failure)


def _field(shown: str, name: str) -> str:
    found = re.search(rf"(?:^|\s){name}=(\S*)", shown)
    return found[1] if found else ""


def _nodes(shown: str) -> str:
    nodes = _field(shown, "NodeList")
    return "" if nodes == "(null)" else nodes


def _own() -> dict[str, str]:
    """What Slurm's commands need of this machine: where the cluster is."""
    return {name: value for name, value in os.environ.items() if name == "SLURM_CONF"}


def _answered(*command: str) -> str:
    done = _run(*command)
    if done.returncode:
        raise _unreachable(command[0], done)
    return done.stdout


def _run(
    *command: str, stdin: str | None = None, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Raises EnvironmentFailure when the program is not there or does not answer."""
    try:
        return subprocess.run(
            command,
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=SECONDS_TO_ANSWER,
            env=variables,
        )
    except FileNotFoundError:
        raise EnvironmentFailure(
            f"Slurm's {command[0]} is not on this machine",
            "run hubkit where Slurm's commands are, on a login node, or set `where: local`",
        ) from None
    except subprocess.TimeoutExpired:
        raise EnvironmentFailure(
            f"Slurm does not answer: {command[0]} took over {SECONDS_TO_ANSWER:.0f} s",
            "run the same command again when `sinfo` answers",
        ) from None


def _unreachable(program: str, done: subprocess.CompletedProcess[str]) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"Slurm does not answer: {program}: {done.stderr.strip()}",
        "run the same command again when `sinfo` answers; a job that was submitted goes on",
    )
