"""The filters that make text harmless, and the numbers as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubkit.packaging.card.markdown import (
    block,
    cell,
    code,
    in_points,
    p_value,
    percent,
    points,
    setting,
    size,
    text,
    thousands,
)


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("one\r\ntwo", "one<br>two"),
        ("snake_case _it_", r"snake_case \_it\_"),
        ("- item", r"\- item"),
        ("see https://example.org", "see https&#58;//example.org"),
        ("www.example.org", "www&#46;example.org"),
        ("红烧肉，图中的菜是红烧肉", "红烧肉，图中的菜是红烧肉"),
        ("\x1b[31mred\x00", r"\[31mred"),
        ("\ud800", "—"),
        ("", "—"),
    ],
)
def test_cells(given_text: str, shown: str) -> None:
    assert cell(given_text) == shown


@given(st.text(max_size=600))
def test_a_cell_is_one_line_without_open_markup(given_text: str) -> None:
    shown = cell(given_text)
    assert "\n" not in shown and shown.encode()
    bare = shown.replace("<br>", "")
    assert "<" not in bare and ">" not in bare
    unescaped = bare.replace("\\\\", "")
    assert all(unescaped[i - 1] == "\\" for i, c in enumerate(unescaped) if c in "|`*[]~$")


def test_long_text_is_cut() -> None:
    assert text("x" * 1000, 10) == "x" * 9 + "…"


def test_code_falls_back_to_text() -> None:
    assert code("model-00001-of-00002.safetensors") == "`model-00001-of-00002.safetensors`"
    assert code("a`|`b") == r"a\`\|\`b"


def test_a_block_cannot_be_closed_from_inside() -> None:
    assert block("````\nx") == "`````text\n````\nx\n`````"


def test_numbers() -> None:
    assert (percent(0.305), points(0.655), points(-0.02), thousands(2205754368)) == (
        "30.5%",
        "+65.5",
        "−2.0",
        "2,205,754,368",
    )
    assert [size(n) for n in (12, 999_999, 4_411_571_040)] == ["12 B", "1.00 MB", "4.41 GB"]
    assert [setting(v) for v in (True, 3e-05, 16, "cosine", "a|b")] == [
        "`true`",
        "`3e-05`",
        "`16`",
        "`cosine`",
        r"a\|b",
    ]


def test_ends_of_intervals_and_p_values() -> None:
    assert [in_points(n) for n in (0.695, -0.0152, 0.0)] == ["69.5", "−1.5", "0.0"]
    assert [p_value(n) for n in (0.2, 0.0341, 0.001, 2.7e-79)] == [
        "p = 0.2",
        "p = 0.034",
        "p = 0.001",
        "p < 0.001",
    ]
