"""Which records make up which step: a pure function of seed and step, so that a resumed run needs
no state for it."""

from __future__ import annotations

import random


def plan(count: int, samples_per_step: int, steps: int, epochs: float) -> int:
    """The number of steps; a last, smaller one is rounded up."""
    return steps or max(1, -(-round(count * epochs) // samples_per_step))


class Order:
    """The records are shuffled anew for each epoch; a step may straddle two."""

    def __init__(self, count: int, samples_per_step: int, seed: int) -> None:
        self.count, self.samples, self.seed = count, samples_per_step, seed
        self._epoch: tuple[int, list[int]] = (-1, [])

    def step(self, number: int) -> list[int]:
        """Record numbers of step `number`, from 0."""
        first = number * self.samples
        return [self._at(place) for place in range(first, first + self.samples)]

    def _at(self, place: int) -> int:
        epoch, offset = divmod(place, self.count)
        if epoch != self._epoch[0]:
            shuffled = list(range(self.count))
            random.Random(f"{self.seed}/{epoch}").shuffle(shuffled)
            self._epoch = (epoch, shuffled)
        return self._epoch[1][offset]
