"""From answers to scores: each record by each metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import DataError, HubkitError, PluginError
from ..registry.plugins import plugins
from ..sdk import Answer, Metric, Record


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


def metric_named(name: str) -> Metric:
    metric: Metric = plugins().get("metric", name)
    return metric


def _scores(
    metric: Metric, records: Sequence[Record], answers: Sequence[Answer]
) -> tuple[float, ...]:
    return tuple(
        min(
            judge(metric, record, text, turn.answer)
            for text, turn in zip(answer.texts, record.turns, strict=True)
        )
        for record, answer in zip(records, answers, strict=True)
    )


def judge(metric: Metric, record: Record, answer: str, reference: str) -> float:
    """The score of one answer.

    Raises:
        DataError: the metric cannot judge against this reference; names the record.
        PluginError: the metric failed, or gave no number from 0 to 1.
    """
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
