"""Any number of processes, on any nodes: the same step by step; and on another number of them
later."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from hubkit_peft import PeftTrainer, several
from hubkit_peft.gang import Nodes

from hubkit.sdk import CancelledError, EnvironmentFailure, SilentRun
from hubkit.sdk.codec import encode

pytest.importorskip("peft")

SETTINGS = {"steps": 5, "dropout": 0.2, "validation": 2, "checkpoint_every": 1}
ONE_OF_MANY = """
import json, sys
from pathlib import Path
from hubkit.sdk import SilentRun, TrainInput
from hubkit.sdk.codec import decode
from hubkit_peft import PeftTrainer
PeftTrainer().train(decode(TrainInput, json.loads(Path(sys.argv[1]).read_text()), ""), SilentRun())
"""


class StopsAt(SilentRun):
    def __init__(self, step):
        self.step, self.notes = step, []

    def note(self, message):
        self.notes.append(message)

    def progress(self, done, total, unit, **numbers):
        if unit == "steps" and done >= self.step:
            raise CancelledError("interrupted", "")


def losses(job):
    lines = [json.loads(line) for line in (job.output / "metrics.jsonl").open()]
    return [line["loss"] for line in lines] + [lines[-1]["validation_loss"]]


@pytest.fixture
def alone(job):
    """The losses of one process."""
    whole = job(name="alone", batch_size=4, **SETTINGS)
    PeftTrainer().train(whole, SilentRun())
    return losses(whole)


@pytest.mark.integration
def test_two_and_four_processes_of_torchrun_learn_what_one_does(job, alone, tmp_path):
    script = tmp_path / "one_of_many.py"
    script.write_text(ONE_OF_MANY)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    for count in (2, 4):
        shared = job(name=f"by-{count}", batch_size=4 // count, **SETTINGS)
        given = tmp_path / f"{count}.json"
        given.write_text(json.dumps(encode(shared)))
        command = [*torchrun, str(count), script, given]
        done = subprocess.run(command, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stderr[-3000:]
        assert losses(shared) == pytest.approx(alone, abs=1e-6)


@pytest.mark.integration
def test_one_process_goes_on_where_two_were_stopped(job, alone):
    shared = job(name="run", batch_size=2, **SETTINGS)
    with pytest.raises(CancelledError):
        several.train(shared, StopsAt(3), 2)
    run = StopsAt(99)
    later = replace(shared, options={**shared.options, "batch_size": 4})
    PeftTrainer().train(later, run)
    (told,) = (note for note in run.notes if note.startswith("continuing after step"))
    assert int(told.split()[-1]) >= 2
    assert losses(later) == pytest.approx(alone, abs=1e-6)


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
