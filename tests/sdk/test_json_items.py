"""Reading a JSON file value by value gives what `json` gives, wherever the reader's window ends."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubkit.sdk import DataError, json_items

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    values=st.lists(VALUES, max_size=5),
    chunk=st.integers(1, 40),
    ascii=st.booleans(),
    indent=st.sampled_from([None, 1]),
)
def test_arrays_are_read_as_json_reads_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    values: list[Any],
    chunk: int,
    ascii: bool,
    indent: int | None,
) -> None:
    monkeypatch.setattr(json_items, "_CHUNK", chunk)
    source = tmp_path / "data.json"
    text = json.dumps(values, ensure_ascii=ascii, indent=indent)
    source.write_text(text, "utf-8", errors="surrogatepass")
    try:
        text.encode()
    except UnicodeEncodeError:
        with pytest.raises(DataError, match="not UTF-8"):
            list(json_items.items(source))
        return
    assert [value for _, value in json_items.items(source)] == values


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_a_number_is_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(json_items, "_CHUNK", chunk)
    source = tmp_path / "data.json"
    source.write_text("[0.0,-1.5e+10,1E5,2e-3,10]")
    assert [value for _, value in json_items.items(source)] == [0.0, -1.5e10, 1e5, 2e-3, 10]
    source.write_text("[1.,2]")
    with pytest.raises(DataError, match="line 1, column 3: not JSON"):
        list(json_items.items(source))


@pytest.mark.parametrize("chunk", [1, 3, 64, 1 << 22])
@pytest.mark.parametrize(
    ("content", "given_before", "says"),
    [
        (b'[{"a": 1},\n\n {"b" 2}]', 1, "line 3, column 7: not JSON (Expecting ':' delimiter)"),
        (b'[{"a": 1}\n {"b": 2}]', 1, "line 2, column 2: not JSON (Expecting ',' delimiter)"),
        (b'[{"a": 1},\n {"b": "x', 1, "line 2, column 8: not JSON (Unterminated string"),
        (b'[{"a": 1},\n\xff]', 1, "line 2: not UTF-8"),
        (b'[{"a": 1}] 7', 1, "line 1, column 12: not JSON (Extra data)"),
        (b'[{"a": 1},', 1, "line 1, column 11: not JSON (Expecting value)"),
    ],
)
def test_broken_json_is_named_with_its_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    given_before: int,
    says: str,
    chunk: int,
) -> None:
    monkeypatch.setattr(json_items, "_CHUNK", chunk)
    source = tmp_path / "data.json"
    source.write_bytes(content)
    found = []
    with pytest.raises(DataError) as caught:
        found += [value for _, value in zip(range(99), json_items.items(source), strict=False)]
    assert says in caught.value.message and str(source) in caught.value.message


def test_an_array_far_larger_than_the_window_takes_little_memory(tmp_path: Path) -> None:
    source = tmp_path / "data.json"
    item = json.dumps({"id": "x", "text": "word " * 400})
    with source.open("w") as out:
        out.write("[" + ",\n".join([item] * 20_000) + "]")
    assert source.stat().st_size > 40e6
    tracemalloc.start()
    assert sum(1 for _ in json_items.items(source)) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25e6, peak
