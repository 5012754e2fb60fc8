"""Which of the choices A to D an answer names."""

from __future__ import annotations

import re
import unicodedata

_ALONE = re.compile(r"[\W_]*([a-d])[\W_]*", re.ASCII)
_STANDING = re.compile(
    r"""(?<![A-Za-z0-9'’-])   # not inside a word: neither the D of "AND" nor the C of "vitamin-C"
        [A-D]
        (?![A-Za-z0-9'’])(?!-[A-Za-z0-9])
        (?!(?<=A)\s+(?!is\b|was\b|and\b|or\b|because\b)[a-z])  # "A red bowl": the article
    """,
    re.VERBOSE,
)


def choice(answer: str) -> str | None:
    """`A`, `B`, `C` or `D`: the first of these letters that stands as a choice; None when there is
    none.

    Full-width and circled letters count as the letter. A small letter counts when it is all of the
    answer: `b`, `(b).`
    """
    text = unicodedata.normalize("NFKC", answer)
    if alone := _ALONE.fullmatch(text):
        return alone[1].upper()
    standing = _STANDING.search(text)
    return standing[0] if standing else None
