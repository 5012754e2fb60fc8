"""The gates of `evaluate.require`: what may be written, where it is wrong, and when they refuse."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import hubkit
from hubkit.errors import RefusedError, SpecError
from hubkit.evaluation.gates import Bound, bound, refuse_below, refuse_unlike, variant_bound
from hubkit.evaluation.results import Evaluated, Interval, Measure

EXACT = Measure(
    "exact_match",
    "1",
    200,
    score=Interval(0.9, 0.855, 0.94),
    right=180,
    base=Interval(0.88, 0.83, 0.92),
    base_right=176,
    change=Interval(0.02, -0.015, 0.055),
    test="mcnemar",
    p_value=0.34,
)
ANLS = dataclasses.replace(
    EXACT,
    metric="anls",
    right=None,
    change=Interval(0.05, 0.01, 0.09),
    test="permutation",
    p_value=0.01,
)
RESULT = Evaluated(200, (EXACT, ANLS), ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (">= 0.9", Bound(">=", 0.9)),
        (">0", Bound(">", 0.0)),
        (" > -0.05 ", Bound(">", -0.05)),
        (">= .5", Bound(">=", 0.5)),
    ],
)
def test_a_bound_is_read(text: str, expected: Bound) -> None:
    assert bound(text) == expected


@pytest.mark.parametrize(
    "text", ["0.9", "=> 0.9", "< 0.9", "> 90 %", ">= ", "> 1e-3", ">= 0,9", "> nan"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be `>` or `>=` and a number"):
        bound(text)


def test_percent_are_not_taken_for_shares() -> None:
    with pytest.raises(ValueError, match=r"write 0\.9 for 90 %"):
        bound(">= 90")


RELEASE = """\
name: InternVL2-X
base: {{path: base}}
data: {{path: d.json}}
evaluate:
  metrics: [exact_match, anls]
  require:
    {line}
"""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            'exact_match: ">= 90"',
            "line 7: evaluate.require.exact_match: is a share between -1 and 1: write 0.9 for 90 %",
        ),
        (
            'anls: "about 0.5"',
            "line 7: evaluate.require.anls: must be `>` or `>=` and a number, in quotes",
        ),
        (
            "improvement: 0.1",
            "line 7: evaluate.require.improvement: a text, not 0.1 (put it in quotes)",
        ),
        (
            'contains: "> 0.5"',
            "line 7: evaluate.require.contains: 'contains' is not measured; what can be required: "
            "exact_match, anls",
        ),
        (
            'contains.improvement: "> 0"',
            "line 7: evaluate.require.contains.improvement: 'contains.improvement' is not measured",
        ),
    ],
)
def test_problems_are_told_with_their_line(line: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "release.yaml").write_text(RELEASE.format(line=line))
    with pytest.raises(SpecError) as caught:
        hubkit.load_spec(tmp_path / "release.yaml")
    assert said in caught.value.message


@pytest.mark.parametrize("line", ["improvement: > 0", "exact_match: >= 0.9"])
def test_a_bound_without_quotes_is_told_to_take_them(line: str, tmp_path: Path) -> None:
    (tmp_path / "release.yaml").write_text(RELEASE.format(line=line))
    with pytest.raises(SpecError, match="line 7: expected") as caught:
        hubkit.load_spec(tmp_path / "release.yaml")
    assert "in quotes" in caught.value.remedy


def test_an_unknown_metric_is_told_with_its_line(tmp_path: Path) -> None:
    text = RELEASE.format(line='exact_match: "> 0.5"').replace("anls]", "accuracy]")
    (tmp_path / "release.yaml").write_text(text)
    with pytest.raises(
        SpecError,
        match=r"line 5: there is no metric 'accuracy' \(installed: anls, contains, exact_match",
    ):
        hubkit.load_spec(tmp_path / "release.yaml")


@pytest.mark.parametrize(
    "require",
    [
        {},
        {"exact_match": ">= 0.9", "improvement": "> 0"},
        {"anls.improvement_ci": "> 0"},
        {"improvement_ci": ">= -0.02"},
        {"exact_match.improvement": ">= 0.02"},
    ],
)
def test_what_was_measured_passes(require: dict[str, str]) -> None:
    refuse_below(RESULT, require)


def test_a_refusal_names_every_gate_and_what_was_measured() -> None:
    with pytest.raises(RefusedError) as caught:
        refuse_below(
            RESULT,
            {
                "exact_match": "> 0.9",
                "improvement": ">= 0",
                "improvement_ci": "> 0",
                "anls.improvement": "> 0.1",
            },
        )
    assert caught.value.exit_code == 3
    assert "(200 held-out records)" in caught.value.message
    assert (
        "exact_match is 0.9 (90.0 %), and evaluate.require asks for > 0.9" in caught.value.message
    )
    assert (
        "improvement_ci is -0.015 (-1.5 points), and evaluate.require asks for > 0"
        in caught.value.message
    )
    assert "anls.improvement is 0.05 (+5.0 points)" in caught.value.message
    assert "; improvement is" not in caught.value.message


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("drop", "<= 1 %", Bound("<=", 0.01)),
        ("drop", "< 0.02", Bound("<", 0.02)),
        ("drop_ci", "<=2.5%", Bound("<=", 0.025)),
        ("same_texts", ">= 90 %", Bound(">=", 0.9)),
    ],
)
def test_a_variants_bound_is_read(key: str, text: str, expected: Bound) -> None:
    assert variant_bound(key, text) == expected


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('drop: ">= 1 %"', 'must be `<` or `<=` and a number, in quotes, such as "<= 1 %"'),
        ('same_texts: "<= 0.9"', "must be `>` or `>=` and a number"),
        ('drop: "<= 1"', None),
        ('drop: "<= 2"', 'is a share between -1 and 1: write "<= 2 %" for 2 %'),
        ('dorp: "<= 1 %"', "'dorp' is not measured (did you mean 'drop'?); what can be required: "),
        ("drop: 1", "a text, not 1 (put it in quotes)"),
    ],
)
def test_a_variants_gate_is_told_with_its_line(line: str, said: str | None, tmp_path: Path) -> None:
    path = tmp_path / "release.yaml"
    path.write_text(
        "name: InternVL2-X\nbase: {path: base}\ndata: {path: d.json}\nvariants:\n"
        f"  - name: GGUF\n    require:\n      {line}\n"
    )
    if said is None:
        assert hubkit.load_spec(path).variants[0].require
        return
    key = line.partition(":")[0]
    with pytest.raises(SpecError) as caught:
        hubkit.load_spec(path)
    assert f"line 7: variants.0.require.{key}: {said}" in caught.value.message


def test_a_variant_unlike_the_merged_model_is_refused() -> None:
    worse = dataclasses.replace(EXACT, change=Interval(-0.02, -0.055, 0.015))
    result = Evaluated(200, (worse,), ())
    refuse_unlike(result, 190, {"drop": "<= 2 %", "drop_ci": "< 6 %", "same_texts": ">= 95 %"})
    with pytest.raises(RefusedError) as caught:
        refuse_unlike(result, 189, {"drop": "<= 1 %", "drop_ci": "< 5 %", "same_texts": ">= 95 %"})
    for told in ("drop is 2.0 %", "drop_ci is 5.5 %", "same_texts is 94.5 %", "asks for <= 1 %"):
        assert told in caught.value.message
