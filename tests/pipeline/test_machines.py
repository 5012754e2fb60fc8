"""Stages as jobs of a real Slurm cluster on this machine, and nodes that join a training: real
training, the same bytes."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import socket
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
from hubkit.pipeline.elsewhere import OUTPUT, RECORD

pytestmark = [
    pytest.mark.integration,
    pytest.mark.xdist_group("slurm"),
]
ADAPTER = "adapter/adapter_model.safetensors"
OPTIONS = "steps: 6, batch_size: 1"
ALIVE = "pending,running,completing,suspended"


def project(folder: Path, digits: Path, options: str, where: str = "local") -> Path:
    spec = make_project(folder, digits)
    text = spec.read_text("utf-8").replace("steps: 3, batch_size: 4", f"threads: 1, {options}")
    assert options in text
    spec.write_text(f"{text}where: {where}\n", "utf-8")
    return spec


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """The release file of an undisturbed training by one process, which takes a step's two samples
    one after the other."""
    folder = tmp_path_factory.mktemp("one")
    spec = project(folder, digits, f"{OPTIONS}, accumulation: 2")
    code, events = finish(start([spec], None))
    assert code == 0, events[-3:]
    return spec


def start(
    specs: Sequence[Path], slurm: Cluster | None, *more: str, until: str = "train", **how: Any
) -> subprocess.Popen[str]:
    own = {"SLURM_CONF": str(slurm.settings)} if slurm else {}
    command = [sys.executable, "-m", "hubkit", "release", *map(str, specs), "--until", until, *more]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **how}
    return subprocess.Popen(
        [*command, *([] if how else ["--json"])], env={**os.environ, **own}, **streams
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]]]:
    with process:
        try:
            out, _ = process.communicate(timeout=600)
        except BaseException:
            process.terminate()
            raise
    return process.returncode, [json.loads(line) for line in out.splitlines()]


def notes(events: list[dict[str, Any]]) -> str:
    return "\n".join(event["message"] for event in events if event["event"] == "note")


def until(process: subprocess.Popen[str], seen: Any) -> list[dict[str, Any]]:
    """What the command told up to an event for which `seen` is true."""
    assert process.stdout is not None
    events = []
    for line in process.stdout:
        events.append(json.loads(line))
        if seen(events[-1]):
            return events
    pytest.fail(f"that was all: {events[-5:]}")


def stage_files(spec: Path, stage: str) -> dict[str, bytes]:
    folder = spec.parent / ".hubkit" / NAME / stage
    return {
        name: (folder / name).read_bytes() for name in files_below(folder) if name != "seal.json"
    }


def job_folder(spec: Path) -> Path:
    return spec.parent / ".hubkit" / NAME / "jobs" / "train"


def job_of(spec: Path) -> str:
    return str(json.loads((job_folder(spec) / RECORD).read_text("utf-8"))["id"])


def queued(slurm: Cluster, states: str = "all") -> list[str]:
    return slurm.ask("squeue", "-h", "-t", states, "-o", "%i").split()


def kill_task(job: str, node: int) -> None:
    """Kills hubkit on one node of the job."""
    wanted = {f"SLURM_JOB_ID={job}", f"PET_NODE_RANK={node}"}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text().split("\0")
            variables = (process / "environ").read_text("utf-8", "replace").split("\0")
        except OSError:
            continue  # it has ended
        if "hubkit.pipeline.on_node" in command and command[0] != "bash" and wanted <= {*variables}:
            os.kill(int(process.name), signal.SIGKILL)
            return
    pytest.fail(f"job {job} is not on node {node}")


def test_two_nodes_of_which_one_is_lost_learn_what_one_process_does(
    tmp_path: Path, digits: Path, slurm: Cluster, overdue: str, one: Path
) -> None:
    """The command is killed, then one of the job's two tasks; requeued, the job is followed by the
    same command, and ends in the bytes of an undisturbed training by one process."""
    where = "{scheduler: slurm, nodes: 2, cpus: 1, prologue: echo from-prologue}"
    spec = project(tmp_path, digits, OPTIONS, where)
    job_folder(spec).mkdir(parents=True)
    stale = {"scheduler": "slurm", "name": "of-another-time", "id": "99999", "inputs": {}}
    (job_folder(spec) / RECORD).write_text(json.dumps(stale), "utf-8")

    command = start([spec], slurm)
    events = until(command, lambda told: told.get("unit") == "steps" and told["done"] >= 2)
    command.kill()
    command.wait()
    assert "slurm job 99999 is gone (Invalid job id specified)" in notes(events)
    assert "from-prologue" in notes(events)
    kill_task(id := job_of(spec), 1)
    while id in queued(slurm, "running,completing"):
        time.sleep(0.2)
    assert not (job_folder(spec) / OUTPUT).exists()
    slurm.ask("scontrol", "requeuehold", id)

    code, events = finish(start([spec], slurm, "--set", "seed=7"))
    assert code == 2
    assert f"runs already as slurm job {id}, with other inputs: " in events[-1]["message"]
    assert "seed changed since" in events[-1]["message"]
    assert f"`scancel {id}`" in events[-1]["remedy"]
    code, events = finish(start([spec], slurm, "--where", "local"))
    assert code == 2
    assert f"train runs already as slurm job {id}" in events[-1]["message"]

    slurm.ask("scontrol", "release", id)
    code, events = finish(start([spec], slurm))
    assert code == 0, events[-3:]
    told = notes(events)
    assert f"slurm job {id} was submitted before" in told
    assert f"job {id}: RUNNING on n[1-2]" in told
    assert "continuing after step" in told
    assert "submitted as slurm job" not in told
    assert not any(job_folder(spec).parent.iterdir())
    files = stage_files(spec, "train")
    assert ADAPTER in files
    assert files == stage_files(one, "train")


def test_a_node_that_joins_trains_with_the_first(tmp_path: Path, digits: Path, one: Path) -> None:
    """Two nodes that share no folder."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    nodes = []
    for rank, more in enumerate(["--until train", f"--join --workdir {tmp_path}/run"]):
        spec = project(tmp_path / f"node-{rank}", digits, OPTIONS)
        places = {"NNODES": 2, "NODE_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = {**os.environ, **{f"PET_{key}": str(value) for key, value in places.items()}}
        command = [sys.executable, "-m", "hubkit", "release", spec, *more.split()]
        nodes.append(subprocess.Popen(command, env=environment))
    assert [node.wait(400) for node in nodes] == [0, 0]
    assert stage_files(tmp_path / "node-0" / "release.yaml", "train") == stage_files(one, "train")
    assert not (tmp_path / "run" / ".hubkit" / NAME / "train").exists()


PARROT = """
import json, os
from dataclasses import dataclass
from hubkit.sdk import Answer, GenerateOutput, Requirements, read_records, write_jsonl

@dataclass(frozen=True)
class Options:
    batch_size: int = 1

class Parrot:
    kind, name, sdk, reads, Options = "engine", "parrot", "1.5", "model", Options
    requirements = Requirements((), "")

    def generate(self, job, run):
        records = list(read_records(job.records))
        node = os.environ.get("PET_NODE_RANK", "alone")
        with open(f"{job.images}/asked-by-{node}", "a") as told:
            told.writelines(f"{job.model.name} {record.id}\\n" for record in records)
        said = [tuple(f"what is {turn.prompt}" for turn in one.turns) for one in records]
        answers = [Answer(r.id, t, ("stop",) * len(t)) for r, t in zip(records, said)]
        write_jsonl(job.output / "answers.jsonl", answers)
        return GenerateOutput("answers.jsonl", "", "none", {"parrot": "1"}, 0.0, 0.1, 0.2)
"""


def test_two_nodes_answer_what_one_process_does(
    tmp_path: Path, slurm: Cluster, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes on each, of an engine that needs no time."""
    plugin, info = tmp_path / "plugin", tmp_path / "plugin" / "parrot-1.0.dist-info"
    info.mkdir(parents=True)
    (plugin / "parrot.py").write_text(PARROT, "utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: parrot\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text("[hubkit.engine]\nparrot = parrot:Parrot\n", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(plugin))
    spec = Path(shutil.copytree(one.parent, tmp_path / "project")) / "release.yaml"
    python = f"env PYTHONPATH={plugin} {sys.executable}"
    where = f"{{scheduler: slurm, nodes: 2, memory: 1G, python: {python}}}"

    def evaluated(*more: str) -> dict[str, bytes]:
        settings = [word for one in more for word in ("--set", one)]
        engines = ["--set", "smoke.engine=parrot", "--set", "evaluate.engine=parrot"]
        again = ["--from", "evaluate"]
        code, events = finish(start([spec], slurm, *again, *engines, *settings, until="evaluate"))
        assert code == 0, events[-3:]
        return stage_files(spec, "evaluate")

    files = evaluated(f"evaluate.where={where}", "evaluate.processes=2")
    asked = [
        (spec.parent / "data" / "images" / f"asked-by-{node}").read_text("utf-8").splitlines()
        for node in (0, 1)
    ]
    assert len(asked[0]) + len(asked[1]) == 10  # five records of base and model
    assert not {*asked[0]} & {*asked[1]}
    assert min(map(len, asked)) >= 4
    assert files == evaluated()
    assert "after/answers.jsonl" in files


def test_ctrl_c_asks_whether_the_job_goes_on(tmp_path: Path, digits: Path, slurm: Cluster) -> None:
    where = "{scheduler: slurm, prologue: sleep 100}"
    spec = project(tmp_path, digits, "steps: 1, batch_size: 1", where)
    process = start([spec], slurm)
    until(process, lambda told: "RUNNING on" in told.get("message", ""))
    process.send_signal(signal.SIGINT)  # nobody is there to be asked
    code, events = finish(process)
    id = job_of(spec)
    assert code == 130
    assert events[-1]["message"] == f"interrupted; slurm job {id} goes on"
    assert id in queued(slurm, ALIVE)

    ours, theirs = pty.openpty()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    command = start([spec], slurm, start_new_session=True, **streams)
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
    assert not job_folder(spec).exists()


def read_until(terminal: int, wanted: str) -> str:
    text, end = "", time.monotonic() + 120
    while wanted not in text.replace("\r\n", "") and time.monotonic() < end:
        text += os.read(terminal, 1 << 16).decode("utf-8", "replace")
    assert wanted in text.replace("\r\n", ""), text
    return text.replace("\r\n", "")


def test_four_releases_of_which_one_fails(tmp_path: Path, digits: Path, slurm: Cluster) -> None:
    where, options = "{scheduler: slurm, memory: 1500M}", "steps: 2, batch_size: 2"
    specs = [
        project(tmp_path / name, digits, options, where) for name in ("one", "two", "three", "four")
    ]
    bad = specs[2].read_text("utf-8").replace("learning_rate: 1.0e-3", "learning_rate: 1.0e+30")
    specs[2].write_text(bad, "utf-8")
    code, events = finish(start(specs, slurm))
    report = events[-1]["releases"]
    assert [one["state"] for one in report] == ["done", "done", "failed", "done"]
    assert code == report[2]["exit_code"] == 4
    assert "the loss is" in report[2]["message"]
    assert report[2]["remedy"]
    assert notes(events).count("submitted as slurm job") == 4
    for number, spec in enumerate(specs):
        sealed = spec.parent / ".hubkit" / NAME / "train" / "seal.json"
        assert sealed.exists() == (number != 2)


def test_variants_are_a_job(tmp_path: Path, digits: Path, slurm: Cluster) -> None:
    spec = project(tmp_path, digits, "steps: 1, batch_size: 2", "slurm")
    text = spec.read_text("utf-8").partition("publish:")[0]
    for stage in ("train", "smoke", "evaluate"):
        text = text.replace(f"{stage}:\n", f"{stage}:\n  where: local\n")
    variant = "{name: GGUF, ask: {options: {threads: 1}}, require: {drop: '<= 100 %'}}"
    spec.write_text(f"{text}where: slurm\nvariants: [{variant}]\n", "utf-8")
    code, events = finish(start([spec], slurm, until="variants"))
    assert code == 0, events[-3:]
    assert notes(events).count("submitted as slurm job") == 1
    assert f"GGUF/model/{NAME}-F16.gguf" in stage_files(spec, "variants")
