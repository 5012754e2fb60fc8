"""Text that somebody else wrote, made fit to be shown."""

from __future__ import annotations

import unicodedata


def visible(value: object, limit: int = 400) -> str:
    """`value` as text of at most `limit` characters, without what cannot be seen: control
    characters, direction marks and lone surrogates. Line breaks stay as `\\n`."""
    text = str(value)[: 4 * limit + 100].replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(
        c
        for c in text.replace("\t", " ")
        if c == "\n"
        or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
        or c in "\u200c\u200d"
    )
    kept = kept.strip()
    return kept if len(kept) <= limit else kept[: limit - 1].rstrip() + "…"


def one_line(value: object, limit: int = 400) -> str:
    """As `visible`, on one line."""
    return " ".join(visible(value, limit).split())
