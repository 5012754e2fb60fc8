"""Engine: answers records greedily with a model folder. Runs in a worker process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from .environment import Requirements
from .run import Run
from .vision import Vision


@dataclass(frozen=True)
class GenerateInput:
    """`model` is the official folder, `native` the same model as transformers loads it. The prompts of each record are
    asked in turn, the engine's own earlier answers being the history; `answers` in the records are ignored."""

    model: Path
    native: Path
    vision: Vision
    records: Path
    images: Path
    output: Path
    max_new_tokens: int
    options: Mapping[str, Any]


@dataclass(frozen=True)
class GenerateOutput:
    """`answers` is a file of Answer lines, relative to `output`, in the order of the records. `prompt` is the exact text of
    the first record's first turn with the image positions shortened to one; `seconds` are load, first answer, all answers."""

    answers: str
    prompt: str
    template: str
    versions: Mapping[str, str]
    load_seconds: float
    first_seconds: float
    total_seconds: float


class Engine(Protocol):
    kind: ClassVar[str]  # "engine"
    name: ClassVar[str]
    sdk: ClassVar[str]
    requirements: ClassVar[Requirements]
    Options: ClassVar[type]

    def generate(self, job: GenerateInput, run: Run) -> GenerateOutput:
        """Greedy, deterministic. Raises EnvironmentFailure for missing hardware or memory."""
