"""A set of hashes in 16 bytes each, where Python's own takes a hundred: data of many millions of
records fit into memory."""

from __future__ import annotations

from array import array
from typing import Any


class Hashes:
    """64-bit numbers such as `hash(text)` gives; open addressing, at most half full."""

    def __init__(self) -> None:
        self._table, self._mask, self._count = array("q", bytes(8 << 10)), (1 << 10) - 1, 0

    def __contains__(self, number: int) -> bool:
        table, mask = self._table, self._mask
        number = number or 1
        place = number & mask
        while found := table[place]:
            if found == number:
                return True
            place = (place + 1) & mask
        return False

    def add(self, number: int) -> bool:
        """Whether it was new."""
        table, mask = self._table, self._mask
        number = number or 1
        place = number & mask
        while found := table[place]:
            if found == number:
                return False
            place = (place + 1) & mask
        table[place] = number
        self._count += 1
        if 2 * self._count > mask:
            self._grow()
        return True

    def numbers(self) -> Any:
        """All of them, as an array of numpy."""
        import numpy

        table = numpy.frombuffer(self._table, numpy.int64)
        return table[table != 0]

    def __len__(self) -> int:
        return self._count

    def _grow(self) -> None:
        old, size = self._table, 2 * len(self._table)
        self._table, self._mask, self._count = array("q", bytes(8 * size)), size - 1, 0
        for number in old:
            if number:
                self.add(number)
