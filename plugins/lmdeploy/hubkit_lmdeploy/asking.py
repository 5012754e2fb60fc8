"""Asking LMDeploy's pipeline, and seeing what it really sent to the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from hubkit.sdk import (
    Answer,
    DataError,
    EnvironmentFailure,
    PluginError,
    Record,
    RefusedError,
    Vision,
)

from .messages import MARK, messages, tile_count

TIMED_TOKENS = 64


@dataclass(frozen=True)
class Sent:
    """One request as LMDeploy made it: `prompt` after its template, `ids` after its tokenizer, each
    picture's image positions, and the ids that end an answer. `mistaken` is an id of the text that
    LMDeploy takes for a picture's."""

    prompt: str
    ids: tuple[int, ...]
    positions: tuple[int, ...]
    stops: frozenset[int]
    mistaken: int | None = None


class Requests:
    """Records every request that a pipeline prepares. `context` is what stands for pictures in the
    model's own prompts, and its id: for some models LMDeploy writes its own mark and the padding
    token instead."""

    def __init__(self, pipe: Any, context: tuple[str, int]) -> None:
        self._sent: dict[int, Sent] = {}
        engine = pipe.async_engine
        prepare = engine.preprocess

        async def recorded(**request: Any) -> Any:
            made = await prepare(**request)
            pictures = made.inputs.get("multimodal") or ()
            ids: list[int | None] = [int(number) for number in made.inputs["input_ids"]]
            positions = tuple(int(picture["image_tokens"]) for picture in pictures)
            for picture, count in zip(pictures, positions, strict=True):
                start = int(picture["offset"])
                ids[start : start + count] = [None] * count
            self._sent[id(request["messages"])] = Sent(
                made.inputs["prompt"].replace(MARK, context[0]),
                tuple(context[1] if number is None else number for number in ids),
                positions,
                frozenset(made.gen_config.stop_token_ids or ()),
                next(
                    (
                        picture["image_token_id"]
                        for picture in pictures
                        if picture["image_token_id"] in ids
                    ),
                    None,
                ),
            )
            return made

        engine.preprocess = recorded

    def of(self, asked: Sequence[Mapping[str, Any]]) -> Sent:
        """What became of the messages `asked`: this very list, while the caller holds it."""
        return self._sent[id(asked)]


@dataclass(frozen=True)
class Question:
    """`pictures` are RGB images of PIL."""

    record: Record
    pictures: tuple[Any, ...]


