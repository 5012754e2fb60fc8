"""What a file says, made ready for searching: its lines, or the strings of its JSON with their
keys."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..sdk import json_text

_PLAIN, _WIDE = re.compile(rb"[\t\n\r -~]{8,}"), re.compile(rb"(?:[\t\n\r -~]\0){8,}[ -~]?")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Reading:
    """`content` is one string a line where `keys` has a dotted key for each line. `before` is how
    many lines stand before it in the file; None where the file has no lines."""

    content: bytes
    keys: tuple[str, ...] | None = None
    before: int | None = 0

    def places(self, file: str, positions: Iterable[int]) -> Iterator[str]:
        """`file:line`, `file: key` or `file` of ascending positions; one pass over the content."""
        line, last = 0, 0
        for at in positions:
            line += self.content.count(b"\n", last, at)
            last = at
            if self.keys is not None:
                yield f"{file}: {self.keys[line]}"
            else:
                yield file if self.before is None else f"{file}:{self.before + line + 1}"


def read_text(data: bytes, before: int = 0) -> tuple[Reading, ...]:
    """The bytes as they are and, where there are NULs, without them: UTF-16 reads as ASCII."""
    contents = (data, data.replace(b"\0", b"")) if b"\0" in data else (data,)
    return tuple(Reading(content, before=before) for content in contents)


def read_binary(data: bytes) -> tuple[Reading, ...]:
    """What can be read in it as ASCII, and as UTF-16."""
    plain, wide = b"\n".join(_PLAIN.findall(data)), b"\n".join(_WIDE.findall(data))
    return Reading(plain, before=None), Reading(wide.replace(b"\0", b""), before=None)


def is_text(data: bytes) -> bool:
    """Whether people read this: not so where a NUL comes early in something that is no UTF-8 or
    UTF-16. The end may be cut within a character."""
    if b"\0" not in data[:8192] or data.startswith(_UTF16):
        return True
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)
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
    """Every string of JSON, the keys among them; None where it is not JSON within bounds."""
    try:
        text = data.decode()
        json_text.check_items(text)
        return list(_strings(json.loads(text, object_pairs_hook=_Pairs), "", ""))
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
            yield from _strings(value, f"{at}.{name}".strip("."), name)
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from _strings(value, f"{at}[{number}]", key)
