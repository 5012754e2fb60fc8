"""The card claims what was measured, and no more."""

from __future__ import annotations

import dataclasses

import pytest

from hubkit.evaluation.results import Interval, Measure, Slice
from hubkit.packaging.card import CardInput, render_card

UNDECIDED = Measure(
    "anls",
    "1",
    200,
    score=Interval(0.6, 0.53, 0.67),
    right=None,
    base=Interval(0.58, 0.51, 0.65),
    change=Interval(0.02, -0.015, 0.055),
    test="permutation",
    p_value=0.26,
)


def pages(facts: CardInput, *measures: Measure) -> tuple[str, str]:
    files = render_card(dataclasses.replace(facts, evaluations=measures))
    return files["README.md"].decode(), files["README.zh-CN.md"].decode()


def test_an_interval_that_includes_zero_is_no_improvement(full: CardInput) -> None:
    english, chinese = pages(full, UNDECIDED)
    assert (
        "no improvement was shown (+2.0 points, 95% CI −1.5 to 5.5)." in english
        and "went from" not in english
    )
    assert (
        "The change in anls is not significant by a paired permutation test (p = 0.26)." in english
    )
    assert (
        "未能证明有提升（+2.0 个百分点，95% 置信区间 −1.5 至 5.5）" in chinese
        and "提升至" not in chinese
    )


def test_an_interval_above_zero_that_the_test_does_not_confirm_is_no_improvement(
    full: CardInput,
) -> None:
    english, _ = pages(
        full, dataclasses.replace(UNDECIDED, change=Interval(1.0, 0.02, 1.0), p_value=0.125)
    )
    assert "no improvement was shown" in english and "went from" not in english


def test_a_loss_is_called_one(full: CardInput) -> None:
    english, chinese = pages(
        full, dataclasses.replace(UNDECIDED, change=Interval(-0.1, -0.15, -0.05), p_value=0.001)
    )
    assert "**lower than its base's** 58.0%: −10.0 points, 95% CI −15.0 to −5.0." in english
    assert "The loss in anls is significant" in english and "**低于基座模型的**" in chinese


def test_slices_are_shown_with_their_counts(full: CardInput) -> None:
    one = Slice(
        "region",
        "Sichuan | *",
        12,
        Interval(0.5, 0.25, 0.75),
        Interval(0.25, 0.05, 0.5),
        Interval(0.25, -0.1, 0.6),
    )
    english, chinese = pages(full, dataclasses.replace(UNDECIDED, slices=(one,)))
    row = (
        "| anls | region: Sichuan \\| \\* | 12 | 25.0%<br>5.0% to 50.0% | 50.0%<br>25.0% to 75.0% "
        "| +25.0<br>−10.0 to 60.0 |"
    )
    assert row in english
    assert "| anls | region：Sichuan" in chinese


def test_without_a_base_there_is_no_chart_and_no_change(full: CardInput) -> None:
    alone = Measure("exact_match", "1", 10, Interval(0.5, 0.2, 0.8), 5)
    files = render_card(dataclasses.replace(full, evaluations=(alone,)))
    assert "assets/scores.png" not in files
    assert (
        "| exact_match | 10 | — | **50.0%** (5 of 10)<br>20.0% to 80.0% | — |"
        in files["README.md"].decode()
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"as_trained": True},
            "It was asked with exactly the prompt of its training, text and token ids.",
        ),
        (
            {"as_trained": False, "prompt_differs": "no *system* line"},
            r"was asked with here**: no \*system\* line",
        ),
    ],
)
def test_the_prompt_of_the_training_is_spoken_of(
    full: CardInput, changes: dict[str, object], said: str
) -> None:
    assert full.smoke is not None
    english = render_card(
        dataclasses.replace(full, smoke=dataclasses.replace(full.smoke, **changes))
    )["README.md"].decode()
    assert said in english
    plain = render_card(full)["README.md"].decode()
    assert "prompt of its training" not in plain and "trained with another prompt" not in plain
