"""From a row of a table to a Record: which column is what, and where its pictures are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubkit.sdk import IMAGE, DataError, Record, Turn
from hubkit.sdk.excerpt import did_you_mean
from hubkit.sdk.rows import Place
from hubkit.sdk.unsupported_fields import IN_TURNS, says_something

_USUAL = {
    "image": ("image", "images", "img", "picture", "pixel_values"),
    "question": ("question", "query", "prompt", "instruction", "problem", "input"),
    "answer": ("answer", "answers", "response", "output", "solution", "caption", "text", "label"),
    "conversations": ("conversations", "conversation", "messages", "texts"),
    "id": ("id", "question_id", "uid", "key"),
}
_ROLES = {**dict.fromkeys(("human", "user"), 0), **dict.fromkeys(("gpt", "assistant", "model"), 1)}
_KINDS = (
    (b"\x89PNG", "png"),
    (b"\xff\xd8", "jpg"),
    (b"RIFF", "webp"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*", "tif"),
    (b"MM\0*", "tif"),
)
_SAID = {"from", "value", "role", "content"}


@dataclass(frozen=True)
class Columns:
    """Names of columns; empty where there is none."""

    image: str
    question: str
    answer: str
    conversations: str
    id: str
    prompt: str
    classes: Mapping[str, Sequence[str]]

    def read(self, item: Mapping[str, Any]) -> set[str]:
        """The columns that a record is made of: a question and its answer, or turns."""
        turns = self.conversations and says_something(item.get(self.conversations))
        said = {self.conversations} if turns else {self.question, self.answer}
        return {self.image, self.id, "file_name", *said} - {""}

    @classmethod
    def find(
        cls, file: Path, item: Any, options: Any, classes: Mapping[str, Sequence[str]]
    ) -> Columns:
        """The columns of a table like its row `item`.

        Raises:
            DataError: an option names a column that is not there, or neither answer nor
                conversation is found.
        """
        names = list(item) if isinstance(item, Mapping) else []
        found = {}
        for what, usual in _USUAL.items():
            stated = getattr(options, what)
            if stated and stated not in names:
                remedy = f"correct the dataset option `{what}`"
                raise DataError(
                    f"{file}: there is no column {stated!r}{did_you_mean(stated, names)} (there "
                    f"are: {', '.join(names)})",
                    remedy,
                    code="keys",
                )
            found[what] = stated or next((name for name in usual if name in names), "")
        if not (found["answer"] or found["conversations"]):
            remedy = "name a column with the dataset option `answer` or `conversations`"
            raise DataError(
                f"{file}: no column with answers (there are: {', '.join(names)})",
                remedy,
                code="keys",
            )
        return cls(**found, prompt=options.prompt, classes=classes)


def record(place: Place, columns: Columns) -> tuple[Record, dict[str, bytes]]:
    """The record, and the encoded pictures that lie within the table.

    Raises:
        DataError: names the column and what was expected.
    """
    item = place.item
    if not isinstance(item, Mapping):
        raise place.error(
            "record", f"must be an object, not {type(item).__name__}", "one object a row"
        )
    pictures: dict[str, bytes] = {}
    read = columns.read(item)
    images = _images(place, columns.image, item.get(columns.image), pictures)
    if columns.conversations in read:
        turns = _conversation(place, columns.conversations, item[columns.conversations])
    else:
        question = (
            _text(place, columns.question, item.get(columns.question))
            if columns.question
            else columns.prompt
        )
        turns = [Turn(question, _answer(place, columns, item.get(columns.answer)))]
    place.check_fields(read, images, IN_TURNS if columns.conversations in read else ())
    if columns.question == "instruction" and says_something(item.get("input")):
        remedy = "join the two in one column, or name one with the dataset option `question`"
        raise place.error("input", "a part of the question beside `instruction`", remedy, "fields")
    if images and not any(IMAGE in turn.prompt for turn in turns):
        turns[0] = Turn(f"{IMAGE}\n" * len(images) + turns[0].prompt, turns[0].answer)
    place.check_marks(images, turns, columns.conversations or columns.question or columns.image)
    identity = item.get(columns.id) if columns.id else None
    found = Record(place.identity(identity), tuple(images), tuple(turns), place.meta(read))
    return found, pictures


def _images(place: Place, column: str, value: Any, pictures: dict[str, bytes]) -> list[str]:
    values = value if isinstance(value, list) else [value] if value is not None else []
    names = []
    for number, one in enumerate(values):
        content = (
            one.get("bytes")
            if isinstance(one, Mapping)
            else one
            if isinstance(one, bytes)
            else None
        )
        if content:
            kind = next((kind for start, kind in _KINDS if content.startswith(start)), "img")
            name = f"{place.index:07d}{f'-{number}' if len(values) > 1 else ''}.{kind}"
            pictures[name] = content
        else:
            name = place.image(column, one.get("path") if isinstance(one, Mapping) else one)
        names.append(name)
    return names


def _conversation(place: Place, column: str, value: Any) -> list[Turn]:
    if not isinstance(value, list):
        raise place.error(
            column, f"must be a list of messages, not {value!r}", "name another column"
        )
    if value and isinstance(value[0], Mapping) and {"user", "assistant"} <= value[0].keys():
        for number, pair in enumerate(value):
            place.check_message(f"{column}[{number}]", pair, {"user", "assistant"}, learnt=True)
        texts = [text for pair in value for text in (pair.get("user"), pair.get("assistant"))]
        return _turns(place, column, [_text(place, column, text) for text in texts])
    texts = []
    for number, message in enumerate(value):
        field = f"{column}[{number}]"
        role = message.get("from", message.get("role")) if isinstance(message, Mapping) else None
        if _ROLES.get(str(role)) != number % 2:
            due = ("user", "assistant")[number % 2]
            remedy = "messages alternate, the user's first"
            raise place.error(
                field, f"a message of {role!r} where the {due}'s is due", remedy, "roles"
            )
        place.check_message(field, message, _SAID, number % 2 == 1)
        texts.append(_text(place, field, message.get("value", message.get("content"))))
    return _turns(place, column, texts)


def _turns(place: Place, column: str, texts: list[str]) -> list[Turn]:
    if not texts or len(texts) % 2:
        raise place.error(
            column,
            "the last question has no answer",
            "add the answer, or drop the message",
            "unanswered",
        )
    return list(map(Turn, texts[::2], texts[1::2]))


def _answer(place: Place, columns: Columns, value: Any) -> str:
    if isinstance(value, list) and value:
        value = value[0]
    names = columns.classes.get(columns.answer)
    if names is not None and isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < len(names):
            raise place.error(
                columns.answer,
                f"there is no class {value}",
                f"classes are 0 to {len(names) - 1}",
                "choices",
            )
        value = names[value]
    return _text(place, columns.answer, value)


def _text(place: Place, field: str, value: Any) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise place.error(field, f"must be a text, not {value!r}", "name another column")
    if not value.strip():
        raise place.error(field, "is empty", "fill in the text, or drop the row", "empty")
    return place.encodable(field, value)
