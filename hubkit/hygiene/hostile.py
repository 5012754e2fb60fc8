"""What a folder can hide: pickles under other names, and settings that make a loader read some
other file."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hubkit.sdk.checkpoints.archive import open_archive
from hubkit.sdk.errors import UsageError
from hubkit.sdk.family import Problem
from hubkit.sdk.files import open_file
from hubkit.sdk.shown import shown

from ..files.outside import read_json
from .local_paths import is_local_path


def is_pickle(path: Path) -> bool:
    """Whether the content is a pickle, bare (protocol 2 to 5) or in torch's archive, whatever the
    name."""
    with open_file(path) as file:
        head = file.read(4)
        if len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5:
            return True
        if head != b"PK\x03\x04":
            return False
        try:
            with open_archive(file) as archive:
                return any(name.endswith(".pkl") for name in archive.namelist())
        except zipfile.BadZipFile:
            return False


def redirects(folder: Path) -> Iterator[Problem]:
    """Entries such as `"vocab_file": ".env"`: loading would read that file as the vocabulary, and
    saving would publish it (transformers, pull request 46279). Whole paths are found as local
    paths."""
    for path in sorted(folder.glob("*_config.json")):
        try:
            data = read_json(folder, path.name)
        except UsageError:
            continue
        for key, name in _named(data, ""):
            if not is_local_path("", name) and not _own(folder, name):
                message = (
                    f"names {shown(name)}, which is not a file of this folder that a model has"
                )
                yield Problem(f"{path.name}: {key}", message, "remove the entry")


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
