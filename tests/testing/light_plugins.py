"""An engine and a trainer that need no time, for tests of what is around them: processes of their
own, and other nodes, import them from a folder."""

from __future__ import annotations

from pathlib import Path

PLUGINS = """
import json, os
from dataclasses import dataclass
from hubkit.sdk import (
    Answer, DataError, GenerateOutput, Requirements, TrainOutput, read_records, write_jsonl
)

@dataclass(frozen=True)
class Options:
    batch_size: int = 1
    diverges: bool = False

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

class Sleeper:
    kind, name, sdk, Options = "trainer", "sleeper", "1.5", Options
    requirements = Requirements((), "")

    def train(self, job, run):
        if job.options["diverges"]:
            raise DataError("the loss is nan", "lower the learning rate")
        (job.output / "adapter").touch()
        (job.output / "metrics.jsonl").touch()
        return TrainOutput("adapter", "other", "metrics.jsonl", 1, 1, 1, {})
"""
"""`parrot` notes in the folder of the images which node asked it what."""
ENTRIES = "[hubkit.engine]\nparrot = light:Parrot\n[hubkit.trainer]\nsleeper = light:Sleeper\n"


def install(folder: Path) -> Path:
    """`folder`, in which a distribution has them; put it on PYTHONPATH."""
    info = folder / "light-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "light.py").write_text(PLUGINS, "utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: light\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text(ENTRIES, "utf-8")
    return folder
