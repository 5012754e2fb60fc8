"""Batches made ahead of their use: pictures are read, tiled and scaled in threads (Pillow and numpy
let go of the interpreter's lock while they work), and one more thread puts the batches of a step
together in pinned memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

_STEPS_AHEAD = 3


class Feed:
    """`load` makes one example by its record's number, `collate` the batches of a step from its
    examples. Without `threads` everything is done when it is asked for."""

    def __init__(
        self,
        load: Callable[[int], Any],
        collate: Callable[[int, Sequence[Any]], list[Any]],
        threads: int,
    ) -> None:
        self._load, self._collate, self._threads = load, collate, threads

    def steps(
        self, numbers: Callable[[int], Sequence[int]], first: int, end: int
    ) -> Iterator[list[Any]]:
        """The batches of the steps `first` to `end` - 1, whose records `numbers` tells."""
        if not self._threads:
            yield from (
                self._collate(step, [self._load(number) for number in numbers(step)])
                for step in range(first, end)
            )
            return
        with (
            ThreadPoolExecutor(self._threads, "hubkit-pictures") as loaders,
            ThreadPoolExecutor(1, "hubkit-batches") as packer,
        ):
            waiting: deque[Future[list[Any]]] = deque()
            try:
                for step in range(first, end + _STEPS_AHEAD):
                    if step < end:
                        examples = [loaders.submit(self._load, number) for number in numbers(step)]
                        waiting.append(packer.submit(self._gather, step, examples))
                    if step >= first + _STEPS_AHEAD:
                        yield waiting.popleft().result()
            finally:
                for pool in (loaders, packer):
                    pool.shutdown(wait=False, cancel_futures=True)

    def _gather(self, step: int, examples: Sequence[Future[Any]]) -> list[Any]:
        return self._collate(step, [example.result() for example in examples])
