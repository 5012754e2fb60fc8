"""Several requests at once, their results in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from hubkit.sdk import Run

T = TypeVar("T")
R = TypeVar("R")
_SECONDS = 0.2


def in_order(work: Callable[[T], R], items: Sequence[T], at_once: int, run: Run) -> Iterator[R]:
    """`work(item)` of each item, in the order of the items. An error is raised where its result
    would stand; nothing new is begun then, and what is under way is left behind.

    Raises:
        CancelledError: the run was cancelled.
    """
    pool = _Pool(work, items)
    for number in range(min(at_once, len(items))):
        # Not concurrent.futures: its threads keep a cancelled process until the server has spoken.
        threading.Thread(target=pool.run, name=f"asking {number}", daemon=True).start()
    try:
        for number in range(len(items)):
            while not pool.has(number):
                run.check_cancelled()
            yield pool.take(number)
    finally:
        pool.stop()


class _Pool:
    def __init__(self, work: Callable[[Any], Any], items: Sequence[Any]) -> None:
        self._work, self._items = work, iter(list(enumerate(items)))
        self._done: dict[int, tuple[Any, BaseException | None]] = {}
        self._changed, self._stopped = threading.Condition(), False

    def run(self) -> None:
        while True:
            with self._changed:
                task = None if self._stopped else next(self._items, None)
            if task is None:
                return
            number, item = task
            result: tuple[Any, BaseException | None]
            try:
                result = (self._work(item), None)
            except BaseException as error:
                result = (None, error)
                self.stop()
            with self._changed:
                self._done[number] = result
                self._changed.notify_all()

    def has(self, number: int) -> bool:
        """Waits a moment for it."""
        with self._changed:
            return self._changed.wait_for(lambda: number in self._done, _SECONDS)

    def take(self, number: int) -> Any:
        value, error = self._done.pop(number)
        if error is not None:
            raise error
        return value

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
