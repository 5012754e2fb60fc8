"""From scores to what was measured: their means with intervals, and slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import DataError, UsageError
from ..sdk import Record
from .gallery import drawn, outcomes
from .judging import Answered, Scores, judge, metric_named
from .results import Evaluated, Interval, Measure, Slice
from .statistics import intervals, mcnemar, permutation

_MOST_VALUES = 50  # of a field that makes slices; more is an id, not a kind


def evaluated(
    scores: Sequence[Scores], answered: Answered, slices: Sequence[str] = ()
) -> Evaluated:
    """`slices` are fields of the records' `meta`."""
    groups = {field: _groups(answered.records, field) for field in slices}
    measures = tuple(_measure(one, groups) for one in scores)
    return Evaluated(
        len(answered.records), measures, drawn(scores[0], answered), outcomes(scores[0])
    )


def check_references(
    metrics: Sequence[str], records: Sequence[Record], slices: Sequence[str] = ()
) -> None:
    """What can be known before a model is asked: every metric judges every right answer, and gives
    it 1; every slice is there.

    Raises:
        DataError: names the record and its answer.
        UsageError: no record has a field of `slices`, or it has too many values.
    """
    for metric in (metric_named(name) for name in metrics):
        for record in records:
            for turn in record.turns:
                if judge(metric, record, turn.answer, turn.answer) < 1:
                    raise DataError(
                        f"record {record.id}: {metric.name} does not take the right answer "
                        f"{turn.answer!r} as right",
                        "correct the record, or use another metric",
                    )
    for field in slices:
        _groups(records, field)


def _groups(records: Sequence[Record], field: str) -> Mapping[str, list[int]]:
    """The places of the records by their value of `field`, the largest group first; those without
    it are left out."""
    groups: dict[str, list[int]] = {}
    for place, record in enumerate(records):
        if field in record.meta:
            groups.setdefault(record.meta[field], []).append(place)
    known = ", ".join(sorted({key for record in records for key in record.meta})) or "none"
    if not groups:
        raise UsageError(
            f"no record has the field {field!r} to slice by",
            f"fields of the records' meta: {known}",
        )
    if len(groups) > _MOST_VALUES:
        raise UsageError(
            f"the field {field!r} has {len(groups)} values; slices are for at most {_MOST_VALUES}",
            f"fields of meta: {known}",
        )
    return dict(sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])))


def _measure(scores: Scores, groups: Mapping[str, Mapping[str, list[int]]]) -> Measure:
    import numpy

    model = numpy.array(scores.model)
    base = None if scores.base is None else numpy.array(scores.base)
    slices = tuple(
        Slice(
            field,
            value,
            len(places),
            *_spread(model[places], None if base is None else base[places]),
        )
        for field, values in groups.items()
        for value, places in values.items()
    )
    metric, (own, before, change) = scores.metric, _spread(model, base)
    test, p_value = ("", None) if base is None else _test(model, base)
    return Measure(
        metric=metric.name,
        version=metric.version,
        count=len(model),
        score=own,
        right=_right(model),
        slices=slices,
        base=before,
        base_right=None if base is None else _right(base),
        change=change,
        test=test,
        p_value=p_value,
    )


def _spread(model: Any, base: Any) -> tuple[Interval, Interval | None, Interval | None]:
    """The intervals of model, base and change, from one score per record; the last two None without
    a base."""
    import numpy

    if base is None:
        return intervals(model[:, None], (0.0,), (1.0,))[0], None, None
    own, before, change = intervals(
        numpy.stack((model, base, model - base), axis=1), (0.0, 0.0, -1.0), (1.0, 1.0, 1.0)
    )
    return own, before, change


def _test(model: Any, base: Any) -> tuple[str, float]:
    if _right(model) is not None and _right(base) is not None:
        return "mcnemar", float(
            f"{mcnemar(int((base > model).sum()), int((model > base).sum())):.6g}"
        )
    return "permutation", round(permutation(model - base), 6)


def _right(scores: Any) -> int | None:
    """How many are 1, when there is nothing but 0 and 1."""
    return int(scores.sum()) if bool(((scores == 0) | (scores == 1)).all()) else None
