"""The special tokens of a model folder, read from its tokenizer files without loading a
tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from . import json_text
from .errors import UsageError
from .excerpt import shown

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


def special_tokens(folder: Path) -> frozenset[str]:
    """Texts that the folder's tokenizer turns into single tokens with a part of their own: the ends
    of turns, images, padding. Added tokens that are plain words are not among them.

    Raises:
        UsageError: a file is not JSON of the expected form.
    """
    found: set[str] = set()
    for name in (*_FILES[:2], "special_tokens_map.json"):
        if (folder / name).is_file():
            try:
                found.update(_special(name, json_text.load(folder / name)))
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                raise _damaged(folder / name, error) from None
    return frozenset(text for text in found if text.strip())


def _special(name: str, data: Any) -> Iterator[str]:
    added = data.get("added_tokens" if name == _FILES[0] else "added_tokens_decoder") or ()
    for token in added.values() if isinstance(added, dict) else added:
        if token.get("special"):
            yield str(token["content"])
    if name != _FILES[0]:
        named = [value for key, value in data.items() if key.endswith("_token") and value]
        for key in ("additional_special_tokens", "extra_special_tokens"):  # the latter since 5
            more = data.get(key) or []
            named += more.values() if isinstance(more, dict) else more
        for token in named:
            if isinstance(token, (str, dict)):
                yield token if isinstance(token, str) else str(token["content"])


def _entries(path: Path) -> Iterator[tuple[str, int]]:
    if not path.is_file():
        return
    try:
        data = json_text.load(path)
        yield from _pairs(path.name, data)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> UsageError:
    return UsageError(
        f"{path.name}: not a tokenizer file ({str(error)[:200]})",
        f"replace {path.name} by the base model's",
    )


def _pairs(name: str, data: Any) -> Iterable[tuple[str, int]]:
    if name == "tokenizer.json":
        return [(str(token["content"]), int(token["id"])) for token in data.get("added_tokens", [])]
    if name == "tokenizer_config.json":
        return [
            (str(token["content"]), int(number))
            for number, token in data.get("added_tokens_decoder", {}).items()
        ]
    return [(str(text), int(number)) for text, number in data.items()]
