"""From a record to the text and the token ids of a conversation, in one way for training and for
generation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from .errors import DataError, UsageError
from .records import IMAGE, Record
from .vision import Vision

T = TypeVar("T")
Render = Callable[[list[dict[str, Any]], bool], str]
"""(messages with `role` and `content`, add_generation_prompt) -> text: a tokenizer's or a
processor's chat template."""
_FRAME = re.compile(rf"((?:{IMAGE}\n?)*)(.*?)((?:\n?{IMAGE})*)", re.DOTALL)
"""The pictures before all text, the text with those within it, the pictures after it."""


def prompts(record: Record, tiles: Sequence[int], vision: Vision) -> tuple[str, ...]:
    """The record's prompts, each `<image>` replaced by the placeholder of its picture's number of
    tiles.

    Raises:
        DataError: `<image>` does not stand once for each picture, or a prompt or an answer holds
            one of the image tokens itself.
    """
    _check_marks(record, len(tiles), vision)
    remaining = iter(tiles)
    filled = []
    for turn in record.turns:
        first, *others = turn.prompt.split(IMAGE)
        filled.append(
            first + "".join(vision.placeholder(next(remaining)) + text for text in others)
        )
    return tuple(filled)


def parts(record: Record, vision: Vision) -> tuple[list[dict[str, str]], ...]:
    """The record's prompts as chat templates for pictures take them: lists of texts and images.

    One line break between the text and the pictures before or after all of it is the records' way
    to keep the two apart, and no part of the text: what stands there is the template's choice.

    Raises:
        DataError: as `prompts` does.
    """
    _check_marks(record, len(record.images), vision)
    return tuple(_listed(turn.prompt) for turn in record.turns)


def pictures_of(record: Record, turn: int, pictures: Sequence[T]) -> Sequence[T]:
    """Of what stands for the record's pictures, one each in their order, the part that prompt
    `turn` (from 0) shows."""
    counts = [one.prompt.count(IMAGE) for one in record.turns]
    first = sum(counts[:turn])
    return pictures[first : first + counts[turn]]


def text_parts(text: str) -> list[dict[str, str]]:
    """A message of one text, as a list of parts."""
    return [{"type": "text", "text": text}]


def _listed(prompt: str) -> list[dict[str, str]]:
    before, text, after = _FRAME.fullmatch(prompt).groups()  # type: ignore[union-attr]
    listed = [{"type": "image"}] * before.count(IMAGE)
    for number, piece in enumerate(text.split(IMAGE)):
        listed += [{"type": "image"}] * bool(number) + (text_parts(piece) if piece else [])
    return [dict(part) for part in (*listed, *[{"type": "image"}] * after.count(IMAGE))]


def _check_marks(record: Record, pictures: int, vision: Vision) -> None:
    marks = sum(turn.prompt.count(IMAGE) for turn in record.turns)
    if marks != pictures:
        raise DataError(
            f"record {record.id}: {marks} {IMAGE} in the prompts for {pictures} pictures",
            f"put one {IMAGE} for each picture",
        )
    own = {vision.start, vision.context, vision.end} - {""}
    for turn in record.turns:
        for name, text, tokens in (
            ("a prompt", turn.prompt, own - {IMAGE}),
            ("an answer", turn.answer, own),
        ):
            if any(token in text for token in tokens):
                raise DataError(
                    f"record {record.id}: {name} contains an image token",
                    f"write {IMAGE} where a picture goes, and no image token",
                )


def segments(
    render: Render, asked: Sequence[Any], answered: Sequence[Any]
) -> Iterator[tuple[str, bool]]:
    """The conversation's text in pieces, (text, is it an answer?): what stands before each answer,
    then the answer with the stop that the template puts after it. With one prompt more than answers
    it ends where the model is to speak.

    Tokenizing piece by piece gives a model in training exactly the ids that it meets when it
    generates. What is asked and answered are texts, or the lists of `parts`.

    Raises:
        UsageError: the template changes earlier text when a message is added.
    """
    messages: list[dict[str, Any]] = []
    done = ""
    for turn, prompt in enumerate(asked):
        messages.append({"role": "user", "content": prompt})
        before = render(messages, True)
        yield _added(done, before), False
        done = before
        if turn < len(answered):
            messages.append({"role": "assistant", "content": answered[turn]})
            after = render(messages, False)
            yield _added(done, after), True
            done = after


def _added(old: str, new: str) -> str:
    if not new.startswith(old):
        raise UsageError(
            "the chat template rewrites the conversation when a message is added (text ending "
            f"{old[-60:]!r} is changed)",
            "use a chat template whose output only grows, as those of InternVL, Qwen and Llama do",
        )
    return new[len(old) :]


def stop_ids(generation: Mapping[str, object]) -> tuple[int, ...]:
    """`eos_token_id` of a generation_config.json as a tuple.

    Raises:
        UsageError: there is none.
    """
    value = generation.get("eos_token_id")
    ids = value if isinstance(value, list) else [value]
    numbers = tuple(
        number for number in ids if isinstance(number, int) and not isinstance(number, bool)
    )
    if not numbers or len(numbers) != len(ids):
        raise UsageError(
            f"generation_config.json: eos_token_id is {value!r}",
            "give the ids of the tokens that end an answer, as a list",
        )
    return numbers
