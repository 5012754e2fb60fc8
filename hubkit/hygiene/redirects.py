"""Settings that make a loader read some other file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hubkit.sdk import json_text
from hubkit.sdk.family import Problem

from .local_paths import is_local_path


def redirects(path: Path, where: str) -> Iterator[Problem]:
    """Entries such as `"vocab_file": ".env"` in the JSON file `path`: loading would read that file
    as the vocabulary, and saving would publish it (transformers, pull request 46279). Whole paths
    are found as local paths."""
    try:
        data = json_text.load(path)
    except (ValueError, OSError):
        return
    for key, name in _named(data, ""):
        if not is_local_path("", name) and not _own(path.parent, name):
            message = f"names {name!r}, which is not a file of this folder that a model has"
            yield Problem(f"{where}: {key}", message, "remove the entry")


def _named(data: Any, at: str) -> Iterator[tuple[str, str]]:
    """(dotted key, text) of the entries whose key says that they name a file."""
    items = (
        data.items()
        if isinstance(data, dict)
        else enumerate(data)
        if isinstance(data, list)
        else ()
    )
    for key, value in items:
        where = f"{at}.{key}".lstrip(".")
        if isinstance(value, str) and str(key).endswith("_file"):
            yield where, value
        elif isinstance(value, list) and str(key).endswith("_files"):
            yield from (
                (f"{where}[{i}]", name) for i, name in enumerate(value) if isinstance(name, str)
            )
        else:
            yield from _named(value, where)


def _own(folder: Path, name: str) -> bool:
    if "/" in name or "\\" in name or name.startswith("."):
        return False
    return (folder / name).is_file() and not (folder / name).is_symlink()
