"""Reading a file of records value by value: one JSON array, or JSON Lines; a 10 GB file takes a few
megabytes of memory."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from . import json_text
from .errors import DataError
from .files import open_file
from .json_parts import Part

_BOM = b"\xef\xbb\xbf"
_FORMS = "write one JSON array of records, or one record (a JSON object) a line"
_UTF8 = "save the file as UTF-8"
_CHUNK = 1 << 22
_LONGEST = 64 << 20
"""Characters of one record."""
_TOKEN = 64
"""Characters by which the end of a window can make sound JSON look broken, an unended string aside.
"""
_SKIP = re.compile(r"[ \t\n\r]*").match


def items(
    source: Path, *, keep_going: bool = False, part: Part | None = None
) -> Iterator[tuple[int | None, Any]]:
    """The records of `source` as JSON values; with the line, counted from 1, where the file is JSON
    Lines.

    With `keep_going` a broken line of JSON Lines gives its DataError in place of a value. After
    broken JSON within an array nothing can be told apart any more: that is always raised.

    With `part` the records of that part. A DataError may then also mean that the file was cut where
    no record ends; its place counts from the part's start.

    Raises:
        DataError: unreadable, not UTF-8, broken JSON (with the line), or another shape.
    """
    first = _first_byte(source)
    if part:
        yield from _of_part(source, part) if first == b"[" else _lines(source, False, part)
    elif first == b"[":
        for item in _array(source):
            yield None, item
    elif first == b"{":
        yield from _lines(source, keep_going)
    elif first:
        raise DataError(
            f"{source}: neither a JSON array nor JSON Lines (it starts with {first!r})",
            _FORMS,
            code="json",
        )


def _first_byte(source: Path) -> bytes:
    """The first that is neither white space nor byte order mark; empty for an empty file."""
    try:
        with open_file(source) as file:
            while block := file.read(_CHUNK):
                if text := block.removeprefix(_BOM).strip():
                    return text[:1]
    except OSError as error:
        raise DataError(
            f"{source}: cannot be read ({error.strerror})", "name the dataset's JSON file"
        ) from None
    return b""


def _array(source: Path) -> Iterator[Any]:
    with open_file(source) as file:
        window = _Window(source, file)
        window.sign()
        window.at += 1
        if window.sign() != "]":
            yield from _elements(window)
            if window.sign() != "]":
                raise window.broken("Expecting ',' delimiter", window.at)
        window.at += 1
        if window.sign():
            raise window.broken("Extra data", window.at)


def _elements(window: _Window) -> Iterator[Any]:
    yield window.value()
    while window.sign() == ",":
        window.at += 1
        yield window.value()


def _of_part(source: Path, part: Part) -> Iterator[tuple[None, Any]]:
    """JSON can be read in one way only: when each part of an array's inside, cut at commas, is
    values and commas, those are the array's."""
    with open_file(source) as file:
        file.seek(part.start)
        window = _Window(source, file, part.end - part.start)
        for item in _elements(window):
            yield None, item
        if window.sign():
            raise window.broken("Expecting ',' delimiter", window.at)


