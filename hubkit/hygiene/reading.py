"""What a file says, made ready for searching: its lines, or the strings of its JSON with their
keys."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Reading:
    """`content` is one string a line where `keys` has a dotted key for each line."""

    content: bytes
    keys: tuple[str, ...] | None = None

    def places(self, file: str, positions: Iterable[int]) -> Iterator[str]:
        """`file:line` or `file: key` of ascending positions; one pass over the content."""
        line, last = 0, 0
        for at in positions:
            line += self.content.count(b"\n", last, at)
            last = at
            yield f"{file}:{line + 1}" if self.keys is None else f"{file}: {self.keys[line]}"


def read_text(data: bytes) -> tuple[Reading, ...]:
    """The bytes as they are and, of text that has NULs, without them: UTF-16 reads as ASCII."""
    whole = Reading(data)
    if b"\0" not in data or not is_text(data):
        return (whole,)
    return whole, Reading(data.replace(b"\0", b""))


def is_text(data: bytes) -> bool:
    """Whether people read this: not so where a NUL comes early in something that is no UTF-8 or
    UTF-16."""
    if b"\0" not in data[:8192] or data.startswith(_UTF16):
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with every entry: of a key given twice, a dict keeps the second only."""


@dataclass(frozen=True)
class String:
    """A string in JSON at the dotted key `at`. `key` is the one that it stands under; None when it
    is a key itself, of the object at `at`."""

    at: str
    key: str | None
    text: str


def json_strings(data: bytes) -> list[String] | None:
    """Every string of JSON, the keys among them; None where it is not JSON."""
    try:
        return list(_strings(json.loads(data.decode(), object_pairs_hook=_Pairs), "", ""))
    except (ValueError, RecursionError):
        return None


def read_strings(strings: Sequence[String]) -> Reading:
    lines = [s.text.encode(errors="replace").replace(b"\n", b"\r") for s in strings]
    return Reading(b"\n".join(lines), tuple(s.at or "a key" for s in strings))


def _strings(data: Any, at: str, key: str) -> Iterator[String]:
    if isinstance(data, str):
        yield String(at, key, data)
    elif isinstance(data, _Pairs):
        for name, value in data:
            yield String(at, None, name)
            yield from _strings(value, f"{at}.{name}".lstrip("."), name)
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from _strings(value, f"{at}[{number}]", key)
