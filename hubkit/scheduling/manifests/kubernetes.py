"""An indexed Job (batch/v1) and a Kubeflow TrainJob (trainer.kubeflow.org/v1alpha1, as of Trainer
2.3: earlier ones have no `runtimePatches`)."""

from __future__ import annotations

import shlex
from typing import Any

from ...errors import UsageError
from .launch import PORT, Launch

RUNTIME = "torch-distributed"
"""The ClusterTrainingRuntime that Kubeflow Trainer installs; its pods' container is `node`."""
MANAGER = "hubkit/launch"
RESTARTS = 3


def job(launch: Launch) -> list[dict[str, Any]]:
    """Each pod that is restarted goes on from the last checkpoint. With several, a headless Service
    gives them the names by which they meet.

    Raises:
        UsageError: no claim is named, or the release reads what the claim does not hold.
    """
    container = {
        "name": "hubkit",
        "image": launch.image,
        "command": _command(launch, _places(launch)),
        "resources": _resources(launch),
        "volumeMounts": _mounts(launch),
    }
    pod = {"restartPolicy": "OnFailure", "containers": [container], "volumes": _volumes(launch)}
    pod |= {"subdomain": launch.label} if launch.needs.nodes > 1 else {}
    spec = {
        "completionMode": "Indexed",
        "completions": launch.needs.nodes,
        "parallelism": launch.needs.nodes,
        "backoffLimit": RESTARTS,
        "template": {"spec": pod},
    }
    if launch.seconds is not None:
        spec["activeDeadlineSeconds"] = launch.seconds
    made: dict[str, Any] = {"apiVersion": "batch/v1", "kind": "Job"}
    made |= {"metadata": {"name": launch.label}, "spec": spec}
    return [_service(launch), made] if launch.needs.nodes > 1 else [made]


def _service(launch: Launch) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": launch.label},
        "spec": {
            "clusterIP": "None",
            "selector": {"batch.kubernetes.io/job-name": launch.label},
            "publishNotReadyAddresses": True,
        },
    }


def _places(launch: Launch) -> dict[str, str]:
    """The pods of an indexed Job are called by its name and their index."""
    return {
        "PET_NNODES": str(launch.needs.nodes),
        "PET_NODE_RANK": "$JOB_COMPLETION_INDEX",
        "PET_MASTER_ADDR": f"{launch.label}-0.{launch.label}",
        "PET_MASTER_PORT": PORT,
    }


def train_job(launch: Launch) -> list[dict[str, Any]]:
    """Kubeflow sets torchrun's variables itself. Raises as `job` does."""
    pod = {
        "volumes": _volumes(launch),
        "containers": [{"name": "node", "volumeMounts": _mounts(launch)}],
    }
    spec: dict[str, Any] = {
        "runtimeRef": {"name": RUNTIME},
        "trainer": {
            "image": launch.image,
            "command": _command(launch, {}),
            "numNodes": launch.needs.nodes,
            "resourcesPerNode": _resources(launch),
        },
        "runtimePatches": [{"manager": MANAGER, "trainingRuntimeSpec": _patch(pod)}],
    }
    if launch.seconds is not None:
        spec["activeDeadlineSeconds"] = launch.seconds
    made: dict[str, Any] = {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob"}
    return [made | {"metadata": {"name": launch.label}, "spec": spec}]


def _patch(pod: dict[str, Any]) -> dict[str, Any]:
    """What the runtime's pods get beside their own: down from a JobSet to the pods of its jobs."""
    job = {"name": "node", "template": {"spec": {"template": {"spec": pod}}}}
    return {"template": {"spec": {"replicatedJobs": [job]}}}


def _command(launch: Launch, places: dict[str, str]) -> list[str]:
    folder = shlex.quote(str(launch.folder))
    return ["bash", "-c", f"cd {folder} || exit\n{launch.script(places)}"]


def _resources(launch: Launch) -> dict[str, Any]:
    asked = {"nvidia.com/gpu": launch.needs.gpus, "cpu": launch.needs.cpus}
    limits: dict[str, Any] = {name: count for name, count in asked.items() if count}
    return {"limits": {**limits, **({"memory": launch.memory} if launch.memory else {})}}


def _mounts(launch: Launch) -> list[dict[str, Any]]:
    return [
        {"name": "release", "mountPath": str(launch.folder)},
        {"name": "shared-memory", "mountPath": "/dev/shm"},
    ]


def _volumes(launch: Launch) -> list[dict[str, Any]]:
    """NCCL and workers of torch need more shared memory than the 64 MB that a container has."""
    claim = launch.require("claim", launch.claim, "the claim that holds the release's folder")
    if launch.outside:
        paths = ", ".join(map(str, launch.outside))
        raise UsageError(
            f"the pods see {launch.folder} alone, and the release reads {paths}",
            "put it into the release file's folder",
        )
    return [
        {"name": "release", "persistentVolumeClaim": {"claimName": claim}},
        {"name": "shared-memory", "emptyDir": {"medium": "Memory"}},
    ]
