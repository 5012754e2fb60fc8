"""One answer at a time, in the order of arrival, by one thread that owns the model."""

from __future__ import annotations

import logging
import queue
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from hubkit.sdk import HubkitError, Record, Turn
from hubkit.sdk.processing import Inputs, batched, joined

from ..inputs import Question, pieces, whole
from ..loading import Loaded
from .errors import Refusal
from .growing import GrowingText
from .pictures import picture_of
from .requests import Chat, Sampling

MOST_WAITING = 64
DEFAULT_TOKENS = 1024
STOPPING = Refusal("the server is stopping", status=HTTPStatus.SERVICE_UNAVAILABLE)


@dataclass(frozen=True)
class Ended:
    """`finish` is `stop` or `length`; the counts are of tokens, the stop not among them."""

    finish: str
    prompt_tokens: int
    answer_tokens: int


@dataclass
class Job:
    """`pieces` gets the answer's text bit by bit, then an Ended or the Refusal that says why there
    is none."""

    inputs: Inputs
    sampling: Sampling
    tokens: int
    pieces: queue.Queue[str | Ended | Refusal] = field(default_factory=queue.Queue)
    cancelled: threading.Event = field(default_factory=threading.Event)


class Generator:
    """Use it in a `with` block; at its end the answer under way is broken off and those waiting are
    refused."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._waiting: queue.Queue[Job | None] = queue.Queue(MOST_WAITING)
        self._stopping, self._eye = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._work, name="generator", daemon=True)
        self.answered = 0

    def __enter__(self) -> Generator:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def see(self, url: Any, field: str) -> Any:
        """A picture as the model sees it. One at a time is open: a large one takes 200 MB until it
        has been cut into tiles."""
        with self._eye:
            return self._loaded.arrange.see(picture_of(url, field))

    def submit(self, chat: Chat) -> Job:
        """Raises Refusal: the conversation does not fit the model, or too many wait."""
        job = self._job(chat)
        if self._stopping.is_set():
            raise STOPPING
        try:
            self._waiting.put_nowait(job)
        except queue.Full:
            raise Refusal(
                f"{MOST_WAITING} requests wait: try again later",
                status=HTTPStatus.SERVICE_UNAVAILABLE,
            ) from None
        return job

    def _job(self, chat: Chat) -> Job:
        names = tuple(str(place) for place in range(len(chat.pictures)))
        record = Record("of this request", names, tuple(Turn(text, "") for text in chat.asked))
        arrange = self._loaded.arrange
        try:
            asked = Question(record, arrange.ask(record, chat.pictures), chat.pictures, chat.system)
            with self._eye:
                inputs = (
                    whole(arrange, asked, chat.answered)
                    if arrange.split
                    else joined(list(pieces(arrange, asked, 0, chat.answered)))
                )
        except HubkitError as error:
            raise Refusal(f"{error.message}: {error.remedy}", "messages") from None
        room = self._loaded.context - len(inputs.ids)
        if room < (chat.sampling.tokens or 1):
            raise Refusal(
                f"the conversation has {len(inputs.ids)} tokens and the model's context "
                f"{self._loaded.context}: shorten it, use smaller pictures, or lower max_tokens",
                "messages",
                code="context_length_exceeded",
            )
        return Job(inputs, chat.sampling, chat.sampling.tokens or min(DEFAULT_TOKENS, room))

    def _work(self) -> None:
        while True:
            try:
                job = self._waiting.get(timeout=0.1)
            except queue.Empty:
                if self._stopping.is_set():
                    return
                continue
            if job is None or job.cancelled.is_set():
                continue
            try:
                job.pieces.put(STOPPING if self._stopping.is_set() else self._answer(job))
            except Exception as error:
                job.pieces.put(_failure(error))

    def _answer(self, job: Job) -> Ended | Refusal:
        import torch
        from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

        loaded, sampling = self._loaded, job.sampling
        text = GrowingText(loaded.arrange.tokenizer, sampling.stops)
        finish = "length"

        def heard(ids: Any, *_: Any, **__: Any) -> Any:
            nonlocal finish
            number = int(ids[0, -1])
            if number in loaded.stops:
                finish = "stop"
            elif piece := text.add(number):
                job.pieces.put(piece)
            if text.stopped:
                finish = "stop"
            over = text.stopped or job.cancelled.is_set() or self._stopping.is_set()
            return torch.tensor([over], device=ids.device)

        class Listening(StoppingCriteria):  # type: ignore[misc, unused-ignore]
            __call__ = staticmethod(heard)

        settings = GenerationConfig(
            do_sample=sampling.temperature > 0,
            max_new_tokens=job.tokens,
            eos_token_id=list(loaded.stops),
            pad_token_id=loaded.pad,
            **(
                {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
                if sampling.temperature > 0
                else {}
            ),
        )
        if sampling.seed is not None:
            torch.manual_seed(sampling.seed)
        given = batched([job.inputs], loaded.pad, "left")
        with torch.inference_mode():
            loaded.model.generate(
                generation_config=settings,
                stopping_criteria=StoppingCriteriaList([Listening()]),
                **{name: tensor.to(loaded.device) for name, tensor in given.items()},
            )
        if self._stopping.is_set() and finish != "stop":
            return STOPPING
        if rest := text.end():
            job.pieces.put(rest)
        self.answered += 1
        return Ended(finish, len(job.inputs.ids), text.tokens)


def _failure(error: Exception) -> Refusal:
    """What is told of an error while generating; the log has it whole."""
    import torch

    logging.getLogger(__name__).exception("a request failed")
    if isinstance(error, torch.OutOfMemoryError):
        return Refusal(
            "not enough GPU memory for this conversation", status=HTTPStatus.SERVICE_UNAVAILABLE
        )
    return Refusal(
        f"the model failed: {type(error).__name__}", status=HTTPStatus.INTERNAL_SERVER_ERROR
    )
