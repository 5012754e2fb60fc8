"""In which scripts texts are written, and which languages that suggests."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

_LANGUAGES = {
    "CJK": "zh",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CYRILLIC": "ru",
    "ARABIC": "ar",
    "DEVANAGARI": "hi",
    "GREEK": "el",
    "HEBREW": "he",
    "THAI": "th",
    "LATIN": "en",
}
_SHARE = 0.1
"""Of all letters: names and loan words alone make no language."""
_NO_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())


@lru_cache(4096)
def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNNAMED").split()[0].split("-")[0]


def scripts(texts: Iterable[str]) -> Counter[str]:
    """How many letters of each script there are, by the first word of their Unicode names
    (`LATIN`, `CJK`)."""
    found = Counter[str]()
    for text in texts:
        if text.isascii():
            if letters := len(text.encode().translate(None, _NO_LETTERS)):
                found["LATIN"] += letters
        else:
            for letter, count in Counter(text).items():
                if letter.isalpha():
                    found[_script(letter)] += count
    return found


def languages(letters: Counter[str]) -> tuple[str, ...]:
    """ISO 639-1 codes, the most used first: of each script its most usual language, so Latin
    letters are `en`. Chinese characters beside kana are Japanese. `letters` are what `scripts`
    found."""
    found, total = Counter[str](), 0
    for script, count in letters.items():
        total += count
        if script in _LANGUAGES:
            found[_LANGUAGES[script]] += count
    if found["ja"] > _SHARE * found["zh"]:
        found["ja"] += found.pop("zh", 0)
    return tuple(code for code, count in found.most_common() if count > _SHARE * total)
