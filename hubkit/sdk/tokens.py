"""The special tokens of a model folder, read from its tokenizer files without loading a
tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from . import json_text
from .errors import UsageError
from .shown import shown

_FILES = ("tokenizer.json", "tokenizer_config.json", "added_tokens.json")


def token_ids(folder: Path) -> dict[str, int]:
    """Ids of the special and added tokens by their text, from tokenizer.json, tokenizer_config.json
    and added_tokens.json.

    Raises:
        UsageError: a file is not JSON of the expected form, or two files give one token different
            ids; names file and token.
    """
    ids: dict[str, int] = {}
    origin: dict[str, str] = {}
    for name in _FILES:
        for text, number in _entries(folder / name):
            if ids.setdefault(text, number) != number:
                raise UsageError(
                    f"{name}: token {shown(text)} has id {shown(number)}, but {ids[text]} in "
                    f"{origin[text]}",
                    "take all tokenizer files from one model",
                )
            origin.setdefault(text, name)
    return ids


def _entries(path: Path) -> Iterator[tuple[str, int]]:
    if not path.is_file():
        return
    try:
        data = json_text.load(path)
        yield from _pairs(path.name, data)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(
            f"{path.name}: not a tokenizer file ({str(error)[:200]})",
            f"replace {path.name} by the base model's",
        ) from None


def _pairs(name: str, data: Any) -> Iterable[tuple[str, int]]:
    if name == "tokenizer.json":
        return [(str(token["content"]), int(token["id"])) for token in data.get("added_tokens", [])]
    if name == "tokenizer_config.json":
        return [
            (str(token["content"]), int(number))
            for number, token in data.get("added_tokens_decoder", {}).items()
        ]
    return [(str(text), int(number)) for text, number in data.items()]
