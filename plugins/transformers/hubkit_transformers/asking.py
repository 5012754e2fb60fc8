"""A batch of conversations, answered turn by turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hubkit.sdk import Answer, EnvironmentFailure, Vision

from .inputs import Question, picture_inputs, prompt_ids, used_pictures
from .loading import Loaded


class Talk:
    """One conversation under way."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.texts: list[str] = []
        self.finish: list[str] = []
        self.tokens: list[int] = []

    def add(self, tokenizer: Any, ids: list[int], stops: tuple[int, ...]) -> None:
        """`ids` are what the model said, the stop and any padding after it included."""
        end = next((place for place, number in enumerate(ids) if number in stops), None)
        said = ids if end is None else ids[:end]
        self.texts.append(tokenizer.decode(said, skip_special_tokens=True).strip())
        self.finish.append("length" if end is None else "stop")
        self.tokens.append(len(said))

    def answer(self) -> Answer:
        return Answer(
            self.question.record.id, tuple(self.texts), tuple(self.finish), tuple(self.tokens)
        )


def answer(
    loaded: Loaded, questions: Sequence[Question], vision: Vision, max_new_tokens: int
) -> list[Answer]:
    """Answers in the order of the questions. The model's own earlier answers are the history.

    Raises:
        EnvironmentFailure: the device's memory is too small for the batch.
    """
    import torch

    talks = [Talk(question) for question in questions]
    try:
        for turn in range(max((len(question.asked) for question in questions), default=0)):
            speaking = [talk for talk in talks if turn < len(talk.question.asked)]
            for talk, ids in zip(
                speaking, _speak(loaded, speaking, turn, vision, max_new_tokens), strict=True
            ):
                talk.add(loaded.tokenizer, ids, loaded.stops)
    except torch.OutOfMemoryError:
        raise EnvironmentFailure(
            f"not enough GPU memory for {len(talks)} records at once", "lower batch_size"
        ) from None
    return [talk.answer() for talk in talks]


def _speak(
    loaded: Loaded, talks: Sequence[Talk], turn: int, vision: Vision, max_new_tokens: int
) -> list[list[int]]:
    """The ids that follow each conversation, padded after the stop. Prompts are padded on the
    left."""
    import torch
    from transformers import GenerationConfig

    rows = [prompt_ids(loaded.tokenizer, talk.question.asked, talk.texts) for talk in talks]
    width, pad = max(map(len, rows)), loaded.tokenizer.pad_token_id
    pad = loaded.stops[0] if pad is None else pad
    pixels = [
        array
        for talk in talks
        for array in talk.question.pixels[: used_pictures(talk.question, turn, vision.mark)]
    ]
    settings = GenerationConfig(
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=list(loaded.stops),
        pad_token_id=pad,
    )
    with torch.inference_mode():
        sequences = loaded.model.generate(
            input_ids=torch.tensor(
                [[pad] * (width - len(row)) + row for row in rows], device=loaded.device
            ),
            attention_mask=torch.tensor(
                [[0] * (width - len(row)) + [1] * len(row) for row in rows], device=loaded.device
            ),
            generation_config=settings,
            **picture_inputs(pixels, loaded.device),
        )
    return [[int(number) for number in row] for row in sequences[:, width:].tolist()]
