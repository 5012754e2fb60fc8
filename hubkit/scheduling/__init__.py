"""Machines that somebody else hands out: a job goes to a scheduler, is watched, and ends.

`Scheduler` is the one interface; each scheduler is a file here and a row in `SCHEDULERS`. A job
works in a folder that this machine and its nodes share, and leaves its result there: what is known
of a job's work is read from the folder, and only its place in the queue is asked of the scheduler.

scheduler.py  what a job is and needs, and what a scheduler does with it
slurm.py      Slurm, by its own commands
endings.py    what the end of a Slurm job means, and what to do about it
kubernetes.py Kubernetes, by kubectl
pods.py       what Kubernetes says of a job, and what to do about it
manifests/    what other systems take, for people to submit
"""

from __future__ import annotations

from collections.abc import Callable

from .kubernetes import Kubernetes
from .scheduler import Job, Needs, Scheduler, State
from .slurm import Slurm

SCHEDULERS: dict[str, Callable[[tuple[str, ...]], Scheduler]] = {
    "kubernetes": Kubernetes,
    "slurm": Slurm,
}
"""By name; made with the flags of the job, by which the scheduler may be reached."""

__all__ = ["SCHEDULERS", "Job", "Kubernetes", "Needs", "Scheduler", "Slurm", "State"]
