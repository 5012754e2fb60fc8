"""The life of a dataset adapter."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from ..codec import encode
from ..dataset import DatasetAdapter, Terms
from ..errors import DataError
from ..records import IMAGE, Record
from ._base import check_contract, check_travels, require
from ._scan import check_scan

_NONE: Mapping[str, Any] = MappingProxyType({})


def check_dataset(
    plugin: DatasetAdapter,
    source: Path,
    expected_count: int,
    *,
    options: Mapping[str, Any] = _NONE,
    bad: Mapping[Path, str] = MappingProxyType({}),
) -> tuple[Record, ...]:
    """Reads `source` twice and checks every record; each file of `bad` must raise a DataError that
    holds the given text.

    An adapter with a `scan` must find the same records with it, name what is wrong with a bad file,
    and go on after it. Returns the records.
    """
    check_contract(plugin, "dataset")
    stream = plugin.records(source, options)
    require(
        isinstance(stream, Iterator),
        "`records` must stream: return an iterator, such as a generator, not a list",
    )
    records = tuple(stream)
    require(
        len(records) == expected_count,
        f"{source} gave {len(records)} records, expected {expected_count}",
    )
    require(
        tuple(plugin.records(source, options)) == records,
        "reading the same file twice gave different records",
    )
    ids = [record.id for record in records]
    require(
        len(set(ids)) == len(ids),
        f"ids repeat: {sorted({one for one in ids if ids.count(one) > 1})[:5]}",
    )
    for record in records:
        _check_record(record)
    require(isinstance(plugin.terms(source, options), Terms), "`terms` must return Terms")
    for file, text in bad.items():
        _check_refuses(plugin, file, options, text)
    if callable(getattr(plugin, "scan", None)):
        check_scan(plugin, source, options, records, bad)  # type: ignore[arg-type]
    return records


def _check_record(record: Record) -> None:
    check_travels(record, Record)
    where = f"record {record.id!r}"
    require(
        _encodable(record),
        f"{where} holds half a surrogate pair (\\ud800...\\udfff), which no file in UTF-8 can hold",
    )
    for image in record.images:
        path = PurePosixPath(image)
        require(
            image and not path.is_absolute() and ".." not in path.parts,
            f"{where}: image {image!r} must be a relative path",
        )
    require(record.turns, f"{where} has no turn")
    count = sum(turn.prompt.count(IMAGE) for turn in record.turns)
    require(
        count == len(record.images), f"{where} has {count} {IMAGE} for {len(record.images)} images"
    )
    require(all(turn.answer for turn in record.turns), f"{where} has an empty answer")


def _encodable(record: Record) -> bool:
    try:
        json.dumps(encode(record), ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _check_refuses(
    plugin: DatasetAdapter, file: Path, options: Mapping[str, Any], text: str
) -> None:
    try:
        count = sum(1 for _ in plugin.records(file, options))
    except DataError as error:
        require(file.name in error.message, f"the error does not name {file.name}: {error.message}")
        require(
            text in error.message,
            f"the error for {file.name} does not say {text!r}: {error.message}",
        )
        require(error.remedy, f"the error for {file.name} has no remedy")
        return
    require(
        False,
        f"{file.name} was read without complaint ({count} records), it must raise a DataError",
    )
