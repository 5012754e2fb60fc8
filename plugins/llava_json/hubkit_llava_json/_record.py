"""From a JSON value to a Record, or to an error that says what is wrong where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from hubkit.sdk import IMAGE, DataError, Record, Turn

_ROLES = ("human", "gpt")
_OTHER_NAMES = {"conversations": ("conversation", "messages"), "image": ("images",)}


@dataclass(frozen=True)
class Place:
    """Where in a dataset a value stands: for errors."""

    source: Path
    index: int
    line: int | None
    item: Any

    def error(self, field: str, message: str, remedy: str) -> DataError:
        has_id = isinstance(self.item, Mapping) and isinstance(self.item.get("id"), (str, int))
        known = [f"line {self.line}"] * (self.line is not None) + [f"id {self.item['id']!r}" if has_id else "no id"]
        return DataError(f"{self.source}, record {self.index} ({', '.join(known)}), {field}: {message}", remedy)


def record(place: Place, identity: str | None) -> Record:
    """The record at `place`, under `identity` when given, else its own id or index.

    Raises:
        DataError: names the field and what was expected.
    """
    item = place.item
    if not isinstance(item, Mapping):
        raise place.error("record", f"must be an object, not {type(item).__name__}", "write {id, image, conversations}")
    for right, wrong in ((right, wrong) for right, others in _OTHER_NAMES.items() for wrong in others):
        if wrong in item and right not in item:
            raise place.error(wrong, f"there is `{wrong}` but no `{right}`", f"rename `{wrong}` to `{right}` in every record")
    images = _images(place, item.get("image"))
    turns = _turns(place, item.get("conversations"))
    _check_positions(place, images, turns)
    return Record(identity if identity is not None else _id(place, item.get("id")), images, turns)


def _id(place: Place, value: Any) -> str:
    if value is None:
        return str(place.index)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise place.error("id", f"must be text or a whole number, not {value!r}", "correct it, or leave it out")
    return _encodable(place, "id", str(value))


def _images(place: Place, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (_image(place, "image", value),)
    if isinstance(value, list):
        return tuple(_image(place, f"image[{number}]", one) for number, one in enumerate(value))
    raise place.error("image", f"must be a path or a list of paths, not {value!r}", "write the path below the image folder")


def _image(place: Place, field: str, value: Any) -> str:
    remedy = "write the image's path below the image folder, such as `img/7.png`"
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise place.error(field, f"must be a path, not {value!r}", remedy)
    if "://" in value:
        raise place.error(field, f"{value!r} is an address, not a file", f"download the image and {remedy}")
    path, windows = PurePosixPath(value), PureWindowsPath(value)
    if path.is_absolute() or windows.drive or windows.root:
        raise place.error(field, f"{value!r} is absolute", remedy)
    if ".." in windows.parts:
        raise place.error(field, f"{value!r} leaves the image folder", remedy)
    return _encodable(place, field, str(path))


def _turns(place: Place, value: Any) -> tuple[Turn, ...]:
    field = "conversations"
    remedy = "write a list of turns, {from: human, value: ...} then {from: gpt, value: ...}"
    if not isinstance(value, list) or not value:
        has = ", ".join(map(str, place.item)) or "nothing"
        found = f"is missing (the record has: {has})" if value is None else f"must be a list of turns, not {value!r}"
        raise place.error(field, found, remedy)
    texts = [_text(place, number, turn) for number, turn in enumerate(value)]
    if len(texts) % 2:
        raise place.error(f"{field}[{len(texts) - 1}]", "the last human turn has no answer", "add the gpt turn, or drop it")
    return tuple(Turn(prompt, answer) for prompt, answer in zip(texts[::2], texts[1::2], strict=True))


def _text(place: Place, number: int, turn: Any) -> str:
    field, role = f"conversations[{number}]", _ROLES[number % 2]
    if not isinstance(turn, Mapping) or not isinstance(turn.get("value"), str):
        raise place.error(field, f"must be an object with the texts `from` and `value`, not {turn!r}", "correct the turn")
    if turn.get("from") != role:
        message = f"`from` is {turn.get('from')!r} where {role!r} is due"
        raise place.error(field, message, "turns alternate, `human` first, then `gpt`")
    if not turn["value"].strip():
        raise place.error(field, f"the {role} turn is empty", "fill in the text, or drop the record")
    return _encodable(place, field, turn["value"])


def _check_positions(place: Place, images: tuple[str, ...], turns: tuple[Turn, ...]) -> None:
    """Each image has its `<image>`, the first of them in the first human turn."""
    field, remedy = "conversations", f"write {IMAGE} once for each image, the first in the first human turn"
    if any(IMAGE in turn.answer for turn in turns):
        raise place.error(field, f"a gpt turn holds {IMAGE}", remedy)
    count = sum(turn.prompt.count(IMAGE) for turn in turns)
    if images and IMAGE not in turns[0].prompt:
        raise place.error("conversations[0]", f"the record has an image but no {IMAGE} in its first human turn", remedy)
    if count != len(images):
        raise place.error(field, f"there are {count} {IMAGE} for {len(images)} images", remedy)


def _encodable(place: Place, field: str, text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise place.error(field, "holds half a surrogate pair (\\ud800...\\udfff)", "correct the text's encoding") from None
    return text
