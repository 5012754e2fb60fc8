"""From a record to the messages of a chat completion; pictures need Pillow."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .chat import parts
from .chat_api import image_part
from .errors import DataError
from .pictures import open_picture
from .records import IMAGE, Record
from .vision import Vision


def user_contents(record: Record, images: Path, vision: Vision, verbatim: bool) -> list[Any]:
    """The content of each of the record's user messages. With `verbatim` its texts keep the line
    breaks beside `<image>`.

    Raises:
        DataError: a picture cannot be read, or `<image>` does not stand once for each.
    """
    listed = parts(record, vision)
    if verbatim:
        listed = tuple(_as_written(turn.prompt) for turn in record.turns)
    pictures = (_picture(record, images / name) for name in record.images)
    return [_content(one, pictures) for one in listed]


def _as_written(prompt: str) -> list[dict[str, str]]:
    first, *others = prompt.split(IMAGE)
    found = [_text(first)] if first else []
    for text in others:
        found += [{"type": "image"}, *([_text(text)] if text else [])]
    return found


def _content(listed: Sequence[dict[str, str]], pictures: Iterator[dict[str, Any]]) -> Any:
    """A plain text where there is no picture, since some servers' templates take nothing else."""
    if all(part["type"] == "text" for part in listed):
        return "".join(part["text"] for part in listed)
    return [next(pictures) if part["type"] == "image" else part for part in listed]


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _picture(record: Record, path: Path) -> dict[str, Any]:
    """As hubkit shows pictures to every model: upright, in eight bits, on white."""
    sent = io.BytesIO()
    try:
        with open_picture(path) as picture:
            picture.rgb().save(sent, format="PNG")
    except (OSError, ValueError) as error:
        raise DataError(
            f"record {record.id}: {path.name} is not a picture that can be read ({error})",
            "replace the file",
        ) from None
    return image_part(sent.getvalue(), "png")
