"""Files of a model folder that somebody else made: names are untrusted, links may lead anywhere,
JSON may hold local paths."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from hubkit.sdk.errors import UsageError, WeightsError

from .pointers import refuse_pointers

JSON_LIMIT = 64 << 20
"""Bytes: a tokenizer.json of 250,000 tokens has 20 MB."""


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
        UsageError: it is missing, a Git LFS pointer, too large, not JSON (with the line), or not an
            object.
    """
    path = inside(folder, name)
    try:
        if path.stat().st_size > JSON_LIMIT:
            raise UsageError(f"{path} is larger than {JSON_LIMIT:,} bytes", "is it the right file?")
        refuse_pointers(path)
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"{folder}: {name} is missing",
            "give a complete model folder; `hubkit check` lists what it needs",
        ) from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "give a file that can be read") from None
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}: not UTF-8 (byte {error.start})", "take the file from the base again"
        ) from None
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{path}, line {error.lineno}: not JSON ({error.msg})",
            "take the file from the base again",
        ) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path}: not JSON ({error})", "take the file from the base again"
        ) from None
    if not isinstance(data, dict):
        raise UsageError(
            f"{folder}: {name} is not a JSON object", "take the file from the base again"
        )
    return data
