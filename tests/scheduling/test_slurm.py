"""Slurm's own words for what goes wrong, from a real cluster, and what hubkit makes of them."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from testing.slurm_cluster import Cluster

from hubkit.errors import EnvironmentFailure
from hubkit.scheduling import Job, Needs, Slurm, State

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("slurm")]


@pytest.fixture(autouse=True)
def found(slurm: Cluster, overdue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CONF", str(slurm.settings))


def job(folder: Path, script: str, **needs: object) -> Job:
    folder.mkdir(exist_ok=True)
    command = ("/bin/bash", "-c", script)
    variables = {"PATH": os.environ["PATH"], "GREETING": "hello"}
    return Job(f"a-test.{folder.name}", folder, command, variables, Needs(**needs))  # type: ignore[arg-type]


def until(wanted: str, id: str, one: Job, seconds: float = 60) -> State:
    end, state = time.monotonic() + seconds, None
    while time.monotonic() < end:
        state = Slurm().state(id, one)
        if wanted in (state.phase, state.told) or (state.failure and wanted == "failure"):
            return state
        time.sleep(0.3)
    raise AssertionError(f"it never was {wanted}: {state}")


def failed(one: Job, seconds: float = 60) -> EnvironmentFailure:
    failure = until("failure", Slurm().submit(one), one, seconds).failure
    assert isinstance(failure, EnvironmentFailure)
    return failure


def test_a_job_from_its_submission_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_not_for_jobs")
    script = "echo $GREETING from $PWD; env > variables; sleep 1"
    one = job(tmp_path / "a folder %j", script, prologue="export GREETING=good-day")
    one = dataclasses.replace(one, name="a-test.whole")
    Slurm().check(one)
    id = Slurm().submit(one)
    assert Slurm().find(one) == id
    assert until("running", id, one).nodes in ("n1", "n2")
    assert until("ended", id, one).failure is None
    printed, end = Slurm().printed(one, 0)
    assert printed.decode() == f"good-day from {one.folder}\n"
    assert Slurm().printed(one, end) == (b"", end)
    assert "hf_not_for_jobs" not in (one.folder / "variables").read_text()


def test_a_job_of_several_nodes_runs_once_on_each(tmp_path: Path) -> None:
    """And knows which of them it is, and where they meet."""
    told = "$PET_NODE_RANK of $PET_NNODES at $PET_MASTER_ADDR:$PET_MASTER_PORT"
    one = job(tmp_path, f"echo {told}", nodes=2)
    id = Slurm().submit(one)
    assert until("ended", id, one).failure is None
    place = f"of 2 at {socket.gethostname()}:{20000 + int(id) % 10000}"
    printed = Slurm().printed(one, 0)[0].decode()
    assert sorted(printed.splitlines()) == [f"0 {place}", f"1 {place}"]


@pytest.mark.parametrize(
    ("needs", "said", "remedy"),
    [
        ({"partition": "nope"}, "Invalid partition name", "correct `where.partition`"),
        ({"gpus": 2}, "Invalid generic resource (gres)", "correct `where.gpus`"),
        ({"nodes": 5}, "node configuration", "nodes 5"),
        ({"flags": ("--quos=x",)}, "unrecognized option", "correct `where.flags`"),
    ],
)
def test_a_job_that_is_refused(
    tmp_path: Path, needs: dict[str, object], said: str, remedy: str
) -> None:
    with pytest.raises(EnvironmentFailure) as raised:
        Slurm().check(job(tmp_path, "true", **needs))
    assert said in raised.value.message
    assert remedy in raised.value.remedy


def test_a_job_that_would_wait_for_ever(tmp_path: Path) -> None:
    one = job(tmp_path, "true", hours=10.0)
    id = Slurm().submit(one)
    state = until("failure", id, one)
    assert state.failure is not None
    assert f"will never start job {id}: PartitionTimeLimit" in state.failure.message
    assert "lower `where.hours`" in state.failure.remedy
    Slurm().cancel(id)


def test_a_job_killed_for_memory(tmp_path: Path) -> None:
    script = f"exec {sys.executable} -c 'import time; x = bytearray(700 << 20); time.sleep(30)'"
    failure = failed(job(tmp_path, script, memory="200M"))
    assert "OUT_OF_MEMORY" in failure.message
    assert "exceeded memory limit" in failure.message
    assert "raise `where.memory`" in failure.remedy


def test_a_node_that_lacks_the_shared_folder(tmp_path: Path) -> None:
    one = job(tmp_path / "gone", "true")
    one.folder.rmdir()
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/bash\n")
    sent = subprocess.run(
        [
            "sbatch",
            "--parsable",
            f"--job-name={one.name}",
            f"--output={one.folder}/job.log",
            script,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    failure = until("failure", sent.stdout.strip(), one).failure
    assert failure is not None
    assert f"the folder {one.folder} is not there" in failure.message
    assert "--workdir" in failure.remedy
    assert "--exclude=n" in failure.remedy


def test_a_node_without_hubkit(tmp_path: Path) -> None:
    one = dataclasses.replace(job(tmp_path, ""), command=("/no/python", "-m", "hubkit"))
    assert "`where.python` (now /no/python)" in failed(one).remedy
    command = ("/usr/bin/python3", "-I", "-m", "hubkit")
    one = dataclasses.replace(job(tmp_path, ""), name="a-test.second", command=command)
    assert "No module named hubkit" in failed(one).message


def test_a_prologue_that_fails(tmp_path: Path) -> None:
    failure = failed(job(tmp_path, "echo not reached", prologue="ls /no/such/module\necho no"))
    assert "/no/such/module" in failure.message
    assert "not reached" not in failure.message
    assert "a line of `where.prologue` failed" in failure.message
    assert "correct `where.prologue`" in failure.remedy


def test_a_cancelled_job(tmp_path: Path) -> None:
    one = job(tmp_path, "sleep 100")
    id = Slurm().submit(one)
    until("running", id, one)
    Slurm().cancel(id)
    failure = until("ended", id, one).failure
    assert failure is not None
    assert "CANCELLED" in failure.message
    Slurm().cancel(id)
    assert Slurm().cancelling(id) == f"scancel {id}"


def test_an_id_that_is_no_longer_ours(tmp_path: Path) -> None:
    one = job(tmp_path, "true")
    assert Slurm().state("99999", one) == State("unknown", "Invalid job id specified")
    other = dataclasses.replace(one, name="a-test.another")
    assert Slurm().state(Slurm().submit(other), one).phase == "unknown"
    assert Slurm().find(one) is None


def test_a_controller_that_does_not_answer(
    tmp_path: Path, slurm: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = slurm.settings.read_text()
    port = next(line for line in text.splitlines() if line.startswith("SlurmctldPort"))
    away = tmp_path / "slurm.conf"
    away.write_text(text.replace(port, "SlurmctldPort=1\nMessageTimeout=1"))
    monkeypatch.setenv("SLURM_CONF", str(away))
    monkeypatch.setattr("hubkit.scheduling.slurm.SECONDS_TO_ANSWER", 20.0)
    with pytest.raises(EnvironmentFailure, match="Slurm does not answer") as raised:
        Slurm().state("1", job(tmp_path / "job", "true"))
    assert "`sinfo` answers" in raised.value.remedy


def test_a_job_killed_for_time(slurm: Cluster, overdue: str) -> None:
    one = dataclasses.replace(job(slurm.folder, ""), name="overdue")
    failure = until("failure", overdue, one, 120).failure
    assert failure is not None
    assert "TIMEOUT" in failure.message
    assert "began" in failure.message
    assert "raise `where.hours`" in failure.remedy
