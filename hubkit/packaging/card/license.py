"""The base model's licence: a release inherits it, so it must be known and its source named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hubkit.files import front_matter
from hubkit.sdk.errors import UsageError
from hubkit.sdk.files import open_file

from .facts import License

_LIMIT = 1 << 20  # bytes read of a README.md or licence file
_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING")
_REMEDY = "set `base.license` in release.yaml to the licence of the base model, for example `mit`"
_PHRASES = (
    ("apache-2.0", ("apache license", "version 2.0", "grant of copyright license")),
    ("bsd-3-clause", ("redistribution and use in source and binary forms", "neither the name")),
    ("bsd-2-clause", ("redistribution and use in source and binary forms",)),
    (
        "mit",
        (
            "permission is hereby granted, free of charge",
            "without restriction",
            "the above copyright notice",
        ),
    ),
    ("cc-by-nc-sa-4.0", ("attribution-noncommercial-sharealike 4.0",)),
    ("cc-by-nc-4.0", ("attribution-noncommercial 4.0",)),
    ("cc-by-sa-4.0", ("attribution-sharealike 4.0",)),
    ("cc-by-4.0", ("attribution 4.0 international",)),
)
"""Words that only the named licence has, most specific first, in lower case with single spaces."""


def read_license(base_folder: Path) -> tuple[License, str]:
    """The licence of the model in `base_folder` and, in words, where it was read: its card's front
    matter, else its licence file.

    Raises:
        UsageError: the folder names no licence, several, or one that is not recognised.
    """
    card = base_folder / "README.md"
    if card.is_file() and (found := _from_front_matter(_front_matter(_read(card)))):
        return found, "base model card README.md"
    for name in _FILES:
        if (base_folder / name).is_file():
            return _recognise(_read(base_folder / name), name), f"base model file {name}"
    raise UsageError(
        f"{base_folder.name}: no licence in README.md's front matter, and no licence file", _REMEDY
    )


def _read(path: Path) -> str:
    try:
        file = open_file(path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", _REMEDY) from None
    with file:
        return file.read(_LIMIT).decode("utf-8-sig", "replace")


def _front_matter(content: str) -> dict[Any, Any]:
    try:
        return front_matter.read(content)
    except ValueError as error:
        raise UsageError(f"README.md of the base model: {error}", _REMEDY) from None


def _from_front_matter(data: dict[Any, Any]) -> License | None:
    value = data.get("license")
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, list):
        raise UsageError(
            f"README.md of the base model names several licences: {', '.join(map(str, value))}",
            _REMEDY,
        )
    if not isinstance(value, str) or not value.strip() or value.strip().lower() == "unknown":
        return None
    name, link = (data.get(key) or "" for key in ("license_name", "license_link"))
    if not isinstance(name, str) or not isinstance(link, str):
        raise UsageError(
            "README.md of the base model: license_name and license_link are not both text", _REMEDY
        )
    return License(value.strip().lower(), name.strip(), link.strip())


def _recognise(content: str, name: str) -> License:
    flat = " ".join(content.lower().split())
    for identifier, phrases in _PHRASES:
        if all(phrase in flat for phrase in phrases):
            return License(identifier)
    raise UsageError(f"{name} of the base model is not a licence that hubkit recognises", _REMEDY)
