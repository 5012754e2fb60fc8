"""Stages as jobs of a real Slurm cluster on this machine: real training, the same bytes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from testing.projects import NAME, make_project
from testing.slurm_cluster import Cluster

from hubkit.digests import files_below
from hubkit.pipeline.elsewhere import RECORD
from hubkit.pipeline.run import NAMES

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("slurm")]

WHERE = "{scheduler: slurm, cpus: 1, prologue: 'echo from-prologue'}"
TO_PACKAGE = ("--until", "package")
ALIVE = "pending,running,completing,suspended"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """The release file of a release that was made on this machine, in one go."""
    spec = project(tmp_path_factory.mktemp("undisturbed"), digits, "local")
    code, events = finish(start([spec], None, *TO_PACKAGE))
    assert code == 0, events[-3:]
    return spec


def project(folder: Path, digits: Path, where: str = WHERE) -> Path:
    spec = make_project(folder, digits)
    text = spec.read_text("utf-8").replace("steps: 3,", "steps: 12,")
    spec.write_text(f"{text}where: {where}\n", "utf-8")
    return spec


def start(
    specs: Sequence[Path], slurm: Cluster | None = None, *more: str, **how: Any
) -> subprocess.Popen[str]:
    own = {"SLURM_CONF": str(slurm.settings)} if slurm else {}
    command = [sys.executable, "-m", "hubkit", "release", *map(str, specs), *more]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **how}
    env = {**os.environ, **own, "SOURCE_DATE_EPOCH": "1767225600"}
    return subprocess.Popen([*command, *([] if how else ["--json"])], env=env, **streams)


def train(spec: Path, slurm: Cluster, *more: str) -> subprocess.Popen[str]:
    return start([spec], slurm, "--until", "train", *more)


def finish(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]]]:
    with process:
        try:
            out, _ = process.communicate(timeout=1500)
        except BaseException:
            process.terminate()
            raise
    return process.returncode, [json.loads(line) for line in out.splitlines()]


def notes(events: list[dict[str, Any]]) -> str:
    return "\n".join(event["message"] for event in events if event["event"] == "note")


def until_step(process: subprocess.Popen[str], step: int) -> list[dict[str, Any]]:
    """What the command told up to this step of the training."""
    assert process.stdout is not None
    events = []
    for line in process.stdout:
        events.append(json.loads(line))
        if events[-1].get("unit") == "steps" and events[-1]["done"] >= step:
            return events
    pytest.fail(f"no step {step}: {events[-5:]}")


def stage_files(spec: Path, stage: str) -> dict[str, bytes]:
    folder = spec.parent / ".hubkit" / NAME / stage
    return {
        name: (folder / name).read_bytes() for name in files_below(folder) if name != "seal.json"
    }


def jobs(spec: Path) -> Path:
    return spec.parent / ".hubkit" / NAME / "jobs"


def job_of(spec: Path) -> str:
    return str(json.loads((jobs(spec) / "train" / RECORD).read_text("utf-8"))["id"])


def queued(slurm: Cluster, states: str = "all") -> list[str]:
    return slurm.ask("squeue", "-h", "-t", states, "-o", "%i").split()


def test_a_release_whose_job_was_requeued_is_the_same_bytes(
    tmp_path: Path, digits: Path, slurm: Cluster, undisturbed: Path
) -> None:
    spec = project(tmp_path, digits)
    process = start([spec], slurm, *TO_PACKAGE)
    events = until_step(process, 3)
    id = job_of(spec)
    slurm.ask("scontrol", "requeue", id)
    code, later = finish(process)
    assert code == 0, later[-3:]
    told = notes([*events, *later])
    assert told.count("submitted as slurm job") == 3
    assert "from-prologue" in told
    assert f"job {id}: RUNNING on n" in told
    assert "continuing after step" in told
    for stage in ("train", "evaluate"):
        assert stage_files(spec, stage) == stage_files(undisturbed, stage)
    package = stage_files(spec, "package")
    assert package == stage_files(undisturbed, "package")
    assert any(name.endswith("README.md") for name in package)
    assert list(jobs(spec).iterdir()) == []
    code, events = finish(start([spec], slurm, *TO_PACKAGE))
    states = [event["state"] for event in events if event["event"] == "stage"]
    assert states == ["cached"] * (NAMES.index("package") + 1)


def test_a_command_that_was_killed_follows_its_job(
    tmp_path: Path, digits: Path, slurm: Cluster, undisturbed: Path
) -> None:
    spec = project(tmp_path, digits)
    (jobs(spec) / "train").mkdir(parents=True)
    stale = {"scheduler": "slurm", "name": "of-another-time", "id": "99999", "inputs": {}}
    (jobs(spec) / "train" / RECORD).write_text(json.dumps(stale), "utf-8")
    before = queued(slurm)
    process = train(spec, slurm)
    events = until_step(process, 1)
    assert "slurm job 99999 is gone (Invalid job id specified)" in notes(events)
    process.send_signal(signal.SIGKILL)
    process.wait()
    id = job_of(spec)
    slurm.ask("scontrol", "suspend", id)

    code, events = finish(train(spec, slurm, "--set", "seed=7"))
    assert code == 2
    assert f"runs already as slurm job {id}, with other inputs: " in events[-1]["message"]
    assert "seed changed since" in events[-1]["message"]
    assert f"`scancel {id}`" in events[-1]["remedy"]
    code, events = finish(train(spec, slurm, "--where", "local"))
    assert code == 2
    assert f"train runs already as slurm job {id}" in events[-1]["message"]

    slurm.ask("scontrol", "resume", id)
    code, events = finish(train(spec, slurm))
    assert code == 0, events[-3:]
    assert f"slurm job {id} was submitted before" in notes(events)
    assert set(queued(slurm)) - set(before) == {id}
    assert stage_files(spec, "train") == stage_files(undisturbed, "train")


def test_two_nodes_learn_what_one_machine_does(
    tmp_path: Path, digits: Path, slurm: Cluster, undisturbed: Path
) -> None:
    """Of each step one node takes two samples, the other the other two. Twelve steps let the
    rounding of float32 grow to 1.4e-6 (measured)."""
    spec = project(tmp_path, digits, "{scheduler: slurm, nodes: 2, cpus: 1}")
    code, events = finish(train(spec, slurm, "--set", "train.options.batch_size=2"))
    assert code == 0, events[-3:]
    assert "RUNNING on n[1-2]" in notes(events)
    one, two = (
        [
            json.loads(line)["loss"]
            for line in stage_files(each, "train")["metrics.jsonl"].split(b"\n")[:-1]
        ]
        for each in (undisturbed, spec)
    )
    assert two == pytest.approx(one, abs=5e-6)


def test_ctrl_c_asks_whether_the_job_goes_on(tmp_path: Path, digits: Path, slurm: Cluster) -> None:
    spec = project(tmp_path, digits)
    process = train(spec, slurm)
    until_step(process, 1)
    process.send_signal(signal.SIGINT)  # nobody is there to be asked
    code, events = finish(process)
    id = job_of(spec)
    assert code == 130
    assert events[-1]["message"] == f"interrupted; slurm job {id} goes on"
    assert id in queued(slurm, ALIVE)

    ours, theirs = pty.openpty()
    command = start(
        [spec], slurm, "--until", "train", stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    read_until(ours, f"job {id}: RUNNING on")
    os.killpg(command.pid, signal.SIGINT)
    shown = read_until(ours, "[l]eave it running?")
    assert f"slurm job {id} is running: [c]ancel it" in shown
    time.sleep(4)  # longer than an interrupted command may take that asks nobody
    os.write(ours, b"c\n")
    shown = read_until(ours, "last checkpoint")
    assert f"interrupted; slurm job {id} is cancelled" in shown
    assert command.wait(60) == 130
    assert id not in queued(slurm, ALIVE)
    assert not (jobs(spec) / "train").exists()

    process = train(spec, slurm)
    events = until_step(process, 2)
    assert "continuing after step" in notes(events)
    slurm.ask("scancel", job_of(spec))
    code, events = finish(process)
    assert code == 4
    assert "CANCELLED" in events[-1]["message"]
    assert "goes on from the last checkpoint" in events[-1]["remedy"]


def read_until(terminal: int, wanted: str) -> str:
    text, end = "", time.monotonic() + 120
    while wanted not in text.replace("\r\n", "") and time.monotonic() < end:
        text += os.read(terminal, 1 << 16).decode("utf-8", "replace")
    assert wanted in text.replace("\r\n", ""), text
    return text.replace("\r\n", "")


def test_four_releases_of_which_one_fails(tmp_path: Path, digits: Path, slurm: Cluster) -> None:
    specs = [
        project(tmp_path / name, digits, "{scheduler: slurm, memory: 1500M}")
        for name in ("one", "two", "three", "four")
    ]
    for spec in specs:
        spec.write_text(spec.read_text("utf-8").replace("steps: 12,", "steps: 2,"), "utf-8")
    bad = specs[2].read_text("utf-8").replace("learning_rate: 1.0e-3", "learning_rate: 1.0e+30")
    specs[2].write_text(bad, "utf-8")
    code, events = finish(start(specs, slurm, "--where", "slurm", "--until", "train"))
    report = events[-1]["releases"]
    assert [one["state"] for one in report] == ["done", "done", "failed", "done"]
    assert code == report[2]["exit_code"] == 4
    assert "the loss is" in report[2]["message"]
    assert report[2]["remedy"]
    assert notes(events).count("submitted as slurm job") == 4
    for number in (0, 1, 3):
        assert (specs[number].parent / ".hubkit" / NAME / "train" / "seal.json").is_file()
