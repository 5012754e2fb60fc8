"""From answers to scores, slices, claims and rows."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from hubkit.errors import DataError, PluginError, UsageError
from hubkit.evaluation.judging import Answered, score
from hubkit.evaluation.results import Evaluated, Outcomes
from hubkit.evaluation.samples import check_suffix, write_samples
from hubkit.evaluation.score import evaluated
from hubkit.registry.plugins import Plugins, plugins
from hubkit.sdk import Answer, Record, Turn


def answered(right: list[bool], base: list[bool] | None, kinds: str = "") -> Answered:
    """One record a value, answered rightly or wrongly."""
    meta = [{"kind": kind} for kind in kinds] or [{}] * len(right)
    records = [
        Record(str(n), (f"{n}.png",), (Turn("<image>\nWhich?", "yes"),), meta[n])
        for n in range(len(right))
    ]

    def answers(values: list[bool]) -> list[Answer]:
        return [
            Answer(str(n), ("yes" if value else "no",), ("stop",)) for n, value in enumerate(values)
        ]

    return Answered(records, answers(right), None if base is None else answers(base))


def measured(
    given: Answered, *slices: str, metrics: tuple[str, ...] = ("exact_match",)
) -> Evaluated:
    return evaluated(score(metrics, given), given, slices)


def test_scores_counts_and_test_of_right_and_wrong() -> None:
    result = measured(answered([True] * 90 + [False] * 10, [True] * 30 + [False] * 70))
    (measure,) = result.measures
    assert (result.count, result.score, result.base_score) == (100, 0.9, 0.3)
    assert (measure.metric, measure.version, measure.right, measure.base_right) == (
        "exact_match",
        "1",
        90,
        30,
    )
    assert (
        measure.change is not None
        and measure.change.value == 0.6
        and 0.5 <= measure.change.low < measure.change.high <= 0.7
    )
    assert measure.test == "mcnemar" and measure.p_value == pytest.approx(2 / 2**60, rel=1e-5)
    assert measure.improved and not measure.worsened


@pytest.mark.parametrize(
    ("right", "base", "claim"),
    [
        ([True] * 60 + [False] * 40, [True] * 58 + [False] * 42, "none"),
        ([True] * 2, [False] * 2, "none"),
        ([True] * 4, [False] * 4, "none"),
        ([False] * 40, [True] * 40, "worsened"),
        ([True] * 40, [False] * 40, "improved"),
    ],
)
def test_only_what_is_sure_is_claimed(right: list[bool], base: list[bool], claim: str) -> None:
    """Four right of four against none are +100 points, and p = 1/8."""
    (measure,) = measured(answered(right, base)).measures
    assert (measure.improved, measure.worsened) == (claim == "improved", claim == "worsened")


def test_without_a_base_nothing_is_compared() -> None:
    (measure,) = measured(answered([True, False], None)).measures
    assert (measure.base, measure.change, measure.p_value, measure.test, measure.improved) == (
        None,
        None,
        None,
        "",
        False,
    )
    assert measure.right == 1


def test_slices_have_their_counts_and_intervals() -> None:
    given = answered([True, True, False, True, True], [False, True, False, False, False], "aabbb")
    (measure,) = measured(given, "kind").measures
    assert [(one.field, one.value, one.count, one.score.value) for one in measure.slices] == [
        ("kind", "b", 3, pytest.approx(2 / 3)),
        ("kind", "a", 2, 1.0),
    ]
    assert [one.change and one.change.value for one in measure.slices] == [
        pytest.approx(2 / 3),
        0.5,
    ]


def test_a_field_with_an_id_in_it_makes_no_slices() -> None:
    given = answered([True] * 60, None, "".join(chr(0x4E00 + n) for n in range(60)))
    with pytest.raises(UsageError, match="'kind' has 60 values"):
        measured(given, "kind")


def test_a_conversation_is_as_right_as_its_worst_turn() -> None:
    record = Record("1", ("a.png",), (Turn("<image> A?", "yes"), Turn("B?", "maybe")))
    given = Answered([record], [Answer("1", ("yes", "maybes"), ("stop", "stop"))])
    exact, anls = (one.model[0] for one in score(("exact_match", "anls"), given))
    assert (exact, anls) == (0.0, pytest.approx(5 / 6))


def test_a_graded_metric_has_no_counts_and_a_permutation_test() -> None:
    records = [Record(str(n), (), (Turn("?", "abcdef"),)) for n in range(40)]
    better, worse = (
        [Answer(str(n), (text,), ("stop",)) for n in range(40)] for text in ("abcdeX", "abcXXX")
    )
    (measure,) = measured(Answered(records, better, worse), metrics=("anls",)).measures
    assert (measure.right, measure.base_right, measure.test) == (None, None, "permutation")
    assert measure.change is not None and measure.change.value == pytest.approx(1 / 3, abs=1e-6)
    assert measure.improved


class Halved:
    kind, name, sdk, version = "metric", "halved", "1.1", "7"

    def score(self, answer: str, references: tuple[str, ...], meta: dict[str, str]) -> float:
        if meta.get("kind") == "boom":
            raise ZeroDivisionError("oops")
        return 0.5 if answer == references[0] else float(meta.get("value", 0))


def test_a_metric_of_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {**plugins().of("metric"), "halved": Halved()}
    monkeypatch.setattr(Plugins, "of", lambda self, kind, name="": known)
    (measure,) = measured(answered([True, False], None), metrics=("halved",)).measures
    assert (measure.version, measure.score.value, measure.right) == ("7", 0.25, None)
    record = Record("9", (), (Turn("?", "yes"),), {"value": "1.5"})
    with pytest.raises(
        PluginError, match=r"metric halved gave 1\.5 for record 9; a score is from 0 to 1"
    ):
        score(("halved",), Answered([record], [Answer("9", ("no",), ("stop",))]))
    broken = Record("9", (), (Turn("?", "yes"),), {"kind": "boom"})
    with pytest.raises(
        PluginError, match="metric halved failed on record 9: ZeroDivisionError: oops"
    ):
        score(("halved",), Answered([broken], [Answer("9", ("no",), ("stop",))]))


def test_samples_for_the_card_show_the_outcomes_in_proportion() -> None:
    """Of 30 records 20 became right, 2 became wrong and 8 stayed: so do the first 15."""
    after = [True] * 20 + [False] * 2 + [True] * 8
    before = [False] * 20 + [True] * 2 + [True] * 8
    result = measured(answered(after, before))
    assert result.outcomes == Outcomes(20, 2, 8)
    assert len(result.samples) == 24
    marks = [(one.turns[0].base_right, one.turns[0].right) for one in result.samples[:15]]
    assert Counter(marks) == {(False, True): 10, (True, False): 1, (True, True): 4}
    turn = result.samples[0].turns[0]
    assert (turn.question, turn.reference, turn.base_answer) == ("Which?", "yes", "no")
    assert [one.id for one in result.samples] != sorted(one.id for one in result.samples)
    assert measured(answered(after, before)) == result


def test_rows_as_json_lines(tmp_path: Path) -> None:
    given = answered([True, False], [False, False], "ab")
    write_samples(tmp_path / "rows.jsonl", given, score(("exact_match", "anls"), given))
    first, second = map(json.loads, (tmp_path / "rows.jsonl").read_text("utf-8").splitlines())
    assert first == {
        "id": "0",
        "images": ["0.png"],
        "questions": ["<image>\nWhich?"],
        "references": ["yes"],
        "answers": ["yes"],
        "finish": ["stop"],
        "exact_match": 1.0,
        "anls": 1.0,
        "base_answers": ["no"],
        "base_exact_match": 0.0,
        "base_anls": 0.0,
        "meta.kind": "a",
    }
    assert (second["exact_match"], second["meta.kind"]) == (0.0, "b")


def test_rows_as_parquet(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    given = answered([True, False], None)
    given = Answered(
        [given.records[0], Record("1", (), (Turn("?", "yes"),), {"late": "x"})], given.answers
    )
    write_samples(tmp_path / "rows.parquet", given, score(("exact_match",), given))
    rows = parquet.read_table(tmp_path / "rows.parquet").to_pylist()
    assert [(row["id"], row["exact_match"], row["meta.late"], row["answers"]) for row in rows] == [
        ("0", 1.0, None, ["yes"]),
        ("1", 0.0, "x", ["no"]),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_where_rows_cannot_go_is_known_beforehand(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"samples are written as \.jsonl or \.parquet"):
        check_suffix(tmp_path / "rows.csv")
    with pytest.raises(UsageError, match="no such folder"):
        check_suffix(tmp_path / "nowhere" / "rows.jsonl")


def test_an_empty_reference_is_told_with_its_record() -> None:
    given = Answered([Record("5", (), (Turn("?", " "),))], [Answer("5", ("x",), ("stop",))])
    with pytest.raises(DataError, match="record 5: contains: there is no answer to compare with"):
        score(("contains",), given)
