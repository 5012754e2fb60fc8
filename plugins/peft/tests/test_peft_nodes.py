"""Any number of processes, on any nodes: the same step by step; and on another number of them
later."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from hubkit_peft import PeftTrainer, several
from hubkit_peft.gang import Nodes
from hubkit_peft.state import FILE

from hubkit.sdk import EnvironmentFailure, SilentRun
from hubkit.sdk.codec import encode

pytest.importorskip("peft")

SETTINGS = {
    "steps": 5,
    "dropout": 0.2,
    "batch_size": 1,
    "validation": 2,
    "checkpoint_every": 3,
}
ONE_OF_MANY = """
import json, sys
from pathlib import Path
from hubkit.sdk import SilentRun, TrainInput
from hubkit.sdk.codec import decode
from hubkit_peft import PeftTrainer
PeftTrainer().train(decode(TrainInput, json.loads(Path(sys.argv[1]).read_text()), ""), SilentRun())
"""


class Notes(SilentRun):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


def losses(job):
    lines = [json.loads(line) for line in (job.output / "metrics.jsonl").open()]
    return [line["loss"] for line in lines] + [lines[-1]["validation_loss"]]


@pytest.mark.integration
def test_any_number_of_processes_of_torchrun_learn_what_one_does(job, tmp_path):
    """And one goes on from the third step of two."""
    alone = job(name="alone", accumulation=4, **SETTINGS)
    PeftTrainer().train(alone, SilentRun())
    script = tmp_path / "one_of_many.py"
    script.write_text(ONE_OF_MANY)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    for count in (4, 2):
        shared = job(name=f"by-{count}", accumulation=4 // count, **SETTINGS)
        given = tmp_path / f"{count}.json"
        given.write_text(json.dumps(encode(shared)))
        command = [*torchrun, str(count), script, given]
        done = subprocess.run(command, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stderr[-3000:]
        assert losses(shared) == pytest.approx(losses(alone), abs=1e-6)
    run, out = Notes(), tmp_path / "later"
    out.mkdir()
    later = replace(shared, output=out, options={**shared.options, "accumulation": 4})
    PeftTrainer().train(later, run)
    assert "continuing after step 3" in run.notes
    assert losses(later) == pytest.approx(losses(alone), abs=1e-6)


@pytest.mark.integration
def test_a_node_that_sees_no_checkpoint_goes_on_from_that_of_the_first(job, tmp_path):
    """Two processes that share no folder; the first has been there before."""
    alone = job(name="alone", accumulation=4, **SETTINGS)
    PeftTrainer().train(alone, SilentRun())
    port, nodes = several._free_port(), []
    for rank in range(2):
        own, given = job(name=f"node-{rank}", accumulation=2, **SETTINGS), tmp_path / f"{rank}.json"
        if rank == 0:
            shutil.copy2(alone.scratch / FILE, own.scratch / FILE)
            first = own
        given.write_text(json.dumps(encode(own)))
        places = {"WORLD_SIZE": 2, "RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = {**os.environ, **{name: str(one) for name, one in places.items()}}
        command = [sys.executable, "-c", ONE_OF_MANY, given]
        nodes.append(subprocess.Popen(command, env=environment))
    assert [node.wait(300) for node in nodes] == [0, 0]
    assert losses(first) == pytest.approx(losses(alone), abs=1e-6)


def test_a_node_knows_its_place(monkeypatch):
    assert Nodes.of_environment() == Nodes()
    for name, value in (("NNODES", "2"), ("NODE_RANK", "1"), ("MASTER_ADDR", "n1")):
        monkeypatch.setenv(f"PET_{name}", value)
    with pytest.raises(EnvironmentFailure, match="PET_MASTER_PORT"):
        Nodes.of_environment()
    monkeypatch.setenv("PET_MASTER_PORT", "29500")
    assert Nodes.of_environment() == Nodes(2, 1, "n1", 29500)
    monkeypatch.setenv("PET_NNODES", "1:4")
    with pytest.raises(EnvironmentFailure, match="1:4"):
        Nodes.of_environment()
