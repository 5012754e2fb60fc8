"""The text of an answer while its tokens arrive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class GrowingText:
    """What was said so far without special tokens and outer white space, as a whole answer is
    given; it ends before the first of `stops`. `told` can be sent on: nothing that comes later
    changes it."""

    def __init__(self, tokenizer: Any, stops: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._stops = stops
        self._ids: list[int] = []
        self._whole = ""
        self.told = ""
        self.stopped = False

    @property
    def tokens(self) -> int:
        return len(self._ids)

    def add(self, number: int) -> str:
        """Takes one more token and returns what can be told now."""
        self._ids.append(number)
        self._whole = str(self._tokenizer.decode(self._ids, skip_special_tokens=True)).lstrip()
        found = [place for stop in self._stops if (place := self._whole.find(stop)) >= 0]
        if found:
            self._whole, self.stopped = self._whole[: min(found)], True
            return ""
        return self._tell(self._whole[: len(self._whole) - self._uncertain()])

    def end(self) -> str:
        """What had been held back."""
        return self._tell(self._whole)

    def _tell(self, text: str) -> str:
        text = text.rstrip()
        added = text[len(self.told) :]
        self.told += added
        return added

    def _uncertain(self) -> int:
        """How many characters at the end may yet change: an unfinished character, or what may
        become a stop."""
        unfinished = len(self._whole) - len(self._whole.rstrip("\ufffd"))
        starts = (
            size
            for stop in self._stops
            for size in range(1, len(stop))
            if self._whole.endswith(stop[:size])
        )
        return max([unfinished, *starts])
