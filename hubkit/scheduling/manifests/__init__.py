"""A release as a file for a system that hubkit does not drive itself, for people to submit.

launch.py      what is launched
sky.py         a SkyPilot task
kubernetes.py  an indexed Job, and a Kubeflow TrainJob
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import kubernetes, sky
from .launch import Launch

FORMATS: dict[str, Callable[[Launch], list[dict[str, Any]]]] = {
    "kubeflow": kubernetes.train_job,
    "kubernetes": kubernetes.job,
    "sky": sky.task,
}

__all__ = ["FORMATS", "Launch"]
