"""A large file of records in parts, which processes read at the same time."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .files import open_file

_ARRAY = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\n\r]*\[")
_KEY = re.compile(rb'[ \t\n\r]*(\{[ \t\n\r]*"[^"\\]*")')
_BLOCK = 1 << 20
"""Bytes that are looked at at once; in the first, two records have to begin."""


@dataclass(frozen=True)
class Part:
    """The records in the bytes of a file from `start` to `end`; `first` is the number of the first
    of them, counted from 0."""

    start: int
    end: int
    first: int


def parts(source: Path, count: int) -> tuple[Part, ...]:
    """`source`, JSON Lines or one array of objects, in about `count` parts of equal size; none
    where no place to cut is found.

    An array is cut where the text looks as it does between its first two records, and with the
    first key of a record. Only reading a part shows whether that was between records.

    Raises:
        OSError: it cannot be read.
    """
    with open_file(source) as file:
        size, head = os.fstat(file.fileno()).st_size, file.read(_BLOCK)
        array = _ARRAY.match(head)
        if array is None:
            return tuple(_cut(file, b"\n", 1, (0, size), count))
        key = _KEY.match(head, array.end())
        between = key and re.compile(rb"\}([ \t\n\r]*),[ \t\n\r]*" + re.escape(key[1])).search(head)
        file.seek(max(0, size - _BLOCK))
        tail = file.read().rstrip(b" \t\n\r")
        if not between or not tail.endswith(b"]"):
            return ()
        inside = array.end(), max(0, size - _BLOCK) + len(tail) - 1
        return tuple(_cut(file, between[0], between.end(1) - between.start(), inside, count))


def _cut(
    file: BinaryIO, mark: bytes, ends: int, inside: tuple[int, int], count: int
) -> Iterator[Part]:
    """Parts that end `ends` bytes into `mark`, what stands between two records; a comma there is in
    neither."""
    comma, (start, end) = mark[ends : ends + 1] == b",", inside
    begin, first, records, made = start, 0, 0, 1
    for base, text in _blocks(file, start, end, len(mark) - 1):
        at = 0
        while True:
            due = start + made * (end - start) // count - ends - base
            found = text.find(mark, max(at, due)) if due < len(text) else -1
            if found < 0:
                break
            records += text.count(mark, at, found) + 1
            at, stop = found + len(mark), base + found + ends
            yield Part(begin, stop, first)
            begin, first, made = stop + comma, records, made + 1
        records += text.count(mark, at)
        if made >= count:  # what is left is the last
            break
    if begin < end:
        yield Part(begin, end, first)


def _blocks(file: BinaryIO, start: int, end: int, again: int) -> Iterator[tuple[int, bytes]]:
    """(where it starts, bytes); each begins with the last `again` bytes of the one before."""
    file.seek(start)
    rest = b""
    while start < end and (block := file.read(min(_BLOCK, end - start))):
        yield start - len(rest), (text := rest + block)
        start += len(block)
        rest = text[len(text) - again :] if again else b""
