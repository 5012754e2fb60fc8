"""Conversations as ShareGPT and OpenAI write them, with or without pictures.

    {"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."}],
    "images": ["a.png"]} {"messages": [{"role": "user", "content": "..." | [parts]}, {"role":
    "assistant", "content": "..."}], "images": [...]}

A file is one JSON array, or JSON Lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from hubkit.sdk import DataError, Record, Row, Terms
from hubkit.sdk.codec import decode
from hubkit.sdk.json_items import items
from hubkit.sdk.rows import Place, records_of

from .record import record

__all__ = ["ShareGPT"]

_SAME_ID = "give each record an id of its own, or set the dataset option `ids: index`"


@dataclass(frozen=True)
class Options:
    """`system`: what is done with a system message: `refuse` it, `drop` it, or put it before the
    first prompt (`prefix`); the model's own template says what stands there when it is used. `ids`:
    the file's own, or the index for all."""

    system: Literal["refuse", "drop", "prefix"] = "refuse"
    ids: Literal["file", "index"] = "file"
    license: str = ""


class ShareGPT:
    kind: ClassVar[str] = "dataset"
    name: ClassVar[str] = "sharegpt"
    sdk: ClassVar[str] = "1.1"
    Options: ClassVar[type] = Options

    def records(self, source: Path, options: Mapping[str, Any]) -> Iterator[Record]:
        return records_of(self.scan(source, options, False), source, _SAME_ID)

    def scan(self, source: Path, options: Mapping[str, Any], fix: bool) -> Iterator[Row]:
        chosen = decode(Options, options, "options of dataset sharegpt")
        for index, (line, item) in enumerate(items(source, keep_going=True)):
            if isinstance(item, DataError):
                yield Row(index, line, None, item)
                continue
            place = Place(source, index, line, item)
            try:
                found, fixes = record(
                    place, str(index) if chosen.ids == "index" else None, chosen.system, fix
                )
                yield Row(index, line, found, fixes=fixes)
            except DataError as problem:
                yield Row(index, line, None, problem)

    def terms(self, source: Path, options: Mapping[str, Any]) -> Terms:
        return Terms(license=decode(Options, options, "options of dataset sharegpt").license)
