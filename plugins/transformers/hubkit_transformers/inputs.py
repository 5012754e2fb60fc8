"""From records to what the model takes: pictures as tiles, prompts as ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubkit.sdk import DataError, Record, Vision, open_picture, prompts, segments, tiles


@dataclass(frozen=True)
class Question:
    """`asked` has each picture's positions in place; `pixels` is one float32 array (tiles, 3, tile,
    tile) a picture."""

    record: Record
    asked: tuple[str, ...]
    pixels: tuple[Any, ...]


def question(record: Record, images: Path, vision: Vision) -> Question:
    """Raises DataError for a picture that cannot be read."""
    pixels = tuple(_pixels(images / name, record, vision) for name in record.images)
    return Question(record, prompts(record, [len(array) for array in pixels], vision), pixels)


def _pixels(path: Path, record: Record, vision: Vision) -> Any:
    try:
        with open_picture(path) as picture:
            return pixels(picture, vision)
    except (OSError, ValueError) as error:
        raise DataError(
            f"record {record.id}: {path.name} is not a picture that can be read ({error})",
            "replace the file",
        ) from None


def pixels(picture: Any, vision: Vision) -> Any:
    """A picture as the model sees it: float32, (tiles, 3, tile, tile), normalised."""
    import numpy

    values = (
        numpy.stack([numpy.asarray(part, dtype=numpy.float32) for part in tiles(picture, vision)])
        / 255
    )
    normal = (values - numpy.float32(vision.mean)) / numpy.float32(vision.std)
    return normal.transpose(0, 3, 1, 2)


def picture_inputs(pictures: Sequence[Any], device: str) -> dict[str, Any]:
    """The model's argument for the pictures of a batch, in the order of their marks; none for text
    alone."""
    import numpy
    import torch

    return (
        {"pixel_values": torch.from_numpy(numpy.concatenate(pictures)).to(device)}
        if pictures
        else {}
    )


def prompt_text(
    tokenizer: Any, asked: Sequence[str], answered: Sequence[str], system: str = ""
) -> list[str]:
    """The conversation up to where the model is to speak, in the pieces that are tokenized one by
    one."""
    leading = [{"role": "system", "content": system}] if system else []

    def render(messages: list[dict[str, str]], speak: bool) -> str:
        return str(
            tokenizer.apply_chat_template(
                leading + messages, tokenize=False, add_generation_prompt=speak
            )
        )

    return [text for text, _ in segments(render, asked[: len(answered) + 1], answered)]


def prompt_ids(
    tokenizer: Any, asked: Sequence[str], answered: Sequence[str], system: str = ""
) -> list[int]:
    return list(token_ids(tokenizer, prompt_text(tokenizer, asked, answered, system)))


def token_ids(tokenizer: Any, pieces: Sequence[str]) -> tuple[int, ...]:
    return tuple(
        number
        for piece in pieces
        for number in tokenizer(piece, add_special_tokens=False).input_ids
    )


def used_pictures(question: Question, turn: int, mark: str) -> int:
    """How many of the record's pictures have appeared by `turn` (0 is the first); `mark` starts a
    picture's positions."""
    return sum(text.count(mark) for text in question.asked[: turn + 1])
