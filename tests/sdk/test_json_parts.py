"""A file in parts holds the records that the whole has, or says that it was cut wrongly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubkit.sdk import DataError, json_items, json_parts
from hubkit.sdk.json_parts import Part, parts

TEXTS = st.text(st.sampled_from('a"\\é豆,[]{} \n') | st.characters(codec="utf-8"), max_size=12)
VALUES = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.lists(
    st.fixed_dictionaries({"id": TEXTS}, optional={"of": VALUES}) | VALUES, min_size=1, max_size=12
)


def read(source: Path, cut: tuple[Part, ...]) -> list[Any]:
    found: list[Any] = []
    for part in cut:
        assert part.first == len(found)
        found += [item for _, item in json_items.items(source, part=part)]
    return found


@settings(suppress_health_check=list(HealthCheck), max_examples=150)
@given(
    records=RECORDS,
    count=st.integers(2, 5),
    block=st.integers(40, 200),
    indent=st.sampled_from([None, 0, 1]),
    ascii=st.booleans(),
    lines=st.booleans(),
)
def test_parts_are_the_whole_or_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    records: list[Any],
    count: int,
    block: int,
    indent: int | None,
    ascii: bool,
    lines: bool,
) -> None:
    monkeypatch.setattr(json_parts, "_BLOCK", block)
    source = tmp_path / "data.json"
    if lines:
        text = "".join(json.dumps(one, ensure_ascii=ascii) + "\n" for one in [{}, *records])
    else:
        text = json.dumps(records, ensure_ascii=ascii, indent=indent)
    source.write_text(text, "utf-8")
    try:
        found = read(source, parts(source, count))
    except (DataError, AssertionError):
        assert not lines  # what stands between two lines can be nothing else
        return
    assert found == ([item for _, item in json_items.items(source)] if parts(source, count) else [])


def test_a_usual_file_is_cut(tmp_path: Path) -> None:
    records = [{"id": str(number), "t": [{"a": 'b"},{"id'}]} for number in range(100)]
    source = tmp_path / "data.json"
    for text in (
        json.dumps(records),
        "\ufeff" + json.dumps(records, indent=2) + "\n",
        "\n".join(map(json.dumps, records)),
    ):
        source.write_text(text, "utf-8")
        cut = parts(source, 3)
        assert len(cut) == 3 and read(source, cut) == records
        assert all(abs(part.first - 33 * number) < 3 for number, part in enumerate(cut))


@pytest.mark.parametrize("text", ["[]", "[1, 2]", '[{"a": 1}]', '[{"a": 1}, {"a": 2}', "{}", ""])
def test_what_cannot_be_cut_is_one_part(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.json").write_text(text)
    assert len(parts(tmp_path / "data.json", 4)) <= 1
