"""From a record to the OpenAI-style messages that make LMDeploy write the prompt that the model was
trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hubkit.sdk import IMAGE, DataError, Record, Vision, grid

MARK = "<IMAGE_TOKEN>"
"""LMDeploy puts a picture where this stands in a text. It is what reaches any position: a picture
that is a part of its own gets a line break after it (lmdeploy 0.18, vl/model/internvl.py)."""


UNMARKED = ("LlavaForConditionalGeneration",)
"""Architectures whose pictures LMDeploy puts before the text, each on a line of its own (lmdeploy
0.18, vl/model/llava_hf.py)."""


def messages(
    record: Record, pictures: Sequence[Any], answered: Sequence[str], *, marks: bool = True
) -> list[dict[str, Any]]:
    """The conversation up to the prompt that follows `answered`; `pictures` are the record's, as
    PIL images.

    Where a line break follows every picture, as in InternVL's own training data, the pictures are
    parts, which is what a client of the server sends; else they stand at marks in the text. Without
    `marks` LMDeploy knows parts only, before the text.

    Raises:
        DataError: a prompt holds LMDeploy's own mark, or a picture where LMDeploy cannot put one.
    """
    prompts = [turn.prompt for turn in record.turns[: len(answered) + 1]]
    if any(MARK in prompt for prompt in prompts):
        raise DataError(
            f"record {record.id}: a prompt contains {MARK}", f"write {IMAGE} where a picture goes"
        )
    if not marks and not all(map(_leads, prompts)):
        raise DataError(
            f"record {record.id}: LMDeploy puts this model's pictures before the text, on lines of "
            "their own",
            f"write each prompt as {IMAGE}, a line break, then the text, in training too; or use "
            "the engine transformers",
        )
    build = _parts if all(map(_breaks_lines, prompts)) else _marked
    remaining = iter(pictures)
    found: list[dict[str, Any]] = []
    for turn, prompt in enumerate(prompts):
        content = (
            build(prompt, [next(remaining) for _ in range(prompt.count(IMAGE))])
            if IMAGE in prompt
            else prompt
        )
        found.append({"role": "user", "content": content})
        if turn < len(answered):
            found.append({"role": "assistant", "content": answered[turn]})
    return found


def _breaks_lines(prompt: str) -> bool:
    return all(text.startswith("\n") for text in prompt.split(IMAGE)[1:])


def _leads(prompt: str) -> bool:
    """Pictures on lines of their own, then a text."""
    text = prompt.removeprefix(f"{IMAGE}\n" * prompt.count(IMAGE))
    return IMAGE not in text and bool(text)


def _parts(prompt: str, pictures: Sequence[Any]) -> list[dict[str, Any]]:
    first, *others = prompt.split(IMAGE)
    parts = [_text(first)] if first else []
    for picture, text in zip(pictures, others, strict=True):
        parts += [_picture(picture), *([_text(text[1:])] if text != "\n" else [])]
    return parts


def _marked(prompt: str, pictures: Sequence[Any]) -> list[dict[str, Any]]:
    return [_text(prompt.replace(IMAGE, MARK)), *map(_picture, pictures)]


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _picture(picture: Any) -> dict[str, Any]:
    return {"type": "image_data", "image_data": {"data": picture}}


def tile_count(width: int, height: int, vision: Vision) -> int:
    """How many tiles training made of a picture of that size in pixels, the thumbnail included."""
    columns, rows = grid(width, height, vision)
    return columns * rows + (1 if vision.thumbnail and columns * rows > 1 else 0)


def shortened(ids: Sequence[int], context: int) -> tuple[int, ...]:
    """`ids` with each picture's run of `context` ids as one."""
    return tuple(
        number
        for place, number in enumerate(ids)
        if number != context or place == 0 or ids[place - 1] != context
    )
