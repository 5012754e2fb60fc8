"""LLaVA-format JSON datasets: `[{"id", "image": "a.png" | [...], "conversations": [{"from": "human"
| "gpt", "value"}]}]`.

A file is one JSON array, or JSON Lines with one such object a line. Both are read as a stream.
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

from .fix import repaired
from .record import record

__all__ = ["LlavaJson"]

_SAME_ID = "give each record an id of its own, or set the dataset option `ids: index`"


@dataclass(frozen=True)
class Options:
    """`ids`: the file's own (the index where one has none), or the index for all, for files that
    repeat ids. `license`: the format has no place for it."""

    ids: Literal["file", "index"] = "file"
    license: str = ""


class LlavaJson:
    kind: ClassVar[str] = "dataset"
    name: ClassVar[str] = "llava_json"
    sdk: ClassVar[str] = "1.1"
    Options: ClassVar[type] = Options

    def records(self, source: Path, options: Mapping[str, Any]) -> Iterator[Record]:
        return records_of(_rows(source, options, fix=False, keep_going=False), source, _SAME_ID)

    def scan(self, source: Path, options: Mapping[str, Any], fix: bool) -> Iterator[Row]:
        return _rows(source, options, fix, keep_going=True)

    def scan_part(self, source: Path, options: Mapping[str, Any], part: Part) -> Iterator[Row]:
        return _rows(source, options, fix=False, keep_going=False, part=part)

    def terms(self, source: Path, options: Mapping[str, Any]) -> Terms:
        return Terms(license=_options(options).license)


def _rows(
    source: Path,
    options: Mapping[str, Any],
    fix: bool,
    keep_going: bool,
    part: Part | None = None,
) -> Iterator[Row]:
    by_index, first = _options(options).ids == "index", part.first if part else 0
    found = items(source, keep_going=keep_going, part=part)
    for index, (line, item) in enumerate(found, first):
        if isinstance(item, DataError):
            yield Row(index, line, None, item)
            continue
        place, identity = Place(source, index, line, item), str(index) if by_index else None
        try:
            yield Row(index, line, record(place, identity))
        except DataError as problem:
            yield _mended(place, identity, problem) if fix else Row(index, line, None, problem)


def _mended(place: Place, identity: str | None, problem: DataError) -> Row:
    item, fixes = repaired(place.item)
    place = Place(place.source, place.index, place.line, item)
    try:
        return Row(place.index, place.line, record(place, identity), fixes=fixes)
    except DataError as remaining:
        return Row(place.index, place.line, None, remaining if fixes else problem)


def _options(options: Mapping[str, Any]) -> Options:
    return decode(Options, options, "options of dataset llava_json")
