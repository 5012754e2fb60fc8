"""JSON from outside, under bounds: what is read fits into memory, and every number and text in it
can be shown, stored and sent on.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, NoReturn

from .excerpt import shown
from .files import TEXT_LIMIT, read_text

MAX_DEPTH = 64
MAX_ITEMS = 4_000_000
"""Counted as commas and brackets: the tokenizer.json of google/gemma-3-4b-it has 1.9 million."""
_DEEP = f"nested deeper than {MAX_DEPTH}"
_DIGITS = 100
"""transformers writes `model_max_length` as 10^30 where there is none."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def load(path: Path, limit: int = TEXT_LIMIT) -> Any:
    """The JSON value in the file `path`.

    Raises:
        OSError: it is not a regular file, cannot be read, or has more than `limit` bytes.
        ValueError: it is not UTF-8, or as `parse`.
    """
    return parse(read_text(path, limit))


def parse(text: str | bytes, limit: int = MAX_ITEMS) -> Any:
    """The JSON value in `text` (bytes: UTF-8), of at most `limit` items.

    Raises:
        ValueError: it is not JSON (a JSONDecodeError, with its line); or it is not UTF-8, nested
            deeper than 64, has too many items, a number beyond what JSON can say, a key twice in
            one object, or half a surrogate pair.
    """
    text = text if isinstance(text, str) else text.decode()
    check_items(text, limit)
    try:
        data = json.loads(
            text,
            object_pairs_hook=unique,
            parse_constant=_constant,
            parse_int=_whole,
            parse_float=_real,
        )
    except RecursionError as error:
        raise ValueError(reason(error)) from None
    check_depth(data, text)
    if _SURROGATE.search(text):
        _check_texts(data)
    return data


def check_items(text: str, limit: int = MAX_ITEMS) -> None:
    """Raises ValueError when `text` may hold more than `limit` values, before any is made."""
    if len(text) > limit and sum(map(text.count, ",[{")) > limit:
        raise ValueError(f"more than {limit:,} items")


def check_depth(data: Any, text: str, start: int = 0, end: int | None = None) -> None:
    """Raises ValueError when `data`, parsed from `text[start:end]`, is nested too deep."""
    if text.count("[", start, end) + text.count("{", start, end) <= MAX_DEPTH:
        return
    level = [data] if isinstance(data, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise ValueError(_DEEP)


def reason(error: Exception) -> str:
    """What json could not read, in words."""
    if isinstance(error, RecursionError):
        return _DEEP
    # CPython's own words for a number of more than 4,300 digits name a switch of the interpreter
    return "a number too long" if "integer string conversion" in str(error) else str(error)


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `object_pairs_hook`: the object; ValueError when a key stands in it twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"it names {shown(key)} twice")
            seen.add(key)
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def _real(digits: str) -> float:
    if len(digits) > 10 * _DIGITS or math.isinf(value := float(digits)):
        raise ValueError(f"the number {shown(digits[:40])} is too large or too long")
    return value


def _check_texts(data: Any) -> None:
    level = [data]
    while level:
        for one in level:
            texts = one if isinstance(one, dict) else [one] if isinstance(one, str) else ()
            if broken := next((text for text in texts if not _sound(text)), None):
                raise ValueError(f"{shown(broken)} holds half a surrogate pair")
        level = [
            inner
            for one in level
            if isinstance(one, (dict, list))
            for inner in (one.values() if isinstance(one, dict) else one)
        ]


def _sound(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
