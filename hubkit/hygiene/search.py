"""What a file gives away: credentials, paths of one machine, addresses. A value found is never
shown."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ..sdk.checkpoints.header import MAX_HEADER
from ..sdk.family import Problem
from ..sdk.files import open_file, read_bytes
from .contacts import hosts, mails
from .local_paths import is_local_path, is_vocabulary, paths_within
from .reading import (
    Reading,
    String,
    is_text,
    json_strings,
    read_binary,
    read_strings,
    read_text,
)
from .secrets import secrets

_WHOLE = 64 << 20
"""Bytes of a file that is read at once; a larger one is read in windows."""
_TEXT_LIMIT = 1 << 30
_END = 64 << 20
_WINDOW = 16 << 20
_OVERLAP = 64 << 10
"""Bytes that stand at the end of one window and the beginning of the next: no form of a credential
is longer."""
_SHOWN = 10
"""Findings of one kind in one file that are listed one by one."""

_REVOKE = "remove it, and revoke it if it was ever public"
_PATH = "a path on somebody's machine"
_MAIL = "an e-mail address"
_HOST = "the name or address of a machine in a private network"
_REMEDIES = {
    _PATH: "write a repository name or a relative path, or remove the entry",
    _MAIL: "remove it, or declare it: author.email in release.yaml, or --author-email",
    _HOST: "remove it, or write a public name",
}
_PEOPLE = ("license", "licence", "notice", "copying", "authors", "contributors", "citation")
"""Files that exist to name people; a licence is carried as it is."""

Finding = tuple[str, str]
"""Place and message."""


def search(
    path: Path, where: str, author_email: str = "", *, carried: bool = False
) -> Iterator[Problem]:
    """The findings in the content of one regular file, called `where` in messages.

    `carried`: the file is copied by a merge, which leaves out the JSON entries that are local
    paths; these are then no findings.
    """
    if path.name.endswith(".safetensors"):
        data = _header(path)
    elif path.stat().st_size > _WHOLE:
        yield from _large(path, where, author_email)
        return
    else:
        data = read_bytes(path, _WHOLE)
    yield from _listed(_findings(path.name, where, data, author_email, carried))


def search_texts(texts: Sequence[tuple[str, str]], author_email: str = "") -> Iterator[Problem]:
    """The same for texts that will be published, such as a title or a question; pairs of a name and
    a text."""
    lines = [text.encode(errors="replace").replace(b"\n", b"\r") for _, text in texts]
    reading = Reading(b"\n".join(lines), tuple(name for name, _ in texts))
    found = _within(reading, "", "", author_email, True)
    yield from _listed(((place.removeprefix(": "), message) for place, message in found))


def search_values(data: Any, where: str, author_email: str = "") -> Iterator[Problem]:
    """The same for values that will be published as JSON; `where` names the whole."""
    written = json.dumps(data).encode()
    yield from _listed(_findings("values.json", where, written, author_email, False))


def _header(path: Path) -> bytes:
    """The JSON header of a safetensors file; empty where there is none."""
    with open_file(path) as stream:
        length = int.from_bytes(stream.read(8), "little")
        return stream.read(length) if length <= MAX_HEADER else b""


def _large(path: Path, where: str, author_email: str) -> Iterator[Problem]:
    """Text to its end; of a binary its beginning and its end, where formats keep what is written
    in words (the header of GGUF, the directory of a zip). A finding in an overlap comes twice, with
    the same place."""
    size = path.stat().st_size
    with open_file(path) as stream:
        text = is_text(stream.read(_WINDOW))
        if text and size > _TEXT_LIMIT:
            message = f"{size} bytes of text, too many to be searched for secrets"
            yield Problem(where, message, "leave it out, or split it")
            return
        ends = (0,) if text else (0, max(_END, size - _END))
        prose = text and not is_vocabulary(path.name)
        found = (
            finding
            for start in ends
            for window, lines in _windows(stream, start, size if text else start + _END)
            for reading in (read_text(window, lines) if text else read_binary(window))
            for finding in _within(reading, where, path.name, author_email, prose)
        )
        yield from _listed(found)


def _windows(stream: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int]]:
    """What is in the file from `start` to `end`, in overlapping windows, each with how many lines
    stand before it since `start`."""
    stream.seek(start)
    window, lines = stream.read(min(_WINDOW, end - start)), 0
    while window:
        yield window, lines
        block = stream.read(max(0, min(_WINDOW - _OVERLAP, end - stream.tell())))
        lines += window.count(b"\n", 0, -_OVERLAP)
        window = window[-_OVERLAP:] + block if block else b""


def _findings(
    name: str, where: str, data: bytes, author_email: str, carried: bool
) -> Iterator[Finding]:
    text = is_text(data)
    readings = read_text(data) if text else read_binary(data)
    prose = text and not is_vocabulary(name)
    if name.endswith((".json", ".safetensors")) and prose:
        strings = json_strings(data)
        if strings is not None:
            if carried:
                strings = [string for string in strings if not _is_path(string)]
            else:
                yield from ((f"{where}: {s.at}", _PATH) for s in strings if _is_path(s))
            readings = (read_strings(strings),)
    for reading in readings:
        yield from _within(reading, where, name, author_email, prose)


def _is_path(string: String) -> bool:
    return string.key is not None and is_local_path(string.key, string.text)


def _within(
    reading: Reading, where: str, name: str, author_email: str, prose: bool
) -> Iterator[Finding]:
    found = list(secrets(reading.content))
    places = reading.places(where, (start for start, _, _ in found))
    yield from zip(places, (f"looks like {kind}" for _, _, kind in found), strict=True)
    if prose:
        for message, positions in _private(reading.content, name, author_email):
            apart = _outside([(start, end) for start, end, _ in found], positions)
            yield from ((place, message) for place in reading.places(where, apart))


def _private(content: bytes, name: str, author_email: str) -> Iterator[tuple[str, Iterable[int]]]:
    """(message, ascending positions) of each kind."""
    yield _PATH, paths_within(content)
    yield _HOST, hosts(content)
    if not name.lower().startswith(_PEOPLE):
        found = mails(content, author_email)
        yield _MAIL, (at for at in found if not _names_author(name, content, at))


def _outside(spans: list[tuple[int, int]], positions: Iterable[int]) -> Iterator[int]:
    """The positions that no span holds: what is part of a credential is told already."""
    number = 0
    for at in positions:
        while number < len(spans) and spans[number][1] <= at:
            number += 1
        if number == len(spans) or at < spans[number][0]:
            yield at


def _names_author(name: str, content: bytes, at: int) -> bool:
    """Whether a comment in code names its author with the address."""
    if not name.endswith(".py"):
        return False
    line = content[content.rfind(b"\n", max(at - 400, 0), at) + 1 : at].lower()
    in_brackets = line.lstrip().startswith(b"#") and line.endswith(b"<")
    return in_brackets or b"copyright" in line or b"author" in line


def _listed(findings: Iterator[Finding]) -> Iterator[Problem]:
    """One Problem a place; where there are many of a kind, the first of them and a count."""
    kinds: dict[str, dict[str, None]] = defaultdict(dict)
    for place, message in findings:
        kinds[message][place] = None
    for message, places in kinds.items():
        more = len(places) - _SHOWN
        for number, place in enumerate(places, 1):
            if number > _SHOWN:
                break
            rest = f" (and {more} more in this file)" if number == _SHOWN and more > 0 else ""
            yield Problem(place, message + rest, _REMEDIES.get(message, _REVOKE))
