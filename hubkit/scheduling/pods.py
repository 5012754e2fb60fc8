"""What Kubernetes says of a Job and of its pods, and what to do about it (batch/v1 JobStatus, v1
PodStatus)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import EnvironmentFailure
from ..sdk.child import last_lines
from .endings import lacks_hubkit, prologue_failed
from .scheduler import LOG, NO_FOLDER, NO_PROLOGUE, Job, State

_CONTINUES = "the same command submits it again and goes on from the last checkpoint"
_NEVER = {
    "InvalidImageName": "correct `where.image`",
    "ErrImageNeverPull": "correct `where.image`, or load it on the nodes",
    "ImagePullBackOff": "correct `where.image`, or give the namespace the registry's pull secret",
    "CreateContainerConfigError": "correct what it names",
    "CreateContainerError": "correct what it names",
}
"""Of kubelet, for a container that waits."""
_REFUSED = {
    "persistentvolumeclaims": "`kubectl get persistentvolumeclaims` lists them: correct "
    "`where.claim`",
    "forbidden": "ask for the right to create jobs and to get jobs and pods, or name another "
    "namespace: `where.flags: [--namespace=NAME]`",
    "namespaces": "correct `--namespace` in `where.flags`",
    "context": "`kubectl config get-contexts` lists them: correct `--context` in `where.flags`",
    "was refused": "`kubectl get jobs` says the same: name the cluster by KUBECONFIG, or by "
    "`where.flags: [--context=NAME]`",
    "logged in": "log in to the cluster, as for `kubectl get jobs`",
    "unauthorized": "log in to the cluster, as for `kubectl get jobs`",
}


def refused(said: str) -> EnvironmentFailure:
    """kubectl's own words, and the key that they are about."""
    remedy = next((told for word, told in _REFUSED.items() if word in said.lower()), None)
    return EnvironmentFailure(
        f"Kubernetes refuses the job: {said.strip()}",
        remedy or "correct image, claim, gpus, cpus and memory under `where`",
    )


def state(id: str, shown: dict[str, Any], pods: Sequence[dict[str, Any]], job: Job) -> State:
    """Of a Job, as the API shows it and its pods."""
    conditions = {
        one["type"]: one
        for one in shown.get("status", {}).get("conditions", [])
        if one["status"] == "True"
    }
    where = nodes(pods)
    if "Complete" in conditions:
        return State("ended", "Complete", where)
    if failed := conditions.get("Failed"):
        told = f"Failed ({failed.get('reason', 'no reason')})"
        return State("ended", told, where, _ended(id, failed, pods, job))
    if any(one["status"].get("phase") == "Running" for one in pods):
        return State("running", "Running", where)
    if "Suspended" in conditions:
        return State("waiting", "Suspended")
    reason, message = next(_waiting(pods), ("", ""))
    told = f"Pending ({reason}: {message})" if message else f"Pending ({reason or 'no pod yet'})"
    return State("waiting", told, where, _never(id, reason, message))


def nodes(pods: Sequence[dict[str, Any]]) -> str:
    return ",".join(sorted({one["spec"]["nodeName"] for one in pods if "nodeName" in one["spec"]}))


def _waiting(pods: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """(reason, message) of what keeps a pod from starting."""
    for pod in pods:
        for container in pod["status"].get("containerStatuses", []):
            if waiting := container.get("state", {}).get("waiting"):
                yield waiting.get("reason", ""), waiting.get("message", "")
        for condition in pod["status"].get("conditions", []):
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                yield condition.get("reason", ""), condition.get("message", "")


def _never(id: str, reason: str, message: str) -> EnvironmentFailure | None:
    """For a pod that waits for what will not come. Nodes that are not there may be added yet."""
    remedy = _NEVER.get(reason)
    if "persistentvolumeclaim" in message and "not found" in message:
        remedy = "correct `where.claim`"
    if remedy is None:
        return None
    told = f"{reason}: {message}" if message else reason
    return EnvironmentFailure(f"Kubernetes will never start job {id}: {told}", remedy)


def _ended(
    id: str, failed: dict[str, Any], pods: Sequence[dict[str, Any]], job: Job
) -> EnvironmentFailure:
    """For a Job that failed and left no result."""
    pod, terminated = _last(pods)
    where = f" on {nodes([pod])}" if pod and nodes([pod]) else ""
    lines, code = last_lines(job.folder / LOG), terminated.get("exitCode")
    shown = f":\n{lines}" if lines else ""
    if code == NO_FOLDER:
        return EnvironmentFailure(
            f"Kubernetes job {id} could not start{where}: the folder {job.folder} is not there",
            f"mount the volume that holds it: `where.claim` (now {job.needs.claim}) at "
            f"`where.mount` (now {job.needs.mount})",
        )
    if code == NO_PROLOGUE:
        return prologue_failed(f"Kubernetes job {id}", where, shown)
    if code in (126, 127) or lacks_hubkit(lines):
        return EnvironmentFailure(
            f"Kubernetes job {id} could not start hubkit{where}{shown}",
            f"name an image that has hubkit: `where.image` (now {job.needs.image}), or say how it "
            f"is started there: `where.python` (now {job.command[0]})",
        )
    told = [f"{failed.get('reason', 'Failed')}: {failed.get('message', 'no message')}"]
    words = {terminated.get("reason"), pod.get("status", {}).get("reason")} - {None, "Error"}
    told += [*sorted(map(str, words)), pod.get("status", {}).get("message", "")]
    told += [f"exit code {code}"] if code else []
    remedy = f"correct what the job's last lines name; {_CONTINUES}"
    if failed.get("reason") == "DeadlineExceeded":
        remedy = f"raise `where.hours`; {_CONTINUES}"
    elif "OOMKilled" in words:
        remedy = f"raise `where.memory`, or lower the batch size; {_CONTINUES}"
    elif "Evicted" in words:
        remedy = f"ask for what it used, with `where.memory`, or free the node; {_CONTINUES}"
    return EnvironmentFailure(
        f"Kubernetes job {id} ended{where}: {', '.join(filter(None, told))}{shown}", remedy
    )


def _last(pods: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pod that ended last, and how its container did."""
    ends = [
        (container["state"]["terminated"], pod)
        for pod in pods
        for container in pod["status"].get("containerStatuses", [])
        if "terminated" in container.get("state", {})
    ]
    if ends:
        ended, pod = max(ends, key=lambda one: str(one[0].get("finishedAt", "")))
        return pod, ended
    return (pods[-1], {}) if pods else ({}, {})
