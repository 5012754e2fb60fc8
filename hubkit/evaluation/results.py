"""What was measured, as frozen data: it goes into receipts, cards and hub metadata."""

from __future__ import annotations

from dataclasses import dataclass

from ..inference.prompt_parity import Parity

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % confidence interval, rounded to six digits."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Slice:
    """The score of the `count` records whose `meta` has `value` in `field`."""

    field: str
    value: str
    count: int
    score: Interval
    base: Interval | None = None
    change: Interval | None = None


@dataclass(frozen=True)
class Measure:
    """One metric over `count` records, from 0 to 1. `right` and `base_right` count records where
    the metric knows only right and wrong. `change` is score minus base over the same records,
    `p_value` that of the paired `test`. Without a base the last five are None or empty."""

    metric: str
    version: str
    count: int
    score: Interval
    right: int | None
    slices: tuple[Slice, ...] = ()
    base: Interval | None = None
    base_right: int | None = None
    change: Interval | None = None
    test: str = ""
    p_value: float | None = None

    @property
    def improved(self) -> bool:
        """Whether an improvement may be claimed: the interval of the change is above 0 and the
        paired test agrees."""
        return (
            self.change is not None and self.change.low > 0 and (self.p_value or 0.0) < SIGNIFICANT
        )

    @property
    def worsened(self) -> bool:
        return (
            self.change is not None and self.change.high < 0 and (self.p_value or 0.0) < SIGNIFICANT
        )


@dataclass(frozen=True)
class SampleTurn:
    """A question with its answers, judged by the first metric (None: in part right)."""

    question: str
    reference: str
    base_answer: str | None
    answer: str
    right: bool | None = None
    base_right: bool | None = None


@dataclass(frozen=True)
class Sample:
    """One held-out record as the card shows it, with all its pictures and turns."""

    id: str
    images: tuple[str, ...]
    turns: tuple[SampleTurn, ...]


@dataclass(frozen=True)
class Outcomes:
    """Records that the first metric gives a higher score than the base's, a lower, and the same."""

    better: int
    worse: int
    same: int


@dataclass(frozen=True)
class Evaluated:
    """`count` records, scored by each of `measures`, the first being the one that the release is
    judged by. A record's score is that of its worst turn. `samples` are records drawn by chance
    such that the first few of them, however many, show `outcomes` in proportion. `parity` compares
    the prompt with the one of the training."""

    count: int
    measures: tuple[Measure, ...]
    samples: tuple[Sample, ...]
    outcomes: Outcomes | None = None
    parity: Parity | None = None

    @property
    def score(self) -> float:
        return self.measures[0].score.value

    @property
    def base_score(self) -> float | None:
        base = self.measures[0].base
        return None if base is None else base.value


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def change_in_words(change: Interval) -> str:
    """`+74.0 points, 95 % CI 69.5 to 78.3`."""
    return (
        f"{100 * change.value:+.1f} points, 95 % CI {100 * change.low:.1f} to "
        f"{100 * change.high:.1f}"
    )


def summary(result: Evaluated) -> str:
    """One line on the first metric."""
    first = result.measures[0]
    before = "" if first.base is None else f"{percent(first.base.value)} -> "
    change = "" if first.change is None else f" ({change_in_words(first.change)})"
    score = f"{first.metric} {before}{percent(first.score.value)}{change}"
    return f"{score} on {result.count} held-out records"
