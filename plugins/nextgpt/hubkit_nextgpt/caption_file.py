"""NExT-GPT's caption files, of either code: the name of the embedding's file, and the caption."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from hubkit.sdk import DataError, json_text

Kind = Literal["image", "video", "audio"]
_NAME = re.compile(r"[^/\\\0]+\.npy")


def read_captions(path: Path, kind: Kind) -> dict[str, str]:
    """File names to captions.

    Raises:
        DataError: a record without name or caption, or two captions for one name.
    """
    try:
        data = json_text.load(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path.name} cannot be read as JSON ({error})", "name NExT-GPT's caption file"
        ) from None
    if not isinstance(data, list):
        raise DataError(
            f"{path.name}: a list of records is expected", "name NExT-GPT's caption file"
        )
    found: dict[str, str] = {}
    for number, record in enumerate(data):
        where = f"{path.name}, record {number}"
        for key, name, caption in _pairs(record, kind, where):
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise DataError(
                    f"{where}: {key} gives {name!r}, not the name of a .npy file",
                    "correct the record",
                )
            if not isinstance(caption, str) or not caption.strip():
                raise DataError(f"{where}: caption is {caption!r}", "correct or remove the record")
            if found.setdefault(name, caption) != caption:
                raise DataError(f"{where}: {name!r} has another caption before", "keep one of them")
    if not found:
        raise DataError(
            f"{path.name} has no captions of kind {kind}", "name another file, or another kind"
        )
    return found


def _pairs(record: Any, kind: Kind, where: str) -> Iterator[tuple[str, Any, Any]]:
    """(key, file's name, caption)."""
    if not isinstance(record, dict):
        raise DataError(f"{where} is no mapping", "correct the record")
    key = f"{kind}_caption_embeddings"
    if key in record or f"{kind}_captions" in record:
        files, captions = (
            value if isinstance(value, list) else [value]
            for value in (record.get(key), record.get(f"{kind}_captions"))
        )
        if len(files) != len(captions):
            raise DataError(
                f"{where}: {len(captions)} captions and {len(files)} {key}",
                "give each caption a file",
            )
        yield from ((key, file, caption) for file, caption in zip(files, captions, strict=True))
    elif f"{kind}_name" in record or "conversations" not in record:
        name = record.get(f"{kind}_name")
        yield (
            f"{kind}_name",
            f"{name}.npy" if isinstance(name, str) else name,
            record.get("caption"),
        )
