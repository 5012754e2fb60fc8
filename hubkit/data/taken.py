"""What is kept of the sound records of a dataset: a few bytes each, whatever their size."""

from __future__ import annotations

import random
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ..sdk import IMAGE, Record
from .hashes import Hashes

MEASURED = 10_000
"""Records whose tokens are counted: a sample with a fixed seed of larger datasets."""


class Taken:
    """Hashes of ids and texts; of pictures `keys`, and in `owners` the numbers of the records that
    have them; whether a text is `long`; and a uniform sample of all records, by place.

    `first` is the number of the first record, where another process takes those before.
    """

    def __init__(self, first: int = 0) -> None:
        self.ids = Hashes()
        self.settled: Any = None
        self.texts, self.owners, self.keys = array("q"), array("I"), array("q")
        self.long = bytearray()
        self.turns, self.images = Counter[int](), Counter[int]()
        self.first, self.sample = first, dict[int, Record]()
        self._random = random.Random(0)
        for _ in range(first - MEASURED):
            self._random.random()

    def __len__(self) -> int:
        return len(self.texts)

    def add(self, record: Record, key: Callable[[str], int]) -> None:
        """`key` gives equal numbers for equal pictures."""
        turns, images = record.turns, record.images
        parts = [text for turn in turns for text in (turn.prompt, turn.answer)]
        if images:
            for place, text in enumerate(parts):
                if IMAGE in text:
                    parts[place] = text.replace(IMAGE, "").strip()
            number = len(self.texts)
            for image in images:
                self.owners.append(number)
                self.keys.append(key(image))
        self.texts.append(hash(tuple(parts)))
        self.long.append(not images or sum(map(len, parts)) >= 200)
        self.turns[len(turns)] += 1
        self.images[len(images)] += 1
        count = self.first + len(self.texts)
        place = count - 1 if count <= MEASURED else int(self._random.random() * count)
        if place < MEASURED:
            self.sample[place] = record

    def settle(self) -> None:
        """No more ids can be looked for: they take a third of the room."""
        self.settled, self.ids = self.ids.numbers(), Hashes()

    def contents(self) -> array[int]:
        """For each record a number that is equal for equal text and pictures."""
        contents = array("q", self.texts)
        for owner, key in zip(self.owners, self.keys, strict=True):
            contents[owner] = hash((contents[owner], key))
        return contents


def joined(parts: Sequence[Taken]) -> Taken | None:
    """What processes that were forked from one have taken and settled, each of the records that
    follow those of the one before; None when they do not follow, or an id repeats."""
    import numpy

    whole = Taken()
    for part in parts:
        if part.first != len(whole):
            return None
        whole.owners.extend(number + part.first for number in part.owners)
        whole.texts += part.texts
        whole.keys += part.keys
        whole.long += part.long
        whole.turns += part.turns
        whole.images += part.images
        whole.sample |= part.sample
    ids = numpy.concatenate([part.settled for part in parts])
    return whole if len(numpy.unique(ids)) == len(ids) else None
