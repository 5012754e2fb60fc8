"""What Kubernetes' API shows of a job, and what hubkit makes of it. The objects have the form of
the API's reference, cut to what is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hubkit.errors import EnvironmentFailure
from hubkit.scheduling import Job, Needs, State, pods


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "job.log").write_text("loading\nstep 7\n", "utf-8")
    return Job("a.train.1", tmp_path, ("python",), {}, Needs(image="i", claim="c", mount="/m"))


def shown(**condition: str) -> dict[str, Any]:
    return {"status": {"conditions": [{"status": "True", **condition}]} if condition else {}}


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "a-0"}, "spec": {"nodeName": "gpu-3"}, "status": status}


def ended(code: int, reason: str, at: str = "2026-01-01T00:00:00Z") -> list[dict[str, Any]]:
    end = {"exitCode": code, "reason": reason, "finishedAt": at}
    return [{"name": "hubkit", "state": {"terminated": end}}]


FAILED = {"type": "Failed", "reason": "BackoffLimitExceeded", "message": "reached the limit"}


@pytest.mark.parametrize(
    ("condition", "status", "said", "remedy"),
    [
        (
            FAILED,
            {"containerStatuses": ended(137, "OOMKilled")},
            "reached the limit, OOMKilled, exit code 137",
            "raise `where.memory`",
        ),
        (
            FAILED,
            {"reason": "Evicted", "message": "The node was low on resource: memory."},
            "Evicted, The node was low on resource: memory.",
            "ask for what it used, with `where.memory`",
        ),
        (
            {**FAILED, "reason": "DeadlineExceeded"},
            {"containerStatuses": ended(143, "Error")},
            "DeadlineExceeded: reached the limit, exit code 143",
            "raise `where.hours`",
        ),
        (
            FAILED,
            {"containerStatuses": ended(97, "Error")},
            "is not there",
            "`where.claim` (now c)",
        ),
        (FAILED, {"containerStatuses": ended(96, "Error")}, "prologue` failed", "source /etc"),
        (
            FAILED,
            {"containerStatuses": ended(127, "Error")},
            "hubkit on gpu-3",
            "`where.image` (now i)",
        ),
    ],
)
def test_a_job_that_failed(
    job: Job, condition: dict[str, str], status: dict[str, Any], said: str, remedy: str
) -> None:
    state = pods.state("a", shown(**condition), [pod(**status)], job)
    assert (state.phase, state.nodes) == ("ended", "gpu-3")
    assert isinstance(state.failure, EnvironmentFailure)
    assert said in state.failure.message
    assert remedy in state.failure.remedy
    assert ("step 7" in state.failure.message) == ("is not there" not in said)


def test_of_several_attempts_the_last_one_tells(job: Job) -> None:
    first = pod(containerStatuses=ended(137, "OOMKilled", "2026-01-01T00:00:00Z"))
    second = pod(containerStatuses=ended(1, "Error", "2026-01-02T00:00:00Z"))
    state = pods.state("a", shown(**FAILED), [second, first], job)
    assert state.failure is not None
    assert "exit code 1:" in state.failure.message


def test_a_job_that_waits(job: Job) -> None:
    told = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    waiting = pod(phase="Pending", conditions=[{**scheduled, "message": told}])
    state = pods.state("a", shown(), [waiting], job)
    assert state.told == f"Pending (Unschedulable: {told})"
    assert state.failure is None  # nodes may be added
    assert pods.state("a", shown(), [], job) == State("waiting", "Pending (no pod yet)")
    assert pods.state("a", shown(type="Suspended"), [], job) == State("waiting", "Suspended")
    gone = pod(conditions=[{**scheduled, "message": 'persistentvolumeclaim "c" not found'}])
    failure = pods.state("a", shown(), [gone], job).failure
    assert failure is not None
    assert failure.remedy == "correct `where.claim`"


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("The connection to the server localhost:8080 was refused", "KUBECONFIG"),
        ('Error from server (Forbidden): jobs.batch is forbidden: User "me"', "ask for the right"),
        ('Error from server (NotFound): namespaces "x" not found', "`--namespace`"),
        ("error: You must be logged in to the server (Unauthorized)", "log in to the cluster"),
        ("admission webhook denied the request: no team label", "correct image, claim, gpus"),
    ],
)
def test_a_job_that_is_refused(said: str, remedy: str) -> None:
    error = pods.refused(said)
    assert error.message == f"Kubernetes refuses the job: {said}"
    assert remedy in error.remedy
