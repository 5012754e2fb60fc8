"""Records on their way to the model: made ready by threads while it answers others, then put
together by length, so that little of a batch is padding."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

from hubkit.sdk import Record
from hubkit.sdk.processing import Inputs

from .inputs import Arrangement, Question, pieces, whole

_THREADS = 4
_WINDOW = 4
"""Batches' worth of records that are sorted by length together."""
_HELD = 1 << 30
"""Bytes of pictures after which a window ends, however few its records."""


@dataclass(frozen=True)
class Ready:
    """A record, and what the model takes to answer its first turn. `place` is its place among all
    records; `needs` is about how many positions it takes, answers and all."""

    place: int
    question: Question
    first: Inputs
    needs: int


@dataclass
class Limits:
    """Of a batch: `records`, and `tokens` (the longest record's positions times the records).
    Positions beyond `steady` change how the model sees all others of a batch."""

    records: int
    tokens: int
    steady: int


class Preparing:
    """Makes records ready; safe for several threads. Pictures are decoded side by side; tokenizers
    and processors, which may not be shared, work one at a time."""

    def __init__(
        self, arrange: Arrangement, ask: Callable[[Record], Question], max_new_tokens: int
    ) -> None:
        self._arrange, self._ask, self._tokens = arrange, ask, max_new_tokens
        self._alone = Lock()

    def __call__(self, numbered: tuple[int, Record]) -> Ready:
        """Raises DataError for a picture or a prompt that the model cannot take."""
        place, record = numbered
        question = self._ask(record)
        with self._alone:
            first = next(pieces(self._arrange, question, 0, ()))
        needs = (len(first.ids) + self._tokens) * len(question.asked)
        return Ready(place, question, first, needs)

    def further(self, question: Question, known: list[Inputs], texts: list[str]) -> list[Inputs]:
        """The pieces of the conversation, of which the first are `known`."""
        with self._alone:
            if self._arrange.split:
                return [whole(self._arrange, question, texts)]
            return [*known, *pieces(self._arrange, question, len(known), texts)]


def batches(
    records: Iterable[tuple[int, Record]], prepare: Callable[..., Ready], limits: Limits
) -> Generator[list[Ready], None, None]:
    """All `records`, longest first within a window: what memory is too small for is known early.
    `limits` may change while this runs."""
    ready = _ahead(prepare, records, limits.records)
    for window in _windows(ready, _WINDOW * limits.records):
        batch: list[Ready] = []
        for one in sorted(window, key=lambda one: (-one.needs, one.place)):
            if batch and _full(batch, limits):
                yield batch
                batch = []
            batch.append(one)
        yield batch


def _full(batch: list[Ready], limits: Limits) -> bool:
    longest = batch[0].needs
    return (
        len(batch) >= limits.records
        or longest * (len(batch) + 1) > limits.tokens
        or longest > limits.steady
    )


def _windows(ready: Iterable[Ready], most: int) -> Iterator[list[Ready]]:
    window, held = list[Ready](), 0
    for one in ready:
        window.append(one)
        held += one.first.nbytes
        if len(window) >= most or held >= _HELD:
            yield window
            window, held = [], 0
    if window:
        yield window


def _ahead(
    prepare: Callable[..., Ready], records: Iterable[tuple[int, Record]], ahead: int
) -> Iterator[Ready]:
    """In order, up to `ahead` of them before they are asked for."""
    waiting: deque[Future[Ready]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            for one in records:
                waiting.append(pool.submit(prepare, one))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
