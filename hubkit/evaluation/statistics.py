"""How sure a measured score is: Wilson's interval for a share of right answers, percentile
bootstrap over the records for anything else, and paired tests of a difference. Seeded, by numpy."""

from __future__ import annotations

import math
from typing import Any

from .results import Interval

RESAMPLES = 10_000
_SEED = 20_250_117
_CELLS = 1 << 22  # numbers at a time: 32 MiB
_FEW = 64
_Z = 1.959964  # 97.5 % of a normal distribution lies below


def intervals(
    columns: Any, low: tuple[float, ...], high: tuple[float, ...]
) -> tuple[Interval, ...]:
    """The mean of each column (float array, records x columns) with its 95 % interval. `low` and
    `high` are the least and the greatest value that each column could have. A column that is a
    share (nothing but 0 and 1 of values from 0 to 1) has Wilson's interval, the others that of the
    bootstrap, all from the same resamples of the records."""
    import numpy

    means, spread = columns.mean(axis=0), numpy.ptp(columns, axis=0)
    bounds = numpy.percentile(_resampled(columns), [2.5, 97.5], axis=0)
    return tuple(
        wilson(float(means[i]), len(columns))
        if (low[i], high[i]) == (0, 1) and bool(numpy.isin(columns[:, i], (0, 1)).all())
        else _interval(
            float(means[i]),
            float(bounds[0, i]),
            float(bounds[1, i]),
            len(columns),
            low[i],
            high[i],
            bool(spread[i]),
        )
        for i in range(columns.shape[1])
    )


def wilson(share: float, count: int) -> Interval:
    """Wilson's score interval of a share of `count` records (JASA 22, 1927): within 0 to 1, and
    wide where few were counted, also at 0 and at 1."""
    spread = _Z * _Z / count
    middle = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / 4 / count)
    return Interval(
        round(share, 6), round(max(0.0, middle - half), 6), round(min(1.0, middle + half), 6)
    )


def _resampled(columns: Any) -> Any:
    """The means of each column (RESAMPLES x columns) over as many records drawn with replacement.
    Where few rows differ, as with right and wrong, how often each is drawn says it all."""
    import numpy

    generator, total = numpy.random.default_rng(_SEED), len(columns)
    rows, counts = numpy.unique(columns, axis=0, return_counts=True)
    if len(rows) <= _FEW:
        return generator.multinomial(total, counts / total, size=RESAMPLES) @ rows / total
    at_once = max(1, _CELLS // columns.size)
    sizes = [min(at_once, RESAMPLES - start) for start in range(0, RESAMPLES, at_once)]
    return numpy.concatenate(
        [columns[generator.integers(0, total, size=(size, total))].mean(axis=1) for size in sizes]
    )


def _interval(
    mean: float, lower: float, upper: float, count: int, least: float, most: float, varies: bool
) -> Interval:
    """Where all records have the same value, resampling shows nothing: then the share of
    records that have it is known to be at least Wilson's bound, and the others may have any value.
    """
    if not varies:
        share = wilson(1.0, count).low
        lower, upper = share * mean + (1 - share) * least, share * mean + (1 - share) * most
    return Interval(round(mean, 6), round(lower, 6), round(upper, 6))


def mcnemar(only_before: int, only_after: int) -> float:
    """The exact two-sided p-value of McNemar's test: `only_before` records were right only before,
    `only_after` only after."""
    import numpy

    count, least = only_before + only_after, min(only_before, only_after)
    if not count:
        return 1.0
    k = numpy.arange(1, least + 1)
    logarithms = numpy.concatenate(
        ([0.0], numpy.cumsum(numpy.log((count - k + 1) / k)))
    ) - count * math.log(2)
    return min(1.0, 2 * float(numpy.exp(logarithms).sum()))


def permutation(differences: Any) -> float:
    """The two-sided p-value of a paired permutation test: how often random signs give as large a
    mean difference."""
    import numpy

    moved = differences[differences != 0]
    if not len(moved):
        return 1.0
    generator, observed = numpy.random.default_rng(_SEED), abs(float(moved.sum())) - 1e-9
    reached, at_once = 0, max(1, _CELLS // len(moved))
    for start in range(0, RESAMPLES, at_once):
        size = (min(at_once, RESAMPLES - start), len(moved))
        signs = generator.integers(0, 2, size=size, dtype=numpy.int8) * 2.0 - 1.0
        reached += int((numpy.abs(signs @ moved) >= observed).sum())
    return (reached + 1) / (RESAMPLES + 1)
