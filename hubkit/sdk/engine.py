"""Engine: answers records greedily with a model folder. Runs in a worker process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from .environment import Requirements
from .run import Run
from .vision import Vision


@dataclass(frozen=True)
class Server:
    """`url` is the API's address, `/v1` and all; `key_file`, when there is one, holds the key that
    every request must bear."""

    url: str
    key_file: Path | None = None


@dataclass(frozen=True)
class GenerateInput:
    """`model` is the official folder, `native` the same model as transformers loads it. The prompts
    of each record are asked in turn, the engine's own earlier answers being the history; `answers`
    in the records are ignored. `server` is given to an engine whose Options derive from
    ServerOptions: it asks that server, and `native` may then be the official folder."""

    model: Path
    native: Path
    vision: Vision
    records: Path
    images: Path
    output: Path
    max_new_tokens: int
    options: Mapping[str, Any]
    server: Server | None = None


@dataclass(frozen=True)
class GenerateOutput:
    """`answers` is a file of Answer lines, relative to `output`, in the order of the records.
    `prompt` is the exact text of the first record's first turn with the image positions shortened
    to one, and `prompt_ids` are its token ids shortened likewise; both are empty where the engine
    cannot know them, as when it asks a server. `seconds` are load, first answer, all answers.
    `inputs` is the digest of what the model is given for that prompt
    (`hubkit.sdk.processing.Inputs.digest`), where its own processor arranges the pictures.
    `numbers` are further measurements that the engine can take, under the names
    `first_token_seconds`, `tokens_per_second`, `peak_memory_bytes`.
    """

    answers: str
    prompt: str
    template: str
    versions: Mapping[str, str]
    load_seconds: float
    first_seconds: float
    total_seconds: float
    prompt_ids: tuple[int, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)
    inputs: str = ""


@dataclass(frozen=True)
class MeasureInput:
    """`native` holds the files of a native folder but its weights."""

    native: Path
    vision: Vision
    records: Path
    images: Path
    output: Path
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Length:
    """How long one record is for the model: its tokens with the pictures' positions, and for each
    answer the first of its tokens and the one after its last."""

    id: str
    tokens: int
    answers: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class MeasureOutput:
    """`lengths` are of all records, in their order."""

    lengths: tuple[Length, ...]


@dataclass(frozen=True)
class ServeInput:
    """`model` and `native` as in GenerateInput. `name` is the model's name in the API; `host` and
    `port` are where to listen, and `api_key_file`, when there is one, holds the key that every
    request must bear."""

    model: Path
    native: Path
    vision: Vision
    name: str
    host: str
    port: int
    output: Path
    options: Mapping[str, Any]
    api_key_file: Path | None = None


@dataclass(frozen=True)
class ServeOutput:
    """What a server says when it was asked to stop and has stopped; `requests` is -1 where it does
    not count them."""

    requests: int = 0


class Engine(Protocol):
    """An engine may have `reads: ClassVar[str] = "model"`: then it needs no native folder, and
    `native` may be the official one."""

    kind: ClassVar[str]  # "engine"
    name: ClassVar[str]
    sdk: ClassVar[str]
    requirements: ClassVar[Requirements]
    Options: ClassVar[type]

    def generate(self, job: GenerateInput, run: Run) -> GenerateOutput:
        """Greedy, deterministic. `output` may hold what an earlier run of the same job left when it
        was broken off (`hubkit.sdk.records.kept_answers` tells what of it stands). Raises
        EnvironmentFailure for missing hardware or memory."""


class ServingEngine(Engine, Protocol):
    """An engine that can also answer over HTTP; `serve` is optional for an engine."""

    def serve(self, job: ServeInput, run: Run) -> ServeOutput:
        """Speaks OpenAI's API (`GET /v1/models`, `POST /v1/chat/completions` with images as data
        URLs, `stream` too) until `run` is cancelled; then stops cleanly and returns."""


class MeasuringEngine(Engine, Protocol):
    """An engine that can also tell how long records are for a model whose own processor arranges
    its pictures; `measure` is optional for an engine."""

    def measure(self, job: MeasureInput, run: Run) -> MeasureOutput:
        """No weight is read. Raises what `generate` raises for a record or a processor that it
        cannot take."""
