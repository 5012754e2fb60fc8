"""Kubernetes by kubectl, which asks an API on this machine."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from testing.kubernetes_api import CLAIM, IMAGE, Cluster, cluster

from hubkit.errors import EnvironmentFailure
from hubkit.scheduling import Job, Kubernetes, Needs, State
from hubkit.scheduling.kubernetes import label

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed"),
]


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    (tmp_path / "kube").mkdir()
    with cluster(tmp_path / "kube") as made:
        monkeypatch.setenv("KUBECONFIG", str(made.config))
        monkeypatch.setenv("HOME", str(tmp_path / "kube"))
        yield made


def job(folder: Path, script: str, **needs: object) -> Job:
    folder.mkdir(exist_ok=True)
    asked = {"image": IMAGE, "claim": CLAIM, "mount": str(folder.parent), **needs}
    variables = {"PATH": "/of/this/machine", "PYTHONSAFEPATH": "1"}
    command = ("/bin/bash", "-c", script)
    return Job("InternVL2.train.1a2b3c4d", folder, command, variables, Needs(**asked))  # type: ignore[arg-type]


def until(wanted: str, id: str, one: Job) -> State:
    end, state = time.monotonic() + 60, None
    while time.monotonic() < end:
        state = Kubernetes().state(id, one)
        if state.phase == wanted or (state.failure and wanted == "failure"):
            return state
        time.sleep(0.5)
    raise AssertionError(f"it never was {wanted}: {state}")


def test_a_job_from_its_submission_to_its_end(api: Cluster, tmp_path: Path) -> None:
    script = "echo from $PWD; env > variables; while [ ! -e go ]; do sleep 0.1; done"
    one = job(tmp_path / "a job", script, prologue="echo before", gpus=1, memory="64G", hours=1.0)
    kubernetes = Kubernetes()
    kubernetes.check(one)
    assert not api.jobs
    assert kubernetes.find(one) is None
    id = kubernetes.submit(one)
    assert id == "internvl2-train-1a2b3c4d"
    assert kubernetes.find(one) == id
    assert until("running", id, one) == State("running", "Running", "node-1")
    another = dataclasses.replace(one, name="InternVL2.train-1a2b3c4d")
    assert kubernetes.state(id, another).told == "its pod is ending"  # it is not that job's
    (one.folder / "go").touch()
    assert until("ended", id, one).failure is None
    printed, end = kubernetes.printed(one, 0)
    assert printed.decode() == f"before\nfrom {one.folder}\n"
    assert kubernetes.printed(one, end) == (b"", end)
    variables = (one.folder / "variables").read_text("utf-8")
    assert "PYTHONSAFEPATH=1" in variables
    assert "/of/this/machine" not in variables
    asked = api.jobs[id]["spec"]
    (container,) = asked["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 1, "memory": "64Gi"}
    assert {"name": "HOME", "value": "/tmp"} in container["env"]
    assert asked["activeDeadlineSeconds"] == 3600


def test_a_pod_whose_node_is_taken_away_starts_again(api: Cluster, tmp_path: Path) -> None:
    script = (
        "trap 'exit 143' TERM; echo began; [ -e second ] && exit 0; touch second; sleep 60 & wait"
    )
    one = job(tmp_path / "job", script)
    id = Kubernetes().submit(one)
    while not (one.folder / "second").exists():
        time.sleep(0.1)
    api.preempt(id)
    assert until("ended", id, one).failure is None
    assert Kubernetes().printed(one, 0)[0] == b"began\nbegan\n"


def test_cancelled(api: Cluster, tmp_path: Path) -> None:
    """It counts as at work until its pod has ended."""
    ending = "until [ -e end ]; do sleep 0.1; done; exit 143"
    one = job(tmp_path / "job", f"trap '{ending}' TERM; touch up; sleep 60 & wait")
    id, kubernetes = Kubernetes().submit(one), Kubernetes(("--context=here",))
    while not (one.folder / "up").exists():
        time.sleep(0.1)
    kubernetes.cancel(id)
    assert kubernetes.state(id, one) == State("running", "its pod is ending", "node-1")
    (one.folder / "end").touch()
    assert until("unknown", id, one).told == f"jobs.batch {id} not found"
    kubernetes.cancel(id)
    assert kubernetes.cancelling(id) == f"kubectl --context=here delete job {id}"


@pytest.mark.parametrize(
    ("script", "needs", "said", "remedy"),
    [
        ("echo lost; exit 1", {}, "PodFailurePolicy", "correct what the job's last lines name"),
        ("exit 127", {}, "could not start hubkit", f"`where.image` (now {IMAGE})"),
        ("cd /; sleep 60", {"hours": 0.0001}, "DeadlineExceeded", "raise `where.hours`"),
    ],
)
def test_a_job_that_fails(
    api: Cluster, tmp_path: Path, script: str, needs: dict[str, object], said: str, remedy: str
) -> None:
    one = job(tmp_path / "job", script, **needs)
    id = Kubernetes().submit(one)
    failure = until("failure", id, one).failure
    assert isinstance(failure, EnvironmentFailure)
    assert said in failure.message
    assert "on node-1" in failure.message
    assert remedy in failure.remedy
    assert ("lost" in script) == ("lost" in failure.message)


def test_a_pod_without_the_folder(api: Cluster, tmp_path: Path) -> None:
    one = job(tmp_path / "job", "true")
    one.folder.rmdir()
    failure = until("failure", Kubernetes().submit(one), one).failure
    assert failure is not None
    assert f"the folder {one.folder} is not there" in failure.message
    assert f"`where.mount` (now {tmp_path})" in failure.remedy


def test_an_image_that_does_not_exist(api: Cluster, tmp_path: Path) -> None:
    one = job(tmp_path / "job", "true", image="registry/nothing")
    id = Kubernetes().submit(one)
    state = until("failure", id, one)
    assert state.phase == "waiting"
    assert state.failure is not None
    assert "will never start job" in state.failure.message
    assert 'ImagePullBackOff: Back-off pulling image "registry/nothing"' in state.failure.message
    assert "correct `where.image`" in state.failure.remedy


@pytest.mark.parametrize(
    ("needs", "flags", "said", "remedy"),
    [
        ({"claim": "nothing"}, (), 'persistentvolumeclaims "nothing" not found', "`where.claim`"),
        ({}, ("--namespace=other",), "forbidden", "--namespace=NAME"),
        ({}, ("--context=other",), "context", "--context"),
        ({"image": ""}, (), "is invalid", "correct image, claim"),
    ],
)
def test_a_job_that_is_refused(
    api: Cluster,
    tmp_path: Path,
    needs: dict[str, object],
    flags: tuple[str, ...],
    said: str,
    remedy: str,
) -> None:
    one = job(tmp_path / "job", "true", **needs)
    with pytest.raises(EnvironmentFailure) as raised:
        Kubernetes(flags).check(one)
    assert said in raised.value.message
    assert remedy in raised.value.remedy


def test_a_cluster_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", os.devnull)
    one = job(tmp_path / "job", "true")
    with pytest.raises(EnvironmentFailure, match="was refused") as raised:
        Kubernetes(("--server=http://127.0.0.1:1",)).check(one)
    assert "KUBECONFIG" in raised.value.remedy
    with pytest.raises(EnvironmentFailure, match="does not answer"):
        Kubernetes(("--server=http://127.0.0.1:1",)).state("a", one)


def test_names_are_dns_labels_that_keep_their_random_end() -> None:
    assert label("InternVL2_5-8B.Food.train.0a1b2c3d") == "internvl2-5-8b-food-train-0a1b2c3d"
    long = label(f"{'InternVL-' * 5}.evaluate.0a1b2c3d")
    assert len(long) <= 52
    assert long.endswith("-evaluate-0a1b2c3d")