class Asker:
    """A loaded pipeline with the rules of one model: how many tiles, what ends an answer, the id of
    `vision.context`, and whether a picture may stand anywhere (`marks`)."""

    def __init__(
        self,
        pipe: Any,
        vision: Vision,
        stops: Sequence[int],
        max_new_tokens: int,
        context: int,
        marks: bool = True,
    ) -> None:
        self.pipe, self.requests, self.vision = (
            pipe,
            Requests(pipe, (vision.context, context)),
            vision,
        )
        self.stops, self.max_new_tokens, self.marks = frozenset(stops), max_new_tokens, marks

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Answers in order, turn by turn; the model's own earlier answers are the history."""
        talks = [_Talk(question) for question in questions]
        for turn in range(max((len(question.record.turns) for question in questions), default=0)):
            speaking = [talk for talk in talks if turn < len(talk.question.record.turns)]
            asked = [self._messages(talk.question, talk.texts) for talk in speaking]
            for talk, sent, response in zip(
                speaking, asked, self.pipe(asked, gen_config=self._settings()), strict=True
            ):
                talk.add(response)
                self._check(talk.question, self.requests.of(sent))
        return [talk.answer() for talk in talks]

    def rehearse(self, question: Question) -> tuple[Sent, dict[str, float]]:
        """Asks the first turn twice: what was sent, and the speed of the second time.

        Raises:
            RefusedError: the two answers differ.
        """
        asked = self._messages(question, ())
        runs = [self._timed(asked) for _ in range(2)]
        sent = self.requests.of(asked)
        first, second = (until_stop(ids, sent.stops) for ids, _ in runs)
        if first != second:
            raise RefusedError(
                f"record {question.record.id}: two greedy answers to one question differ (token "
                f"ids {first} and {second})",
                "try the other backend, or dtype: bfloat16; nothing was published",
            )
        return sent, runs[1][1]

    def _messages(self, question: Question, answered: Sequence[str]) -> list[dict[str, Any]]:
        return messages(question.record, question.pictures, answered, marks=self.marks)

    def _timed(self, asked: list[dict[str, Any]]) -> tuple[list[int], dict[str, float]]:
        """Past the answer's end, so that there is something to time."""
        ids: list[int] = []
        started = first = perf_counter()
        for response in self.pipe.stream_infer(
            asked, gen_config=self._settings(TIMED_TOKENS, ignore_eos=True)
        ):
            _refuse_error(response, "the first record")
            if response.token_ids and not ids:
                first = perf_counter()
            ids += map(int, response.token_ids)
        numbers = {"first_token_seconds": first - started}
        if len(ids) > 1:
            numbers["tokens_per_second"] = (len(ids) - 1) / (perf_counter() - first)
        return ids, numbers

    def _settings(self, tokens: int = 0, **more: Any) -> Any:
        from lmdeploy import GenerationConfig

        return GenerationConfig(
            max_new_tokens=tokens or self.max_new_tokens, do_sample=False, **more
        )

    def _check(self, question: Question, sent: Sent) -> None:
        record, vision = question.record, self.vision
        if sent.mistaken is not None:
            raise RefusedError(
                f"record {record.id}: LMDeploy finds pictures by the token id {sent.mistaken}, "
                "which the text holds too",
                "give config.json a pad_token_id that no text has, such as that of "
                f"{vision.context}",
            )
        wanted = [
            tile_count(picture.width, picture.height, vision)
            for picture in question.pictures[: len(sent.positions)]
        ]
        found = [positions / vision.tokens_per_tile for positions in sent.positions]
        if wanted != found:
            raise RefusedError(
                f"record {record.id}: LMDeploy cuts its pictures into {found} tiles, training cut "
                f"them into {wanted}",
                "set min_dynamic_patch, max_dynamic_patch, use_thumbnail and force_image_size in "
                "config.json as in the base",
            )
        if missing := self.stops - sent.stops:
            raise RefusedError(
                f"LMDeploy does not stop at the token ids {sorted(missing)} of "
                "generation_config.json",
                "give generation_config.json the ids of all tokens that end an answer",
            )


class _Talk:
    """One conversation under way."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.texts: list[str] = []
        self.finish: list[str] = []
        self.tokens: list[int] = []

    def add(self, response: Any) -> None:
        _refuse_error(response, f"record {self.question.record.id}")
        self.texts.append(response.text.strip())
        self.finish.append("stop" if response.finish_reason == "stop" else "length")
        self.tokens.append(int(response.generate_token_len))

    def answer(self) -> Answer:
        return Answer(
            self.question.record.id, tuple(self.texts), tuple(self.finish), tuple(self.tokens)
        )


def until_stop(ids: Sequence[int], stops: frozenset[int]) -> list[int]:
    """`ids` up to the first stop."""
    end = next((place for place, number in enumerate(ids) if number in stops), len(ids))
    return list(ids[:end])


def _refuse_error(response: Any, what: str) -> None:
    if response is None or response.finish_reason in ("error", "abort"):
        code = getattr(response, "error_code", None) or "no answer"
        message = (
            f"{what}: LMDeploy failed on it ({code}: "
            f"{getattr(response, 'error_message', None) or 'no message'})"
        )
        if "context_length" in str(code):
            raise DataError(message, "shorten the record, or set session_length")
        if "memory" in message:
            raise EnvironmentFailure(message, "lower batch_size or cache_share")
        raise PluginError(message, "see the log, and try the other backend")
