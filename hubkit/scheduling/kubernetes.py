"""Kubernetes, by kubectl: each job is a Job of one pod, which sees the release's folder through a
PersistentVolumeClaim.

kubectl and not a client library: it knows every way of logging in to a cluster, and asks for what
people would ask for themselves.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from typing import Any

from ..errors import EnvironmentFailure
from . import pods
from .manifests.launch import as_kubernetes
from .scheduler import LOG, NO_FOLDER, NO_PROLOGUE, Job, State, printed, prologue

SECONDS_TO_ANSWER = 60.0
SECONDS_KEPT = 86_400
"""After its end, in which `kubectl describe` still tells what happened."""
RESTARTS = 3
"""Of a pod that was asked to end; one that Kubernetes took its node from does not count."""
FINAL_CODES = (1, 2, NO_PROLOGUE, NO_FOLDER, 126, 127)
"""With which the same would happen again: the stage's own error, no prologue, no
folder, no hubkit."""
OWNER = "hubkit/job"
QUEUE = "kueue.x-k8s.io/queue-name"
_PASSED = ("PYTHON", "NCCL_", "LC_", "LANG", "TZ")
"""Of the variables that workers get: paths and GPUs are the image's and the node's own."""


class Kubernetes:
    def __init__(self, flags: tuple[str, ...] = ()) -> None:
        self._flags = flags

    def check(self, job: Job) -> None:
        claim = self._run("get", "persistentvolumeclaim", job.needs.claim, "-o", "name")
        if claim.returncode:
            raise pods.refused(claim.stderr)
        done = self._create(job, "--dry-run=server")
        if done.returncode:
            raise pods.refused(done.stderr)

    def submit(self, job: Job) -> str:
        done = self._create(job)
        if done.returncode:
            raise pods.refused(done.stderr)
        return label(job.name)

    def find(self, job: Job) -> str | None:
        return label(job.name) if self._owned(label(job.name), job) else None

    def state(self, id: str, job: Job) -> State:
        shown, running = self._owned(id, job), self._pods(id)
        if shown is not None:
            return pods.state(id, shown, running, job)
        if any(one["status"].get("phase") == "Running" for one in running):
            return State("running", "its pod is ending", pods.nodes(running))
        return State("unknown", f"jobs.batch {id} not found")

    def printed(self, job: Job, since: int) -> tuple[bytes, int]:
        return printed(job.folder / LOG, since)

    def cancel(self, id: str) -> None:
        """Its pods get half a minute to end; see `state`."""
        done = self._run("delete", "job", id, "--ignore-not-found", "--wait=false")
        if done.returncode:
            raise _unreachable(done.stderr)

    def cancelling(self, id: str) -> str:
        return shlex.join(["kubectl", *self._flags, "delete", "job", id])

    def _create(self, job: Job, *more: str) -> subprocess.CompletedProcess[str]:
        manifest = json.dumps(made(job))
        flags = ("--validate=false", "-o", "name")  # the server validates, whatever kubectl knows
        return self._run("create", "-f", "-", *flags, *more, stdin=manifest)

    def _owned(self, id: str, job: Job) -> dict[str, Any] | None:
        shown = self._shown("job", id, "--ignore-not-found")
        owner = shown.get("metadata", {}).get("annotations", {}).get(OWNER)
        return shown if owner == job.name else None

    def _pods(self, id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._shown("pods", "-l", f"job-name={id}").get("items", [])
        return found

    def _shown(self, *what: str) -> dict[str, Any]:
        done = self._run("get", *what, "-o", "json")
        if done.returncode:
            raise _unreachable(done.stderr)
        shown: dict[str, Any] = json.loads(done.stdout or "{}")
        return shown

    def _run(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Raises EnvironmentFailure when kubectl is not there or does not answer."""
        try:
            return subprocess.run(
                ["kubectl", *self._flags, *command],
                input=stdin,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=SECONDS_TO_ANSWER,
            )
        except FileNotFoundError:
            raise EnvironmentFailure(
                "kubectl is not on this machine",
                "install it where hubkit runs, or set `where: local`",
            ) from None
        except subprocess.TimeoutExpired:
            raise _unreachable(f"kubectl took over {SECONDS_TO_ANSWER:.0f} s") from None


def label(name: str) -> str:
    """The job's name as DNS takes it (RFC 1123), its random end kept; a pod's has eleven characters
    more, of 63."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return plain if len(plain) <= 52 else f"{plain[:30].strip('-')}-{plain[-21:].strip('-')}"


def made(job: Job) -> dict[str, Any]:
    """The Job that is created."""
    needs, labels = job.needs, {QUEUE: job.needs.partition} if job.needs.partition else {}
    spec: dict[str, Any] = {
        "backoffLimit": RESTARTS,
        "ttlSecondsAfterFinished": SECONDS_KEPT,
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "Ignore",
                    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                },
                {
                    "action": "FailJob",
                    "onExitCodes": {"operator": "In", "values": list(FINAL_CODES)},
                },
            ]
        },
        "template": {"spec": _pod(job)},
    }
    if needs.hours is not None:
        spec["activeDeadlineSeconds"] = round(needs.hours * 3600)
    metadata = {"name": label(job.name), "labels": labels, "annotations": {OWNER: job.name}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _pod(job: Job) -> dict[str, Any]:
    """Files are written as the user who runs hubkit here. NCCL and workers of torch need more
    shared memory than the 64 MB that a container has."""
    needs = job.needs
    asked = {"nvidia.com/gpu": needs.gpus, "cpu": needs.cpus, "memory": as_kubernetes(needs.memory)}
    container = {
        "name": "hubkit",
        "image": needs.image,
        "command": ["bash", "-c", _script(job)],
        "env": [{"name": name, "value": value} for name, value in _variables(job.variables)],
        "resources": {"limits": {name: value for name, value in asked.items() if value}},
        "volumeMounts": [
            {"name": "release", "mountPath": needs.mount},
            {"name": "shared-memory", "mountPath": "/dev/shm"},
        ],
    }
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [
            {"name": "release", "persistentVolumeClaim": {"claimName": needs.claim}},
            {"name": "shared-memory", "emptyDir": {"medium": "Memory"}},
        ],
    }
    user, group = os.getuid(), os.getgid()
    if user:
        pod["securityContext"] = {"runAsUser": user, "runAsGroup": group, "fsGroup": group}
    return pod


def _script(job: Job) -> str:
    """The output goes to the folder, where it outlives the pod."""
    return (
        f"cd {shlex.quote(str(job.folder))} || exit {NO_FOLDER}\nexec >> {LOG} 2>&1\n"
        f"{prologue(job.needs)}exec {shlex.join(job.command)}\n"
    )


def _variables(given: Mapping[str, str]) -> list[tuple[str, str]]:
    """An arbitrary user has no home in an image."""
    passed = {name: value for name, value in given.items() if name.startswith(_PASSED)}
    return sorted({"HOME": "/tmp", **passed}.items())


def _unreachable(said: str) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"Kubernetes does not answer: {said.strip()}",
        "run the same command again when `kubectl get jobs` answers; a job that was submitted "
        "goes on",
    )
