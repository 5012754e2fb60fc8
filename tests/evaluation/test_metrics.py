"""The bundled metrics, answer by answer, and a metric of somebody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubkit.evaluation.edit_distance import edit_distance
from hubkit.evaluation.judging import metric_named
from hubkit.evaluation.multiple_choice import choice
from hubkit.evaluation.score import check_references
from hubkit.evaluation.wording import rule_of, title_of
from hubkit.sdk import DataError, Record, Turn, UsageError


def judged(metric: str, answer: str, *references: str) -> float:
    return metric_named(metric).score(answer, references, {})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("A", "A"),
        ("A.", "A"),
        ("(B)", "B"),
        ("（B）", "B"),
        ("答案是C", "C"),
        ("答案是C。", "C"),
        ("选Ｂ", "B"),
        ("Ｄ．红烧肉", "D"),
        ("B、红烧肉", "B"),
        ("Ⓒ", "C"),
        ("d", "D"),
        ("（b）。", "B"),
        ("**C**", "C"),
        ("\\boxed{A}", "A"),
        ("The answer is D, not B", "D"),
        ("A is right", "A"),
        ("A red bowl, so the answer is C", "C"),
        ("I'd say B", "B"),
        ("A red bowl", None),
        ("a dog", None),
        ("AND", None),
        ("C-shaped", None),
        ("E", None),
        ("4", None),
        ("红烧肉", None),
        ("", None),
    ],
)
def test_the_choice_that_an_answer_names(answer: str, expected: str | None) -> None:
    assert choice(answer) == expected


def test_multiple_choice_compares_letters_and_counts_none_as_wrong() -> None:
    assert judged("multiple_choice", "答案是（B）", "B. 麻婆豆腐") == 1
    assert judged("multiple_choice", "C", "B") == 0
    assert judged("multiple_choice", "麻婆豆腐", "B") == 0
    with pytest.raises(DataError, match="'4' names none of the choices"):
        judged("multiple_choice", "B", "4")


def test_exact_match_and_contains() -> None:
    assert [judged("exact_match", answer, "7") for answer in ("7", " 7\n", "7.", "17", "")] == [
        1,
        1,
        0,
        0,
        0,
    ]
    assert [
        judged("contains", answer, "Mapo Tofu") for answer in ("It is mapo tofu.", "mapo", "")
    ] == [1, 0, 0]
    assert judged("exact_match", "two", "2", "two") == 1
    with pytest.raises(DataError, match="no answer to compare with"):
        judged("contains", "anything", " ")


def test_anls() -> None:
    assert judged("anls", " Mapo Tofu", "mapo tofu") == 1
    assert judged("anls", "mapo tofo", "mapo tofu") == pytest.approx(1 - 1 / 9)
    assert judged("anls", "rice", "mapo tofu") == 0
    assert judged("anls", "", "mapo tofu") == 0
    assert judged("anls", "ab", "abcd") == 0.5
    assert judged("anls", "kitten", "xxxxxxxx", "sitten") == pytest.approx(5 / 6)


def slow_distance(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


@given(st.text("abc书", max_size=40), st.text("abc书", max_size=40))
def test_edit_distance_is_levenshteins(one: str, other: str) -> None:
    assert edit_distance(one, other) == slow_distance(one, other) == edit_distance(other, one)


def test_references_are_judged_before_a_model_is_asked() -> None:
    good = Record("1", (), (Turn("?", "A"),), {"kind": "soup"})
    check_references(("multiple_choice", "exact_match"), [good], ["kind"])
    with pytest.raises(
        DataError, match=r"record 2: multiple_choice: the answer '4' names none of the choices"
    ) as caught:
        check_references(("multiple_choice",), [good, Record("2", (), (Turn("?", "4"),))])
    assert caught.value.remedy.startswith("write the letter of the right choice")
    with pytest.raises(UsageError, match="no record has the field 'region'") as missing:
        check_references(("exact_match",), [good], ["region"])
    assert missing.value.remedy == "fields of the records' meta: kind"
    with pytest.raises(UsageError, match="there is no metric 'exactmatch'") as mistyped:
        check_references(("exactmatch",), [good])
    assert mistyped.value.remedy.startswith("did you mean 'exact_match'?")


def test_a_card_takes_each_metrics_own_words() -> None:
    assert title_of("exact_match") == "Exact match"
    assert rule_of("anls", "en").startswith("by its edit distance to the reference")
    assert rule_of("anls", "zh").startswith("按与参考答案的编辑距离计分")
    assert (title_of("of_somebody_else"), rule_of("of_somebody_else", "en")) == (
        "of_somebody_else",
        "",
    )
    assert rule_of("anls", "fr") == ""
