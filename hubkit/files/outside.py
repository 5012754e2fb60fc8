"""Files of a model folder that somebody else made: names are untrusted, links may lead anywhere,
and what is in them has bounds (hubkit.sdk.files, hubkit.sdk.json_text)."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from hubkit.sdk import files, json_text
from hubkit.sdk.errors import UsageError, WeightsError
from hubkit.sdk.excerpt import shown
from hubkit.sdk.families.sizes import check_sizes

from .pointers import refuse_pointers

_LONGEST_NAME = 255
"""Bytes, on every file system of Linux and macOS."""
_AGAIN = "take the file from the base again"


def inside(folder: Path, name: str) -> Path:
    """The file `name` of `folder`, when it lies there.

    A symbolic link may point into the same folder or, in a Hugging Face cache
    (`snapshots/REVISION`), at its `blobs`.

    Raises:
        WeightsError: the name or the link leads out of the folder.
    """
    parts = PurePosixPath(name).parts
    if (
        not parts
        or PurePosixPath(name).is_absolute()
        or ".." in parts
        or "\\" in name
        or "\0" in name
    ):
        raise WeightsError(
            f"{folder.name}: the file name {shown(name)} leads out of the folder",
            "correct the file that names it",
        )
    if any(len(part.encode("utf-8", "replace")) > _LONGEST_NAME for part in parts):
        raise WeightsError(
            f"{folder.name}: no file can have the name {shown(name)}",
            "correct the file that names it",
        )
    path = folder / name
    try:
        target, home = path.resolve(), folder.resolve()
    except (OSError, RuntimeError):  # RuntimeError before Python 3.13
        raise WeightsError(
            f"{folder.name}: {shown(name)} is a link that leads to itself, or no name of a file",
            "replace the link by a copy of the file",
        ) from None
    if target.is_relative_to(home):
        return path
    if home.parent.name == "snapshots" and target.parent == home.parent.parent / "blobs":
        return path
    raise WeightsError(
        f"{folder.name}: {name} is a link to {target}, outside the folder",
        "replace the link by a copy of the file",
    )


def read_text(folder: Path, name: str, limit: int = files.TEXT_LIMIT) -> str:
    """The text in the file `name` of `folder`.

    Raises:
        UsageError: it is missing, not a regular file, a Git LFS pointer, too large, or not UTF-8
            (with the byte).
    """
    path = inside(folder, name)
    try:
        refuse_pointers(path)
        return files.read_text(path, limit)
    except FileNotFoundError:
        raise UsageError(
            f"{folder}: {name} is missing",
            "give a complete model folder; `hubkit check` lists what it needs",
        ) from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "give a file that can be read") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 (byte {error.start})", _AGAIN) from None


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """The JSON object in the file `name` of `folder`.

    Raises:
        UsageError: as `read_text`; or it is not JSON within bounds (with the line where there is
            one), or not an object.
    """
    text = read_text(folder, name)
    try:
        data = json_text.parse(text)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{folder / name}, line {error.lineno}: not JSON ({error.msg})", _AGAIN
        ) from None
    except ValueError as error:
        raise UsageError(f"{folder / name}: not JSON ({error})", _AGAIN) from None
    if not isinstance(data, dict):
        raise UsageError(f"{folder}: {name} is not a JSON object", _AGAIN)
    return data


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a model folder, whose sizes are those of a model.

    Raises:
        UsageError: as `read_json`; or a size or ratio is beyond what any model has, with its key.
    """
    config = read_json(folder, "config.json")
    check_sizes(config)
    return config
