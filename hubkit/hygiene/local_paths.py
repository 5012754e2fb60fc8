"""Paths of one machine: found in text and in JSON, or left out of JSON."""

from __future__ import annotations

import re
from typing import Any

from .secrets import begins

_WHOLE = re.compile(r"(file://|~[^/\s]*/|/[^/\s]+/|[A-Za-z]:[\\/]|\\\\)[^\n]*")
_RELATIVE = re.compile(r"\.{1,2}(/|$)")

_ROOTS = (
    r"(?:home|Users|Volumes|mnt|media|data\d*|cpfs\d*|nas\d*|disk\d*|ssd\d*|srv|opt)/[\w.-]+",
    r"root|tmp|workspace|scratch|nfs|lustre|gpfs|var/(?:folders|tmp|lib)|content/drive",
)
_ABSOLUTE = re.compile(rf"/(?:{'|'.join(_ROOTS)})/[\w.-]".encode())
_FILE_URL = re.compile(rb"file:///\w")
_DRIVE = re.compile(
    rb":(?<=[A-Za-z]:)(?:\\{1,2}|/)(?:Users|Documents|home|data|models|work\w*|projects?)[\\/]"
)
_HOME = re.compile(rb"~[\w.-]{0,32}/[\w.-]+/")
_VOCABULARIES = (
    "tokenizer.json",
    "vocab.json",
    "vocab.txt",
    "merges.json",
    "merges.txt",
    "added_tokens.json",
)


def is_vocabulary(name: str) -> bool:
    """Whether the strings of this file are tokens: `/usr/` there is text, never a path."""
    return name in _VOCABULARIES or name.endswith(".tiktoken")


def is_local_path(key: str, value: str) -> bool:
    """`key` is the JSON key that the text `value` stands under."""
    if _WHOLE.fullmatch(value):
        return True
    return key.endswith("name_or_path") and bool(
        _RELATIVE.match(value) or value.startswith(("/", "~"))
    )


def paths_within(content: bytes) -> list[int]:
    """Where in running text a path of one machine begins, in ascending order."""
    found = [match.start() for match in _FILE_URL.finditer(content)]
    for pattern, not_after in ((_ABSOLUTE, b".~/@$})]-"), (_HOME, b"~/")):
        found += (
            match.start()
            for match in pattern.finditer(content)
            if begins(content, at := match.start()) and (not at or content[at - 1] not in not_after)
        )
    found += (
        match.start() - 1
        for match in _DRIVE.finditer(content)
        if begins(content, match.start() - 1)
    )
    return sorted(found)


def without_local_paths(data: Any, key: str = "") -> Any:
    """`data` less the entries that are local paths."""
    if isinstance(data, dict):
        return {
            k: without_local_paths(v, k)
            for k, v in data.items()
            if not (isinstance(v, str) and is_local_path(k, v))
        }
    if isinstance(data, list):
        return [
            without_local_paths(v, key)
            for v in data
            if not (isinstance(v, str) and is_local_path(key, v))
        ]
    return data
