"""DatasetAdapter: reads one dataset format into records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from .records import Record


@dataclass(frozen=True)
class Terms:
    """`license` is an SPDX id or a hub's licence id, empty when the data says nothing; `notes` are shown in the card."""

    license: str = ""
    notes: tuple[str, ...] = ()


class DatasetAdapter(Protocol):
    kind: ClassVar[str]  # "dataset"
    name: ClassVar[str]
    sdk: ClassVar[str]
    Options: ClassVar[type]

    def records(self, source: Path, options: Mapping[str, Any]) -> Iterator[Record]:
        """Streams the records of `source` in its order.

        Raises:
            DataError: names the file, the record's index and id, and the field; says what was expected.
        """

    def terms(self, source: Path, options: Mapping[str, Any]) -> Terms: ...
