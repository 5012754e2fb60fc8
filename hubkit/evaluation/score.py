"""From answers to what was measured: scores a record, their means with intervals, slices, and
samples for the card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import DataError, HubkitError, PluginError, UsageError
from ..registry.plugins import plugins
from ..sdk import IMAGE, Answer, Metric, Record
from .results import Evaluated, Interval, Measure, Sample, Slice
from .statistics import intervals, mcnemar, permutation

_SAMPLES = 24
_MOST_VALUES = 50  # of a field that makes slices; more is an id, not a kind


@dataclass(frozen=True)
class Answered:
    """Held-out records with the model's answers and, to compare with, the base's; all in one
    order."""

    records: Sequence[Record]
    answers: Sequence[Answer]
    base: Sequence[Answer] | None = None


@dataclass(frozen=True)
class Scores:
    """A metric's score of each record, from 0 to 1."""

    metric: Metric
    model: tuple[float, ...]
    base: tuple[float, ...] | None


def score(metrics: Sequence[str], answered: Answered) -> tuple[Scores, ...]:
    """Raises DataError, naming the record, for a reference that a metric cannot judge against."""
    found = [metric_named(name) for name in metrics]
    return tuple(
        Scores(
            metric,
            _scores(metric, answered.records, answered.answers),
            None if answered.base is None else _scores(metric, answered.records, answered.base),
        )
        for metric in found
    )


def evaluated(
    scores: Sequence[Scores], answered: Answered, slices: Sequence[str] = ()
) -> Evaluated:
    """`slices` are fields of the records' `meta`."""
    groups = {field: _groups(answered.records, field) for field in slices}
    measures = tuple(_measure(one, groups) for one in scores)
    return Evaluated(len(answered.records), measures, _samples(scores[0], answered))


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
                if _judge(metric, record, turn.answer, turn.answer) < 1:
                    raise DataError(
                        f"record {record.id}: {metric.name} does not take the right answer "
                        f"{turn.answer!r} as right",
                        "correct the record, or use another metric",
                    )
    for field in slices:
        _groups(records, field)


def metric_named(name: str) -> Metric:
    metric: Metric = plugins().get("metric", name)
    return metric


def _scores(
    metric: Metric, records: Sequence[Record], answers: Sequence[Answer]
) -> tuple[float, ...]:
    return tuple(
        min(
            _judge(metric, record, text, turn.answer)
            for text, turn in zip(answer.texts, record.turns, strict=True)
        )
        for record, answer in zip(records, answers, strict=True)
    )


def _judge(metric: Metric, record: Record, answer: str, reference: str) -> float:
    report = "report it to the metric's author; `hubkit plugins` names the plugin"
    try:
        value = metric.score(answer, (reference,), record.meta)
    except HubkitError as error:
        raise DataError(
            f"record {record.id}: {metric.name}: {error.message}", error.remedy
        ) from None
    except Exception as error:
        raise PluginError(
            f"metric {metric.name} failed on record {record.id}: {type(error).__name__}: {error}",
            report,
        ) from error
    if not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise PluginError(
            f"metric {metric.name} gave {value!r} for record {record.id}; a score is from 0 to 1",
            report,
        )
    return float(value)


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


def _samples(first: Scores, answered: Answered) -> tuple[Sample, ...]:
    """Records with a picture, in their order, first those that the base answered differently."""
    base = answered.base
    rows = [
        (
            base is not None and base[place].texts[0] == answer.texts[0],
            Sample(
                record.id,
                record.images[0],
                record.turns[0].prompt.replace(IMAGE, "").strip(),
                record.turns[0].answer,
                None if base is None else base[place].texts[0],
                answer.texts[0],
                _verdict(first.metric, record, answer.texts[0]),
                None if base is None else _verdict(first.metric, record, base[place].texts[0]),
            ),
        )
        for place, (record, answer) in enumerate(
            zip(answered.records, answered.answers, strict=True)
        )
        if record.images
    ]
    rows.sort(key=lambda row: row[0])
    return tuple(sample for _, sample in rows[:_SAMPLES])


def _verdict(metric: Metric, record: Record, text: str) -> bool | None:
    value = _judge(metric, record, text, record.turns[0].answer)
    return bool(value) if value in (0.0, 1.0) else None
