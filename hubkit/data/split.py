"""Which records are held out, and what they share with those that are trained on."""

from __future__ import annotations

import random
from array import array
from typing import Any, Literal

from ..errors import DataError
from .findings import EXAMPLES, Shared
from .validate import Validation

Group = Literal["record", "image"]
"""What stays on one side of the split: each record by itself, or all that share a picture."""


def held_out(
    data: Validation, holdout: int | float, seed: int, group: Group = "record"
) -> set[int]:
    """The numbers of the valid records to hold out: a count, or a share below 1. With `group`
    "image", records that share a picture stay on one side, and there may be fewer.

    Raises:
        DataError: none would be left to train on.
    """
    name, records = data.source.name, data.count
    count = holdout if isinstance(holdout, int) else max(1, round(holdout * records))
    if count >= records:
        raise DataError(
            f"{name} has {records} records, and data.holdout keeps {count} of them: none is left "
            "to train on",
            "lower data.holdout",
        )
    if group == "record":
        return set(random.Random(seed).sample(range(records), count))
    groups = _groups(data)
    chosen: set[int] = set()
    for together in random.Random(seed).sample(groups, len(groups)):
        if len(chosen) + len(together) <= count:
            chosen.update(together)
    if not chosen:
        raise DataError(
            f"{name}: every group of records that share a picture is larger than the {count} "
            "records to hold out",
            "raise data.holdout, or set data.group to `record`",
        )
    return chosen


def _groups(data: Validation) -> list[list[int]]:
    """The records, those together that share a picture, directly or through others."""
    parent = list(range(data.count))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    first: dict[int, int] = {}
    for owner, key in zip(data.taken.owners, data.taken.keys, strict=True):
        parent[root(owner)] = root(first.setdefault(key, owner))
    groups: dict[int, list[int]] = {}
    for number in range(data.count):
        groups.setdefault(root(number), []).append(number)
    return list(groups.values())


def shared(train: Validation, held: set[int]) -> Shared:
    """What the records numbered `held` share with the others."""
    return _shared(train, train, held, apart=False)


def shared_between(train: Validation, holdout: Validation) -> Shared:
    """What two datasets share."""
    return _shared(train, holdout, set(range(holdout.count)), apart=True)


def _shared(train: Validation, holdout: Validation, held: set[int], *, apart: bool) -> Shared:
    import numpy

    mask: Any = numpy.zeros(holdout.count, bool)
    mask[list(held)] = True
    trained = numpy.ones(train.count, bool) if apart else ~mask
    keys, owners = _numbers(train.taken.keys), _numbers(train.taken.owners)
    of_held, held_keys = _numbers(holdout.taken.owners), _numbers(holdout.taken.keys)
    by_picture: Any = numpy.zeros(holdout.count, bool)
    by_picture[of_held[numpy.isin(held_keys, keys[trained[owners]])]] = True
    long = _flags(holdout.taken.long)
    texts = _numbers(train.taken.texts)[trained & _flags(train.taken.long)]
    by_text = numpy.isin(_numbers(holdout.taken.texts), texts) & long
    pictures, text = by_picture & mask, by_text & mask
    both = numpy.flatnonzero(pictures | text)
    examples = tuple(
        (
            f"{holdout.source.name}, sound record {number}: "
            f"{'a picture' if pictures[number] else 'its text'}"
        )
        for number in both[:EXAMPLES].tolist()
    )
    return Shared(len(both), int(pictures.sum()), int(text.sum()), examples)


def _numbers(values: array[int]) -> Any:
    import numpy

    return numpy.frombuffer(values, values.typecode) if values else numpy.zeros(0, values.typecode)


def _flags(values: bytearray) -> Any:
    import numpy

    return numpy.frombuffer(bytes(values), bool)
