"""Several nodes of one job: which of them this is, and how they meet."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hubkit_xtuner import checks, command, config, nodes, setup
from hubkit_xtuner.options import Options
from hubkit_xtuner.trainer import XtunerTrainer

from hubkit.sdk import (
    CancelledError,
    EnvironmentFailure,
    PluginError,
    SilentRun,
    TrainInput,
    UsageError,
)

PLACE = {
    "PET_NNODES": "2",
    "PET_NODE_RANK": "1",
    "PET_MASTER_ADDR": "n1",
    "PET_MASTER_PORT": "20007",
}
MEETING = """
import sys
import torch
import torch.distributed as dist

dist.init_process_group("gloo")
ranks = torch.tensor([float(2 ** dist.get_rank())])
dist.all_reduce(ranks)
with open(f"{sys.argv[3]}/{dist.get_rank()}", "w") as file:
    file.write(f"{ranks.item():g} {' '.join(sys.argv[4:])}")
dist.barrier()
dist.destroy_process_group()
"""


def test_the_job_says_which_node_this_is() -> None:
    assert nodes.placed(Options(), {}) == Options()
    assert nodes.placed(Options(), {"PET_NNODES": "1"}) == Options()
    made = nodes.placed(Options(devices=8), PLACE)
    assert made == Options(devices=8, nodes=2, node_rank=1, master_addr="n1", master_port=20007)
    line = command.command(made, Path("c.py"), Path("work"), gpu=True, resume=None)
    assert line[3 : line.index("-m", 3)] == [
        *("--nnodes", "2", "--node_rank", "1", "--master_addr", "n1", "--master_port", "20007"),
        *("--nproc_per_node", "8"),
    ]


def test_nodes_that_are_said_twice_or_by_halves() -> None:
    with pytest.raises(UsageError, match=r"where.nodes is 2, and the options say nodes: 3") as told:
        nodes.placed(Options(nodes=3, master_addr="n1"), PLACE)
    assert "remove nodes, node_rank, master_addr and master_port" in told.value.remedy
    with pytest.raises(EnvironmentFailure, match="which of several nodes it is: 'PET_MASTER_ADDR'"):
        nodes.placed(Options(), {"PET_NNODES": "2", "PET_NODE_RANK": "0"})


def test_checkpoints_stay_when_the_nodes_meet_elsewhere(
    job: Callable[..., TrainInput],
) -> None:
    """A job that is submitted again has another first node and another port."""
    one = job()
    options = Options(nodes=2, master_addr="n1", master_port=20007)
    key = setup.fingerprint(one, options)
    elsewhere = replace(options, node_rank=1, master_addr="n5", master_port=20008)
    assert setup.fingerprint(one, elsewhere) == key
    assert setup.fingerprint(one, replace(options, nodes=1)) != key


@pytest.fixture
def second(job: Callable[..., TrainInput], monkeypatch: pytest.MonkeyPatch) -> TrainInput:
    """The job on the second of two nodes, the place where they meet being this machine's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    for name, value in {**PLACE, "PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": port}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(checks, "uses_gpu", lambda options: True)
    monkeypatch.setattr(checks, "installed", lambda options, gpu: None)
    return job()


def test_a_node_waits_for_the_first_and_can_be_interrupted(second: TrainInput) -> None:
    class Interrupted(SilentRun):
        def check_cancelled(self) -> None:
            raise CancelledError("interrupted", "again")

    with pytest.raises(CancelledError):
        XtunerTrainer().train(second, Interrupted())
    assert not list(second.scratch.iterdir())


def test_a_training_that_fails_on_a_further_node(
    second: TrainInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = ("-c", "import sys; sys.exit('no such GPU')")
    monkeypatch.setattr(command, "command", lambda *_, **__: [sys.executable, "-I", *script])
    monkeypatch.setattr(nodes, "_wait_for_first", lambda options, run: None)
    with pytest.raises(PluginError, match=r"exit code 1 on node 1\n.*no such GPU"):
        XtunerTrainer().train(second, SilentRun())


@pytest.mark.integration
def test_two_nodes_meet_through_torchrun(
    second: TrainInput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands of both, run: torchrun itself, and a meeting in place of the training. The
    second is asked first, and takes up what the first has prepared meanwhile."""
    (tmp_path / "meeting.py").write_text(MEETING, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(command, "MODULE", "meeting")
    work = second.scratch / setup.WORK
    work.mkdir()

    class First(SilentRun):
        """Starts the first node when the second already waits."""

        process: subprocess.Popen[bytes] | None = None

        def check_cancelled(self) -> None:
            if self.process is None:
                options = nodes.placed(Options(), {**os.environ, "PET_NODE_RANK": "0"})
                file = second.scratch / config.EFFECTIVE
                line = command.command(options, file, work, gpu=True, resume=None)
                self.process = subprocess.Popen(line, cwd=tmp_path)

    run = First()
    output = XtunerTrainer().train(second, run)
    assert run.process is not None and run.process.wait(60) == 0
    assert (output.adapter, output.steps) == ("", 0)
    told = {path.name: path.read_text("utf-8") for path in work.iterdir()}
    arguments = "--deepspeed deepspeed_zero2 --launcher pytorch"
    assert told == {"0": f"3 {arguments}", "1": f"3 {arguments}"}
