"""Intervals and tests, against numbers worked out in other ways."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubkit.evaluation.statistics import intervals, mcnemar, permutation


def test_the_interval_of_a_share_is_about_the_normal_one() -> None:
    (interval,) = intervals(np.repeat([1.0, 0.0], [300, 100])[:, None], (0.0,), (1.0,))
    half = 1.96 * (0.75 * 0.25 / 400) ** 0.5
    assert interval.value == 0.75
    assert (interval.low, interval.high) == (
        pytest.approx(0.75 - half, abs=0.004),
        pytest.approx(0.75 + half, abs=0.004),
    )


def test_the_interval_of_a_mean_of_many_values() -> None:
    values = np.random.default_rng(3).random(500)
    (interval,) = intervals(values[:, None], (0.0,), (1.0,))
    half = 1.96 * values.std() / 500**0.5
    assert (interval.low, interval.high) == (
        pytest.approx(values.mean() - half, abs=0.003),
        pytest.approx(values.mean() + half, abs=0.003),
    )


def test_the_difference_is_paired() -> None:
    """Scores that rise and fall together leave a change that is far surer than either score."""
    base = np.random.default_rng(0).random(300)
    model = base + 0.1
    own, before, change = intervals(
        np.stack((model, base, model - base), axis=1), (0, 0, -1), (1, 1, 1)
    )
    assert change.value == pytest.approx(0.1) and change.high - change.low < 0.02
    assert own.high - own.low > 0.05 and before.high - before.low > 0.05


def test_two_calls_give_the_same_numbers() -> None:
    for values in (np.repeat([1.0, 0.0], [3, 4]), np.random.default_rng(1).random(200)):
        first, second = (intervals(values[:, None], (0.0,), (1.0,)) for _ in range(2))
        assert first == second


@pytest.mark.parametrize(("count", "low"), [(4, 0.5101), (400, 0.9905)])
def test_all_right_is_not_certainty(count: int, low: float) -> None:
    """Wilson's bound: resamples of records that are all right would say 100 % to 100 %."""
    ones = np.ones(count)
    own, before, change = intervals(np.stack((ones, 0 * ones, ones), axis=1), (0, 0, -1), (1, 1, 1))
    assert (own.value, own.high) == (1, 1) and own.low == pytest.approx(low, abs=1e-4)
    assert (before.value, before.low) == (0, 0) and before.high == pytest.approx(1 - low, abs=1e-4)
    assert (change.value, change.high) == (1, 1) and change.low == pytest.approx(
        2 * low - 1, abs=2e-4
    )


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [(0, 26, 0.0, 0.1287), (1, 26, 0.0068, 0.1889), (13, 26, 0.3206, 0.6794), (26, 26, 0.8713, 1)],
)
def test_a_share_has_wilsons_interval(right: int, count: int, low: float, high: float) -> None:
    """Figures of Newcombe's formulas (Stat. Med. 17, 1998): one right answer of 26 does not
    contradict none."""
    (interval,) = intervals(np.repeat([1.0, 0.0], [right, count - right])[:, None], (0.0,), (1.0,))
    assert interval.value == pytest.approx(right / count, abs=1e-6)
    assert (interval.low, interval.high) == (
        pytest.approx(low, abs=1e-4),
        pytest.approx(high, abs=1e-4),
    )


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test(before: int, after: int) -> None:
    count = before + after
    tail = sum(comb(count, k) for k in range(min(before, after) + 1)) / 2**count
    assert mcnemar(before, after) == pytest.approx(min(1.0, 2 * tail), rel=1e-9)


def test_mcnemar_of_many_records_neither_overflows_nor_lasts() -> None:
    assert mcnemar(0, 50_000) == 0.0
    assert mcnemar(24_800, 25_200) == pytest.approx(0.0744, abs=1e-3)


def test_the_permutation_test_of_few_records_is_the_exact_one() -> None:
    """Of the 2^6 sign patterns of six equal differences, two are as large: p = 1/32."""
    assert permutation(np.full(6, 0.3)) == pytest.approx(2 / 64, abs=0.006)
    assert permutation(np.array([0.2, -0.2, 0.0])) == 1.0
    assert permutation(np.zeros(5)) == 1.0
    assert permutation(np.random.default_rng(0).random(200) - 0.2) < 0.001
