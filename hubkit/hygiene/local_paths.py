"""Paths of one machine in the JSON of a model folder: found, or left out."""

from __future__ import annotations

import re
from typing import Any

_LOCAL = re.compile(r"(file://|~[^/\s]*/|/[^/\s]+/|[A-Za-z]:[\\/]|\\\\)[^\n]*")
_RELATIVE = re.compile(r"\.{1,2}(/|$)")
_VOCABULARIES = ("tokenizer.json", "vocab.json", "added_tokens.json", "merges.json")
"""Their strings are tokens: `/usr/` there is text, never a path."""


def holds_paths(name: str) -> bool:
    """Whether the strings of this file could be local paths, so that it is searched for them."""
    return name.endswith(".json") and name not in _VOCABULARIES


def is_local_path(key: str, value: str) -> bool:
    """`key` is the JSON key that the text `value` stands under."""
    if _LOCAL.fullmatch(value):
        return True
    return key.endswith("name_or_path") and bool(
        _RELATIVE.match(value) or value.startswith(("/", "~"))
    )


def local_paths(data: Any, at: str = "", key: str = "") -> list[str]:
    """The dotted keys whose text is a path on somebody's machine."""
    if isinstance(data, str):
        return [at] if is_local_path(key, data) else []
    if isinstance(data, dict):
        return [
            found for k, v in data.items() for found in local_paths(v, f"{at}.{k}".lstrip("."), k)
        ]
    if isinstance(data, list):
        return [found for i, v in enumerate(data) for found in local_paths(v, f"{at}[{i}]", key)]
    return []


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
