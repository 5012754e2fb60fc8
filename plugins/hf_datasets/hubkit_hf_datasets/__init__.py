"""Folders of Hugging Face datasets: parquet with pictures inside, JSON Lines, and image folders
with metadata or classes.

Which columns are question, answer, picture or conversation is found by their usual names, or said
by the options. Pictures within parquet files come with the rows; `hubkit prepare` writes them out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hubkit.sdk import DataError, Record, Row, Terms
from hubkit.sdk.codec import decode
from hubkit.sdk.rows import Place, records_of

from .card import terms
from .columns import Columns, record
from .tables import tables

__all__ = ["HFDatasets"]


@dataclass(frozen=True)
class Options:
    """Names of columns; empty ones are looked for. `conversations` is a column of turns, in
    ShareGPT's or OpenAI's form. `prompt` is the question where no column has one, as with captions
    and classes. `split` takes only files or folders of that split."""

    split: str = ""
    image: str = ""
    question: str = ""
    answer: str = ""
    conversations: str = ""
    id: str = ""
    prompt: str = "Describe this picture."


class HFDatasets:
    kind: ClassVar[str] = "dataset"
    name: ClassVar[str] = "hf_datasets"
    sdk: ClassVar[str] = "1.1"
    Options: ClassVar[type] = Options

    def records(self, source: Path, options: Mapping[str, Any]) -> Iterator[Record]:
        return records_of(self.scan(source, options, False), source)

    def scan(self, source: Path, options: Mapping[str, Any], fix: bool) -> Iterator[Row]:
        """Nothing is repaired: tables have columns of one type."""
        chosen = decode(Options, options, "options of dataset hf_datasets")
        index = 0
        for file, items, classes in tables(source, chosen.split):
            columns = None
            for item in items:
                if isinstance(item, DataError):
                    yield Row(index, None, None, item)
                else:
                    columns = columns or Columns.find(file, item, chosen, classes)
                    yield _row(Place(file, index, None, item), columns)
                index += 1

    def terms(self, source: Path, options: Mapping[str, Any]) -> Terms:
        return terms(source if source.is_dir() else source.parent)


def _row(place: Place, columns: Columns) -> Row:
    try:
        found, pictures = record(place, columns)
        return Row(place.index, None, found, pictures=pictures)
    except DataError as problem:
        return Row(place.index, None, None, problem)
