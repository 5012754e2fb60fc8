"""The gates of `evaluate.require`: `{exact_match: ">= 0.9", improvement: "> 0", improvement_ci: ">
0"}`.

A key is the name of a measured metric, `improvement` (its score minus the base's) or
`improvement_ci` (the lower end of the 95 % interval of that). The last two are of the first metric,
or of another as `contains.improvement`.

Those of a variant compare it with the merged model: `{drop: "<= 1 %", drop_ci: "<= 2 %",
same_texts: ">= 95 %"}`.
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
DROP, DROP_CI, SAME_TEXTS = "drop", "drop_ci", "same_texts"
"""How much lower the variant's score is, the upper end of that one's 95 % interval, and the share
of records with the merged model's texts."""
_FORM = re.compile(r"([<>]=?)\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+))")
_COMPARE = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}


@dataclass(frozen=True)
class Bound:
    """`comparison` is `>`, `>=`, `<` or `<=`; `limit` a share: 0.9 is 90 %."""

    comparison: str
    limit: float

    def holds(self, value: float) -> bool:
        return bool(_COMPARE[self.comparison](value, self.limit))


def bound(text: str) -> Bound:
    """Raises ValueError when `text` is not of the form `>= 0.9`."""
    found = _FORM.fullmatch(text.strip())
    if not found or found[1] not in (">", ">="):
        raise ValueError('must be `>` or `>=` and a number, in quotes, such as ">= 0.9"')
    limit = float(found[2])
    if not -1 <= limit <= 1:
        raise ValueError(f"is a share between -1 and 1: write {limit / 100:g} for {limit:g} %")
    return Bound(found[1], limit)


def variant_bound(key: str, text: str) -> Bound:
    """What `require` of a variant says of `key`: a number with `%`, or a share.

    Raises:
        ValueError: no such key, or not of the form `<= 1 %` (`same_texts`: `>= 90 %`).
    """
    if key not in (DROP, DROP_CI, SAME_TEXTS):
        near = did_you_mean(key, (DROP, DROP_CI, SAME_TEXTS))
        known = f"{DROP}, {DROP_CI}, {SAME_TEXTS}"
        raise ValueError(f"{key!r} is not measured{near}; what can be required: {known}")
    sign, example = (">", ">= 90 %") if key == SAME_TEXTS else ("<", "<= 1 %")
    share = text.strip().removesuffix("%").strip()
    found = _FORM.fullmatch(share)
    if not found or not found[1].startswith(sign):
        raise ValueError(
            f'must be `{sign}` or `{sign}=` and a number, in quotes, such as "{example}"'
        )
    limit = float(found[2]) / (100 if text.strip().endswith("%") else 1)
    if not -1 <= limit <= 1:
        raise ValueError(f'is a share between -1 and 1: write "{found[0]} %" for {limit:g} %')
    return Bound(found[1], limit)


def variant_problem(key: str, text: str) -> str | None:
    """Why `variant_bound` does not take it; None when it does."""
    try:
        variant_bound(key, text)
    except ValueError as error:
        return str(error)
    return None


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


def refuse_unlike(result: Evaluated, same: int, require: Mapping[str, str]) -> None:
    """Raises RefusedError when a variant is further from the merged model, `result`'s base, than
    `require` allows; `same` records have its texts."""
    from .results import percent

    change = result.measures[0].change
    drop, most = (-change.value, -change.low) if change else (0.0, 0.0)
    values = {DROP: drop, DROP_CI: most, SAME_TEXTS: same / result.count}
    problems = [
        f"{key} is {percent(values[key])}, and require asks for {text.strip()}"
        for key, text in require.items()
        if not variant_bound(key, text).holds(round(values[key], 6))
    ]
    if problems:
        raise RefusedError(
            f"it is not close enough to the merged model ({result.count} held-out records): "
            + "; ".join(problems),
            "keep more bits, or say `optional: true`; nothing was published",
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
