"""From a file to JSON values: an array at once, JSON Lines one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hubkit.sdk import DataError

_BOM = b"\xef\xbb\xbf"
_FORMS = "write one JSON array of records, or one record (a JSON object) a line"
_UTF8 = "save the file as UTF-8"


def items(source: Path) -> Iterator[tuple[int | None, Any]]:
    """The records as JSON values; with the line, counted from 1, where the file is JSON Lines.

    Raises:
        DataError: unreadable, not UTF-8, broken JSON (with the line), or another shape.
    """
    first = _first_byte(source)
    if first == b"[":
        for item in _array(source):
            yield None, item
    elif first == b"{":
        yield from _lines(source)
    elif first:
        raise DataError(f"{source}: neither a JSON array nor JSON Lines (it starts with {first!r})", _FORMS)


def _first_byte(source: Path) -> bytes:
    """The first that is neither white space nor byte order mark; empty for an empty file."""
    try:
        with source.open("rb") as file:
            for line in file:
                if text := line.removeprefix(_BOM).strip():
                    return text[:1]
    except OSError as error:
        raise DataError(f"{source}: cannot be read ({error.strerror})", "name the dataset's JSON file") from None
    return b""


def _array(source: Path) -> list[Any]:
    try:
        with source.open(encoding="utf-8-sig") as file:
            found = json.load(file)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(f"{source}, line {line}: not UTF-8", _UTF8) from None
    except json.JSONDecodeError as error:
        where = f"{source}, line {error.lineno}, column {error.colno}"
        raise DataError(f"{where}: not JSON ({error.msg})", "correct the file at that place") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source}: a number too long or too deep a nesting ({error})", _FORMS) from None
    assert isinstance(found, list)
    return found


def _lines(source: Path) -> Iterator[tuple[int, Any]]:
    with source.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                if text.strip():
                    yield number, json.loads(text)
            except UnicodeDecodeError:
                raise DataError(f"{source}, line {number}: not UTF-8", _UTF8) from None
            except json.JSONDecodeError as error:
                what = "neither a JSON array nor JSON Lines" if number == 1 else "not JSON"
                message = f"{source}, line {number}: {what} ({error.msg})"
                raise DataError(message, f"correct that line; {_FORMS}") from None
            except (ValueError, RecursionError) as error:
                message = f"{source}, line {number}: a number too long or too deep a nesting ({error})"
                raise DataError(message, _FORMS) from None
