"""Trainer: turns a base model and records into an adapter. Runs in a worker process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from .environment import Requirements
from .family import ModuleGroup
from .run import Run
from .vision import Vision


@dataclass(frozen=True)
class TrainInput:
    """`base` is the official folder, `native` the same model as transformers loads it. `output` is
    empty and is kept; `scratch` survives a kill and is where checkpoints for resuming go. `options`
    are the trainer's Options as a mapping."""

    base: Path
    native: Path
    groups: Mapping[str, ModuleGroup]
    vision: Vision
    records: Path
    images: Path
    output: Path
    scratch: Path
    seed: int
    options: Mapping[str, Any]


@dataclass(frozen=True)
class TrainOutput:
    """`adapter` and `metrics` are paths relative to `output`. `format` is `peft`, `xtuner`
    or the name of another adapter format that hubkit merges; `other` for what it does not merge:
    the plugin packs that. `metrics` is JSON Lines with `step`, `loss`,
    `learning_rate` (and nothing that varies between two identical runs). `settings` are the
    effective ones, for the card. `prompt` is the exact text that stood before the first answer of
    the first record in training, with the image positions shortened to one, and `prompt_ids` are
    its token ids shortened likewise: what an engine must ask the model with. `inputs` is the digest
    of what the model is given for that prompt (`hubkit.sdk.processing.Inputs.digest`), where its
    own processor arranges the pictures."""

    adapter: str
    format: str
    metrics: str
    steps: int
    samples: int
    trainable_parameters: int
    settings: Mapping[str, str | int | float | bool]
    prompt: str = ""
    prompt_ids: tuple[int, ...] = ()
    inputs: str = ""


@dataclass(frozen=True)
class Foreseen:
    """What a training takes. `samples` counts every record as often as it is learnt, `batch_size`
    is on one device. `memory` is in bytes at the peak of one device and `seconds` from the first
    step to the last, without starting and compiling; 0 where the trainer cannot tell. `notes` are
    further facts in words."""

    steps: int
    samples: int
    batch_size: int
    memory: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


class Trainer(Protocol):
    kind: ClassVar[str]  # "trainer"
    name: ClassVar[str]
    sdk: ClassVar[str]
    requirements: ClassVar[Requirements]
    Options: ClassVar[type]
    """A frozen dataclass with defaults; its fields are the keys under `train.options` in
    release.yaml."""

    def train(self, job: TrainInput, run: Run) -> TrainOutput:
        """Raises DataError for a record it cannot take, EnvironmentFailure for missing hardware or
        memory."""


class SeveralNodesTrainer(Trainer, Protocol):
    """A trainer that can train on several nodes at once. Its `train` is then called with the same
    job on each of them, but for `output`, of which the first node's is kept. torchrun's variables
    say which node it is: `PET_NNODES`, `PET_NODE_RANK` (from 0), and `PET_MASTER_ADDR` and
    `PET_MASTER_PORT` of the first."""

    several_nodes: ClassVar[bool]


class SharingTrainer(SeveralNodesTrainer, Protocol):
    """One whose nodes need `scratch` to be the same folder on all of them: it takes several only
    where they share a file system."""

    shared_scratch: ClassVar[bool]


class ForeseeingTrainer(Trainer, Protocol):
    """A trainer that can tell beforehand what a training takes; `foresee` is optional for a
    trainer."""

    def foresee(self, job: TrainInput, run: Run) -> Foreseen:
        """Nothing is trained. `job.native` holds the files of a native folder but its weights,
        `job.output` is not kept. Raises what `train` raises before its first step."""
