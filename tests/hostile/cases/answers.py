"""Servers that are no hub, or mean harm."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path

from case import Case

KIND = "answers of hubs"

_JSON = {"content-type": "application/json"}
_REMOTE, _CREDENTIALS = 5, 4
Answer = tuple[int, Mapping[str, str], bytes]


def _ok(body: bytes, **headers: str) -> Answer:
    return 200, {**_JSON, **{name.replace("_", "-"): text for name, text in headers.items()}}, body


_ANSWERS: dict[str, Answer] = {
    "nothing": _ok(b""),
    "text": _ok(b"hello"),
    "a page": (200, {"content-type": "text/html"}, b"<html></html>"),
    "a list": _ok(b"[]"),
    "null": _ok(b"null"),
    "a number": _ok(b"1e999"),
    "other types": _ok(b'{"sha": [], "Data": 3, "siblings": "x", "tags": 4}'),
    "deep": _ok(b"[" * 100_000),
    "20 million values": _ok(b"[" + b"[]," * 20_000_000 + b"1]"),
    "5,000 digits": _ok(b'{"sha": ' + b"9" * 5000 + b"}"),
    "half a surrogate pair": _ok(b'{"sha": "\\ud800", "Data": {"Files": "\\ud800"}}'),
    "70 MB": _ok(b'{"a": "' + b"x" * (70 << 20)),
    "a compressed bomb": _ok(gzip.compress(bytes(200 << 20)), content_encoding="gzip"),
    "broken compression": _ok(b"hello", content_encoding="gzip"),
    "a length too great": _ok(b"{}", content_length="9999999"),
    "a length that is none": _ok(b"{}", content_length="x"),
    "a redirect to itself": (302, {"location": "URL/x"}, b""),
    "a redirect to a file": (302, {"location": "file:///etc/passwd"}, b""),
    "a redirect to nowhere": (302, {"location": "http://["}, b""),
    "pages without end": _ok(b"[]", link='<URL/more>; rel="next"'),
    "429 for ever": (429, {"retry-after": "0"}, b""),
    "503, wait a year": (503, {"retry-after": "31536000"}, b""),
    "500 with control characters": (500, _JSON, json.dumps({"error": "\x1b[2J\u202e"}).encode()),
}


def _cases(hub: str) -> list[Case]:
    def case(name: str, answer: Answer) -> Case:
        command = ("diff", f"{hub}:a/InternVL2-A", f"{hub}:a/InternVL2-B")
        options = [f"{hub}.{one}" for one in ("endpoint=URL", "patience=0.5", "timeout=3")]
        given = tuple(word for option in options for word in ("--option", option))
        variables = {"HUBKIT_OFFLINE": ""}
        return Case(
            f"{hub}: {name}", command + given, _nothing, _REMOTE, variables=variables, answer=answer
        )

    return [case(name, answer) for name, answer in _ANSWERS.items()]


def _nothing(folder: Path) -> None:
    return None


CASES = _cases("huggingface") + _cases("modelscope")
