"""The life of a metric."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import DataError
from ..metric import Metric
from ._base import check_contract, require


def check_metric(
    plugin: Metric,
    scores: Sequence[tuple[str, Sequence[str], float]],
    *,
    bad: Sequence[Sequence[str]] = (),
) -> None:
    """Scores each (answer, references, expected score) twice; scores are from 0 to 1 and never
    vary. References that are `bad` must raise a DataError."""
    check_contract(plugin, "metric")
    require(scores, "no example to score: give at least a right and a wrong answer")
    for answer, references, expected in scores:
        first, second = (plugin.score(answer, references, {}) for _ in range(2))
        require(
            first == second,
            f"{answer!r} got {first}, then {second}: a metric must be a pure function",
        )
        require(
            isinstance(first, (int, float)) and 0 <= first <= 1,
            f"{answer!r} got {first!r}; a score is from 0 to 1",
        )
        require(
            abs(first - expected) < 1e-9,
            f"{answer!r} against {list(references)} got {first}, expected {expected}",
        )
    empty = plugin.score("", scores[0][1], {})
    require(0 <= empty <= 1, f"an empty answer got {empty!r}; a score is from 0 to 1")
    for references in bad:
        _check_refuses(plugin, references)


def _check_refuses(plugin: Metric, references: Sequence[str]) -> None:
    try:
        score = plugin.score("an answer", references, {})
    except DataError as error:
        require(error.remedy, f"the error for the references {list(references)} has no remedy")
        return
    require(
        False,
        f"the references {list(references)} gave the score {score!r}, they must raise a DataError",
    )
