"""Files of a model folder that somebody else made: names are untrusted, links may lead anywhere,
JSON may hold local paths."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

from hubkit.sdk.errors import UsageError, WeightsError

_LOCAL = re.compile(r"(file://|~[^/\s]*/|/[^/\s]+/|[A-Za-z]:[\\/]|\\\\)[^\n]*")
_RELATIVE = re.compile(r"\.{1,2}(/|$)")
_VOCABULARIES = ("tokenizer.json", "vocab.json", "added_tokens.json", "merges.json")
"""Their strings are tokens: `/usr/` there is text, never a path."""


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
            f"{folder.name}: the file name {name!r} leads out of the folder",
            "correct the file that names it",
        )
    path = folder / name
    target, home = path.resolve(), folder.resolve()
    if target.is_relative_to(home):
        return path
    if home.parent.name == "snapshots" and target.parent == home.parent.parent / "blobs":
        return path
    raise WeightsError(
        f"{folder.name}: {name} is a link to {target}, outside the folder",
        "replace the link by a copy of the file",
    )


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """The JSON object in the file `name` of `folder`.

    Raises:
        UsageError: it is missing, not JSON, or not an object.
    """
    path = inside(folder, name)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{folder}: {name} is missing", "give a complete model folder") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{folder}: {name} is not JSON ({error})", "take the file from the base again"
        ) from None
    if not isinstance(data, dict):
        raise UsageError(
            f"{folder}: {name} is not a JSON object", "take the file from the base again"
        )
    return data


def write_json(path: Path, data: Any) -> None:
    path.write_text(
        json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n"
    )


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
