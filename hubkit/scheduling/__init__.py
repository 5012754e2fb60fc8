"""Machines that somebody else hands out: a job goes to a scheduler, is watched, and ends.

`Scheduler` is the one interface; each scheduler is a file here and a row in `SCHEDULERS`. A job
works in a folder that this machine and its nodes share, and leaves its result there: what is known
of a job's work is read from the folder, and only its place in the queue is asked of the scheduler.

scheduler.py  what a job is and needs, and what a scheduler does with it
slurm.py      Slurm, by its own commands
endings.py    what the end of a Slurm job means, and what to do about it
"""

from __future__ import annotations

from .scheduler import Job, Needs, Scheduler, State
from .slurm import Slurm

SCHEDULERS: dict[str, type[Scheduler]] = {"slurm": Slurm}

__all__ = ["SCHEDULERS", "Job", "Needs", "Scheduler", "Slurm", "State"]
