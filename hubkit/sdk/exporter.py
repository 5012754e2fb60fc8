"""Exporter: writes a model in another form, such as GGUF, for the programs that people run. Runs in
a worker process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from .environment import Requirements
from .run import Run
from .vision import Vision


@dataclass(frozen=True)
class ExportInput:
    """`model` is the official folder, `native` the same model as transformers loads it; `name` is
    what the files may be called by."""

    model: Path
    native: Path
    vision: Vision
    name: str
    output: Path
    options: Mapping[str, Any]


@dataclass(frozen=True)
class ExportOutput:
    """`files` are all that were written, relative to `output`. `usage` maps the name of a program
    to Markdown on how to run them, in which {repository} stands for the folder that holds them.
    `library` is what hubs call the program that loads them."""

    files: tuple[str, ...]
    versions: Mapping[str, str]
    usage: Mapping[str, str] = field(default_factory=dict)
    library: str = ""


class CheckingExporter(Protocol):
    """What an exporter may have beside the method of Exporter."""

    def check(self, config: Mapping[str, Any], vision: Vision, options: Mapping[str, Any]) -> None:
        """Asked before a release trains, in hubkit's own process: needs nothing but the standard
        library. `config` is config.json of the native folder.

        Raises:
            RefusedError: the form has no place for this architecture, or for a value of it.
        """


class Exporter(Protocol):
    kind: ClassVar[str]  # "exporter"
    name: ClassVar[str]
    sdk: ClassVar[str]
    requirements: ClassVar[Requirements]
    Options: ClassVar[type]

    def export(self, job: ExportInput, run: Run) -> ExportOutput:
        """The same model and options give the same bytes. `output` may hold what an earlier run of
        the same job left when it was broken off; a file stands there under its name only when it is
        whole.

        Raises:
            RefusedError: the form has no place for this architecture, or for a value of it.
            WeightsError: the weights are not those that the configuration describes.
        """
