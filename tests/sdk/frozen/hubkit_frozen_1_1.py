"""Plugins as they were written for SDK 1.1. Never edit this file: plugins like these are installed on people's machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubkit.sdk import (
    CardFacts,
    Companions,
    DataError,
    ModuleGroup,
    NativeModel,
    Problem,
    RecognisedModel,
    Record,
    Row,
    TensorMap,
    Terms,
    Turn,
    UsageError,
    Vision,
)


@dataclass(frozen=True)
class Options:
    separator: str = "\t"


class Lines:
    """A dataset of one `question<tab>answer` a line, which goes on after a bad one."""

    kind, name, sdk, Options = "dataset", "scanned_lines", "1.1", Options

    def records(self, source: Path, options: Mapping[str, Any]) -> Iterator[Record]:
        for row in self.scan(source, options, False):
            if row.record is None:
                raise row.problem or DataError("nothing", "nothing")
            yield row.record

    def scan(self, source: Path, options: Mapping[str, Any], fix: bool) -> Iterator[Row]:
        for number, line in enumerate(source.read_text().splitlines()):
            question, tab, answer = line.partition(Options(**options).separator)
            if tab:
                yield Row(number, number + 1, Record(str(number), (), (Turn(question, answer),)))
            elif fix:
                yield Row(number, number + 1, Record(str(number), (), (Turn(question, "?"),)), fixes=("added an answer",))
            else:
                problem = DataError(f"{source}, record {number}: no answer", "write a tab and the answer", code="unanswered")
                yield Row(number, number + 1, None, problem)

    def terms(self, source: Path, options: Mapping[str, Any]) -> Terms:
        return Terms()


class Words:
    """A metric: right when answer and reference are the same words."""

    kind, name, sdk, version = "metric", "same_words", "1.1", "1"

    def score(self, answer: str, references: Sequence[str], meta: Mapping[str, str]) -> float:
        return float(any(sorted(answer.split()) == sorted(reference.split()) for reference in references))


class Pair:
    """A family of two tensors and a bridge, one of them split in the native view."""

    kind, name, sdk = "family", "pair", "1.1"
    maps = (
        TensorMap("llm.q.weight", "fused", ((0, 2), (4, 5))),
        TensorMap("llm.k.weight", "fused", ((2, 4), (5, 6))),
        TensorMap("vit.fc.weight", "eye"),
        TensorMap("mlp1.fc.weight", "bridge"),
    )

    def recognises(self, config: Mapping[str, Any]) -> bool:
        return config.get("model_type") == "pair"

    def describe(self, config: Mapping[str, Any]) -> RecognisedModel:
        return RecognisedModel("Pair", "two tensors and a bridge", 18)

    def layout(self, config: Mapping[str, Any]) -> Mapping[str, tuple[int, ...]]:
        if "rows" not in config:
            raise UsageError("config.json: `rows` is missing", "add it")
        return {"fused": (config["rows"], 2), "eye": (2, 2), "bridge": (2,)}

    def native(self, config: Mapping[str, Any], tokens: Mapping[str, int] | None = None) -> NativeModel:
        groups = {"llm": ModuleGroup("llm", ("q", "k")), "vit": ModuleGroup("vit", ("fc",)), "mlp1": ModuleGroup("mlp1", ("fc",))}
        return NativeModel({"model_type": "pair-native"}, self.maps, groups)

    def vision(self, config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> Vision:
        return Vision(56, 16, 1, 1, True, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    def companions(self, config: Mapping[str, Any]) -> Companions:
        return Companions(("config.json", "tokenizer.json|tokenizer.model"), ("README.md",))

    def check(self, folder: Path, config: Mapping[str, Any]) -> tuple[Problem, ...]:
        return ()

    def repository_problem(self, repository: str) -> str | None:
        return None if "Pair" in repository else "the name must hold Pair"

    def card(self, config: Mapping[str, Any]) -> CardFacts:
        return CardFacts("transformers", "image-text-to-text", (), {"Use it": "load('{repository}')"})
