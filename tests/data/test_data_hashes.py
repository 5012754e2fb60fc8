"""The compact set against Python's own."""

from __future__ import annotations

import random

from hubkit.data.hashes import Hashes


def test_it_holds_what_was_added_and_nothing_else() -> None:
    draw = random.Random(0)
    numbers = [
        0,
        1,
        -1,
        2**63 - 1,
        -(2**63),
        *(draw.randrange(-(2**63), 2**63) for _ in range(20_000)),
    ]
    found, known = Hashes(), set()
    for number in numbers + numbers[:500]:
        there = number in known or (number in (0, 1) and bool(known & {0, 1}))
        assert (number in found) == there
        assert found.add(number) != there
        known.add(number)
    assert all(number in found for number in known)
    assert len(found) == len(known - {0})
    assert not any(draw.randrange(-(2**63), 2**63) in found for _ in range(1000))
