"""LLaVA-format JSON datasets: `[{"id", "image": "a.png" | [...], "conversations": [{"from": "human" | "gpt", "value"}]}]`.

A file is one JSON array, or JSON Lines with one such object a line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from hubkit.sdk import DataError, Record, Terms
from hubkit.sdk.codec import decode

from ._file import items
from ._record import Place, record

__all__ = ["LlavaJson"]


@dataclass(frozen=True)
class Options:
    """`ids`: the file's own (the index where one has none), or the index for all, for files that repeat ids. `license`: the
    format has no place for it."""

    ids: Literal["file", "index"] = "file"
    license: str = ""


class LlavaJson:
    kind: ClassVar[str] = "dataset"
    name: ClassVar[str] = "llava_json"
    sdk: ClassVar[str] = "1.0"
    Options: ClassVar[type] = Options

    def records(self, source: Path, options: Mapping[str, Any]) -> Iterator[Record]:
        ids = _options(options).ids
        seen: dict[str, int] = {}
        for index, (line, item) in enumerate(items(source)):
            place = Place(source, index, line, item)
            found = record(place, str(index) if ids == "index" else None)
            if found.id in seen:
                remedy = "give each record an id of its own, or set the dataset option `ids: index`"
                raise place.error("id", f"record {seen[found.id]} has the same id", remedy)
            seen[found.id] = index
            yield found
        if not seen:
            raise DataError(f"{source}: the dataset is empty", "name a file that holds records")

    def terms(self, source: Path, options: Mapping[str, Any]) -> Terms:
        return Terms(license=_options(options).license)


def _options(options: Mapping[str, Any]) -> Options:
    return decode(Options, options, "options of dataset llava_json")
