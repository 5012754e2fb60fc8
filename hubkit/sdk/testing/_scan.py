"""The life of a dataset adapter's optional `scan`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..dataset import ScanningDataset
from ..errors import DataError
from ..records import Record
from ..rows import Row
from ._base import require


def check_scan(
    plugin: ScanningDataset,
    source: Path,
    options: Mapping[str, Any],
    records: tuple[Record, ...],
    bad: Mapping[Path, str],
) -> None:
    """`scan` of `source` gives the records that `records` gave, and of each bad file a problem that
    holds the given text."""
    for fix in (False, True):
        rows = _scanned(plugin, source, options, fix)
        wrong = [row.problem.message for row in rows if row.problem is not None]
        require(
            not wrong, f"`scan` finds fault with {source.name}, which `records` reads: {wrong[:1]}"
        )
        require(
            tuple(row.record for row in rows) == records,
            f"`scan` and `records` read {source.name} differently (fix={fix})",
        )
    for file, text in bad.items():
        _check_names(plugin, file, options, text)


def _scanned(
    plugin: ScanningDataset, source: Path, options: Mapping[str, Any], fix: bool
) -> list[Row]:
    stream = plugin.scan(source, options, fix)
    require(
        isinstance(stream, Iterator),
        "`scan` must stream: return an iterator, such as a generator, not a list",
    )
    rows = list(stream)
    for number, row in enumerate(rows):
        require(isinstance(row, Row), f"`scan` gave a {type(row).__name__}, the contract says Row")
        require(
            row.index == number,
            f"`scan`: row {number} has the index {row.index}; every item has a row, counted from 0",
        )
        both = (row.record is None) == (row.problem is None)
        require(not both, f"`scan`: row {number} must have a record or a problem, and not both")
        pictures, images = row.pictures or {}, row.record.images if row.record else ()
        require(
            set(pictures) <= set(images),
            f"`scan`: row {number} has pictures that its record lacks: {sorted(pictures)[:5]}",
        )
        require(
            all(isinstance(data, bytes) for data in pictures.values()),
            f"`scan`: pictures of row {number} must be bytes",
        )
    return rows


def _check_names(
    plugin: ScanningDataset, file: Path, options: Mapping[str, Any], text: str
) -> None:
    try:
        rows = _scanned(plugin, file, options, False)
        repaired = _scanned(plugin, file, options, True)
    except DataError as error:  # the file as a whole cannot be read
        require(
            text in error.message,
            f"the error of `scan` for {file.name} does not say {text!r}: {error.message}",
        )
        return
    said = [row.problem.message for row in rows if row.problem is not None]
    ids = [row.record.id for row in rows if row.record is not None]
    alone = bool(said) or len(set(ids)) == len(ids) > 0
    require(
        not alone or any(text in one for one in said),
        f"no problem that `scan` finds in {file.name} says {text!r}: {said[:5]}",
    )
    require(
        len(repaired) == len(rows),
        f"`scan` gave {len(rows)} rows of {file.name}, and {len(repaired)} when it was to "
        "repair them",
    )
    silent = [
        new.index
        for old, new in zip(rows, repaired, strict=True)
        if old.problem and not new.problem and not new.fixes
    ]
    require(
        not silent, f"`scan` repaired rows {silent[:5]} of {file.name} without saying so in `fixes`"
    )
