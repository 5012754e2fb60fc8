"""Repairs that change no meaning: names of keys and roles, slashes, where `<image>` stands, turns
that nobody answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hubkit.sdk import IMAGE

_KEYS = (("conversation", "conversations"), ("messages", "conversations"), ("images", "image"))
_ROLES = {
    "user": "human",
    "assistant": "gpt",
    "bot": "gpt",
    "model": "gpt",
    "Human": "human",
    "GPT": "gpt",
}


def repaired(item: Any) -> tuple[Any, tuple[str, ...]]:
    """`item` with what can be repaired, and what was done to it; what is beyond repair is left as
    it is."""
    if not isinstance(item, dict):
        return item, ()
    new = dict(item)
    return new, tuple(_mend(new))


def _mend(item: dict[str, Any]) -> Iterator[str]:
    for wrong, right in _KEYS:
        if wrong in item and right not in item:
            item[right] = item.pop(wrong)
            yield f"renamed `{wrong}` to `{right}`"
    yield from _mend_images(item)
    turns = item.get("conversations")
    if isinstance(turns, list) and all(isinstance(turn, dict) for turn in turns):
        item["conversations"] = turns = [dict(turn) for turn in turns]
        yield from _mend_roles(turns)
        yield from _mend_silence(turns)
        yield from _mend_marks(turns, _count(item.get("image")))


def _mend_images(item: dict[str, Any]) -> Iterator[str]:
    value = item.get("image")
    if value == "":
        del item["image"]
        yield "removed an empty `image`"
    elif isinstance(value, str) and "\\" in value:
        item["image"] = value.replace("\\", "/")
        yield "wrote the image's path with `/`"
    elif isinstance(value, list) and any("\\" in str(one) for one in value):
        item["image"] = [one.replace("\\", "/") if isinstance(one, str) else one for one in value]
        yield "wrote the images' paths with `/`"


def _mend_roles(turns: list[dict[str, Any]]) -> Iterator[str]:
    for turn in turns:
        if "from" not in turn and "value" not in turn and "role" in turn and "content" in turn:
            turn["from"], turn["value"] = turn.pop("role"), turn.pop("content")
            yield "renamed `role` and `content` to `from` and `value`"
        if (role := str(turn.get("from"))) in _ROLES:
            yield f"renamed the role {role!r} to {_ROLES[role]!r}"
            turn["from"] = _ROLES[role]


def _mend_silence(turns: list[dict[str, Any]]) -> Iterator[str]:
    """Questions without an answer go, as long as none of the pictures goes with them."""
    if (
        len(turns) > 2
        and turns[-1].get("from") == "human"
        and IMAGE not in str(turns[-1].get("value"))
    ):
        del turns[-1]
        yield "removed the last human turn, which has no answer"
    pairs = [turns[start : start + 2] for start in range(0, len(turns), 2)]
    answered = [
        pair
        for pair in pairs
        if len(pair) < 2 or str(pair[1].get("value") or "").strip() or _has_mark(pair[0])
    ]
    if (
        answered
        and len(answered) < len(pairs)
        and [turn.get("from") for turn in turns] == ["human", "gpt"] * len(pairs)
    ):
        turns[:] = [turn for pair in answered for turn in pair]
        yield f"removed {len(pairs) - len(answered)} turns with an empty answer"


def _mend_marks(turns: list[dict[str, Any]], images: int) -> Iterator[str]:
    """Only where there is one reading: no mark at all, or one picture whose mark stands in a later
    prompt."""
    texts = [turn.get("value") for turn in turns]
    if not images or not turns or not all(isinstance(text, str) for text in texts):
        return
    count = sum(str(text).count(IMAGE) for text in texts)
    if count == 0:
        turns[0]["value"] = f"{IMAGE}\n" * images + str(texts[0])
        yield f"added {IMAGE} to the first prompt"
    elif images == count == 1 and not _has_mark(turns[0]):
        for turn in turns:
            turn["value"] = (
                turn["value"].replace(f"{IMAGE}\n", "").replace(f"\n{IMAGE}", "").replace(IMAGE, "")
            )
        turns[0]["value"] = f"{IMAGE}\n{turns[0]['value']}"
        yield f"moved {IMAGE} to the first prompt"


def _has_mark(turn: dict[str, Any]) -> bool:
    return IMAGE in str(turn.get("value"))


def _count(image: Any) -> int:
    return len(image) if isinstance(image, list) else int(isinstance(image, str))
