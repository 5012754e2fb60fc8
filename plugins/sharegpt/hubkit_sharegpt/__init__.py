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
from hubkit.sdk.json_parts import Part
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
        return self._rows(source, options, fix, None)

    def scan_part(self, source: Path, options: Mapping[str, Any], part: Part) -> Iterator[Row]:
        return self._rows(source, options, False, part)

    def _rows(
        self, source: Path, options: Mapping[str, Any], fix: bool, part: Part | None
    ) -> Iterator[Row]:
        chosen = decode(Options, options, "options of dataset sharegpt")
        found, first = items(source, keep_going=True, part=part), part.first if part else 0
        for index, (line, item) in enumerate(found, first):
            if isinstance(item, DataError):
                yield Row(index, line, None, item)
                continue
            place = Place(source, index, line, item)
            try:
                own, fixes = record(
                    place, str(index) if chosen.ids == "index" else None, chosen.system, fix
                )
                yield Row(index, line, own, fixes=fixes)
            except DataError as problem:
                yield Row(index, line, None, problem)

    def terms(self, source: Path, options: Mapping[str, Any]) -> Terms:
        return Terms(license=decode(Options, options, "options of dataset sharegpt").license)
