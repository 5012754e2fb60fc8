"""DatasetAdapter: reads one dataset format into records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from .json_parts import Part
from .records import Record
from .rows import Row

RESTRICTIONS = {
    "evaluation-only": "the data are for evaluating models",
    "no-training": "models may not be trained on the data",
    "no-derivatives": "what is derived from the data may not be published",
    "no-redistribution": "the data may not be passed on",
}
"""Terms that forbid a release, by id, until the release file accepts them with a reason."""


@dataclass(frozen=True)
class Terms:
    """`license` is an SPDX id or a hub's licence id, empty when the data says nothing; `notes` are
    shown in the card.

    `restrictions` are ids of RESTRICTIONS, and `url` is where the terms can be read. `benchmark` is
    the name of the benchmark of which these data are test items, empty when they are not: a card
    says so when a model was trained on them."""

    license: str = ""
    notes: tuple[str, ...] = ()
    restrictions: tuple[str, ...] = ()
    url: str = ""
    benchmark: str = ""


class DatasetAdapter(Protocol):
    kind: ClassVar[str]  # "dataset"
    name: ClassVar[str]
    sdk: ClassVar[str]
    Options: ClassVar[type]

    def records(self, source: Path, options: Mapping[str, Any]) -> Iterator[Record]:
        """Streams the records of `source` in its order.

        Raises:
            DataError: names the file, the record's index and id, and the field; says what was
                expected.
        """

    def terms(self, source: Path, options: Mapping[str, Any]) -> Terms: ...


class ScanningDataset(DatasetAdapter, Protocol):
    """An adapter that goes on after a bad record, for reports and repairs; `scan` is optional for
    an adapter."""

    def scan(self, source: Path, options: Mapping[str, Any], fix: bool) -> Iterator[Row]:
        """Every item of `source` in its order, sound or not; with `fix`, what can be repaired
        without guessing is. Ids may repeat.

        Raises:
            DataError: the file as a whole cannot be read, or cannot be read any further.
        """


class PartedDataset(ScanningDataset, Protocol):
    """An adapter whose large files several processes read at the same time; optional too. A file is
    cut by `hubkit.sdk.json_parts`, and `hubkit.sdk.json_items` reads a part."""

    def scan_part(self, source: Path, options: Mapping[str, Any], part: Part) -> Iterator[Row]:
        """The rows of `scan` without `fix` that lie in `part`, with their index in the whole file.
        hubkit turns to `scan` when a row is not sound or anything is raised."""
