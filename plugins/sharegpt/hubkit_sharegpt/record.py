"""From one conversation to a Record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hubkit.sdk import IMAGE, Record, Turn
from hubkit.sdk.rows import Place
from hubkit.sdk.unsupported_fields import IN_TURNS, says_something

_ROLES = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "model", "bot", "chatgpt", "bing", "bard"), "assistant"),
    "system": "system",
}
_IMAGES = ("images", "image")
_TURNS = (("conversations", "from", "value"), ("messages", "role", "content"))
_PICTURE = {"type", "image", "image_url", "path"}
_PARTS = {"text": {"type", "text"}, "image": _PICTURE, "image_url": _PICTURE}
"""What is read of a part, by its type."""


def record(
    place: Place, identity: str | None, system: str, fix: bool
) -> tuple[Record, tuple[str, ...]]:
    """The record, and what was repaired for it.

    Raises:
        DataError: names the field and what was expected.
    """
    item = place.item
    if not isinstance(item, Mapping):
        raise place.error(
            "record", f"must be an object, not {type(item).__name__}", "write {id, conversations}"
        )
    image_field, images = _images(place)
    field, messages = _messages(place, images)
    read = {"id", "system", field, image_field}
    place.check_fields(read, images, IN_TURNS)
    messages, before = _without_system(place, field, messages, system)
    fixes = []
    if fix and len(messages) > 2 and messages[-1][0] == "user" and IMAGE not in messages[-1][1]:
        messages = messages[:-1]
        fixes.append("removed the last user message, which has no answer")
    texts = _alternating(place, field, messages)
    if fix and images and not any(IMAGE in text for text in texts):
        texts[0] = f"{IMAGE}\n" * len(images) + texts[0]
        fixes.append(f"added {IMAGE} to the first prompt")
    texts[0] = f"{before}\n\n{texts[0]}" if before else texts[0]
    turns = tuple(map(Turn, texts[::2], texts[1::2]))
    place.check_marks(images, turns, field)
    identity = identity if identity is not None else place.identity(item.get("id"))
    return Record(identity, tuple(images), turns, place.meta(read)), tuple(fixes)


def _images(place: Place) -> tuple[str, list[str]]:
    """(the field's name, the paths)"""
    for field in _IMAGES:
        value = place.item.get(field)
        if not says_something(value):
            continue
        if isinstance(value, str):
            return field, [place.image(field, value)]
        if isinstance(value, list):
            return field, [
                place.image(f"{field}[{number}]", one) for number, one in enumerate(value)
            ]
        raise place.error(
            field,
            f"must be a path or a list of paths, not {value!r}",
            "write the paths",
            "path",
        )
    return "", []


def _messages(place: Place, images: list[str]) -> tuple[str, list[tuple[str, str]]]:
    """(the field's name, roles with texts); pictures among the parts of a message are added to
    `images`."""
    for field, role_key, text_key in _TURNS:
        value = place.item.get(field)
        if not says_something(value):
            continue
        if not isinstance(value, list):
            raise place.error(
                field, f"must be a list of messages, not {value!r}", "write the conversation"
            )
        own = place.item.get("system")
        first = [("system", own)] if isinstance(own, str) and own.strip() else []
        return field, first + [
            _message(place, f"{field}[{n}]", one, role_key, text_key, images)
            for n, one in enumerate(value)
        ]
    has = ", ".join(map(str, place.item)) or "nothing"
    remedy = "write `conversations` ({from, value}) or `messages` ({role, content})"
    raise place.error("conversations", f"is missing (the record has: {has})", remedy, "keys")


def _message(
    place: Place, field: str, message: Any, role_key: str, text_key: str, images: list[str]
) -> tuple[str, str]:
    if not isinstance(message, Mapping):
        raise place.error(
            field,
            f"must be an object with `{role_key}` and `{text_key}`, not {message!r}",
            "correct it",
        )
    role = message.get(role_key)
    if not isinstance(role, str) or role not in _ROLES:
        raise place.error(
            field,
            f"`{role_key}` is {role!r}",
            "roles are user, assistant and system; leave out tool calls",
            "roles",
        )
    place.check_message(field, message, {role_key, text_key}, _ROLES[role] == "assistant")
    content = message.get(text_key)
    text = (
        "".join(
            _part(place, f"{field}.{text_key}[{n}]", part, images) for n, part in enumerate(content)
        )
        if isinstance(content, list)
        else content
    )
    if not isinstance(text, str):
        raise place.error(
            field, f"`{text_key}` must be a text or a list of parts, not {content!r}", "correct it"
        )
    if not text.strip():
        raise place.error(
            field,
            f"the {_ROLES[role]}'s message is empty",
            "fill in the text, or drop the record",
            "empty",
        )
    return _ROLES[role], place.encodable(field, text)


def _part(place: Place, field: str, part: Any, images: list[str]) -> str:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind in _PARTS:
        place.check_message(field, part, _PARTS[kind], learnt=True)
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if kind in ("image", "image_url"):
        value = part.get("image", part.get("image_url", part.get("path")))
        value = value.get("url") if isinstance(value, Mapping) else value
        if value is not None:
            images.append(place.image(field, value))
        return f"{IMAGE}\n"
    raise place.error(field, f"a part of type {kind!r}", "parts are texts and images")


def _without_system(
    place: Place, field: str, messages: list[tuple[str, str]], system: str
) -> tuple[list[tuple[str, str]], str]:
    if messages[0][0] != "system":
        return messages, ""
    if system == "refuse":
        remedy = "set the dataset option `system` to `drop` or `prefix`"
        raise place.error(
            f"{field}[0]",
            "a system message, which the model's template has no room for",
            remedy,
            "roles",
        )
    return messages[1:], messages[0][1] if system == "prefix" else ""


def _alternating(place: Place, field: str, messages: list[tuple[str, str]]) -> list[str]:
    for number, (role, _) in enumerate(messages):
        due = ("user", "assistant")[number % 2]
        if role != due:
            remedy = "messages alternate, the user's first"
            raise place.error(
                f"{field}[{number}]",
                f"a message of the {role} where the {due}'s is due",
                remedy,
                "roles",
            )
    if not messages or len(messages) % 2:
        remedy = "add the answer, or drop the message"
        raise place.error(field, "the last message of the user has no answer", remedy, "unanswered")
    return [text for _, text in messages]
