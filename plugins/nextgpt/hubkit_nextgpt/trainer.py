"""The trainer: runs the stages and hands on the last checkpoint, with a report of what each stage
changed."""

from __future__ import annotations

import json
import shutil
from typing import ClassVar

from hubkit.sdk import Requirements, Run, TrainInput, TrainOutput
from hubkit.sdk.codec import decode, encode

from .options import Options


class NextGPTTrainer:
    """Runs stages 1, 2 and 3 of a checkout of NExT-GPT and refuses a stage that trained nothing, or
    anything but its own parameters and the embeddings. Its result is packed by `python -m
    hubkit_nextgpt pack`: it is no adapter of another model, and nothing is merged."""

    kind: ClassVar[str] = "trainer"
    name: ClassVar[str] = "nextgpt_stages"
    sdk: ClassVar[str] = "1.2"
    requirements: ClassVar[Requirements] = Requirements((), extra="")
    Options: ClassVar[type] = Options

    def train(self, job: TrainInput, run: Run) -> TrainOutput:
        """`output/checkpoint` is what the last stage wrote, `output/stages.json` the report. Of the
        job only options, output and scratch are used: NExT-GPT finds model and data through its own
        configuration and `options.data`.

        Adds to the contract: UsageError for a checkout or base weights that are not there;
        PluginError when a stage ended without its checkpoint; EnvironmentFailure when memory was
        too small; RefusedError when it trained nothing, or what is not its own."""
        from .stages import run_stages

        options = decode(Options, job.options, "options of trainer nextgpt_stages")
        done = run_stages(options, job.scratch, run)
        job.output.mkdir(parents=True, exist_ok=True)
        shutil.copytree(
            done[-1].folder, job.output / "checkpoint", ignore=shutil.ignore_patterns("stage.json")
        )
        report = [{**encode(stage.report), "digest": stage.digest} for stage in done]
        (job.output / "stages.json").write_text(
            json.dumps(report, indent=2, sort_keys=True) + "\n", "utf-8"
        )
        (job.output / "metrics.jsonl").touch()
        return TrainOutput(
            adapter="checkpoint",
            format="other",
            metrics="metrics.jsonl",
            steps=0,
            samples=0,
            trainable_parameters=done[-1].report.trainable,
            settings={
                "stages": ", ".join(str(stage.number) for stage in done),
                "lora_rank": done[-1].report.lora_rank,
                "lora_alpha": done[-1].alpha,
            },
        )
