"""Letters are counted by their scripts as one by one, in the order in which scripts appear."""

from __future__ import annotations

import unicodedata
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hubkit.data.writing import languages, scripts


@given(st.lists(st.text(st.sampled_from("aZ9 é豆カかДß\n") | st.characters(), max_size=20)))
def test_letters_are_counted_by_script(texts: list[str]) -> None:
    names = (
        unicodedata.name(letter, "UNNAMED").split()[0].split("-")[0]
        for text in texts
        for letter in text
        if letter.isalpha()
    )
    assert list(scripts(texts).items()) == list(Counter(names).items())


def test_chinese_characters_beside_kana_are_japanese() -> None:
    assert languages(scripts(["図の中", "のテキストです", "ab"])) == ("ja", "en")
    assert languages(scripts(["图中是什么菜？", "tofu"])) == ("zh", "en")
