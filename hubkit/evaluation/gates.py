"""The gates of `evaluate.require`: `{exact_match: ">= 0.9", improvement: "> 0", improvement_ci: ">
0"}`.

A key is the name of a measured metric, `improvement` (its score minus the base's) or
`improvement_ci` (the lower end of the 95 % interval of that). The last two are of the first metric,
or of another as `contains.improvement`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import RefusedError
from ..sdk.excerpt import did_you_mean

if TYPE_CHECKING:
    from .results import Evaluated

IMPROVEMENT, IMPROVEMENT_CI = "improvement", "improvement_ci"
_FORM = re.compile(r"(>=|>)\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+))")
_COMPARE = {">=": operator.ge, ">": operator.gt}


@dataclass(frozen=True)
class Bound:
    """`comparison` is `>` or `>=`; `limit` a share: 0.9 is 90 %."""

    comparison: str
    limit: float

    def holds(self, value: float) -> bool:
        return bool(_COMPARE[self.comparison](value, self.limit))


def bound(text: str) -> Bound:
    """Raises ValueError when `text` is not of the form `>= 0.9`."""
    found = _FORM.fullmatch(text.strip())
    if not found:
        raise ValueError('must be `>` or `>=` and a number, in quotes, such as ">= 0.9"')
    limit = float(found[2])
    if not -1 <= limit <= 1:
        raise ValueError(f"is a share between -1 and 1: write {limit / 100:g} for {limit:g} %")
    return Bound(found[1], limit)


def key_problem(key: str, metrics: Sequence[str]) -> str | None:
    """Why `key` cannot be required when `metrics` are measured; None when it can."""
    metric, dot, what = key.rpartition(".")
    if key in metrics or (not dot and what in (IMPROVEMENT, IMPROVEMENT_CI)):
        return None
    if dot and metric in metrics and what in (IMPROVEMENT, IMPROVEMENT_CI):
        return None
    known = [
        *metrics,
        IMPROVEMENT,
        IMPROVEMENT_CI,
        *(f"{name}.{IMPROVEMENT}" for name in metrics[1:]),
    ]
    near = did_you_mean(key, known)
    return f"{key!r} is not measured{near}; what can be required: {', '.join(known)}"


def refuse_below(result: Evaluated, require: Mapping[str, str]) -> None:
    """Raises RefusedError with everything that `require` asks for and the measurement does not
    give."""
    problems = []
    for key, text in require.items():
        value = _value(result, key)
        if not bound(text).holds(value):
            problems.append(
                f"{key} is {_shown(key, value)}, and evaluate.require asks for {text.strip()}"
            )
    if problems:
        raise RefusedError(
            f"the model is not good enough to release ({result.count} held-out records): "
            + "; ".join(problems),
            "train longer or on better data; nothing was published",
        )


def _value(result: Evaluated, key: str) -> float:
    measures = {measure.metric: measure for measure in result.measures}
    if key in measures:
        return measures[key].score.value
    metric, _, what = key.rpartition(".")
    change = (measures[metric] if metric else result.measures[0]).change
    if change is None:
        return 0.0
    return change.value if what == IMPROVEMENT else change.low


def _shown(key: str, value: float) -> str:
    from .results import percent

    return (
        f"{value:.4g} ({percent(value)})"
        if IMPROVEMENT not in key
        else f"{value:.4g} ({100 * value:+.1f} points)"
    )
