"""A batch of conversations, answered turn by turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hubkit.sdk import Answer, EnvironmentFailure, Run
from hubkit.sdk.processing import Inputs, batched, joined

from .batching import Limits, Preparing, Ready
from .close_calls import CloseCalls
from .loading import Loaded


class Talk:
    """One conversation under way. `close`: it hung on a close call."""

    def __init__(self, ready: Ready) -> None:
        self.ready, self.close = ready, False
        self._pieces: list[Inputs] = [ready.first]
        self.texts: list[str] = []
        self.finish: list[str] = []
        self.tokens: list[int] = []

    def inputs(self, prepare: Preparing) -> Inputs:
        """What the model takes to speak next."""
        if self.texts:
            self._pieces = prepare.further(self.ready.question, self._pieces, self.texts)
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
            self.ready.question.record.id,
            tuple(self.texts),
            tuple(self.finish),
            tuple(self.tokens),
        )


class Asker:
    """Asks batches. With `exact` each answer is the one that the record gets alone: what hung on a
    close call is asked again by itself; `again` counts them."""

    def __init__(
        self, loaded: Loaded, prepare: Preparing, max_new_tokens: int, limits: Limits, exact: bool
    ) -> None:
        self._loaded, self._prepare, self._tokens = loaded, prepare, max_new_tokens
        self._limits, self._exact = limits, exact
        self.again = 0

    def ask(self, batch: Sequence[Ready], run: Run) -> Iterator[list[tuple[int, Answer]]]:
        """Answers with their records' places, as they are known. A batch that memory is too small
        for is asked in halves.

        Raises:
            EnvironmentFailure: the device's memory is too small for one record.
        """
        run.check_cancelled()
        talks = self._talked(batch)
        if talks is None:
            yield from self._halves(batch, run)
            return
        yield [(talk.ready.place, talk.answer()) for talk in talks if not talk.close]
        for talk in talks:
            if talk.close:
                self.again += 1
                yield from self.ask([talk.ready], run)

    def _halves(self, batch: Sequence[Ready], run: Run) -> Iterator[list[tuple[int, Answer]]]:
        import torch

        if len(batch) == 1:
            raise EnvironmentFailure(
                f"record {batch[0].question.record.id}: not enough GPU memory for about "
                f"{batch[0].needs} positions",
                "lower max_new_tokens, use smaller pictures, or use a GPU with more memory",
            )
        torch.cuda.empty_cache()
        half = len(batch) // 2
        tokens = half * max(one.needs for one in batch)
        if tokens < self._limits.tokens:
            self._limits.tokens = tokens
            run.note(f"not enough memory for {len(batch)} records at once: {half} are asked")
        for part in (batch[:half], batch[half:]):
            yield from self.ask(part, run)

    def _talked(self, batch: Sequence[Ready]) -> list[Talk] | None:
        """None where the device's memory is too small."""
        import torch

        talks = [Talk(ready) for ready in batch]
        try:
            for turn in range(max(len(ready.question.asked) for ready in batch)):
                self._speak([one for one in talks if turn < len(one.ready.question.asked)])
        except torch.OutOfMemoryError:
            return None
        return talks

    def _speak(self, talks: Sequence[Talk]) -> None:
        """One turn of each. Prompts are padded on the left; a decoder of its own begins with one
        token that is no part of the answer."""
        import torch
        from transformers import GenerationConfig, LogitsProcessorList

        loaded = self._loaded
        given = batched([talk.inputs(self._prepare) for talk in talks], loaded.pad, "left")
        settings = GenerationConfig(
            do_sample=False,
            max_new_tokens=self._tokens,
            eos_token_id=list(loaded.stops),
            pad_token_id=loaded.pad,
        )
        watch = CloseCalls(loaded.stops, loaded.dtype)
        exact = self._exact and len(talks) > 1
        with torch.inference_mode():
            sequences = loaded.model.generate(
                generation_config=settings,
                logits_processor=LogitsProcessorList([watch] if exact else []),
                **{name: tensor.to(loaded.device) for name, tensor in given.items()},
            )
        width = 1 if loaded.arrange.split else given["input_ids"].shape[1]
        close = watch.close.tolist() if exact else [False] * len(talks)
        for talk, row, hung in zip(talks, sequences[:, width:].tolist(), close, strict=True):
            talk.add(loaded.arrange.tokenizer, row, loaded.stops)
            talk.close |= hung