class _Window:
    """The part of a file's text that is being parsed: `text` from the position `at` on."""

    def __init__(self, source: Path, file: BinaryIO, size: int | None = None) -> None:
        self.text, self.at = "", 0
        self._source, self._file = source, file
        self._utf8 = codecs.getincrementaldecoder("utf-8-sig")()
        self._decode = json.JSONDecoder(object_pairs_hook=json_text.unique).raw_decode
        self._lines, self._column, self._left = 0, 0, size

    def sign(self) -> str:
        """The next character that is not white space, which `at` then points to; empty at the end
        of the file."""
        while True:
            match = _SKIP(self.text, self.at)
            self.at = match.end() if match else self.at
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._more():
                return ""

    def value(self) -> Any:
        self.sign()
        while True:
            if len(self.text) - self.at > _LONGEST:
                raise self.broken(f"a record longer than {_LONGEST:,} characters", self.at)
            try:
                item, end = self._decode(self.text, self.at)
                json_text.check_depth(item, self.text, self.at, end)
            except json.JSONDecodeError as error:
                unended = error.msg.startswith("Unterminated")
                if (len(self.text) - error.pos > _TOKEN and not unended) or not self._more():
                    raise self.broken(error.msg, error.pos) from None
            except (ValueError, RecursionError) as error:
                raise self.broken(json_text.reason(error), self.at) from None
            else:
                rest = self.text[end : end + 3]
                whole = rest and not (
                    len(rest) < 3 and rest[0] in ".eE"
                )  # `1.`, `1e` or `1e+` of a longer number
                if self._left is not None and end - self.at > _CHUNK:
                    # what a window may hold beside it depends on where reading began
                    raise self.broken("a long record within a part", self.at)
                if whole or not self._more():
                    self.at = end
                    return item

    def broken(self, message: str, at: int) -> DataError:
        """The error for what stands at `at`; lines and columns count from 1."""
        line = self._lines + self.text.count("\n", 0, at) + 1
        newline = self.text.rfind("\n", 0, at)
        column = at - newline if newline >= 0 else self._column + at + 1
        where = f"{self._source}, line {line}, column {column}"
        return DataError(
            f"{where}: not JSON ({message})", "correct the file at that place", code="json"
        )

    def _more(self) -> bool:
        """Drops what was parsed and reads on, the more the longer the value is; False at the end of
        the file."""
        size = max(_CHUNK, len(self.text) - self.at)
        data = self._file.read(size if self._left is None else min(size, self._left))
        if self._left is not None:
            self._left -= len(data)
        try:
            added = self._utf8.decode(data, final=not data)
        except UnicodeDecodeError as error:
            # The window's text is dropped only below: all of it stands before the bytes at fault.
            line = (
                self._lines + self.text.count("\n") + error.object.count(b"\n", 0, error.start) + 1
            )
            raise DataError(
                f"{self._source}, line {line}: not UTF-8", _UTF8, code="encoding"
            ) from None
        if not data:
            return False
        done = self.text[: self.at]
        self._lines += done.count("\n")
        newline = done.rfind("\n")
        self._column = len(done) - newline - 1 if newline >= 0 else self._column + len(done)
        self.text, self.at = self.text[self.at :] + added, 0
        if len(self.text) >= 2 * _CHUNK:
            try:
                json_text.check_items(self.text)
            except ValueError as error:
                raise self.broken(str(error), 0) from None
        return True


def _lines(source: Path, keep_going: bool, part: Part | None = None) -> Iterator[tuple[int, Any]]:
    at = part.start if part else 0
    with open_file(source) as file:
        file.seek(at)
        lines = iter(lambda: file.readline(_LONGEST + 1), b"")
        for number, line in enumerate(lines, part.first + 1 if part else 1):
            at += len(line)
            if part and at > part.end:
                return
            if part and line.isspace() and at < part.end:
                raise DataError(f"{source}: an empty line within a part", _FORMS, code="json")
            if len(line) > _LONGEST:
                raise DataError(
                    f"{source}, line {number}: longer than {_LONGEST:,} bytes", _FORMS, code="json"
                )
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                if text.strip():
                    yield number, _line(text)
            except (ValueError, RecursionError) as error:
                problem = _line_problem(source, number, error)
                if number == 1 or not keep_going:
                    raise problem from None
                yield number, problem


def _line(text: str) -> Any:
    json_text.check_items(text)
    item = json.loads(text, object_pairs_hook=json_text.unique)
    json_text.check_depth(item, text)
    return item


def _line_problem(source: Path, number: int, error: Exception) -> DataError:
    where = f"{source}, line {number}"
    if isinstance(error, UnicodeDecodeError):
        return DataError(f"{where}: not UTF-8", _UTF8, code="encoding")
    if isinstance(error, json.JSONDecodeError):
        what = "neither a JSON array nor JSON Lines" if number == 1 else "not JSON"
        return DataError(
            f"{where}: {what} ({error.msg})", f"correct that line; {_FORMS}", code="json"
        )
    return DataError(f"{where}: not JSON ({json_text.reason(error)})", _FORMS, code="json")
