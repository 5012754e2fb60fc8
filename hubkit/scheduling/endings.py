"""What the end of a Slurm job means, and what to do about it.

Of 22.05: a job whose output cannot be opened on the node fails with exit code 0:53; one that
`jobacct_gather` kills for memory fails with JobLaunchFailure and says so in its output only; one
beyond the partition's limits waits for ever unless EnforcePartLimits is set.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import EnvironmentFailure
from ..sdk.child import last_lines
from .scheduler import NO_FOLDER, NO_PROLOGUE, Job, Needs

_NO_PROGRAM, _OUTPUT_NOT_OPENED = "127:0", "0:53"
_MEMORY = ("exceeded memory limit", "Exceeded job memory limit", "oom-kill", "oom_kill")
_CONTINUES = "the same command submits it again and goes on from the last checkpoint"
_NEVER = {
    "PartitionTimeLimit": "lower `where.hours`, or name another `where.partition`",
    "PartitionNodeLimit": "lower `where.nodes`, or name another `where.partition`",
    "BadConstraints": "correct nodes, gpus, cpus, memory and flags under `where`",
    "InvalidAccount": "name your account: `where.flags: [--account=NAME]`",
    "InvalidQOS": "correct `--qos` in `where.flags`",
    "AccountNotAllowed": "name an account that may use it: `where.flags: [--account=NAME]`",
    "QOSNotAllowed": "correct `--qos` in `where.flags`",
    "DependencyNeverSatisfied": "remove the dependency from `where.flags`",
}
_ENDED = {
    "TIMEOUT": f"raise `where.hours`; {_CONTINUES}",
    "DEADLINE": f"remove `--deadline` from `where.flags`; {_CONTINUES}",
    "OUT_OF_MEMORY": f"raise `where.memory`, or lower the batch size; {_CONTINUES}",
    "NODE_FAIL": _CONTINUES,
    "BOOT_FAIL": _CONTINUES,
    "CANCELLED": _CONTINUES,
}
_REFUSED = {
    "partition": "`sinfo` lists the partitions: correct `where.partition`",
    "time limit": "lower `where.hours`, or name another `where.partition`",
    "account": "name your account: `where.flags: [--account=NAME]`",
    "qos": "correct `--qos` in `where.flags`",
    "gres": "the cluster has no such GPUs: correct `where.gpus`; `sinfo -o %G` lists them",
    "configuration source": "this machine is of no cluster: run hubkit on a login node, name the "
    "cluster's slurm.conf by SLURM_CONF, or set `where: local`",
    "contact slurm controller": "run the same command again when `sinfo` answers",
    "unrecognized option": "correct `where.flags`: they go to sbatch as they are",
}


def refused(said: str, needs: Needs) -> EnvironmentFailure:
    """sbatch's own words, and the key that they are about."""
    lines = [line.removeprefix("sbatch: ").removeprefix("error: ") for line in said.splitlines()]
    remedy = next((told for word, told in _REFUSED.items() if word in said.lower()), None)
    return EnvironmentFailure(
        "Slurm refuses the job: " + "; ".join(line for line in lines if line),
        remedy or f"correct `where`; it asks for {_asked(needs)}",
    )


def never(id: str, reason: str, needs: Needs) -> EnvironmentFailure | None:
    """For a job that waits for what will not come."""
    if reason not in _NEVER:
        return None
    message = f"Slurm will never start job {id}: {reason} (it asks for {_asked(needs)})"
    return EnvironmentFailure(message, _NEVER[reason])


def ended(
    id: str, word: str, reason: str, code: str, nodes: str, job: Job, log: Path
) -> EnvironmentFailure:
    """For a job that is over and left no result."""
    where = f" on {nodes}" if nodes else ""
    lines = last_lines(log)
    shown = f":\n{lines}" if lines else ""
    if code == _OUTPUT_NOT_OPENED or code == f"{NO_FOLDER}:0":
        return EnvironmentFailure(
            f"Slurm job {id} could not start{where}: the folder {job.folder} is not there",
            "give a folder that all nodes share with --workdir, or leave the node out: "
            f"`where.flags: [--exclude={nodes}]`",
        )
    if code == f"{NO_PROLOGUE}:0":
        return prologue_failed(f"Slurm job {id}", where, shown)
    if code == _NO_PROGRAM or lacks_hubkit(lines):
        return EnvironmentFailure(
            f"Slurm job {id} could not start hubkit{where}{shown}",
            f"install hubkit there too, or say how it is started on a node: `where.python` (now "
            f"{job.command[0]})",
        )
    if any(mark in lines for mark in _MEMORY):
        word = "OUT_OF_MEMORY"
    told = word if reason in ("", "None", "NonZeroExitCode") else f"{word} ({reason})"
    exit_code = "" if code in ("", "0:0") else f", exit code {code}"
    return EnvironmentFailure(
        f"Slurm job {id} ended{where}: {told}{exit_code}{shown}",
        _ENDED.get(word, f"correct what the job's last lines name; {_CONTINUES}"),
    )


def prologue_failed(job: str, where: str, shown: str) -> EnvironmentFailure:
    """`where` and `shown`: on which node, and the last lines."""
    return EnvironmentFailure(
        f"{job} could not start{where}: a line of `where.prologue` failed{shown}",
        "correct `where.prologue`; `module` is unknown to a shell that is no login shell until "
        "`source /etc/profile` has been said",
    )


def lacks_hubkit(lines: str) -> bool:
    """Of what Python printed last."""
    return "No module named hubkit" in lines or "No module named 'hubkit" in lines


def _asked(needs: Needs) -> str:
    asked = [f"nodes {needs.nodes}"]
    asked += [f"gpus {needs.gpus}"] if needs.gpus else []
    asked += [f"cpus {needs.cpus}"] if needs.cpus else []
    asked += [f"memory {needs.memory}"] if needs.memory else []
    asked += [f"hours {needs.hours:g}"] if needs.hours is not None else []
    asked += [f"partition {needs.partition}"] if needs.partition else []
    return ", ".join([*asked, *needs.flags])
