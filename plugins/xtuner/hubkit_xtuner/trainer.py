"""The trainer: checks everything, writes xtuner's configuration and data, runs its training module,
judges what it wrote."""

from __future__ import annotations

import os
from typing import ClassVar

from hubkit.sdk import Foreseen, Requirements, Run, TrainInput, TrainOutput
from hubkit.sdk.codec import decode

from .options import Options


class XtunerTrainer:
    kind: ClassVar[str] = "trainer"
    name: ClassVar[str] = "xtuner"
    sdk: ClassVar[str] = "1.5"
    several_nodes: ClassVar[bool] = True
    shared_scratch: ClassVar[bool] = True
    requirements: ClassVar[Requirements] = Requirements(
        (("torch", "2.1"), ("transformers", "4.36"), ("mmengine", "0.10.3"), ("xtuner", "0.1.23")),
        extra="",
        locks="locks",
        probe="hubkit_xtuner.probe:check",
    )
    Options: ClassVar[type] = Options

    def foresee(self, job: TrainInput, run: Run) -> Foreseen:
        """Iterations, checkpoints and their size; xtuner's memory and speed are not known
        beforehand."""
        from . import setup

        return setup.foresee(
            setup.prepare(job, decode(Options, job.options, "options of trainer xtuner"), run)
        )

    def train(self, job: TrainInput, run: Run) -> TrainOutput:
        """Adds to the contract: UsageError for a language model, schedule or configuration that
        xtuner cannot train; RefusedError when the folder's code is to be run, but there is none;
        PluginError when xtuner ended without having trained what it was asked to."""
        from . import command, nodes, setup
        from .result import finish
        from .running import train

        options = decode(Options, job.options, "options of trainer xtuner")
        options = nodes.placed(options, os.environ)
        if options.node_rank and command.in_a_job(os.environ):
            return nodes.join(job, options, run)
        training = setup.prepare(job, options, run)
        lines = train(training, run)
        return finish(training, lines, run)
