"""From a JSON value to a Record, or to an error that says what is wrong where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hubkit.sdk import Record, Turn
from hubkit.sdk.rows import Place
from hubkit.sdk.unsupported_fields import IN_TURNS

_ROLES = ("human", "gpt")
_OTHER_NAMES = (
    ("conversations", "conversation"),
    ("conversations", "messages"),
    ("image", "images"),
)
_FIELD = "conversations"
_READ = {"id", "image", _FIELD}
_SAID = {"from", "value"}


def record(place: Place, identity: str | None) -> Record:
    """The record at `place`, under `identity` when given, else its own id or index.

    Raises:
        DataError: names the field and what was expected.
    """
    item = place.item
    if not isinstance(item, Mapping):
        raise place.error(
            "record",
            f"must be an object, not {type(item).__name__}",
            "write {id, image, conversations}",
        )
    for right, wrong in _OTHER_NAMES:
        if wrong in item and right not in item:
            remedy = f"rename `{wrong}` to `{right}` in every record"
            raise place.error(wrong, f"there is `{wrong}` but no `{right}`", remedy, "keys")
    images = _images(place, item.get("image"))
    turns = _turns(place, item.get(_FIELD))
    meta: dict[str, str] = {}
    if not item.keys() <= _READ:
        place.check_fields(_READ, images, IN_TURNS)
        meta = place.meta(_READ)
    place.check_marks(images, turns)
    identity = identity if identity is not None else place.identity(item.get("id"))
    return Record(identity, images, turns, meta)


def _images(place: Place, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (place.image("image", value),)
    if isinstance(value, list):
        return tuple(place.image(f"image[{number}]", one) for number, one in enumerate(value))
    message, remedy = (
        f"must be a path or a list of paths, not {value!r}",
        "write the path below the image folder",
    )
    raise place.error("image", message, remedy, "path")


def _turns(place: Place, value: Any) -> tuple[Turn, ...]:
    remedy = "write a list of turns, {from: human, value: ...} then {from: gpt, value: ...}"
    if not isinstance(value, list) or not value:
        has = ", ".join(map(str, place.item)) or "nothing"
        found = (
            f"is missing (the record has: {has})"
            if value is None
            else f"must be a list of turns, not {value!r}"
        )
        raise place.error(_FIELD, found, remedy)
    texts: list[str] = []
    for number, turn in enumerate(value):
        text = turn.get("value") if type(turn) is dict else None
        if not (type(text) is str and text.isascii() and text and not text.isspace()):
            text = _text(place, number, turn)
        elif turn.get("from") != _ROLES[number % 2]:
            raise _text_problem(place, number, turn, _ROLES[number % 2])
        texts.append(text)
    if sum(map(len, value)) > 2 * len(value):
        for number, turn in enumerate(value):
            place.check_message(f"{_FIELD}[{number}]", turn, _SAID, number % 2 == 1)
    if len(texts) % 2:
        field = f"{_FIELD}[{len(texts) - 1}]"
        raise place.error(
            field, "the last human turn has no answer", "add the gpt turn, or drop it", "unanswered"
        )
    return tuple(map(Turn, texts[::2], texts[1::2]))


def _text(place: Place, number: int, turn: Any) -> str:
    role = _ROLES[number % 2]
    if isinstance(turn, dict) and turn.get("from") == role:
        text = turn.get("value")
        if isinstance(text, str) and text and not text.isspace():
            return text if text.isascii() else place.encodable(f"{_FIELD}[{number}]", text)
    raise _text_problem(place, number, turn, role)


def _text_problem(place: Place, number: int, turn: Any, role: str) -> Exception:
    field = f"{_FIELD}[{number}]"
    if not isinstance(turn, Mapping) or not isinstance(turn.get("value"), str):
        return place.error(
            field,
            f"must be an object with the texts `from` and `value`, not {turn!r}",
            "correct the turn",
        )
    if turn.get("from") != role:
        message = f"`from` is {turn.get('from')!r} where {role!r} is due"
        return place.error(field, message, "turns alternate, `human` first, then `gpt`", "roles")
    return place.error(
        field, f"the {role} turn is empty", "fill in the text, or drop the record", "empty"
    )
