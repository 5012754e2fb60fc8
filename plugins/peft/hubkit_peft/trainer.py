"""The trainer: sets everything up, checks every record before the first step, trains, writes the
adapter."""

from __future__ import annotations

import gc
import os
from typing import Any, ClassVar

from hubkit.sdk import (
    EnvironmentFailure,
    Foreseen,
    Requirements,
    Run,
    SilentRun,
    TrainInput,
    TrainOutput,
)
from hubkit.sdk.codec import decode

from .gang import Nodes
from .options import Options

_SHOWN = (
    *(
        "rank",
        "alpha",
        "dropout",
        "accumulation",
        "learning_rate",
        "weight_decay",
        "warmup_ratio",
        "max_grad_norm",
    ),
    *("validation", "keep"),
)


class PeftTrainer:
    kind: ClassVar[str] = "trainer"
    name: ClassVar[str] = "peft"
    sdk: ClassVar[str] = "1.5"
    several_nodes: ClassVar[bool] = True
    requirements: ClassVar[Requirements] = Requirements(
        (("torch", "2.6"), ("transformers", "5.17"), ("peft", "0.21")), "peft"
    )
    Options: ClassVar[type] = Options

    def foresee(self, job: TrainInput, run: Run) -> Foreseen:
        """Time is that of the operations at half of the rate of large products, measured for a
        moment."""
        from .dry_run import foresee

        return foresee(job, decode(Options, job.options, "options of trainer peft"), run)

    def train(self, job: TrainInput, run: Run) -> TrainOutput:
        from . import compiling

        compiling.remember()
        gc.disable()  # it takes a fifth of the time to import and compile; on from the first step
        try:
            return _train(job, decode(Options, job.options, "options of trainer peft"), run)
        finally:
            gc.enable()


def _train(job: TrainInput, options: Options, run: Run) -> TrainOutput:
    from . import adapter, loop, setup

    count, nodes = _processes(options), Nodes.of_environment()
    if "WORLD_SIZE" not in os.environ and nodes.count > 1 and count == 1:
        os.environ |= nodes.variables(0, 1)
    elif "WORLD_SIZE" not in os.environ and count > 1:
        from . import several

        gc.enable()
        return several.train(job, run, count, nodes)
    training, encoder, records = setup.prepare(job, options, run)
    loop.train(training, run if training.gang.leads else SilentRun())
    if training.gang.leads:
        adapter.write(training.model, job.output / adapter.FOLDER)
    training.gang.wait()
    return _output(training, *encoder.prompt(records[0]))


def _processes(options: Options) -> int:
    """How many to start on this node; 1 in a process that was itself started for one GPU of
    several."""
    from .model import device_of

    if "WORLD_SIZE" in os.environ or device_of(options) == "cpu":
        return 1
    import torch

    visible: int = torch.cuda.device_count()
    if options.gpus > visible:
        raise EnvironmentFailure(
            f"gpus is {options.gpus}, but torch sees {visible}",
            f"set gpus: {visible}, or 0 for all",
        )
    return options.gpus or visible


def _output(training: Any, prompt: str, prompt_ids: tuple[int, ...], inputs: str) -> TrainOutput:
    from . import adapter, loop
    from .state import trained

    options: Options = training.options
    settings: dict[str, str | int | float | bool] = {
        name: getattr(options, name) for name in _SHOWN
    }
    settings |= {
        "batch_size": training.batch_size,
        "gpus": training.gang.size,
        "quantize": options.quantize,
    }
    settings |= {
        "method": "LoRA",
        "lora": ", ".join(options.lora),
        "full": ", ".join(options.full),
        "optimizer": "AdamW",
    }
    settings |= {
        "schedule": "cosine",
        "precision": str(training.model.dtype).removeprefix("torch."),
        "device": training.device,
    }
    return TrainOutput(
        adapter=adapter.FOLDER,
        format="peft",
        metrics=loop.METRICS,
        steps=training.steps,
        samples=training.steps * training.samples_per_step,
        trainable_parameters=sum(
            parameter.numel() for parameter in trained(training.model).values()
        ),
        settings=settings,
        prompt=prompt,
        prompt_ids=prompt_ids,
        inputs=inputs,
    )
