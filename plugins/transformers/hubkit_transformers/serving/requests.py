"""From the JSON of a chat completion to a conversation. What would change the answer and is not
supported is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hubkit.sdk import IMAGE

from .errors import Refusal
from .pictures import MOST_PICTURES

See = Callable[[Any, str], Any]
"""(a picture's URL, the field that it stands in) -> what the model sees of it, one item a tile."""
MOST_MESSAGES = 256
MOST_STOPS = 4
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "response_format": ({"type": "text"},),
    "tools": ([],),
}
"""Fields of the API that are taken only with the value that changes nothing; null is one for each.
"""
IGNORED = {"user", "metadata", "store", "session_id"}
KNOWN = {
    *("model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens"),
    *("temperature", "top_p", "seed", "stop"),
}


@dataclass(frozen=True)
class Sampling:
    """`temperature` 0 is greedy; `tokens` None leaves the most to the server."""

    tokens: int | None
    temperature: float
    top_p: float
    seed: int | None
    stops: tuple[str, ...]


@dataclass(frozen=True)
class Chat:
    """`asked` has one more item than `answered`; `pictures` are as `See` gives them, in the order
    of the `<image>` in `asked`."""

    asked: tuple[str, ...]
    answered: tuple[str, ...]
    pictures: tuple[Any, ...]
    system: str
    sampling: Sampling
    stream: bool
    include_usage: bool


def read_chat(data: Any, name: str, see: See) -> Chat:
    """Raises Refusal, naming the field."""
    if not isinstance(data, dict):
        raise Refusal("the body must be a JSON object")
    _check_fields(data)
    if data.get("model") != name:
        raise Refusal(
            f"there is no model {data.get('model')!r} here, only {name!r}",
            "model",
            code="model_not_found",
        )
    options = data.get("stream_options") or {}
    if not isinstance(options, dict) or set(options) - {"include_usage"}:
        raise Refusal("stream_options may hold include_usage alone", "stream_options")
    asked, answered, pictures, system = _conversation(data.get("messages"), see)
    return Chat(
        *(asked, answered, pictures, system, _sampling(data)),
        stream=_flag(data, "stream"),
        include_usage=_flag(options, "include_usage"),
    )


def _check_fields(data: Mapping[str, Any]) -> None:
    for field, value in data.items():
        if field in NEUTRAL and value is not None and value not in NEUTRAL[field]:
            raise Refusal(f"{field} = {value!r} is not supported: leave it out", str(field))
        if field not in KNOWN and field not in NEUTRAL and field not in IGNORED:
            raise Refusal(f"there is no field {field!r}", str(field))


def _sampling(data: Mapping[str, Any]) -> Sampling:
    field = "max_tokens" if data.get("max_tokens") is not None else "max_completion_tokens"
    tokens = _number(data, field, None, 1, 1 << 20, int)
    stops = data.get("stop") or []
    stops = [stops] if isinstance(stops, str) else stops
    if (
        not isinstance(stops, list)
        or len(stops) > MOST_STOPS
        or not all(isinstance(one, str) and one for one in stops)
    ):
        raise Refusal(f"stop must be text, or a list of up to {MOST_STOPS} texts", "stop")
    return Sampling(
        tokens,
        _number(data, "temperature", 0.0, 0, 2, float),
        _number(data, "top_p", 1.0, 1e-6, 1, float),
        _number(data, "seed", None, -(1 << 63), (1 << 63) - 1, int),
        tuple(stops),
    )


def _number(
    data: Mapping[str, Any], field: str, default: Any, least: float, most: float, kind: type
) -> Any:
    value = data.get(field)
    if value is None:
        return default
    allowed = (int,) if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed) or not least <= value <= most:
        raise Refusal(
            f"{field} must be {'an integer' if kind is int else 'a number'} from {least:g} to "
            f"{most:g}",
            field,
        )
    return kind(value)


def _flag(data: Mapping[str, Any], field: str) -> bool:
    value = data.get(field)
    if value is not None and not isinstance(value, bool):
        raise Refusal(f"{field} must be true or false", field)
    return bool(value)


def _conversation(
    messages: Any, see: See
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Any, ...], str]:
    if not isinstance(messages, list) or not messages:
        raise Refusal("messages must be a list of at least one message", "messages")
    if len(messages) > MOST_MESSAGES:
        raise Refusal(f"{len(messages)} messages are more than {MOST_MESSAGES}", "messages")
    system, start = "", 0
    texts: dict[str, list[str]] = {"user": [], "assistant": []}
    pictures: list[Any] = []
    for place, message in enumerate(messages):
        field = f"messages[{place}]"
        role = message.get("role") if isinstance(message, dict) else None
        if role == "system" and place == 0:
            system, start = _text(message, field, [], see), 1
            continue
        if role != ("user", "assistant")[(place - start) % 2]:
            raise Refusal(
                f"{field} has role {role!r}: after an optional system message, user and assistant "
                "take turns, user first",
                field,
            )
        texts[role].append(_text(message, field, pictures, see))
    if len(texts["user"]) != len(texts["assistant"]) + 1:
        raise Refusal("the last message must be the user's", "messages")
    return tuple(texts["user"]), tuple(texts["assistant"]), tuple(pictures), system


def _text(message: Mapping[str, Any], field: str, pictures: list[Any], see: See) -> str:
    """A message's text; its pictures are added to `pictures`, and stand first unless the text has
    their `<image>` marks."""
    content = message.get("content")
    if isinstance(content, str):
        text, count = content, 0
    elif isinstance(content, list) and content:
        before = len(pictures)
        text = "\n".join(_parts(content, f"{field}.content", pictures, see))
        count = len(pictures) - before
    else:
        raise Refusal(f"{field}.content must be text or a list of parts", field)
    if count and message.get("role") != "user":
        raise Refusal("only the user's messages have pictures", field)
    if message.get("role") != "user":
        return text
    marks = text.count(IMAGE)
    if marks not in (0, count):
        raise Refusal(
            f"{field} has {count} pictures and {marks} {IMAGE} in its text: leave the marks out, "
            "or one for each",
            field,
        )
    return text if marks else f"{IMAGE}\n" * count + text


def _parts(content: list[Any], field: str, pictures: list[Any], see: See) -> list[str]:
    texts = []
    for place, part in enumerate(content):
        where = f"{field}[{place}]"
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind == "image_url":
            if len(pictures) == MOST_PICTURES:
                raise Refusal(f"more than {MOST_PICTURES} pictures in one conversation", where)
            image = part.get("image_url")
            pictures.append(
                see(image.get("url") if isinstance(image, dict) else image, f"{where}.image_url")
            )
        else:
            raise Refusal(f"{where} must be a part of type text or image_url", where)
    return texts
