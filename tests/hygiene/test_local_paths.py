"""What is found as a local path in JSON is what a merge leaves out of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.hygiene.local_paths import is_local_path, without_local_paths
from hubkit.hygiene.search import search

KEYS = st.sampled_from(["a", "_name_or_path", "tokenizer_file", "notes"])
TEXTS = st.one_of(
    st.sampled_from(
        [
            *("/home/ada/x", "/srv/x", "./base", "../base", "~/x/y", "~ada/x", "C:\\x", "D:/m/x"),
            *("file:///x/y", "\\\\host\\x", "org/base", "</s>", "/", "see /home/ada/x", "a/b c"),
        ]
    ),
    st.text(st.sampled_from("/~.:\\ab c"), max_size=12),
)
DATA = st.dictionaries(
    KEYS,
    st.recursive(
        TEXTS,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)
        ),
        max_leaves=5,
    ),
    max_size=3,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=DATA)
def test_found_is_left_out(tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "config.json"

    def count(content: Any, *, carried: bool) -> int:
        path.write_text(json.dumps(content))
        return len(list(search(path, "config.json", carried=carried)))

    left = without_local_paths(data)
    assert without_local_paths(left) == left
    assert count(left, carried=False) == count(data, carried=True)


@pytest.mark.parametrize(
    ("key", "value", "local"),
    [
        ("a", "/usr/share/x", True),
        ("a", "~/x", True),
        ("a", "C:/Users/ada", True),
        ("a", "\\\\server\\share", True),
        ("a", "./x", False),
        ("_name_or_path", "./x", True),
        ("_name_or_path", "org/name", False),
        ("a", "/", False),
        ("a", "</s>", False),
        ("a", "/home/ada\nand more", False),
    ],
)
def test_whole_values(key: str, value: str, local: bool) -> None:
    assert is_local_path(key, value) == local
