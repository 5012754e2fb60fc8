"""A record as the ids and labels that are trained on, as every engine tokenizes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hubkit.sdk import DataError, Record, UsageError, Vision, grid, open_picture, prompts, segments

IGNORED = -100


def encode(
    tokenizer: Any, record: Record, counts: Sequence[int], vision: Vision, stops: Sequence[int]
) -> tuple[list[int], list[int]]:
    """(ids, labels) with `counts` tiles for each picture; labels are -100 outside the answers. An
    answer's label ends with its stop token.

    Raises:
        UsageError: the chat template ends an answer with none of `stops`.
    """
    ids: list[int] = []
    labels: list[int] = []
    for text, is_answer in _pieces(tokenizer, record, counts, vision):
        piece = tokenizer(text, add_special_tokens=False)["input_ids"]
        end = (
            max((place + 1 for place, number in enumerate(piece) if number in stops), default=0)
            if is_answer
            else 0
        )
        if is_answer and not end:
            raise UsageError(
                "the chat template ends an answer with no token of generation_config.json's "
                "eos_token_id: the model would not learn to stop",
                "add the id of the template's end token to eos_token_id",
            )
        ids += piece
        labels += [*piece[:end], *[IGNORED] * (len(piece) - end)]
    return ids, labels


def first_prompt(tokenizer: Any, record: Record, vision: Vision) -> str:
    """The text before the first answer, with one image position for each picture."""
    short = replace(vision, tokens_per_tile=1)
    return next(text for text, _ in _pieces(tokenizer, record, [1] * len(record.images), short))


def shortened(ids: Sequence[int], context: int) -> tuple[int, ...]:
    """`ids` with each run of the image position `context` cut to one."""
    return tuple(
        number
        for place, number in enumerate(ids)
        if number != context or place == 0 or ids[place - 1] != context
    )


def tile_counts(record: Record, images: Path, vision: Vision) -> list[int]:
    """Tiles of each picture, from the files' headers alone.

    Raises:
        DataError: a picture cannot be read. (xtuner would put another record in its place, without
            a word.)
    """
    counts = []
    for name in record.images:
        try:
            with open_picture(images / name) as picture:
                columns, rows = grid(picture.width, picture.height, vision)
        except (OSError, ValueError) as error:
            raise DataError(
                f"record {record.id}: {name} is not a picture that can be read ({error})",
                "replace it",
            ) from None
        counts.append(columns * rows + (vision.thumbnail and columns * rows > 1))
    return counts


def _pieces(
    tokenizer: Any, record: Record, counts: Sequence[int], vision: Vision
) -> Iterator[tuple[str, bool]]:
    asked, answers = prompts(record, counts, vision), [turn.answer for turn in record.turns]
    return segments(partial(_render, tokenizer), asked, answers)


def _render(tokenizer: Any, messages: list[dict[str, str]], speak: bool) -> str:
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=speak))
