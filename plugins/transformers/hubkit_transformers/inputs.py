"""From records to what the model takes, for both ways of arranging pictures: as tiles, or by the
model's own processor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from hubkit.sdk import (
    DataError,
    PictureFile,
    Record,
    Vision,
    open_picture,
    parts,
    pictures_of,
    prompts,
    segments,
    text_parts,
    tiles,
)
from hubkit.sdk.processing import Inputs, Processor, load_tokenizer


class Arrangement(Protocol):
    """How one family's conversations and pictures are arranged; `template` says whose chat template
    is used."""

    tokenizer: Any
    template: str
    split: bool
    """The model reads with an encoder and writes with a decoder of its own."""

    def see(self, picture: Any) -> Any:
        """An open picture (PictureFile, or an image of PIL) as `ask` and `inputs` take it. Raises
        PictureError."""

    def ask(self, record: Record, pictures: Sequence[Any]) -> tuple[Any, ...]:
        """The contents of the record's user messages. Raises DataError."""

    def say(self, text: str) -> Any:
        """The content of another message."""

    def render(self, messages: list[dict[str, Any]], speak: bool) -> str:
        """The chat template's text."""

    def inputs(
        self, text: str, pictures: Sequence[Any], where: str, begins: bool = False
    ) -> Inputs:
        """What the model takes for a piece of that text with its pictures; `where` is for errors,
        `begins` says whether it is the first."""

    def first(self, record: Record, images: Path) -> tuple[str, tuple[int, ...], str]:
        """The record's first prompt with one position a picture, its ids, and the digest of its
        inputs where a processor makes them."""


class Tiled:
    """As hubkit tiles pictures."""

    template = "the tokenizer's chat_template"
    split = False

    def __init__(self, tokenizer: Any, vision: Vision) -> None:
        self.tokenizer, self._vision = tokenizer, vision

    def see(self, picture: Any) -> Any:
        return pixels(picture, self._vision)

    def ask(self, record: Record, pictures: Sequence[Any]) -> tuple[Any, ...]:
        return prompts(record, [len(array) for array in pictures], self._vision)

    def say(self, text: str) -> Any:
        return text

    def render(self, messages: list[dict[str, Any]], speak: bool) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=speak
            )
        )

    def inputs(
        self, text: str, pictures: Sequence[Any], where: str, begins: bool = False
    ) -> Inputs:
        import numpy
        import torch

        ids = tuple(self.tokenizer(text, add_special_tokens=False).input_ids)
        if not pictures:
            return Inputs(ids)
        return Inputs(ids, {}, {"pixel_values": torch.from_numpy(numpy.concatenate(pictures))})

    def first(self, record: Record, images: Path) -> tuple[str, tuple[int, ...], str]:
        short = replace(self._vision, tokens_per_tile=1)
        asked = prompts(record, [1] * len(record.images), short)
        text, _ = next(segments(self.render, asked[:1], ()))
        return text, self.inputs(text, (), "").ids, ""


class Processed:
    """As the model's own processor arranges pictures."""

    template = "the processor's chat_template"

    def __init__(self, processor: Processor, vision: Vision) -> None:
        self._processor, self._vision = processor, vision
        self.tokenizer, self.render = processor.tokenizer, processor.render
        self.split = processor.split

    def see(self, picture: Any) -> Any:
        return picture.rgb() if isinstance(picture, PictureFile) else picture

    def ask(self, record: Record, pictures: Sequence[Any]) -> tuple[Any, ...]:
        return parts(record, self._vision)

    def say(self, text: str) -> Any:
        return text_parts(text)

    def inputs(
        self, text: str, pictures: Sequence[Any], where: str, begins: bool = False
    ) -> Inputs:
        return self._processor.inputs(text, pictures, where, begins)

    def first(self, record: Record, images: Path) -> tuple[str, tuple[int, ...], str]:
        asked = question(record, images, self)
        text, _ = next(segments(self.render, asked.asked[:1], ()))
        own = next(pieces(self, asked, 0, ()))
        return text, self._processor.short_ids(text), own.digest()


def arrangement(native: Path, vision: Vision) -> Arrangement:
    if vision.fit == "processor":
        return Processed(Processor.open(native), vision)
    return Tiled(load_tokenizer(native), vision)


@dataclass(frozen=True)
class Question:
    """`asked` are the contents of the user's messages, `pictures` those of all of them, as the
    arrangement sees them; `counts` says how many are whose. `system` may be empty."""

    record: Record
    asked: tuple[Any, ...]
    pictures: tuple[Any, ...]
    system: str = ""


def question(record: Record, images: Path, arrange: Arrangement) -> Question:
    """Raises DataError for a picture that cannot be read."""
    seen = tuple(_seen(images / name, record, arrange) for name in record.images)
    return Question(record, arrange.ask(record, seen), seen)


def _seen(path: Path, record: Record, arrange: Arrangement) -> Any:
    try:
        with open_picture(path) as picture:
            return arrange.see(picture)
    except (OSError, ValueError) as error:
        raise DataError(
            f"record {record.id}: {path.name} is not a picture that can be read ({error})",
            "replace the file",
        ) from None


def pieces(
    arrange: Arrangement, question: Question, done: int, answered: Sequence[str]
) -> Iterator[Inputs]:
    """The conversation up to where the model is to speak again, in the pieces that are tokenized
    one by one: two for each turn that is `answered`, and the last prompt. The first `done` are
    known and left out."""
    for number, (text, is_answer) in enumerate(_texts(arrange, question, answered)):
        if number >= done:
            turn = number // 2
            own = () if is_answer else pictures_of(question.record, turn, question.pictures)
            where = f"record {question.record.id}, turn {turn + 1}"
            yield arrange.inputs(text, own, where, begins=not number)


def whole(arrange: Arrangement, question: Question, answered: Sequence[str]) -> Inputs:
    """All of the conversation up to where the model is to speak again, for one that reads with an
    encoder: its text is tokenized as one."""
    text = "".join(text for text, _ in _texts(arrange, question, answered))
    where = f"record {question.record.id}"
    return arrange.inputs(text, question.pictures, where, begins=True)


def _texts(
    arrange: Arrangement, question: Question, answered: Sequence[str]
) -> Iterator[tuple[str, bool]]:
    leading = (
        [{"role": "system", "content": arrange.say(question.system)}] if question.system else []
    )
    yield from segments(
        lambda messages, speak: arrange.render(leading + messages, speak),
        question.asked[: len(answered) + 1],
        [arrange.say(text) for text in answered],
    )


def measured(
    arrange: Arrangement, record: Record, images: Path
) -> tuple[int, tuple[tuple[int, int], ...]]:
    """(tokens, for each answer its first and last position) of the record as it is trained on."""
    total, answers = 0, []
    texts = tuple(turn.answer for turn in record.turns)
    for number, piece in enumerate(pieces(arrange, question(record, images, arrange), 0, texts)):
        if number % 2:
            answers.append((total, total + len(piece.ids)))
        total += len(piece.ids)
    return total, tuple(answers)


def pixels(picture: Any, vision: Vision) -> Any:
    """A picture as the model sees it: float32, (tiles, 3, tile, tile), normalised."""
    import numpy

    values = (
        numpy.stack([numpy.asarray(part, dtype=numpy.float32) for part in tiles(picture, vision)])
        / 255
    )
    normal = (values - numpy.float32(vision.mean)) / numpy.float32(vision.std)
    return normal.transpose(0, 3, 1, 2)
