"""What the card shows of single records: drawn by chance, in proportion to how they came out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ..sdk import IMAGE, Metric, Record
from .judging import Answered, Scores, judge
from .results import Outcomes, Sample, SampleTurn

MOST = 24


def outcomes(first: Scores) -> Outcomes | None:
    """How often the model's score is above the base's, below it, and equal; None without a base."""
    if first.base is None:
        return None
    signs = [_sign(own, before) for own, before in zip(first.model, first.base, strict=True)]
    return Outcomes(signs.count(1), signs.count(-1), signs.count(0))


def drawn(first: Scores, answered: Answered) -> tuple[Sample, ...]:
    """At most MOST records; the first few of them, however many, show the outcomes (without a base:
    right and not right) in proportion. Which ones is decided by the digests of the records' ids."""
    kinds: dict[int, list[int]] = {1: [], -1: [], 0: []}
    for place, own in enumerate(first.model):
        kinds[_sign(own, first.base[place] if first.base else 0.5)].append(place)
    by_chance = [
        sorted(places, key=lambda place: _digest(answered.records[place].id))
        for places in kinds.values()
    ]
    return tuple(_sample(first.metric, answered, place) for place in in_proportion(by_chance, MOST))


def in_proportion(groups: Sequence[Sequence[int]], most: int) -> list[int]:
    """At most `most` of all groups' items, each in its group's order: the next is always of the
    group that is furthest behind its share."""
    total = sum(map(len, groups))
    taken, chosen = [0] * len(groups), []
    for step in range(1, min(most, total) + 1):
        behind = [len(group) * step / total - taken[place] for place, group in enumerate(groups)]
        place = behind.index(max(behind))
        chosen.append(groups[place][taken[place]])
        taken[place] += 1
    return chosen


def _sign(own: float, before: float) -> int:
    return (own > before) - (own < before)


def _digest(identifier: str) -> str:
    return hashlib.sha256(identifier.encode()).hexdigest()


def _sample(metric: Metric, answered: Answered, place: int) -> Sample:
    record, answer = answered.records[place], answered.answers[place]
    base = answered.base[place].texts if answered.base is not None else [None] * len(answer.texts)
    return Sample(
        record.id,
        record.images,
        tuple(
            SampleTurn(
                turn.prompt.replace(IMAGE, "").strip(),
                turn.answer,
                before,
                text,
                _verdict(metric, record, text, turn.answer),
                None if before is None else _verdict(metric, record, before, turn.answer),
            )
            for turn, text, before in zip(record.turns, answer.texts, base, strict=True)
        ),
    )


def _verdict(metric: Metric, record: Record, text: str, reference: str) -> bool | None:
    value = judge(metric, record, text, reference)
    return bool(value) if value in (0.0, 1.0) else None
