"""A batch of conversations, answered turn by turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hubkit.sdk import Answer, EnvironmentFailure
from hubkit.sdk.processing import Inputs, batched, joined

from .inputs import Arrangement, Question, pieces, whole
from .loading import Loaded


class Talk:
    """One conversation under way."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self._pieces: list[Inputs] = []
        self.texts: list[str] = []
        self.finish: list[str] = []
        self.tokens: list[int] = []

    def inputs(self, arrange: Arrangement) -> Inputs:
        """What the model takes to speak next."""
        if arrange.split:
            return whole(arrange, self.question, self.texts)
        self._pieces += pieces(arrange, self.question, len(self._pieces), self.texts)
        return joined(self._pieces)

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


def answer(loaded: Loaded, questions: Sequence[Question], max_new_tokens: int) -> list[Answer]:
    """Answers in the order of the questions. The model's own earlier answers are the history.

    Raises:
        EnvironmentFailure: the device's memory is too small for the batch.
    """
    import torch

    talks = [Talk(question) for question in questions]
    try:
        for turn in range(max((len(question.asked) for question in questions), default=0)):
            speaking = [talk for talk in talks if turn < len(talk.question.asked)]
            for talk, ids in zip(speaking, _speak(loaded, speaking, max_new_tokens), strict=True):
                talk.add(loaded.arrange.tokenizer, ids, loaded.stops)
    except torch.OutOfMemoryError:
        raise EnvironmentFailure(
            f"not enough GPU memory for {len(talks)} records at once", "lower batch_size"
        ) from None
    return [talk.answer() for talk in talks]


def _speak(loaded: Loaded, talks: Sequence[Talk], max_new_tokens: int) -> list[list[int]]:
    """The ids that follow each conversation, padded after the stop. Prompts are padded on the
    left. A decoder of its own begins with one token that is no part of the answer."""
    import torch
    from transformers import GenerationConfig

    given = batched([talk.inputs(loaded.arrange) for talk in talks], loaded.pad, "left")
    settings = GenerationConfig(
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=list(loaded.stops),
        pad_token_id=loaded.pad,
    )
    with torch.inference_mode():
        sequences = loaded.model.generate(
            generation_config=settings,
            **{name: tensor.to(loaded.device) for name, tensor in given.items()},
        )
    width = 1 if loaded.arrange.split else given["input_ids"].shape[1]
    return [[int(number) for number in row] for row in sequences[:, width:].tolist()]
